//! What a string in a recipe or an overlay may say: names, paths, addresses, times.

use super::address::{cidr, email, hostname, port, socket, source, suite, url};
use super::path::{image_path, inner_path, path_pattern, plain_path};
use super::quantity;
use super::ssh_key;
use std::net::IpAddr;

/// The form that a string must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Anything without control characters but newline and tab.
    Text,
    /// One line.
    Line,
    /// Name of an image and stem of its files.
    ImageName,
    /// Host name, RFC 1123.
    Hostname,
    /// Debian package name, Debian policy 5.6.1.
    Package,
    /// Login name, as adduser(8) takes it.
    User,
    /// Login name of a person: none that Debian gives to the system.
    Person,
    /// Group name.
    Group,
    /// systemd unit with its suffix, systemd.unit(5).
    Unit,
    /// Absolute path in the image.
    ImagePath,
    /// Absolute path in the image that overlays write into scripts and settings as it is.
    PlainPath,
    /// Absolute path with `*` and `?`, dpkg(1).
    PathPattern,
    /// Path of a file on the building host, relative to the file that names it.
    HostPath,
    /// Path within an overlay's folder.
    InnerPath,
    /// Permission bits in octal.
    Mode,
    /// http or https address without secrets in it.
    Url,
    /// Name of a package repository.
    Repository,
    /// The same as [`Self::Url`], or a directory of the building host.
    Source,
    /// Debian package name, in which `*` stands for any part.
    PackagePattern,
    /// Suite or component of a repository: a path below `dists/`.
    Suite,
    /// Where a partition may be mounted.
    MountPoint,
    /// A word of mount(8)'s.
    MountOption,
    /// `auto` or a size.
    RootSize,
    /// A size: `650 MiB`.
    Size,
    /// A length of time: `90 s`, `2 h 30 min`.
    Duration,
    /// A time of day: `03:30`.
    Time,
    /// Port number, 1 to 65535.
    Port,
    /// `tcp/80`, `udp/53`.
    Socket,
    /// IPv4 or IPv6 address.
    Address,
    /// Address with optional prefix length.
    Cidr,
    /// Host name or address.
    Host,
    /// Mail address.
    Email,
    /// One word of the kernel's command line.
    KernelArgument,
    /// Login shell.
    Shell,
    /// Full name, one GECOS field.
    Comment,
    /// Line of `authorized_keys`, sshd(8).
    SshKey,
    /// Hash of a password, crypt(5).
    PasswordHash,
    /// Hash of a password for GRUB, grub-mkpasswd-pbkdf2(1).
    GrubPasswordHash,
    /// Name of an overlay.
    Overlay,
    /// Name of an overlay's option.
    Option,
    /// A Handlebars template.
    Template,
}

/// Why a string does not have its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Continues "… is not a host name: ".
    pub why: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Fault {
    /// A fault without advice.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), help: None }
    }

    /// Adds advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Accounts and groups that base-passwd and systemd make; a person may not take their names.
const SYSTEM_ACCOUNTS: &[&str] = &[
    "root",
    "daemon",
    "bin",
    "sys",
    "sync",
    "games",
    "man",
    "lp",
    "mail",
    "news",
    "uucp",
    "proxy",
    "www-data",
    "backup",
    "list",
    "irc",
    "_apt",
    "nobody",
    "messagebus",
    "sshd",
    "systemd-network",
    "systemd-resolve",
    "systemd-timesync",
    "systemd-journal",
];

impl Form {
    /// What it is, for messages and the documentation.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Line => "one line of text",
            Self::ImageName => "an image's name",
            Self::Hostname => "a host name",
            Self::Package => "a package's name",
            Self::User => "a login name",
            Self::Person => "a person's login name",
            Self::Group => "a group's name",
            Self::Unit => "a systemd unit",
            Self::ImagePath => "a path in the image",
            Self::PlainPath => "a plain path in the image",
            Self::PathPattern => "a pattern of paths",
            Self::HostPath => "a file's path",
            Self::InnerPath => "a path within the overlay's folder",
            Self::Mode => "an octal mode",
            Self::Url => "a mirror's address",
            Self::Repository => "a repository's name",
            Self::Source => "a repository's address",
            Self::PackagePattern => "a package's name or a pattern of them",
            Self::Suite => "a suite's or component's name",
            Self::MountPoint => "a place for a partition",
            Self::MountOption => "a mount option",
            Self::RootSize => "`auto` or a size",
            Self::Size => "a size",
            Self::Duration => "a length of time",
            Self::Time => "a time of day",
            Self::Port => "a port",
            Self::Socket => "a protocol and a port",
            Self::Address => "an IP address",
            Self::Cidr => "an IP address or network",
            Self::Host => "a host name or IP address",
            Self::Email => "a mail address",
            Self::KernelArgument => "a word of the kernel's command line",
            Self::Shell => "a login shell",
            Self::Comment => "a full name",
            Self::SshKey => "an ssh public key",
            Self::PasswordHash => "a password's hash",
            Self::GrubPasswordHash => "a password's hash for GRUB",
            Self::Overlay => "an overlay's name",
            Self::Option => "an option's name",
            Self::Template => "a template",
        }
    }

    /// An example that is right.
    pub fn example(self) -> &'static str {
        match self {
            Self::Text | Self::Line | Self::Template => "some text",
            Self::ImageName => "debian-13-server",
            Self::Hostname => "server1.example.org",
            Self::Package => "openssh-server",
            Self::User | Self::Person => "admin",
            Self::Group => "sudo",
            Self::Unit => "ssh.service",
            Self::ImagePath => "/etc/motd",
            Self::PlainPath => "/srv/data",
            Self::PathPattern => "/usr/share/doc/*",
            Self::HostPath | Self::InnerPath => "files/motd",
            Self::Mode => "0644",
            Self::Url => "https://mirror.example.org/debian",
            Self::Repository => "postgresql",
            Self::Source => "https://repo.example.org/debian",
            Self::PackagePattern => "postgresql-17",
            Self::Suite => "trixie-pgdg",
            Self::MountPoint => "/var/log",
            Self::MountOption => "noexec",
            Self::RootSize => "auto",
            Self::Size => "650 MiB",
            Self::Duration => "2 h 30 min",
            Self::Time => "03:30",
            Self::Port => "2222",
            Self::Socket => "tcp/443",
            Self::Address => "192.0.2.1",
            Self::Cidr => "192.0.2.0/24",
            Self::Host => "mail.example.org",
            Self::Email => "admin@example.org",
            Self::KernelArgument => "quiet",
            Self::Shell => "/bin/bash",
            Self::Comment => "Ada Lovelace",
            Self::SshKey => {
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti me@laptop"
            }
            Self::PasswordHash => "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
            Self::GrubPasswordHash => {
                "grub.pbkdf2.sha512.10000.A75B81FC65025FBB35D8893CFC756181.E8D563858BD8\
                 81DFDBD51FE212C3153CE1AA2E076C4011A85DA794630A3AA4ACCD91A025C42A284CD201591B5961\
                 8D82A3D3F8B4F424BDFDAF3CFAD6FA25952C"
            }
            Self::Overlay => "ssh",
            Self::Option => "port",
        }
    }

    /// Whether the string has the form.
    pub fn check(self, text: &str) -> Result<(), Fault> {
        if text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t'))
            || self != Self::Text && self != Self::Template && text.contains(['\n', '\t'])
        {
            return Err(Fault::new("it has a control character in it"));
        }
        if text.is_empty() && !matches!(self, Self::Text | Self::Line | Self::Comment | Self::Template) {
            return Err(Fault::new("it is empty").help(format!("for example `{}`", self.example())));
        }
        match self {
            Self::Text | Self::Line | Self::Template => Ok(()),
            Self::ImageName => spelled(
                text,
                64,
                |c| c.is_ascii_alphanumeric(),
                |c| c.is_ascii_alphanumeric() || "-_.+".contains(c),
            ),
            Self::Hostname => hostname(text),
            Self::Package => package(text),
            Self::User | Self::Group => account(text),
            Self::Person => person(text),
            Self::Unit => unit(text),
            Self::ImagePath => image_path(text),
            Self::PlainPath => plain_path(text),
            Self::PathPattern => path_pattern(text),
            Self::HostPath => Ok(()),
            Self::InnerPath => inner_path(text),
            Self::Mode => mode(text).map(drop),
            Self::Url => url(text),
            Self::Source => source(text),
            Self::PackagePattern => package_pattern(text),
            Self::Suite => suite(text),
            Self::MountPoint => super::mount::point(text),
            Self::MountOption => super::mount::option(text),
            Self::RootSize if text == "auto" => Ok(()),
            Self::RootSize | Self::Size => quantity::size(text).map(drop),
            Self::Duration => quantity::duration(text).map(drop),
            Self::Time => time(text),
            Self::Port => port(text).map(drop),
            Self::Socket => socket(text),
            Self::Address => text.parse::<IpAddr>().map(drop).map_err(|_| {
                Fault::new("it is neither IPv4 nor IPv6").help("for example `192.0.2.1` or `2001:db8::1`")
            }),
            Self::Cidr => cidr(text),
            Self::Host => text.parse::<IpAddr>().map(drop).or_else(|_| hostname(text)),
            Self::Email => email(text),
            Self::KernelArgument => spelled(
                text,
                200,
                |c| c.is_ascii_alphanumeric(),
                |c| c.is_ascii_alphanumeric() || "_.,:=/@%+-".contains(c),
            ),
            Self::Shell => image_path(text),
            Self::Comment if text.contains([':', ',']) => {
                Err(Fault::new("`:` and `,` separate the fields of /etc/passwd"))
            }
            Self::Comment => Ok(()),
            Self::SshKey => ssh_key::parse(text).map(drop),
            Self::PasswordHash => super::password::parse(text).map(drop),
            Self::GrubPasswordHash => super::password::parse_grub(text),
            Self::Overlay | Self::Option | Self::Repository => spelled(
                text,
                40,
                |c| c.is_ascii_lowercase(),
                |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
            ),
        }
    }
}

pub fn spelled(
    text: &str,
    longest: usize,
    first: impl Fn(char) -> bool,
    rest: impl Fn(char) -> bool,
) -> Result<(), Fault> {
    if text.len() > longest {
        return Err(Fault::new(format!("it is longer than {longest} characters")));
    }
    match text.chars().enumerate().find(|(index, c)| if *index == 0 { !first(*c) } else { !rest(*c) }) {
        Some((0, c)) => Err(Fault::new(format!("it may not begin with `{c}`"))),
        Some((_, c)) => Err(Fault::new(format!("`{c}` may not be in it"))),
        None => Ok(()),
    }
}

fn package(text: &str) -> Result<(), Fault> {
    let lower = text.to_lowercase();
    if text.len() < 2 {
        return Err(Fault::new("it has fewer than two characters"));
    }
    let result = spelled(
        text,
        128,
        |c| c.is_ascii_lowercase() || c.is_ascii_digit(),
        |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c),
    );
    result.map_err(|fault| {
        if text.contains(['=', '/', '<', '>', '(']) {
            fault.help("name the package alone; its version is kept in the lock")
        } else if text.contains([' ', ',']) {
            fault.help("one package in one string")
        } else if lower != text && package(&lower).is_ok() {
            fault.help(format!("did you mean `{lower}`?"))
        } else {
            fault
        }
    })
}

/// A package's name with `*` in it; its first two characters are plain, so that it never means all packages.
fn package_pattern(text: &str) -> Result<(), Fault> {
    if text.bytes().take(2).any(|byte| byte == b'*') {
        return Err(Fault::new("it does not begin with two plain characters").help("name the packages"));
    }
    package(&text.replace('*', "0"))
}

fn account(text: &str) -> Result<(), Fault> {
    spelled(
        text,
        32,
        |c| c.is_ascii_lowercase() || c == '_',
        |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-',
    )
}

fn person(text: &str) -> Result<(), Fault> {
    account(text)?;
    if text == "root" {
        return Err(Fault::new("root is locked in every image")
            .help("give a person an account of their own, with `groups = [\"sudo\"]`"));
    }
    if SYSTEM_ACCOUNTS.contains(&text) || text.starts_with("systemd-") {
        return Err(Fault::new("Debian gives that name to a system account"));
    }
    Ok(())
}

/// Suffixes of systemd.unit(5) that can be enabled or masked.
const UNIT_SUFFIXES: &[&str] =
    &["service", "socket", "timer", "target", "path", "mount", "automount", "swap", "slice"];

fn unit(text: &str) -> Result<(), Fault> {
    spelled(
        text,
        255,
        |c| c.is_ascii_alphanumeric() || c == '-',
        |c| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c),
    )?;
    match text.rsplit_once('.') {
        Some((stem, suffix)) if !stem.is_empty() && UNIT_SUFFIXES.contains(&suffix) => Ok(()),
        _ => Err(Fault::new("it has no unit's suffix").help(format!("did you mean `{text}.service`?"))),
    }
}

/// Permission bits of an octal string.
pub fn mode(text: &str) -> Result<u32, Fault> {
    let wrong = || Fault::new("it is not three or four octal digits").help("for example `0644`");
    if !(3..=4).contains(&text.len()) || !text.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
        return Err(wrong());
    }
    u32::from_str_radix(text, 8).map_err(|_| wrong())
}

fn time(text: &str) -> Result<(), Fault> {
    let wrong = || Fault::new("it is not hours and minutes").help("for example `03:30`, 00:00 to 23:59");
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let number = |digits: &str, below: u32| {
        digits.len() == 2
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.parse::<u32>().is_ok_and(|number| number < below)
    };
    if number(hours, 24) && number(minutes, 60) { Ok(()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_example_has_its_own_form() {
        for form in ALL {
            assert_eq!(form.check(form.example()), Ok(()), "{form:?}");
        }
    }

    const ALL: [Form; 41] = [
        Form::Text,
        Form::Line,
        Form::ImageName,
        Form::Hostname,
        Form::Package,
        Form::User,
        Form::Person,
        Form::Group,
        Form::Unit,
        Form::ImagePath,
        Form::PlainPath,
        Form::PathPattern,
        Form::HostPath,
        Form::InnerPath,
        Form::Mode,
        Form::Url,
        Form::Repository,
        Form::Source,
        Form::PackagePattern,
        Form::Suite,
        Form::MountPoint,
        Form::MountOption,
        Form::RootSize,
        Form::Size,
        Form::Duration,
        Form::Time,
        Form::Port,
        Form::Socket,
        Form::Address,
        Form::Cidr,
        Form::Host,
        Form::Email,
        Form::KernelArgument,
        Form::Shell,
        Form::Comment,
        Form::SshKey,
        Form::PasswordHash,
        Form::GrubPasswordHash,
        Form::Overlay,
        Form::Option,
        Form::Template,
    ];

    #[test]
    fn what_is_right_and_what_is_wrong() {
        let table: &[(Form, &[&str], &[&str])] = &[
            (
                Form::Hostname,
                &["a", "a.b", "web-1", "9a"],
                &["", "-a", "a-", "a..b", "a_b", "ä", &"a".repeat(65)],
            ),
            (
                Form::Package,
                &["less", "g++", "libc6", "a.b"],
                &["", "a", "Less", "less=1", "less,vim", "-x", "_x"],
            ),
            (Form::Person, &["admin", "_x", "a-1"], &["root", "www-data", "Admin", "1a", "a b", "systemd-x"]),
            (
                Form::Unit,
                &["ssh.service", "a@b.timer", "-.mount"],
                &["ssh", ".service", "a b.service", "x.conf"],
            ),
            (
                Form::ImagePath,
                &["/etc/x", "/a.b/..c"],
                &["/", "etc", "/a//b", "/a/", "/a/../b", "/proc/x", "/dev/sda"],
            ),
            (
                Form::PlainPath,
                &["/srv/a.b/c++", "/srv/Bücher", "/home/a@b:c,d=e~"],
                &[
                    "/", "/a b", "/a*", "/a?", "/[a]", "/a'b", "/a\"b", "/$a", "/a\\", "/%n", "/a;b", "/#a",
                    "/{a}",
                ],
            ),
            (
                Form::PathPattern,
                &["/usr/share/doc/*", "/usr/lib/*/a?.so"],
                &["/", "usr/*", "/usr/[a-z]*", "/usr/a b", "/usr//a", "/usr/\\*", "/*", "/usr*"],
            ),
            (
                Form::Source,
                &["https://a.b/c", "file:///srv/x"],
                &["file://srv/x", "file:///a/../b", "ftp://a"],
            ),
            (Form::PackagePattern, &["libpq5", "postgresql-*", "a0*b"], &["*", "a*", "A-*", "ab*[x]"]),
            (Form::Suite, &["trixie", "a/updates", "x-1.0"], &["", "/", "./", "a/", "a/../b", "a b", "$x"]),
            (Form::InnerPath, &["a", "a/b.hbs"], &["", "/a", "../a", "a/../b", "a//b", "./a"]),
            (Form::Mode, &["644", "0644", "4755"], &["", "8", "0o644", "99999", "rw-r--r--", "0999"]),
            (
                Form::Url,
                &["http://127.0.0.1:80/d", "https://m.example.org", "http://[::1]:3142/debian"],
                &["m.example.org", "ftp://a", "https://u:p@h/", "https://", "https://a/?b", "https://a:0/"],
            ),
            (Form::Time, &["00:00", "23:59"], &["24:00", "3:30", "03:60", "03.30", "+3:30"]),
            (Form::Port, &["1", "65535"], &["0", "65536", "-1", "+1", "x", "1.5"]),
            (Form::Socket, &["tcp/80", "udp/53"], &["80", "80/tcp", "tcp/0", "sctp/1", "tcp/"]),
            (
                Form::Cidr,
                &["10.0.0.0/8", "::/0", "1.2.3.4"],
                &["10.0.0.0/33", "x", "1.2.3.4/", "::/129", "1.2.3.4/+8"],
            ),
            (Form::Email, &["a@b.c", "a+b@host"], &["a", "@b", "a@", "a b@c", "a@b@c d"]),
            (
                Form::KernelArgument,
                &["quiet", "console=ttyS0,115200n8"],
                &["a b", "$(x)", "a\"b", "a\\b", "=x"],
            ),
            (Form::Comment, &["", "Ada L."], &["a:b", "a,b", "a\nb"]),
            (Form::ImageName, &["a", "debian-13.1_x"], &["", ".a", "a/b", "-a", "a b"]),
            (Form::Overlay, &["two-factor"], &["Two", "2f", "a_b", "../x"]),
        ];
        for (form, right, wrong) in table {
            for text in *right {
                assert_eq!(form.check(text), Ok(()), "{form:?} {text:?}");
            }
            for text in *wrong {
                assert!(form.check(text).is_err(), "{form:?} takes {text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_check_panic(text in ".{0,60}") {
            for form in ALL {
                let _ = form.check(&text);
            }
        }

        #[test]
        fn accepted_paths_stay_where_they_are(text in "(/|\\.|a|\\.\\./){0,12}") {
            if Form::ImagePath.check(&text).is_ok() {
                prop_assert!(!text.split('/').any(|part| part == ".." || part == "."));
            }
        }
    }
}
