//! What an owner does later, inside the booted image: updates, and the kernel and boot loaders once more. It must still
//! start afterwards, on BIOS and on UEFI.
#![allow(clippy::unwrap_used)]

mod support;

use goldcast::archive::distribution::DEBIAN;
use goldcast::archive::mirrors::Mirrors;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use support::{Golden, goldcast, golden, said, scratch};

/// Updates everything, and installs the kernel and every part of the boot loaders once more. What is written anew is
/// told by its time: the image's own files are older than this boot.
const UPGRADE: &str = r#"
PS4='+ $SECONDS s: '
set -eux
export DEBIAN_FRONTEND=noninteractive http_proxy=http://10.0.2.2:PORT
touch /run/before
sleep 2
apt-get -q --error-on=any update
apt-get -qy upgrade
kernel=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'linux-image-[0-9]*' | sed -n 's/^installed //p' | tail -n 1)
apt-get -qy install --reinstall "$kernel" grub-pc-bin grub-efi-amd64-signed shim-signed
[ -z "$(dpkg --audit)" ]
for file in /boot/initrd.img-* /boot/grub/grub.cfg /boot/grub/i386-pc/core.img /boot/efi/EFI/BOOT/BOOTX64.EFI; do
    [ "$file" -nt /run/before ]
done
sync
echo upgraded
"#;

/// Asks the system how it is.
const HEALTH: &str = r#"
set -u
systemctl is-system-running --wait
systemctl list-units --failed --plain --no-legend --no-pager
dpkg --audit
uname -r
[ -d /sys/firmware/efi ] && echo firmware: uefi || echo firmware: bios
"#;

#[test]
fn it_still_boots_after_updates_and_with_kernel_and_boot_loader_installed_again() {
    let golden = golden();
    let scratch = scratch("upgrade");
    let proxy = proxy();

    let upgrade = UPGRADE.replace("PORT", &proxy.port().to_string());
    let output = run(&golden, scratch.path(), "uefi", &upgrade);
    let text = said(&output);
    println!("{text}");
    assert!(output.status.success());
    let errors = text.lines().filter(|line| line.contains("grub-install: error") || line.starts_with("E: "));
    assert_eq!(errors.collect::<Vec<_>>(), Vec::<&str>::new(), "{text}");
    // Once for each platform, by grub-cloud-amd64's trigger.
    for platform in ["i386-pc", "x86_64-efi"] {
        let line = format!("Installing for {platform} platform");
        assert!(text.contains(&line), "no {line:?} in:\n{text}");
    }
    assert!(text.contains("upgraded"), "{text}");

    for firmware in ["bios", "uefi"] {
        let output = run(&golden, scratch.path(), firmware, HEALTH);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = told.lines().collect();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(lines.len(), 3, "something failed or is half installed on {firmware}:\n{told}");
        assert_eq!((lines[0], lines[2]), ("running", &*format!("firmware: {firmware}")), "{told}");
        assert!(lines[1].ends_with("-amd64"), "{told}");
    }
    // What the machine did is not in the image.
    assert_eq!(support::sha256(&golden.file("raw")), golden.digest("raw"));
}

/// Boots the image from where the last run left it, runs a script inside, and switches it off.
fn run(golden: &Golden, directory: &Path, firmware: &str, script: &str) -> Output {
    let file = directory.join("script.sh");
    fs_err::write(&file, script).unwrap();
    let mut command = goldcast();
    command.arg("run").arg(&golden.recipe).arg("--out").arg(&golden.out);
    command.args(["--firmware", firmware]).arg("--script").arg(&file);
    command.arg("--persist").arg(directory.join("machine"));
    command.output().unwrap()
}

/// A proxy on loopback that hands Debian's archives, and nothing else, from the mirror that goldcast itself uses to
/// the guest. The guest asks for the addresses in the image, which need not be reachable from here.
fn proxy() -> SocketAddr {
    let mirrors = Mirrors::resolve(&DEBIAN, None, None).unwrap();
    let routes: Vec<(String, String)> = DEBIAN
        .archives
        .iter()
        .map(|archive| {
            (
                format!("{}/", DEBIAN.default_mirror(archive)),
                format!("{}/", mirrors.base(archive.name).unwrap()),
            )
        })
        .collect();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let routes = routes.clone();
            std::thread::spawn(move || {
                if let Err(error) = serve(stream, &routes) {
                    println!("proxy: {error}");
                }
            });
        }
    });
    address
}

/// Answers one request; the connection ends with it.
fn serve(mut stream: TcpStream, routes: &[(String, String)]) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let words: Vec<&str> = request.split(' ').collect();
    let target = match words[..] {
        ["GET", url, _] => {
            routes.iter().find_map(|(from, to)| Some(format!("{to}{}", url.strip_prefix(from.as_str())?)))
        }
        _ => None,
    };
    let Some(target) = target else {
        println!("proxy: refused {request:?}");
        return stream.write_all(
            b"HTTP/1.1 403 Not Debian's archive\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    let (status, length, mut body) = fetch(&target).map_err(std::io::Error::other)?;
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n")?;
    if let Some(length) = length {
        write!(stream, "Content-Length: {length}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    std::io::copy(&mut body, &mut stream)?;
    Ok(())
}

type Fetched = (String, Option<u64>, Box<dyn Read>);

fn fetch(url: &str) -> Result<Fetched, ureq::Error> {
    if let Some(path) = url.strip_prefix("file://") {
        let file = fs_err::File::open(path)?;
        return Ok(("200 OK".into(), Some(file.metadata()?.len()), Box::new(file)));
    }
    let agent =
        ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
    // Compressed on the way, the length would not be that of what the guest gets.
    let response = agent.get(url).header("accept-encoding", "identity").call()?;
    let length = response.headers().get("content-length");
    let length = length.and_then(|length| length.to_str().ok()).and_then(|length| length.parse().ok());
    let status = response.status().to_string();
    Ok((status, length, Box::new(response.into_body().into_with_config().limit(u64::MAX).reader())))
}
