//! Running what packages bring along: preinst scripts one by one, dpkg for the rest, with services kept
//! from starting.

use super::database;
use super::unpack::Package;
use crate::error::{Context, Error, Result};
use crate::sandbox::{self, Command, Root};
use crate::tree::directory::Directory;
use crate::tree::inside::Tree;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Programs that must not act while the tree is being built, and what stands in for each. They are shown to
/// the sandbox by bind mounts: the tree's own files are never touched.
const STAND_INS: [(&str, &str); 4] = [
    ("usr/sbin/start-stop-daemon", "#!/bin/sh\nexit 0\n"),
    // The initramfs and the boot menu are made once, from the finished tree.
    ("usr/sbin/update-initramfs", "#!/bin/sh\nexit 0\n"),
    ("usr/sbin/update-grub", "#!/bin/sh\nexit 0\n"),
    ("usr/sbin/grub-install", "#!/bin/sh\nexit 0\n"),
];

/// Programs that package scripts find first in their PATH.
const FIRST: [(&str, &str); 3] = [
    // goldcast runs it beside the scripts, once: it takes longer than most of them together.
    ("depmod", "#!/bin/sh\nexit 0\n"),
    // An image has no host keys: they would be made here only to be removed.
    (
        "ssh-keygen",
        "#!/bin/sh\ncase \" $* \" in *\" /etc/ssh/ssh_host_\"*) exit 0 ;; esac\nexec /usr/bin/ssh-keygen \"$@\"\n",
    ),
    // The package's script runs it, and then its trigger does; the second time nothing has changed.
    (
        "update-ca-certificates",
        "#!/bin/sh\n\
         state=$(echo \"$*\"; ls -lLR --time-style=+%s /usr/share/ca-certificates /usr/local/share/ca-certificates \\\n\
         /etc/ca-certificates /etc/ca-certificates.conf 2>/dev/null)\n\
         last=/run/goldcast/state/ca-certificates\n\
         [ -e /etc/ssl/certs/ca-certificates.crt ] && [ \"$state\" = \"$(cat $last 2>/dev/null)\" ] && exit 0\n\
         /usr/sbin/update-ca-certificates \"$@\" && echo \"$state\" >$last\n",
    ),
];

/// Where the directories for [`FIRST`] and for what its programs remember are seen by the scripts.
const SEEN: &str = "/run/goldcast";

/// invoke-rc.d(8) and deb-systemd-invoke(1p) ask this program before they start anything.
const POLICY: &str = "policy-rc.d";
/// Where it is looked for.
const POLICY_PLACE: &str = "usr/sbin";
/// Where dpkg puts the control files of a package that it is about to unpack, in its database.
const INCOMING: &str = "tmp.ci";

/// The tree as package scripts see it.
#[derive(Debug)]
pub struct Chroot {
    tree: PathBuf,
    stand_ins: PathBuf,
    epoch: i64,
}

impl Chroot {
    /// Prepares `tree`; `scratch` is an existing directory outside of it for files that are shown in it.
    pub fn new(tree: &Path, scratch: &Path, epoch: i64) -> Result<Self> {
        let stand_ins = scratch.join("stand-ins");
        for directory in ["bin", "state"] {
            fs_err::create_dir_all(stand_ins.join(directory))?;
        }
        let hidden = STAND_INS.map(|(path, text)| (path.replace('/', "_"), text));
        let first = FIRST.map(|(name, text)| (format!("bin/{name}"), text));
        for (name, text) in hidden.into_iter().chain(first) {
            let file = stand_ins.join(name);
            fs_err::write(&file, text)?;
            fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { tree: tree.to_path_buf(), stand_ins, epoch })
    }

    /// A command in the tree with nothing hidden: for work on the finished tree.
    pub fn command(&self, program: &str) -> Command {
        Command::new(Root::Tree(self.tree.clone()), program)
            .env("SOURCE_DATE_EPOCH", self.epoch.to_string())
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("DEBCONF_NONINTERACTIVE_SEEN", "true")
    }

    /// A command in the tree in which no service starts and no boot file is made.
    fn quiet(&self, program: &str) -> Result<Command> {
        let tree = Tree::open(&self.tree)?;
        if let Some(place) = tree.find(POLICY_PLACE)?
            && place.kind(POLICY)?.is_none()
        {
            place.create(POLICY, 0o755, b"#!/bin/sh\nexit 101\n")?;
        }
        let mut command = self
            .command(program)
            .env("PATH", format!("{SEEN}/bin:{}", sandbox::PATH))
            .bind_read_only(&self.stand_ins.join("bin"), &format!("{SEEN}/bin"))
            .bind(&self.stand_ins.join("state"), &format!("{SEEN}/state"));
        for (path, _) in STAND_INS {
            if tree.kind(path)?.is_some() {
                command =
                    command.bind_read_only(&self.stand_ins.join(path.replace('/', "_")), &format!("/{path}"));
            }
        }
        Ok(command)
    }

    /// Ends the time in which services are kept from starting.
    pub fn release(&self) -> Result<()> {
        Tree::open(&self.tree)?.find(POLICY_PLACE)?.map_or(Ok(()), |place| place.remove(POLICY))
    }

    /// Runs the preinst scripts of `packages` in this order, as dpkg runs them on a first installation.
    pub fn preinst(&self, packages: &[&Package]) -> Result<()> {
        let with_script: Vec<&&Package> =
            packages.iter().filter(|package| package.control.files.contains_key("preinst")).collect();
        if with_script.is_empty() {
            return Ok(());
        }
        for package in with_script {
            let stanza = &package.control.stanza;
            // Opened each time: the script before this one may have put another in its place.
            let database = database::opened(&self.tree)?;
            incoming(&database, package)?;
            let ran = self
                .quiet("/var/lib/dpkg/tmp.ci/preinst")?
                .arg("install")
                .env("DPKG_MAINTSCRIPT_NAME", "preinst")
                .env("DPKG_MAINTSCRIPT_PACKAGE", stanza.package())
                .env("DPKG_MAINTSCRIPT_ARCH", stanza.get("Architecture").unwrap_or_default())
                .env("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1")
                .env("DPKG_ADMINDIR", "/var/lib/dpkg")
                .env("DPKG_ROOT", "")
                .run();
            database.remove(INCOMING)?;
            ran.doing(format!("running the preinst script of {}", stanza.package()))?;
        }
        Ok(())
    }

    /// Lets dpkg configure all that is unpacked; `line` gets what dpkg and the scripts say.
    pub fn configure(&self, line: impl FnMut(&str) + Send) -> Result<String> {
        let text = self
            .quiet("dpkg")?
            .args(["--force-unsafe-io", "--force-confold", "--configure", "--pending"])
            .run_lines(line)
            .map_err(|error| match failed_package(&error) {
                Some(name) => error.doing(format!("configuring the package {name}")),
                None => error.doing("configuring the packages"),
            })?;
        Ok(text)
    }

    /// Gives debconf its answers before anything is configured.
    pub fn preseed(&self, answers: &[crate::recipe::plan::Debconf]) -> Result<()> {
        if answers.is_empty() {
            return Ok(());
        }
        let text: String = answers
            .iter()
            .map(|answer| {
                format!("{} {} {} {}\n", answer.package, answer.question, answer.kind, answer.value)
            })
            .collect();
        if !Tree::open(&self.tree)?.exists("usr/bin/debconf-set-selections")? {
            return Err(Error::new(
                "the plan holds answers for debconf, but the package debconf is not in the image",
            )
            .hint("add \"debconf\" to [packages] install"));
        }
        self.quiet("debconf-set-selections")?
            .stdin(text.into_bytes())
            .run()
            .doing("answering debconf's questions")?;
        Ok(())
    }
}

/// Puts a package's control files where dpkg runs the script from, and debconf looks for the package's templates beside it.
fn incoming(database: &Directory, package: &Package) -> Result<()> {
    database.remove(INCOMING)?;
    let place = database.make(INCOMING)?;
    for (name, (mode, bytes)) in &package.control.files {
        place.create(name, *mode, bytes)?;
    }
    place.create("control", 0o644, package.control.stanza.with("").as_bytes())
}

/// The package that dpkg says it stumbled over.
fn failed_package(error: &Error) -> Option<String> {
    let output = &error.failed_child()?.output;
    let line = output.lines().find(|line| line.contains("error processing package"))?;
    line.split("error processing package ").nth(1)?.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::deb::Control;
    use crate::rootfs::stanza::Stanza;
    use std::collections::BTreeMap;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_a_script_planted_for_the_next_package_gives_way() {
        let machine = tempfile::tempdir().unwrap();
        fs_err::write(machine.path().join("preinst"), "theirs").unwrap();
        let tree = tempfile::tempdir().unwrap();
        database::create(tree.path(), "amd64").unwrap();
        let place = tree.path().join(database::DIRECTORY).join(INCOMING);
        let files = BTreeMap::from([("preinst".to_owned(), (0o755, b"ours".to_vec()))]);
        let stanza = Stanza::parse("Package: xx\n").unwrap();
        let package = Package { deb: "xx.deb".into(), expanded: None, control: Control { stanza, files } };
        let opened = database::opened(tree.path()).unwrap();
        symlink(machine.path(), &place).unwrap();
        incoming(&opened, &package).unwrap();
        assert!(place.symlink_metadata().unwrap().is_dir());
        fs_err::remove_file(place.join("preinst")).unwrap();
        symlink(machine.path().join("preinst"), place.join("preinst")).unwrap();
        symlink(machine.path(), place.join("more")).unwrap();
        incoming(&opened, &package).unwrap();
        assert_eq!(fs_err::read_to_string(place.join("preinst")).unwrap(), "ours");
        assert_eq!(fs_err::metadata(place.join("preinst")).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs_err::read_dir(&place).unwrap().count(), 2);
        assert_eq!(fs_err::read_to_string(machine.path().join("preinst")).unwrap(), "theirs");
        assert_eq!(fs_err::read_dir(machine.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_machines_services_get_no_policy() {
        let machine = tempfile::tempdir().unwrap();
        let tree = tempfile::tempdir().unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let programs = tree.path().join("usr/sbin");
        fs_err::create_dir_all(tree.path().join("usr/real")).unwrap();
        symlink(machine.path(), &programs).unwrap();
        let chroot = Chroot::new(tree.path(), scratch.path(), 0).unwrap();
        chroot.quiet("true").unwrap();
        assert_eq!(fs_err::read_dir(machine.path()).unwrap().count(), 0);
        fs_err::write(machine.path().join(POLICY), "").unwrap();
        chroot.release().unwrap();
        assert!(machine.path().join(POLICY).exists());
        fs_err::remove_file(&programs).unwrap();
        symlink("/usr/real", &programs).unwrap();
        chroot.quiet("true").unwrap();
        assert!(tree.path().join("usr/real").join(POLICY).is_file());
        chroot.release().unwrap();
        assert!(!tree.path().join("usr/real").join(POLICY).exists());
    }
}
