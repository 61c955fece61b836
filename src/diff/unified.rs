//! Unified diffs of texts (POSIX diff, "Diff -u Output Format"), in bounded time.
//!
//! The `similar` library finds the shortest edit; for two long texts that have little in common that takes minutes.
//! Whether an edit is short is found out first; where it is not, everything between the first and the last differing
//! line is told as replaced, which is longer but as true. A deadline would end that, too, but not at the same place in
//! every run.

use similar::udiff::UnifiedHunkHeader;
use similar::{DiffTag, TextDiff};
use std::collections::HashMap;
use std::fmt::Write;

/// Lines around a difference.
const CONTEXT: usize = 3;
/// Longer edits, in lines removed and added, are not searched for.
const LONGEST: usize = 2000;

/// The diff of two texts that are not the same; `path` is for its head.
pub fn diff(path: &str, a: &str, b: &str) -> String {
    diff_within(path, a, b, LONGEST)
}

fn diff_within(path: &str, a: &str, b: &str, longest: usize) -> String {
    let (name_a, name_b) = (format!("a{path}"), format!("b{path}"));
    let (lines_a, lines_b): (Vec<&str>, Vec<&str>) =
        (a.split_inclusive('\n').collect(), b.split_inclusive('\n').collect());
    let before = lines_a.iter().zip(&lines_b).take_while(|(a, b)| a == b).count();
    let (rest_a, rest_b) = (&lines_a[before..], &lines_b[before..]);
    let behind = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (middle_a, middle_b) = (&rest_a[..rest_a.len() - behind], &rest_b[..rest_b.len() - behind]);
    let mut text = format!("--- {name_a}\n+++ {name_b}\n");
    if edit_is_within(middle_a, middle_b, longest) {
        // These lines and not those that the library finds: for it a carriage return ends one, too.
        let edit = TextDiff::configure().diff_slices(&lines_a, &lines_b);
        for hunk in edit.grouped_ops(CONTEXT).iter().filter(|hunk| !hunk.is_empty()) {
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(text, "{}", UnifiedHunkHeader::new(hunk));
            for part in hunk {
                let (old, new) = (&lines_a[part.old_range()], &lines_b[part.new_range()]);
                if part.tag() == DiffTag::Equal {
                    marked(&mut text, ' ', old);
                } else {
                    marked(&mut text, '-', old);
                    marked(&mut text, '+', new);
                }
            }
        }
        return text;
    }
    let start = before.saturating_sub(CONTEXT);
    let after = behind.min(CONTEXT);
    let range = |middle: usize| {
        let length = before - start + middle + after;
        // A range of no lines begins before the line that it stands behind.
        format!("{},{length}", start + usize::from(length > 0))
    };
    let _ = writeln!(text, "@@ -{} +{} @@", range(middle_a.len()), range(middle_b.len()));
    let behind_a = &rest_a[middle_a.len()..];
    for (mark, lines) in
        [(' ', &lines_a[start..before]), ('-', middle_a), ('+', middle_b), (' ', &behind_a[..after])]
    {
        marked(&mut text, mark, lines);
    }
    text
}

/// Adds lines with a mark in front.
fn marked(text: &mut String, mark: char, lines: &[&str]) {
    for line in lines {
        let end = if line.ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
        let _ = write!(text, "{mark}{line}{end}");
    }
}

/// Whether at most `longest` lines must be removed and added: the greedy algorithm of E. Myers, "An O(ND) Difference
/// Algorithm and Its Variations" (1986), up to that length.
fn edit_is_within(a: &[&str], b: &[&str], longest: usize) -> bool {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut numbered = |line| {
        let next = numbers.len() as u32;
        *numbers.entry(line).or_insert(next)
    };
    let a: Vec<u32> = a.iter().map(|&line| numbered(line)).collect();
    let b: Vec<u32> = b.iter().map(|&line| numbered(line)).collect();
    // How far into `a` an edit of some length comes on each diagonal; diagonal k is at k + longest + 1.
    let middle = longest + 1;
    let mut reached = vec![0usize; 2 * longest + 3];
    for length in 0..=longest {
        for diagonal in (middle - length..=middle + length).step_by(2) {
            let down = diagonal == middle - length
                || (diagonal != middle + length && reached[diagonal - 1] < reached[diagonal + 1]);
            let mut x = if down { reached[diagonal + 1] } else { reached[diagonal - 1] + 1 };
            let Some(mut y) = (x + middle).checked_sub(diagonal) else { continue };
            while x < a.len() && y < b.len() && a[x] == b[y] {
                (x, y) = (x + 1, y + 1);
            }
            reached[diagonal] = x;
            if (x, y) == (a.len(), b.len()) {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What patch(1) makes of `a` with a diff.
    fn patched(a: &str, diff: &str) -> String {
        let lines: Vec<&str> = a.split_inclusive('\n').collect();
        let mut text = String::new();
        let mut at = 0;
        let mut rest = diff.split_inclusive('\n').skip(2).peekable();
        while let Some(line) = rest.next() {
            let last = rest.peek().is_some_and(|next| next.starts_with('\\'));
            let content = &line[1..if last { line.len() - 1 } else { line.len() }];
            match &line[..1] {
                "@" => {
                    let range = line.split(' ').nth(1).unwrap().trim_start_matches('-');
                    let (start, length) = range.split_once(',').unwrap_or((range, "1"));
                    let start: usize = start.parse().unwrap();
                    let start = if length == "0" { start } else { start - 1 };
                    text.extend(lines[at..start].iter().copied());
                    at = start;
                }
                "\\" => {}
                "+" => text.push_str(content),
                mark => {
                    assert_eq!(lines[at], content);
                    at += 1;
                    if mark == " " {
                        text.push_str(content);
                    }
                }
            }
        }
        text.extend(lines[at..].iter().copied());
        text
    }

    #[test]
    fn a_text_without_a_last_line_end_says_so() {
        let found = diff("/x", "a\nb\nc\nd\ne\nf\n", "a\nb\nc\nd\nE\nf");
        let wanted =
            "--- a/x\n+++ b/x\n@@ -2,5 +2,5 @@\n b\n c\n d\n-e\n-f\n+E\n+f\n\\ No newline at end of file\n";
        assert_eq!(found, wanted);
        assert_eq!(diff_within("/x", "a\nb\nc\nd\ne\nf\n", "a\nb\nc\nd\nE\nf", 1), wanted);
    }

    #[test]
    fn texts_with_nothing_in_common_end_soon() {
        let text = |factor: u64| -> String {
            (1..200_000u64).map(|n| format!("{:04}\n", n * n * factor % 9973)).collect()
        };
        let (a, b) = (text(3), text(7));
        let start = std::time::Instant::now();
        let found = diff("/x", &a, &b);
        assert!(start.elapsed().as_secs() < 20);
        assert_eq!(patched(&a, &found), b);
    }

    #[test]
    fn a_carriage_return_ends_no_line() {
        let found = diff("/x", "10 %\r20 %\rdone\nend\r", "10 %\r20 %\rfailed\nend\r");
        let wanted = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-10 %\r20 %\rdone\n+10 %\r20 %\rfailed\n end\r\n\
            \\ No newline at end of file\n";
        assert_eq!(found, wanted);
    }

    proptest! {
        #[test]
        fn patch_makes_the_second_of_the_first(
            a in "([abc]\r?\n?){0,12}[a]?",
            b in "([abc]\r?\n?){0,12}[a]?",
            longest in 0usize..8,
        ) {
            prop_assume!(a != b);
            prop_assert_eq!(patched(&a, &diff_within("/x", &a, &b, longest)), b.clone());
            prop_assert_eq!(patched(&a, &diff("/x", &a, &b)), b);
        }

        #[test]
        fn the_length_of_an_edit_is_found(a in "[abc]{0,12}", b in "[abc]{0,12}") {
            let lines = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
            let (a, b) = (lines(&a), lines(&b));
            let (a, b): (Vec<&str>, Vec<&str>) = (a.iter().map(|s| &**s).collect(), b.iter().map(|s| &**s).collect());
            // The textbook's table.
            let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
            for i in 0..=a.len() {
                for j in 0..=b.len() {
                    table[i][j] = match (i, j) {
                        (0, _) => j,
                        (_, 0) => i,
                        _ if a[i - 1] == b[j - 1] => table[i - 1][j - 1],
                        _ => 1 + table[i - 1][j].min(table[i][j - 1]),
                    };
                }
            }
            let length = table[a.len()][b.len()];
            for longest in 0..30 {
                prop_assert_eq!(edit_is_within(&a, &b, longest), length <= longest, "{}", longest);
            }
        }
    }
}
