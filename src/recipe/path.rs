//! Paths in the image and in an overlay's folder.

use super::form::{Fault, Form};

/// A path with wildcards; the first two parts are plain, so that a slip does not leave out the system.
pub fn path_pattern(text: &str) -> Result<(), Fault> {
    image_path(text)?;
    if let Some(c) = text.chars().find(|c| c.is_whitespace() || "[]\\'\"".contains(*c)) {
        return Err(Fault::new(format!("`{c}` may not be in it")).help("`*` and `?` are the wildcards"));
    }
    let top = text.split('/').skip(1).take(2);
    if top.clone().count() < 2 || top.into_iter().any(|part| part.contains(['*', '?'])) {
        return Err(Fault::new("it does not begin with two plain directories")
            .help(format!("for example `{}`", Form::PathPattern.example())));
    }
    Ok(())
}

/// An absolute path of something that the image brings.
pub fn image_path(text: &str) -> Result<(), Fault> {
    let Some(below) = text.strip_prefix('/') else {
        return Err(Fault::new("it does not begin with `/`"));
    };
    if below.is_empty() {
        return Err(Fault::new("it is the root directory"));
    }
    if text.len() > 1024 {
        return Err(Fault::new("it is longer than 1024 bytes"));
    }
    for part in below.split('/') {
        match part {
            "" => return Err(Fault::new("it has an empty part: `//`, or `/` at its end")),
            "." | ".." => return Err(Fault::new(format!("`{part}` may not be in it"))),
            part if part.len() > 255 => return Err(Fault::new("a part of it is longer than 255 bytes")),
            _ => {}
        }
    }
    let top = below.split('/').next().unwrap_or("");
    if ["proc", "sys", "dev", "run"].contains(&top) {
        return Err(Fault::new(format!("/{top} is made by the running system, not by the image")));
    }
    Ok(())
}

/// A path of the image without what means something else to a shell, to systemd, in a pattern or as the end of a word.
pub fn plain_path(text: &str) -> Result<(), Fault> {
    image_path(text)?;
    match text.chars().find(|&c| !c.is_alphanumeric() && !"/._-+@:,=~".contains(c)) {
        Some(other) => {
            Err(Fault::new(format!("`{other}` means something else in the settings that it goes into"))
                .help("name a directory above it, or give the files a plainer name"))
        }
        None => Ok(()),
    }
}

/// A path that stays in the folder it begins in.
pub fn inner_path(text: &str) -> Result<(), Fault> {
    if text.starts_with('/') || text.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(Fault::new("it leaves the folder, or is not plain"));
    }
    Ok(())
}
