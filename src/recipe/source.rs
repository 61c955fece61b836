//! The texts that shape a plan: where they lie, what they say, and their digests.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Longest TOML file or template read; a recipe of more is a mistake (a device, a disk image).
const MAX_TEXT: u64 = 4 << 20;
/// Longest file that a recipe or an overlay may put into an image by `source`.
const MAX_BYTES: u64 = 64 << 20;

static BUILT_IN_OVERLAYS: include_dir::Dir<'_> = include_dir::include_dir!("$CARGO_MANIFEST_DIR/overlays");
static BUILT_IN_BASES: include_dir::Dir<'_> = include_dir::include_dir!("$CARGO_MANIFEST_DIR/recipes/base");

/// Where a file is: on disk, or in the binary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A path on disk, as given by the user.
    Disk(PathBuf),
    /// A path in the binary: `overlays/ssh/overlay.toml`, `recipes/base/debian-13.toml`.
    BuiltIn(PathBuf),
}

impl Place {
    /// The file that `relative` means when it is named in this file.
    pub fn sibling(&self, relative: &Path) -> Self {
        match self {
            Self::Disk(path) => {
                Self::Disk(tidy(&path.parent().unwrap_or_else(|| Path::new("")).join(relative)))
            }
            Self::BuiltIn(path) => {
                Self::BuiltIn(tidy(&path.parent().unwrap_or_else(|| Path::new("")).join(relative)))
            }
        }
    }

    /// The path as shown to people; files in the binary begin with `<built-in>`.
    pub fn shown(&self) -> PathBuf {
        match self {
            Self::Disk(path) => path.clone(),
            Self::BuiltIn(path) => Path::new("<built-in>").join(path),
        }
    }

    /// Whether there is a file.
    pub fn is_file(&self) -> bool {
        match self {
            Self::Disk(path) => path.is_file(),
            Self::BuiltIn(path) => built_in(path).is_some(),
        }
    }

    /// One name for one file, however it was reached.
    pub fn identity(&self) -> Self {
        match self {
            Self::Disk(path) => Self::Disk(fs_err::canonicalize(path).unwrap_or_else(|_| path.clone())),
            Self::BuiltIn(_) => self.clone(),
        }
    }

    /// The file names in the directory of this place that end in `.toml`.
    pub fn neighbours(&self) -> Vec<String> {
        let names: Vec<String> = match self {
            Self::Disk(path) => {
                let parent = match path.parent() {
                    Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
                    Some(parent) => parent,
                    None => return Vec::new(),
                };
                let Ok(entries) = fs_err::read_dir(parent) else { return Vec::new() };
                entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
            }
            Self::BuiltIn(_) => {
                BUILT_IN_BASES.files().map(|file| file.path().display().to_string()).collect()
            }
        };
        let mut names: Vec<String> = names.into_iter().filter(|name| name.ends_with(".toml")).collect();
        names.sort();
        names
    }

    fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::Disk(path) => {
                let found = fs_err::metadata(path).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => io::Error::new(error.kind(), "there is no such file"),
                    _ => error,
                })?;
                if found.is_dir() {
                    return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
                }
                if !found.is_file() {
                    return Err(io::Error::other("it is not a regular file"));
                }
                if found.len() > limit {
                    return Err(io::Error::other(format!(
                        "it has {} bytes; at most {limit} are read",
                        found.len()
                    )));
                }
                fs_err::read(path)
            }
            Self::BuiltIn(path) => {
                built_in(path).map(<[u8]>::to_vec).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
            }
        }
    }
}

/// The path without `.` and with `name/..` removed; leading `..` stay.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(tidy.components().next_back(), Some(Component::Normal(_))) => {
                tidy.pop();
            }
            other => tidy.push(other),
        }
    }
    tidy
}

fn built_in(path: &Path) -> Option<&'static [u8]> {
    let file = if let Ok(below) = path.strip_prefix("overlays") {
        BUILT_IN_OVERLAYS.get_file(below)
    } else {
        BUILT_IN_BASES.get_file(path.strip_prefix("recipes/base").ok()?)
    };
    file.map(include_dir::File::contents)
}

/// The names of the overlays in the binary.
pub(super) fn built_in_overlays() -> Vec<String> {
    BUILT_IN_OVERLAYS
        .dirs()
        .filter(|dir| dir.get_file(dir.path().join("overlay.toml")).is_some())
        .filter_map(|dir| dir.path().file_name()?.to_str().map(str::to_owned))
        .collect()
}

/// A stretch of bytes in one of the texts that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// Number of the text in [`Sources`].
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

/// One text, as it is shown in errors.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where it was read.
    pub place: Place,
    /// What it says, without byte order mark and with `\n` at line ends.
    pub text: String,
}

/// Every text read so far.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    texts: Vec<Source>,
    digests: BTreeMap<PathBuf, String>,
}

impl Sources {
    /// Reads a text. A byte order mark and CRLF line ends are taken away, so that an editor's habits never
    /// change a plan; the digest is of what remains.
    pub fn read_text(&mut self, place: &Place) -> io::Result<u32> {
        if let Some(known) = self.texts.iter().position(|known| known.place == *place) {
            return Ok(u32::try_from(known).unwrap_or(u32::MAX));
        }
        let bytes = place.read(MAX_TEXT)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count();
            io::Error::other(format!("line {line} is not UTF-8"))
        })?;
        Ok(self.add(place.clone(), &text))
    }

    /// Takes a text that is already in memory.
    pub fn add(&mut self, place: Place, text: &str) -> u32 {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        self.digests.insert(place.shown(), hex::encode(Sha256::digest(text.as_bytes())));
        self.texts.push(Source { place, text });
        u32::try_from(self.texts.len() - 1).unwrap_or(u32::MAX)
    }

    /// Reads a file that is copied as it is.
    pub fn read_bytes(&mut self, place: &Place) -> io::Result<Vec<u8>> {
        let bytes = place.read(MAX_BYTES)?;
        self.digests.insert(place.shown(), hex::encode(Sha256::digest(&bytes)));
        Ok(bytes)
    }

    /// The text with this number.
    pub fn get(&self, file: u32) -> Option<&Source> {
        self.texts.get(file as usize)
    }

    /// The number and the text of a place that was read.
    pub fn find(&self, place: &Place) -> Option<(u32, &str)> {
        let number = self.texts.iter().position(|known| known.place == *place)?;
        Some((u32::try_from(number).ok()?, self.texts.get(number)?.text.as_str()))
    }

    /// sha256 in hex of every file read, by its shown path.
    pub fn digest(&self, place: &Place) -> Option<&String> {
        self.digests.get(&place.shown())
    }

    /// The path of the text with this number, as shown to people.
    pub fn shown(&self, file: u32) -> PathBuf {
        self.get(file).map(|source| source.place.shown()).unwrap_or_default()
    }

    /// `path:line:column`, counted from 1, columns in characters.
    pub fn position(&self, at: At) -> String {
        let Some(source) = self.get(at.file) else { return String::new() };
        let start = (at.start as usize).min(source.text.len());
        let before = source.text.get(..start).unwrap_or(&source.text);
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or("").chars().count();
        format!("{}:{line}:{column}", source.place.shown().display())
    }

    /// The whole of a text's first line, for problems of the file itself.
    pub fn whole(file: u32) -> At {
        At { file, start: 0, end: 0 }
    }

    /// The stretch at a line (from 1) and column (from 1, in bytes) of a text, to the line's end.
    pub fn at_line(&self, file: u32, line: usize, column: usize) -> At {
        let text = self.get(file).map_or("", |source| source.text.as_str());
        let mut start = 0;
        for (number, content) in text.split('\n').enumerate() {
            if number + 1 >= line.max(1) {
                let offset = column.saturating_sub(1).min(content.len());
                return at(file, start + offset, start + content.len());
            }
            start += content.len() + 1;
        }
        at(file, text.len(), text.len())
    }
}

/// A stretch from `start` to `end` in bytes.
pub fn at(file: u32, start: usize, end: usize) -> At {
    At { file, start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_line_ends_do_not_matter() {
        let mut sources = Sources::default();
        let plain = sources.add(Place::Disk("a".into()), "x = 1\ny = 2\n");
        let windows = sources.add(Place::Disk("b".into()), "\u{feff}x = 1\r\ny = 2\r\n");
        assert_eq!(sources.get(plain).unwrap().text, sources.get(windows).unwrap().text);
        assert_eq!(sources.digest(&Place::Disk("a".into())), sources.digest(&Place::Disk("b".into())));
    }

    #[test]
    fn positions_count_characters_from_one() {
        let mut sources = Sources::default();
        let file = sources.add(Place::Disk("a.toml".into()), "é = 1\nü = 2\n");
        assert_eq!(sources.position(at(file, 0, 1)), "a.toml:1:1");
        assert_eq!(sources.position(at(file, 10, 12)), "a.toml:2:3");
        assert_eq!(sources.position(at(file, 4000, 4001)), "a.toml:3:1");
        assert_eq!(sources.at_line(file, 2, 1), at(file, 7, 13));
        assert_eq!(sources.at_line(file, 99, 1), at(file, 14, 14));
    }

    #[test]
    fn siblings_are_tidy() {
        let place = Place::Disk("a/b/c.toml".into());
        assert_eq!(place.sibling(Path::new("../x.toml")), Place::Disk("a/x.toml".into()));
        assert_eq!(place.sibling(Path::new("./d/./x.toml")), Place::Disk("a/b/d/x.toml".into()));
        assert_eq!(Place::Disk("c.toml".into()).sibling(Path::new("../x")), Place::Disk("../x".into()));
        assert_eq!(place.sibling(Path::new("/x.toml")), Place::Disk("/x.toml".into()));
    }

    #[test]
    fn devices_directories_and_other_encodings_are_refused() {
        let mut sources = Sources::default();
        assert!(sources.read_text(&Place::Disk("/dev/zero".into())).is_err());
        assert!(sources.read_text(&Place::Disk("/".into())).is_err());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latin.toml");
        fs_err::write(&path, b"a = 1\nb = \"\xe9\"\n").unwrap();
        let error = sources.read_text(&Place::Disk(path)).unwrap_err();
        assert!(error.to_string().contains("line 2 is not UTF-8"), "{error}");
    }
}
