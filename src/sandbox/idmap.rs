//! Which ids the sandbox maps, and how the kernel is told.

use crate::error::{Context, Error, Result};
use nix::unistd::{Gid, Uid, User};
use std::path::Path;

/// A range of a map in user_namespaces(7): `inside` `outside` `count`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    inside: u32,
    outside: u32,
    count: u32,
}

/// How many ids a Debian system needs: 0 to 65534 (`nobody`), and 65535 for good measure.
const NEEDED: u32 = 65_536;

/// The map for one kind of id (user or group).
pub type Map = Vec<Range>;

/// The identity map of all ids that this (privileged) process has, for root.
pub fn identity(kind: &str) -> Result<Map> {
    let path = format!("/proc/self/{kind}_map");
    let text = fs_err::read_to_string(&path)?;
    let map: Map = parse_map(&text)
        .into_iter()
        .map(|range| Range { inside: range.inside, outside: range.inside, count: range.count })
        .collect();
    if covered(&map) < u64::from(NEEDED) {
        return Err(Error::new(format!(
            "root here owns fewer than {NEEDED} {kind} ids ({path}: {})",
            text.trim()
        ))
        .hint("the container that goldcast runs in maps too few ids; give it a range of 65536"));
    }
    Ok(map)
}

/// How many ids from 0 on have no gap. A rootless container has several ranges: its user, then subordinate ids.
fn covered(map: &Map) -> u64 {
    let mut ranges: Vec<(u64, u64)> = map
        .iter()
        .map(|range| (range.inside.into(), u64::from(range.inside) + u64::from(range.count)))
        .collect();
    ranges.sort_unstable();
    ranges.into_iter().fold(0, |end, (from, to)| if from <= end { end.max(to) } else { end })
}

fn parse_map(text: &str) -> Map {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().map(str::parse::<u32>);
            match (fields.next(), fields.next(), fields.next()) {
                (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(count))) => {
                    Some(Range { inside, outside, count })
                }
                _ => None,
            }
        })
        .collect()
}

/// The maps of an ordinary user: itself as 0, its subordinate ids (subuid(5), subgid(5)) above.
pub fn subordinate(uid: Uid, gid: Gid) -> Result<(Map, Map)> {
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    let users = ranges_of("/etc/subuid", uid, name.as_deref())?;
    let groups = ranges_of("/etc/subgid", uid, name.as_deref())?;
    Ok((stack(uid.as_raw(), users), stack(gid.as_raw(), groups)))
}

fn stack(own: u32, ranges: Vec<(u32, u32)>) -> Map {
    let mut map = vec![Range { inside: 0, outside: own, count: 1 }];
    let mut next = 1;
    for (start, count) in ranges {
        map.push(Range { inside: next, outside: start, count });
        next += count;
    }
    map
}

fn ranges_of(path: &str, uid: Uid, name: Option<&str>) -> Result<Vec<(u32, u32)>> {
    let text = fs_err::read_to_string(path).unwrap_or_default();
    let ranges = parse_subordinate(&text, uid.as_raw(), name);
    let count: u64 = ranges.iter().map(|(_, count)| u64::from(*count)).sum();
    if count + 1 < u64::from(NEEDED) {
        let who = name.map_or_else(|| uid.to_string(), str::to_owned);
        return Err(Error::new(format!(
            "{path} gives {who} {count} subordinate ids; {} are needed",
            NEEDED - 1
        ))
        .hint(format!(
            "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {who}\n\
                 (or run goldcast as root)"
        )));
    }
    Ok(ranges)
}

fn parse_subordinate(text: &str, uid: u32, name: Option<&str>) -> Vec<(u32, u32)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let who = fields.next()?;
            let start = fields.next()?.parse().ok()?;
            let count = fields.next()?.parse().ok()?;
            (Some(who) == name || who.parse() == Ok(uid)).then_some((start, count))
        })
        .collect()
}

/// Tells the kernel the maps of process `pid`. Runs outside the new namespace, in the helper process.
pub fn write(pid: u32, users: &Map, groups: &Map) -> Result<()> {
    if Uid::effective().is_root() {
        for (kind, map) in [("uid", users), ("gid", groups)] {
            let text: String =
                map.iter().map(|r| format!("{} {} {}\n", r.inside, r.outside, r.count)).collect();
            fs_err::write(format!("/proc/{pid}/{kind}_map"), text).doing("mapping ids into the sandbox")?;
        }
        return Ok(());
    }
    for (program, map) in [("newuidmap", users), ("newgidmap", groups)] {
        let mut argv = vec![pid.to_string()];
        for range in map {
            argv.extend([range.inside.to_string(), range.outside.to_string(), range.count.to_string()]);
        }
        match duct::cmd(program, argv).stderr_capture().unchecked().run() {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                return Err(Error::new(format!("{program} refused to map subordinate ids"))
                    .because(String::from_utf8_lossy(&output.stderr).trim())
                    .hint(
                        "compare /etc/subuid and /etc/subgid with `id -u`; the program must be setuid root",
                    ));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::new(format!("{program} is not on this machine"))
                    .because("an ordinary user cannot map subordinate ids without it: the kernel asks for a privileged helper")
                    .hint("install the package `uidmap` (Debian, Ubuntu) or `shadow-utils` (Fedora), or run goldcast as root"));
            }
            Err(error) => return Err(Error::from(error).doing(format!("running {program}"))),
        }
    }
    Ok(())
}

/// Why the kernel may have refused a user namespace, from the settings that exist for it.
pub fn explain_refusal(error: nix::errno::Errno) -> Error {
    let setting =
        |path: &str| fs_err::read_to_string(Path::new(path)).ok().map(|text| text.trim().to_owned());
    let refused = Error::new("this machine refuses to make a user namespace, which goldcast's sandbox needs")
        .because(std::io::Error::from(error));
    let switches = [
        ("/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ];
    for (path, refusing, remedy) in switches {
        if setting(path).as_deref() == Some(refusing) {
            return refused.because(format!("{path} is {refusing}")).hint(format!("as root: {remedy}"));
        }
    }
    refused.hint(
        "inside a container: allow unshare and mount, for example `docker run --security-opt seccomp=unconfined \
         --security-opt apparmor=unconfined`, or `--privileged`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_without_a_gap_are_counted_together() {
        let covered = |text| covered(&parse_map(text));
        assert_eq!(covered("0 0 4294967295\n"), 4_294_967_295);
        assert_eq!(covered("1 100000 65535\n0 1001 1\n"), 65_536);
        assert_eq!(covered("0 1000 1\n2 100000 65536\n"), 1);
        assert_eq!(covered("1 100000 65536\n"), 0);
    }

    #[test]
    fn subordinate_ranges_by_name_or_number_and_no_others() {
        let text = "alice:100000:65536\n1000:300000:10\nbob:165536:65536\nbroken\n";
        assert_eq!(parse_subordinate(text, 1000, Some("alice")), [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(parse_subordinate(text, 7, None), []);
    }

    #[test]
    fn ids_are_stacked_without_gaps() {
        let map = stack(1000, vec![(100_000, 5), (200_000, 7)]);
        assert_eq!(map[1], Range { inside: 1, outside: 100_000, count: 5 });
        assert_eq!(map[2], Range { inside: 6, outside: 200_000, count: 7 });
    }
}
