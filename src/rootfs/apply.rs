//! What the plan puts on top of the packages: groups, users, files, services, commands.

use super::accounts::{Account, Accounts};
use super::scripts::Chroot;
use crate::error::{Context, Error, Result};
use crate::recipe::plan::{Content, File, Origin, Plan, Services, User};
use nix::unistd::{Gid, Uid, chown, fchownat};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, symlink};
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
    let directory = tree.join(account.home.trim_start_matches('/')).join(".ssh");
    fs_err::create_dir(&directory)?;
    let file = directory.join("authorized_keys");
    fs_err::write(&file, format!("{}\n", keys.join("\n")))?;
    for (path, mode) in [(&directory, 0o700), (&file, 0o600)] {
        chown(path, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid)))?;
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Writes one file that no package owns. Every directory on the way is looked up inside the tree.
pub fn write(tree: &Path, path: &str, file: &File, accounts: &Accounts) -> Result<()> {
    let owner =
        accounts.user(&file.owner).ok_or_else(|| Error::new(format!("there is no user {}", file.owner)))?;
    let group =
        accounts.group(&file.group).ok_or_else(|| Error::new(format!("there is no group {}", file.group)))?;
    let target = resolve(tree, path)?;
    let present = target.symlink_metadata().ok();
    match &file.content {
        Content::Directory => {
            if !present.as_ref().is_some_and(std::fs::Metadata::is_dir) {
                fs_err::create_dir(&target)?;
            }
        }
        Content::Regular(bytes) => {
            make_room(&target, present)?;
            fs_err::write(&target, bytes)?;
        }
        Content::Link(to) => {
            make_room(&target, present)?;
            symlink(to, &target)?;
        }
    }
    fchownat(
        nix::fcntl::AT_FDCWD,
        &target,
        Some(Uid::from_raw(owner.uid)),
        Some(Gid::from_raw(group)),
        nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
    )?;
    if !matches!(file.content, Content::Link(_)) {
        fs_err::set_permissions(&target, std::fs::Permissions::from_mode(file.mode))?;
    }
    Ok(())
}

fn make_room(target: &Path, present: Option<std::fs::Metadata>) -> Result<()> {
    match present {
        Some(metadata) if metadata.is_dir() => Err(Error::new("there is a directory in its place")),
        Some(_) => Ok(fs_err::remove_file(target)?),
        None => Ok(()),
    }
}

/// The host's path of `path` in the tree, with its directories made and every link on the way kept inside.
fn resolve(tree: &Path, path: &str) -> Result<std::path::PathBuf> {
    use std::os::fd::AsRawFd;
    let relative = super::inside::relative(Path::new(path.trim_start_matches('/')))?;
    let (parent, name) = super::inside::split(&relative)?;
    let directory = super::inside::Tree::open(tree)?.directory(&parent, &mut |_| {})?;
    let real = fs_err::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd()))?;
    Ok(real.join(name))
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
