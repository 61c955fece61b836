//! The keys of a recipe: the one description that validation, suggestions and the JSON Schema read.

use super::form::Form;
use super::mount;
use super::plan::Format;
use super::shape::{Choice, Field, Kind, Shape};

const LISTS_ADD_UP: &str = "Lists of a base and of the recipe add up, without duplicates.";

/// The shape of a recipe, given the overlays that exist.
pub fn recipe(overlays: Vec<Field>) -> Shape {
    Shape::new(
        "key",
        vec![
            Field::new(
                "extends",
                Kind::list(Form::HostPath),
                "Recipes this one builds on, relative to this file, else built in: tables merge, single values \
                 are replaced, lists add up, [[user]] merge by name and [[file]] by path.",
            ),
            Field::new("image", Kind::Table(image()), "The disk and its files."),
            Field::new(
                "partition",
                Kind::Tables { by: None, shape: partition() },
                "A partition beside the root's, with a filesystem of its own for one directory, once for each.",
            ),
            Field::new("distribution", Kind::Table(distribution()), "What the image is made of."),
            Field::new("packages", Kind::Table(packages()), "Packages beyond what overlays bring."),
            Field::new(
                "repository",
                Kind::Tables { by: Some("name"), shape: repository() },
                "A package repository beside the distribution's, once for each: only the packages named come from \
                 it, only as its own keys sign them, in the build and in the running system.",
            ),
            Field::new(
                "user",
                Kind::Tables { by: Some("name"), shape: user() },
                "A person's account, once for each person.",
            ),
            Field::new(
                "file",
                Kind::Tables { by: Some("path"), shape: file() },
                "A file of your own in the image, once for each file.",
            ),
            Field::new("services", Kind::Table(services()), "Units switched on or off beside the overlays'."),
            Field::new(
                "overlay",
                Kind::Table(Shape::new("overlay", overlays)),
                "Naming an overlay turns it on with its defaults; `false` turns one off that a base turned on.",
            ),
        ],
    )
    .refusing(&[
        ("repositories", "write `[[repository]]`, once for each repository"),
        ("partitions", "write `[[partition]]`, once for each partition"),
        ("users", "write `[[user]]`, once for each person"),
        ("files", "write `[[file]]`, once for each file"),
        ("overlays", "write `[overlay.NAME]`, once for each overlay"),
        ("package", "write `[packages]`"),
        ("kernel", "the kernel is a package; words for its command line go into `[image] kernel-arguments`"),
    ])
}

fn image() -> Shape {
    let formats: Vec<&str> = Format::ALL.iter().map(|format| format.extension()).collect();
    let refused = vec![
        ("raw.xz", "write raw.zst"),
        ("img", "write raw"),
        (
            "vmdk",
            "convert the qcow2 file: `qemu-img convert -O vmdk -o subformat=streamOptimized`, the kind that ESXi and \
             clouds import",
        ),
        ("vdi", "convert the qcow2 file: `qemu-img convert -O vdi`"),
        (
            "vhd",
            "convert the raw file: `qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on`; clouds take \
             fixed ones of whole MiB only",
        ),
        ("vhdx", "convert the raw file: `qemu-img convert -O vhdx`"),
        ("iso", "goldcast makes disks that boot, not installation media"),
    ];
    Shape::new(
        "key",
        vec![
            Field::new("name", Kind::Text(Form::ImageName), "What the image is called; the stem of every output file.")
                .required(),
            Field::new("hostname", Kind::Text(Form::Hostname), "Host name. Default: made from the image's name."),
            Field::new(
                "root-size",
                Kind::Text(Form::RootSize),
                "Size of the root filesystem: `auto` is as small as its files allow plus root-free, else a size such \
                 as `4 GiB`, in whole MiB.",
            )
            .default("auto"),
            Field::new(
                "root-free",
                Kind::Quantity { form: Form::Size, min: 16 << 20, max: 1 << 40 },
                "Free space kept in a root filesystem of `auto` size.",
            )
            .default("512 MiB"),
            Field::new(
                "max-memory",
                Kind::Quantity { form: Form::Size, min: 16 << 20, max: 1 << 30 },
                "Most memory that the booted system may use at rest, in a machine of 1 GiB; its proof measures that.",
            ),
            Field::new(
                "formats",
                Kind::List(Box::new(Kind::Choice(Choice { refused, ..Choice::of("format", &formats) }))),
                format!("Files handed out. Default: raw. {LISTS_ADD_UP}"),
            ),
            Field::new(
                "kernel-arguments",
                Kind::list(Form::KernelArgument),
                format!("Words added to the kernel's command line. {LISTS_ADD_UP}"),
            ),
        ],
    )
}

fn partition() -> Shape {
    Shape::new(
        "key",
        vec![
            Field::new(
                "mount",
                Kind::Text(Form::MountPoint),
                "The directory that it holds, with all below but for what has a partition of its own.",
            )
            .required(),
            Field::new(
                "size",
                Kind::Quantity { form: Form::Size, min: 64 << 20, max: 8 << 40 },
                "Its size in whole MiB; it does not grow with the disk, as the root does.",
            )
            .required(),
            Field::new(
                "options",
                Kind::List(Box::new(Kind::Choice(mount::words()))),
                format!(
                    "Mount options. `nodev` and `nosuid` hold unless `dev` or `suid` is said, and so does `noexec` in \
                     /var/log and /var/tmp unless `exec` is. {LISTS_ADD_UP}"
                ),
            ),
        ],
    )
    .refusing(&[
        ("path", "write `mount`"),
        ("type", "it is ext4"),
        ("filesystem", "it is ext4"),
        ("label", "its name and label follow from `mount`"),
        ("name", "its name and label follow from `mount`"),
        ("grow", "only the root grows with the disk"),
    ])
}

fn distribution() -> Shape {
    let windows = "goldcast builds Linux images; Windows is not one of them. WinSCP and PuTTY work as clients of \
                   what it builds";
    let names = Choice {
        refused: vec![
            ("windows", windows),
            ("windows-server", windows),
            ("ubuntu", "only Debian is known; a derivative would need its own keys and services"),
        ],
        ..Choice::of("distribution", &["debian"])
    };
    let releases = Choice {
        refused: vec![
            ("13", "write the codename, trixie"),
            ("debian-13", "write the codename, trixie"),
            ("stable", "a name that moves makes images that differ; write trixie"),
            ("testing", "a name that moves makes images that differ; write trixie"),
            ("sid", "unstable is not for servers; write trixie"),
            ("bookworm", "Debian 12 is not built; write trixie"),
            ("12", "Debian 12 is not built; write trixie"),
        ],
        ..Choice::of("release", &["trixie"])
    };
    let architectures = Choice {
        refused: vec![
            ("x86_64", "Debian's name for it is amd64"),
            ("x86-64", "Debian's name for it is amd64"),
        ],
        ..Choice::of("architecture", &["amd64"])
    };
    Shape::new(
        "key",
        vec![
            Field::new("name", Kind::Choice(names), "The distribution.").required(),
            Field::new("release", Kind::Choice(releases), "Its release, by codename.").required(),
            Field::new(
                "architecture",
                Kind::Choice(architectures),
                "Debian's name of the processor architecture.",
            )
            .default("amd64"),
            Field::new(
                "mirror",
                Kind::Text(Form::Url),
                "A mirror's address, the part before `dists/`, for the build and for the image's own updates. \
                 `--mirror` goes before it in the build. Of one that ends in `/debian` the security archive is read \
                 beside it, in `/debian-security`: not every mirror has that.",
            ),
            Field::new(
                "keyring",
                Kind::Text(Form::HostPath),
                "OpenPGP keys (armoured or binary) that sign the mirror, in place of Debian's; relative to this file.",
            ),
        ],
    )
}

fn packages() -> Shape {
    Shape::new(
        "key",
        vec![
            Field::new(
                "install",
                Kind::list(Form::Package),
                format!("Packages to install, with what they depend on and nothing they merely recommend. {LISTS_ADD_UP}"),
            ),
            Field::new(
                "deny",
                Kind::list(Form::Package),
                format!("Packages that may never be in the image; a build that would pull one in is refused. {LISTS_ADD_UP}"),
            ),
            Field::new(
                "path-exclude",
                Kind::list(Form::PathPattern),
                format!(
                    "Files that packages ship and the image does not take, as patterns of dpkg(1); the image's own dpkg \
                     keeps to them. {LISTS_ADD_UP}"
                ),
            ),
            Field::new(
                "path-include",
                Kind::list(Form::PathPattern),
                format!("What is taken although `path-exclude` names it. {LISTS_ADD_UP}"),
            ),
            Field::new("max-count", Kind::Integer { min: 1, max: 100_000 }, "Most packages allowed."),
            Field::new(
                "max-installed",
                Kind::Quantity { form: Form::Size, min: 1 << 20, max: 1 << 44 },
                "Most space allowed, as the sum of the packages' Installed-Size.",
            ),
        ],
    )
    .refusing(&[("remove", "write `deny`: a package that nobody asks for is never installed")])
}

fn repository() -> Shape {
    Shape::new(
        "key",
        vec![
            Field::new("name", Kind::Text(Form::Repository), "What it is called here, in the lock and in /etc/apt.")
                .required(),
            Field::new(
                "url",
                Kind::Text(Form::Source),
                "Its address, the part before `dists/`, where its suite has a signed `InRelease` (a `Release` with its \
                 signature in another file is not read): https, http, or file for a directory of the building host, \
                 which the image does not get as a source.",
            )
            .required(),
            Field::new(
                "mirror",
                Kind::Text(Form::Source),
                "Where the build takes the same from, in place of `url`; the image knows nothing of it.",
            ),
            Field::new("suite", Kind::Text(Form::Suite), "Its suite, below `dists/`.").required(),
            Field::new(
                "components",
                Kind::list(Form::Suite),
                format!(
                    "Components of the suite. Default: main. More of the distribution's own, as `non-free-firmware`, \
                     are had by its address as `url` and its `suite`; there the image goes by the distribution's keys. \
                     {LISTS_ADD_UP}"
                ),
            ),
            Field::new(
                "keys",
                Kind::list(Form::HostPath),
                format!(
                    "Files with the OpenPGP keys (armoured or binary) that sign it, and no other key does; relative \
                     to this file. {LISTS_ADD_UP}"
                ),
            )
            .required(),
            Field::new(
                "packages",
                Kind::list(Form::PackagePattern),
                format!(
                    "The only packages that are taken from it, the higher version of theirs and the distribution's; \
                     `*` is any part of a name. {LISTS_ADD_UP}"
                ),
            )
            .required(),
        ],
    )
    .refusing(&[
        ("key", "write `keys = [\"…\"]`"),
        ("signed-by", "write `keys = [\"…\"]`"),
        ("trusted", "a repository is believed by its keys alone: write `keys = [\"…\"]`"),
        ("component", "write `components = [\"…\"]`"),
        ("suites", "one `[[repository]]` has one `suite`"),
        ("uri", "write `url`"),
    ])
}

fn user() -> Shape {
    Shape::new(
        "key",
        vec![
            Field::new("name", Kind::Text(Form::Person), "Login name.").required(),
            Field::new(
                "uid",
                Kind::Integer { min: 1000, max: 59_999 },
                "Numeric id. Default: the next free one from 1000, in the order of the recipe.",
            ),
            Field::new(
                "groups",
                Kind::list(Form::Group),
                format!("Groups beside the user's own; `sudo` may become root. {LISTS_ADD_UP}"),
            ),
            Field::new(
                "ssh-keys",
                Kind::list(Form::SshKey),
                format!("Lines of authorized_keys; the text of `~/.ssh/id_ed25519.pub`. {LISTS_ADD_UP}"),
            ),
            Field::new(
                "password-hash",
                Kind::Text(Form::PasswordHash),
                "Hash of a password (crypt(5): yescrypt, gost-yescrypt, bcrypt; sha512crypt with a warning). Without \
                 one the password is locked. Never a clear password.",
            ),
            Field::new(
                "expire-password",
                Kind::Boolean,
                "The password is good for one login, which asks for a new one: passwd(1), `--expire`. It takes a \
                 `password-hash`.",
            )
            .default(false),
            Field::new("shell", Kind::Text(Form::Shell), "Login shell.").default("/bin/bash"),
            Field::new("comment", Kind::Text(Form::Comment), "Full name.").default(""),
        ],
    )
    .refusing(&[
        ("password", "a recipe never holds a clear password: write `password-hash`, from `mkpasswd -m yescrypt`"),
        ("passwd", "a recipe never holds a clear password: write `password-hash`, from `mkpasswd -m yescrypt`"),
        ("ssh-key", "write `ssh-keys = [\"…\"]`"),
        ("home", "a person's home is /home/NAME"),
        ("gid", "a person's own group has the number of the account"),
    ])
}

fn file() -> Shape {
    Shape::new(
        "key",
        vec![
            Field::new("path", Kind::Text(Form::ImagePath), "Absolute path in the image.").required(),
            Field::new("content", Kind::Text(Form::Text), "The text itself."),
            Field::new(
                "source",
                Kind::Text(Form::HostPath),
                "A file with the content, relative to this file.",
            ),
            Field::new("mode", Kind::Text(Form::Mode), "Permission bits.").default("0644"),
            Field::new("owner", Kind::Text(Form::User), "Owner's name.").default("root"),
            Field::new("group", Kind::Text(Form::Group), "Group's name.").default("root"),
            Field::new("replace", Kind::Boolean, "Take the place of a file that an overlay writes.")
                .default(false),
        ],
    )
}

fn services() -> Shape {
    let units = |doc: &str| format!("{doc} {LISTS_ADD_UP}");
    Shape::new(
        "key",
        vec![
            Field::new("enable", Kind::list(Form::Unit), units("Units started at boot.")),
            Field::new("disable", Kind::list(Form::Unit), units("Units not started at boot.")),
            Field::new("mask", Kind::list(Form::Unit), units("Units that nothing can start.")),
        ],
    )
}
