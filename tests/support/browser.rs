//! The page of a proof in a real browser, from a tools tree of its own.

use super::{RECIPE, goldcast, said};
use std::path::Path;

/// Chromium, and a font for it.
const TOOLS: &str = include_str!("browser.tools");

/// Unfolds everything on the page, then writes its width and the window's where the dump shows them.
const MEASURE: &str = r#"<script>
document.querySelectorAll("details").forEach(details => details.open = true);
document.title = `${document.documentElement.scrollWidth} of ${window.innerWidth}`;
</script></body>"#;

/// Pages that are found fault with, one for each fault, so that a page without one means something.
const FAULTY: [(&str, &str); 2] = [
    ("<div style=\"width: 2000px\">wide</div></body>", "wider than"),
    ("<script>console.error('spoken')</script></body>", "spoken"),
];

/// What the browser finds wrong with this page, which it opens in `directory`; the pictures stay there.
fn faults(page: &str, directory: &Path) -> Vec<String> {
    fs_err::write(directory.join("page.html"), page).unwrap();
    fs_err::write(directory.join("measured.html"), page.replace("</body>", MEASURE)).unwrap();
    fs_err::write(directory.join("browser.toml"), RECIPE).unwrap();
    fs_err::write(directory.join("browser.sh"), include_str!("browser.sh")).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = goldcast();
        command.env("GOLDCAST_TOOLS", TOOLS);
        let output = command.current_dir(directory).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    };
    if !directory.join("browser.lock").exists() {
        run(&["lock", "browser.toml"]);
    }
    run(&["tool", "browser.toml", "--", "sh", "browser.sh"]);
    let mut faults = Vec::new();
    for view in ["narrow", "phone", "desktop"] {
        let dom = fs_err::read_to_string(directory.join(format!("{view}.dom"))).unwrap();
        let title = dom.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).unwrap().0;
        let (page, window) =
            title.split_once(" of ").unwrap_or_else(|| panic!("{view} was not measured: {title}"));
        let (page, window): (u32, u32) = (page.parse().unwrap(), window.parse().unwrap());
        if page > window {
            faults.push(format!("{view}: {page} pixels, wider than {window}"));
        }
        let log = fs_err::read_to_string(directory.join(format!("{view}.log"))).unwrap();
        faults.extend(log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned));
    }
    faults
}

/// Asserts that a browser finds no fault with this page, and that it does with damaged ones. Pictures of it are then in
/// `directory`.
pub fn accepts(page: &str, directory: &Path) {
    for (damage, told) in FAULTY {
        let found = faults(&page.replace("</body>", damage), directory);
        assert!(!found.is_empty() && found.iter().all(|fault| fault.contains(told)), "{damage}: {found:?}");
    }
    assert_eq!(faults(page, directory), Vec::<String>::new());
    for picture in ["phone.png", "desktop.png", "dark.png"] {
        assert!(fs_err::metadata(directory.join(picture)).unwrap().len() > 10_000, "{picture}");
    }
}
