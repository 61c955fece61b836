//! The outcome in one line.

use super::image::Kind;
use super::report::{Report, Verdict};
use super::text::count;

/// Whether nothing was found.
pub fn is_empty(report: &Report) -> bool {
    report.partitions.is_empty()
        && report.packages.is_empty()
        && report.files.is_empty()
        && report.bytes.is_empty()
}

/// Draws the conclusion; `paths` is how many were compared.
pub fn finish(mut report: Report, paths: usize) -> Report {
    if report.verdict != Verdict::Identical {
        report.verdict = match (is_empty(&report), report.only.is_empty()) {
            (false, _) => Verdict::Different,
            (true, false) => Verdict::SameThere,
            (true, true) => Verdict::SameFiles,
        };
    }
    report.summary = summary(&report, paths);
    report
}

fn summary(report: &Report, paths: usize) -> String {
    let paths = count(paths, "path", "paths");
    match report.verdict {
        Verdict::Identical => {
            let of = match (report.a.container == report.b.container, report.a.kind) {
                (true, _) => "",
                (false, Kind::Disk) => " (of the disk; it is stored in two ways)",
                (false, Kind::Archive) => " (of the archive; it is stored in two ways)",
            };
            format!("identical: sha256 {}{of}", report.sha256.as_deref().unwrap_or_default())
        }
        Verdict::SameFiles => format!(
            "the same files ({paths}); the disk's boot loader, other partitions and free space have no counterpart"
        ),
        Verdict::SameThere => {
            // A disk and an archive are never the same: that says nothing of their files.
            let rest = match report.a.kind == report.b.kind {
                true => "the images differ elsewhere",
                false => "the rest was not compared",
            };
            format!("no difference below {} ({paths}); {rest}", report.only.join(", "))
        }
        Verdict::Different => different(report),
    }
}

fn different(report: &Report) -> String {
    let counts = [
        (report.packages.len(), "package", "packages"),
        (report.files.len(), "file", "files"),
        (report.partitions.len(), "partition", "partitions"),
        (report.bytes.len(), "byte range", "byte ranges"),
    ];
    let parts: Vec<String> = counts
        .iter()
        .filter(|part| part.0 > 0)
        .map(|&(number, one, many)| count(number, one, many))
        .collect();
    let single = counts.iter().map(|part| part.0).sum::<usize>() == 1;
    let verb = if single { "differs" } else { "differ" };
    let below = match report.only.is_empty() {
        true => String::new(),
        false => format!(" below {}", report.only.join(", ")),
    };
    format!("{} {verb}{below}", parts.join(", "))
}
