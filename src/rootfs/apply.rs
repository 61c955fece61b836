//! What the plan puts on top of the packages: groups, users, files, services, commands.

use super::accounts::{Account, Accounts};
use super::scripts::Chroot;
use crate::error::{Context, Error, Result};
use crate::recipe::plan::{Content, File, Origin, Plan, Services, User};
use crate::tree::inside::{self, Tree};
use nix::sys::stat::SFlag;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Applies the plan to a configured tree.
pub fn apply(plan: &Plan, tree: &Path, chroot: &Chroot) -> Result<()> {
    groups(plan, tree, chroot)?;
    let fixed: BTreeSet<u32> = plan.users.iter().filter_map(|user| user.uid).collect();
    for user in &plan.users {
        add_user(user, &fixed, tree, chroot).doing_with(|| format!("making the account {}", user.name))?;
    }
    let accounts = Accounts::of(tree);
    for (path, file) in &plan.files {
        write(tree, path, file, &accounts)
            .doing_with(|| format!("writing {path}, asked for by {}", file.origin))?;
    }
    services(&plan.services, chroot)?;
    for command in &plan.commands {
        let (program, arguments) = command
            .argv
            .split_first()
            .ok_or_else(|| Error::new(format!("{} asks for a command without a program", command.origin)))?;
        chroot
            .command(program)
            .args(arguments)
            .run()
            .doing_with(|| format!("running a command that {} asks for", command.origin))?;
    }
    Ok(())
}

fn groups(plan: &Plan, tree: &Path, chroot: &Chroot) -> Result<()> {
    let known = Accounts::of(tree);
    for (name, group) in &plan.groups {
        if known.group(name).is_some() {
            continue;
        }
        let mut command = chroot.command("groupadd");
        if group.system {
            command = command.arg("--system");
        }
        command.arg(name).run().doing_with(|| format!("making the group {name} for {}", group.origin))?;
    }
    Ok(())
}

/// The first number of a person's account (login.defs(5), `UID_MIN`).
const FIRST_PERSON: u32 = 1000;

/// Makes an account; its number is the recipe's, or the first that nobody has and that is nobody else's in the recipe.
fn add_user(user: &User, fixed: &BTreeSet<u32>, tree: &Path, chroot: &Chroot) -> Result<()> {
    let known = Accounts::of(tree);
    if known.user(&user.name).is_some() || known.group(&user.name).is_some() {
        return Err(Error::new(format!("a package made an account or group {} already", user.name))
            .hint("give this person another name"));
    }
    if chroot.command("test").args(["-x", &user.shell]).output()?.status != 0 {
        return Err(Error::new(format!("there is no shell {} in the image", user.shell))
            .hint("name a package that brings it, or give the user another shell"));
    }
    if let Some(missing) = user.groups.iter().find(|group| known.group(group).is_none()) {
        return Err(Error::new(format!("there is no group {missing} in the image")).hint(format!(
            "name a package or overlay that brings it, or take {missing} out of the user's groups"
        )));
    }
    let mut command = chroot
        .command("useradd")
        .args(["--create-home", "--shell", &user.shell, "--comment", &user.comment])
        .args(["--groups", &user.groups.iter().cloned().collect::<Vec<_>>().join(",")]);
    let free = || (FIRST_PERSON..).find(|uid| !fixed.contains(uid) && !known.is_taken(*uid));
    if let Some(uid) = user.uid.or_else(free) {
        command = command.args(["--uid", &uid.to_string()]);
    }
    if let Some(hash) = &user.password_hash {
        command = command.args(["--password", hash]);
    }
    command.arg(&user.name).run()?;
    if user.expire_password {
        chroot.command("passwd").args(["--expire", &user.name]).run()?;
    }
    if user.ssh_keys.is_empty() {
        return Ok(());
    }
    let account = Accounts::of(tree)
        .user(&user.name)
        .ok_or_else(|| Error::new("useradd made no entry in /etc/passwd"))?;
    authorize(tree, &account, &user.ssh_keys)
}

fn authorize(tree: &Path, account: &Account, keys: &[String]) -> Result<()> {
    let home = Tree::open(tree)?
        .find(account.home.trim_start_matches('/'))?
        .ok_or_else(|| Error::new(format!("useradd made no directory {}", account.home)))?;
    let directory = home.make(".ssh")?;
    directory.create("authorized_keys", 0o600, format!("{}\n", keys.join("\n")).as_bytes())?;
    directory.own("authorized_keys", account.uid, account.gid, 0o600)?;
    home.own(".ssh", account.uid, account.gid, 0o700)
}

/// Writes one file that no package owns.
pub fn write(tree: &Path, path: &str, file: &File, accounts: &Accounts) -> Result<()> {
    let owner =
        accounts.user(&file.owner).ok_or_else(|| Error::new(format!("there is no user {}", file.owner)))?;
    let group =
        accounts.group(&file.group).ok_or_else(|| Error::new(format!("there is no group {}", file.group)))?;
    let relative = inside::relative(Path::new(path.trim_start_matches('/')))?;
    let (parent, name) = inside::split(&relative)?;
    let directory = Tree::open(tree)?.make(parent)?;
    match &file.content {
        Content::Directory if directory.kind(&name)? == Some(SFlag::S_IFDIR) => {}
        Content::Directory => drop(directory.make(&name)?),
        // Nobody else gets to see what is written before it has its owner and mode.
        Content::Regular(bytes) => directory.create(&name, 0o600, bytes)?,
        Content::Link(to) => directory.link(to, &name)?,
    }
    directory.own(&name, owner.uid, group, file.mode)
}

fn services(services: &Services, chroot: &Chroot) -> Result<()> {
    // Disable first, so that a unit which one overlay enables and another masks ends up masked.
    for (verb, units) in
        [("disable", &services.disable), ("enable", &services.enable), ("mask", &services.mask)]
    {
        systemctl(verb, units, chroot)?;
    }
    Ok(())
}

fn systemctl(verb: &str, units: &BTreeMap<String, Origin>, chroot: &Chroot) -> Result<()> {
    if units.is_empty() {
        return Ok(());
    }
    let all = chroot.command("systemctl").args(["--root=/", verb]).args(units.keys()).output()?;
    if all.status == 0 {
        return Ok(());
    }
    // One by one, to name the unit at fault and who asked for it.
    for (unit, origin) in units {
        chroot
            .command("systemctl")
            .args(["--root=/", verb, unit])
            .run()
            .doing_with(|| format!("{verb} of the unit {unit}, asked for by {origin}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn account(home: &str) -> Account {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        Account { uid, gid, home: home.into() }
    }

    #[test]
    fn keys_are_put_into_a_home_of_the_tree_and_no_other() {
        let machine = tempfile::tempdir().unwrap();
        fs_err::create_dir(machine.path().join("admin")).unwrap();
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        symlink(machine.path(), at("home")).unwrap();
        let keys = ["ssh-ed25519 AAAA".to_owned()];
        let error = authorize(tree.path(), &account("/home/admin"), &keys).unwrap_err();
        assert!(error.to_string().contains("/home/admin"), "{error}");
        assert_eq!(fs_err::read_dir(machine.path().join("admin")).unwrap().count(), 0);
        fs_err::remove_file(at("home")).unwrap();
        fs_err::create_dir_all(at("srv/people/admin")).unwrap();
        symlink("/srv/people", at("home")).unwrap();
        authorize(tree.path(), &account("/home/admin"), &keys).unwrap();
        let directory = at("srv/people/admin/.ssh");
        let mode = |path: &Path| fs_err::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&directory), mode(&directory.join("authorized_keys"))), (0o700, 0o600));
        assert_eq!(fs_err::read_to_string(directory.join("authorized_keys")).unwrap(), "ssh-ed25519 AAAA\n");
    }

    #[test]
    fn files_are_written_into_the_tree_only() {
        let machine = tempfile::tempdir().unwrap();
        let theirs = machine.path().join("theirs");
        fs_err::write(&theirs, "theirs").unwrap();
        let tree = tempfile::tempdir().unwrap();
        symlink(&theirs, tree.path().join("file")).unwrap();
        symlink(machine.path(), tree.path().join("out")).unwrap();
        let file = |content| File {
            content,
            mode: 0o640,
            owner: "root".into(),
            group: "root".into(),
            origin: Origin::Goldcast("x".into()),
        };
        // What an ordinary user makes cannot be root's: here whoever runs this is.
        let known = tempfile::tempdir().unwrap();
        let Account { uid, gid, .. } = account("/root");
        fs_err::create_dir(known.path().join("etc")).unwrap();
        let passwd = format!("root:x:{uid}:{gid}::/root:/bin/sh\n");
        fs_err::write(known.path().join("etc/passwd"), passwd).unwrap();
        fs_err::write(known.path().join("etc/group"), format!("root:x:{gid}:\n")).unwrap();
        let accounts = Accounts::of(known.path());
        let regular = file(Content::Regular(b"ours".to_vec()));
        write(tree.path(), "/file", &regular, &accounts).unwrap();
        write(tree.path(), "/made/below/file", &regular, &accounts).unwrap();
        write(tree.path(), "/made/link", &file(Content::Link("/etc".into())), &accounts).unwrap();
        write(tree.path(), "/made", &file(Content::Directory), &accounts).unwrap();
        write(tree.path(), "/out/theirs", &regular, &accounts).unwrap_err();
        let metadata = fs_err::symlink_metadata(tree.path().join("file")).unwrap();
        assert!(metadata.is_file() && metadata.mode() & 0o7777 == 0o640);
        let made = tree.path().join("made");
        assert_eq!(fs_err::metadata(&made).unwrap().mode() & 0o7777, 0o640);
        // The directory could not be emptied otherwise.
        fs_err::set_permissions(&made, Permissions::from_mode(0o700)).unwrap();
        assert_eq!(fs_err::read_to_string(&theirs).unwrap(), "theirs");
    }
}
