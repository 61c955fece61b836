//! The report as text for a terminal.

use super::engine::ROOT;
use super::report::{
    ByteRange, Change, ContentChange, FileChange, Inside, PackageChange, PackageWhat, PartitionChange,
    Properties, Report, Side, What,
};
use super::text::{count, grouped, lines};
use crate::output::table::human;
use std::fmt::Write;

/// A directory that is only in one image is shown with what is in it up to this many entries.
const BELOW: usize = 10;
/// How many byte ranges, and members of an archive, are shown; `--json` has all.
const SHOWN: usize = 100;

// Writing to a String cannot fail: every `let _ = write!` here.

impl Report {
    /// The report as text, the summary first. Control characters of foreign names and contents are written `\xNN`.
    pub fn render(&self) -> String {
        let mut text = format!("{}\n", self.summary);
        if !self.differs() {
            notes(&mut text, &self.notes);
            return text;
        }
        let _ = write!(text, "\n  A  {}\n  B  {}\n", side(&self.a), side(&self.b));
        notes(&mut text, &self.notes);
        section(&mut text, "partitions", &self.partitions, partition);
        section(&mut text, "packages", &self.packages, package);
        files(&mut text, &self.files);
        let title = match self.files.is_empty() && self.partitions.is_empty() {
            true => "bytes",
            false => "bytes that nothing above explains",
        };
        let shown = &self.bytes[..self.bytes.len().min(SHOWN)];
        section(&mut text, title, shown, |text, range| bytes(text, range, &self.partition_name(range)));
        more(&mut text, self.bytes.len(), "byte ranges");
        text
    }

    fn partition_name(&self, range: &ByteRange) -> String {
        range.partition.map(|number| format!("partition {number}: ")).unwrap_or_default()
    }
}

fn side(side: &Side) -> String {
    use super::image::{Container, Kind};
    let kind = match side.kind {
        Kind::Disk => "disk",
        Kind::Archive => "tar archive",
    };
    let container = match side.container {
        Container::Plain => "",
        Container::Gzip => ", gzip",
        Container::Zstandard => ", zstd",
        Container::Xz => ", xz",
        Container::Qcow2 => ", qcow2",
    };
    format!("{}  ({kind}{container}, {})", lines(&side.path), human(side.size))
}

fn notes(text: &mut String, notes: &[String]) {
    for note in notes {
        let _ = writeln!(text, "  note: {note}");
    }
}

fn section<T>(text: &mut String, title: &str, items: &[T], mut item: impl FnMut(&mut String, &T)) {
    if !items.is_empty() {
        let _ = write!(text, "\n{title}\n");
        for one in items {
            item(text, one);
        }
    }
}

fn more(text: &mut String, total: usize, what: &str) {
    if total > SHOWN {
        let _ = writeln!(text, "  … and {} more {what}; --json has all", grouped((total - SHOWN) as u64));
    }
}

fn word(what: What) -> &'static str {
    match what {
        What::Added => "added",
        What::Removed => "removed",
        What::Changed => "changed",
    }
}

/// `mode 0644 → 0600`
fn change(change: &Change) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    match (&change.a, &change.b) {
        (None, None) => change.what.clone(),
        (a, b) => format!("{} {} \u{2192} {}", change.what, value(a), value(b)),
    }
}

fn changes(text: &mut String, changes: &[Change], indent: usize) {
    for one in changes {
        let _ = writeln!(text, "{:indent$}{}", "", change(one));
    }
}

fn partition(text: &mut String, one: &PartitionChange) {
    match one.number {
        0 => text.push_str("  the disk and its table\n"),
        number => {
            let _ = writeln!(text, "  {:<8} {number} {}", word(one.change), one.name);
        }
    }
    changes(text, &one.changes, 11);
}

fn package(text: &mut String, one: &PackageChange) {
    let word = match one.change {
        PackageWhat::Added => "added",
        PackageWhat::Removed => "removed",
        PackageWhat::Upgraded => "upgraded",
        PackageWhat::Downgraded => "downgraded",
        PackageWhat::Changed => "changed",
    };
    let versions = match (&one.a, &one.b) {
        (Some(a), Some(b)) if a != b => format!("{a} \u{2192} {b}"),
        (a, b) => a.as_ref().or(b.as_ref()).cloned().unwrap_or_default(),
    };
    let _ = writeln!(text, "  {word:<10} {} {versions} ({})", one.name, one.architecture);
    changes(text, &one.changes, 13);
}

fn files(text: &mut String, files: &[FileChange]) {
    if files.is_empty() {
        return;
    }
    text.push_str("\nfiles\n");
    let mut rest = files;
    while let [first, others @ ..] = rest {
        let below = match first.change {
            What::Changed => 0,
            change => {
                let prefix = format!("{}/", first.path.trim_end_matches('/'));
                let inside = |file: &&FileChange| {
                    file.change == change
                        && file.filesystem == first.filesystem
                        && file.path.starts_with(&prefix)
                };
                others.iter().take_while(inside).count()
            }
        };
        file(text, first, below);
        // Few are shown one by one.
        rest = if below > BELOW { &others[below..] } else { others };
    }
}

fn file(text: &mut String, one: &FileChange, below: usize) {
    let path = match one.filesystem.as_str() {
        ROOT => one.path.clone(),
        other => format!("{other}:{}", one.path),
    };
    let package = one.package.as_ref().map(|package| format!("  [{package}]")).unwrap_or_default();
    let about = match one.change {
        What::Changed => String::new(),
        _ => one.a.as_ref().or(one.b.as_ref()).map(properties).unwrap_or_default(),
    };
    let _ = write!(text, "  {:<8} {path}{about}{package}", word(one.change));
    if below > BELOW {
        let _ = write!(text, "  and {} below it", count(below, "path", "paths"));
    }
    text.push('\n');
    // That the content differs is seen when it is shown.
    let shown = |change: &&Change| change.what != "content" || one.content.is_none();
    let told: Vec<Change> = one.changes.iter().filter(shown).cloned().collect();
    changes(text, &told, 11);
    if let Some(difference) = &one.content {
        content(text, difference);
    }
}

fn properties(of: &Properties) -> String {
    let mut text = format!("  {}", of.kind);
    if let Some(target) = &of.target {
        let _ = write!(text, " to {target}");
    } else if let Some(mode) = &of.mode {
        let _ = write!(text, " {mode}");
    }
    if let Some(owner) = &of.owner {
        let _ = write!(text, " {owner}");
    }
    if of.kind == "file" {
        let _ = write!(text, " {} bytes", grouped(of.size));
    }
    text
}

fn content(text: &mut String, content: &ContentChange) {
    match content {
        ContentChange::Text { diff } => {
            text.push_str(&lines(diff));
            if !diff.ends_with('\n') {
                text.push('\n');
            }
        }
        ContentChange::Unreadable { why } => {
            let _ = writeln!(text, "           {why}");
        }
        ContentChange::Binary { a, b, first_difference, inside: found } => {
            for (side, digest) in [("A", a), ("B", b)] {
                let _ = writeln!(
                    text,
                    "           {side} {} bytes, sha256 {}",
                    grouped(digest.size),
                    digest.sha256
                );
            }
            let _ = writeln!(text, "           first difference at byte {first_difference}");
            if let Some(found) = found {
                inside(text, found);
            }
        }
    }
}

fn inside(text: &mut String, found: &Inside) {
    if let Some(note) = &found.note {
        let _ = writeln!(text, "           {}: {note}", found.format);
    } else if let Some(first) = found.first_difference {
        let _ = writeln!(text, "           {}: unpacked, first difference at byte {first}", found.format);
    } else if found.members.is_empty() {
        let _ = writeln!(text, "           {}: unpacked, both are the same", found.format);
    } else {
        let members = count(found.members.len(), "member differs", "members differ");
        let _ = writeln!(text, "           {}: {members}", found.format);
    }
    for member in found.members.iter().take(SHOWN) {
        let _ = writeln!(text, "             {:<8} {}", word(member.change), member.name);
        changes(text, &member.changes, 22);
    }
    more(text, found.members.len(), "members");
}

fn bytes(text: &mut String, range: &ByteRange, partition: &str) {
    let elsewhere = range.start_b.map(|start| format!(" (in B from {start})")).unwrap_or_default();
    let differing = match range.end - range.start == range.count {
        true => String::new(),
        false => format!(", {} of them", grouped(range.count)),
    };
    let _ = writeln!(
        text,
        "  bytes {}..{}{differing}{elsewhere}  {partition}{}",
        range.start, range.end, range.place
    );
}

#[cfg(test)]
mod tests;
