//! The store: immutable blobs by sha256, downloads into them, and named results, safe for several processes.

mod client;
pub mod collect;
mod download;
pub mod key;
mod lease;
mod proxy;
#[cfg(test)]
mod server;
pub mod trail;

pub use download::{FetchOptions, FetchSummary, UNREACHABLE, Want};
pub use key::Key;
use lease::Lease;
pub use trail::Trail;

use crate::error::{Context, Error, Result};
use fs_err as fs;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Blobs and results under one directory.
///
/// Nothing in it is ever changed in place: a blob appears by rename once its bytes are checked, so a process
/// that is killed leaves at most a partial download, which the next one resumes and hashes again.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
    lease: Option<Lease>,
}

/// What a kind of content in the store amounts to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Number of files.
    pub files: u64,
    /// Their length in bytes.
    pub bytes: u64,
}

/// The directory of what is on its way into the store or out of it: nothing in it is trusted.
const TMP: &str = "tmp";

/// What the store's directory holds: a directory each, and what it is in words.
const KINDS: [(&str, &str); 9] = [
    ("cas", "downloaded files"),
    ("expanded", "expanded packages"),
    ("layers", "layers of trees"),
    ("partial", "interrupted downloads"),
    ("ac", "remembered results"),
    (TMP, "working files"),
    ("trees", "tools trees"),
    ("work", "builds under way"),
    ("failed", "kept failed builds"),
];

impl Store {
    /// Opens the store at this directory and makes what is missing.
    pub fn open(dir: PathBuf) -> Result<Self> {
        let mut kinds = KINDS.iter().map(|(kind, _)| *kind).chain(["active"]);
        let made = kinds.try_for_each(|kind| fs::create_dir_all(dir.join(kind)));
        made.doing_with(|| format!("cannot use the cache directory {}", dir.display()))
            .map_err(|error| error.hint("point GOLDCAST_CACHE at a directory that you can write to"))?;
        Ok(Self { dir, lease: None })
    }

    /// Where the store is unless told otherwise: `GOLDCAST_CACHE`, else `goldcast` in `XDG_CACHE_HOME`
    /// (absolute, as the XDG base directory specification asks), else `~/.cache/goldcast`.
    pub fn default_dir() -> Result<PathBuf> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        default_dir(variable("GOLDCAST_CACHE"), variable("XDG_CACHE_HOME"), variable("HOME"))
    }

    /// The directory it lives in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Registers this process as one that uses the store: what it holds or fetches is not collected while it lives.
    pub fn leased(mut self) -> Result<Self> {
        self.lease = Some(Lease::new(&self)?);
        Ok(self)
    }

    /// Names entries, by path below the store, that this process is going to use. They may not be there: look only
    /// afterwards.
    pub fn hold<'a>(&self, entries: impl IntoIterator<Item = &'a Path>) -> Result<()> {
        self.lease.as_ref().map_or(Ok(()), |lease| lease.hold(entries))
    }

    /// The file of a blob that the store has. Its bytes were checked when it came in; see [`Store::verify`].
    pub fn path(&self, sha256: &str) -> Option<PathBuf> {
        let path = self.blob(sha256).ok()?;
        path.is_file().then_some(path)
    }

    /// The file of a blob that must be there.
    pub fn expect(&self, sha256: &str) -> Result<PathBuf> {
        self.path(sha256).ok_or_else(|| Error::new(format!("the cache has no blob {sha256}")))
    }

    /// Puts bytes in; returns their sha256 in hex.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<String> {
        let sha256 = hex::encode(Sha256::digest(bytes));
        if self.path(&sha256).is_none() {
            let mut file = self.temporary_file()?;
            file.write_all(bytes).doing("cannot write into the cache")?;
            self.settle(file.into_temp_path(), &sha256)?;
        }
        Ok(sha256)
    }

    /// Moves a file, which must lie on the same filesystem (see [`Store::tmp_dir`]), in as a blob; returns
    /// its sha256 in hex.
    pub fn put_file(&self, path: &Path) -> Result<String> {
        let sha256 = hash_file(path)?;
        if self.path(&sha256).is_some() {
            fs::remove_file(path)?;
        } else {
            let file = tempfile::TempPath::try_from_path(path)?;
            self.settle(file, &sha256)?;
        }
        Ok(sha256)
    }

    /// A blob's bytes.
    pub fn get_bytes(&self, sha256: &str) -> Result<Vec<u8>> {
        Ok(fs::read(self.expect(sha256)?)?)
    }

    /// Hashes a blob again; an error names it when its bytes are not what its name says. A bad one is removed.
    pub fn verify(&self, sha256: &str) -> Result<()> {
        let path = self.expect(sha256)?;
        let found = hash_file(&path)?;
        if found == sha256 {
            return Ok(());
        }
        fs::remove_file(&path)?;
        Err(Error::new(format!("the cached file {} was damaged", path.display()))
            .because(format!("its sha256 is {found}"))
            .hint("it has been removed; run the same command again to fetch it anew"))
    }

    /// A new working directory inside the store, removed when the value is dropped. Files made in it can
    /// become blobs by rename.
    pub fn tmp_dir(&self) -> Result<tempfile::TempDir> {
        let made = tempfile::Builder::new().prefix("run-").tempdir_in(self.dir.join(TMP));
        made.doing("cannot make a working directory in the cache")
    }

    /// A named result, when there is one and it still has the shape asked for.
    pub fn get_result<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let path = self.result(key)?;
        match fs::read(&path) {
            // A result of another version's shape is as good as none: it can always be made again.
            Ok(bytes) => {
                lease::mark_used(&path);
                Ok(serde_json::from_slice(&bytes).ok())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Records a named result, in place of a former one.
    pub fn put_result<T: Serialize>(&self, key: &str, value: &T) -> Result<()> {
        let path = self.result(key)?;
        let bytes = serde_json::to_vec(value).doing("cannot record a result in the cache")?;
        let mut file = self.temporary_file()?;
        file.write_all(&bytes).doing("cannot write into the cache")?;
        file.persist(&path).map_err(|error| error.error).doing("cannot write into the cache")?;
        Ok(())
    }

    /// The file of an expanded package, by the sha256 of the package; it need not be there.
    pub fn expanded(&self, sha256: &str) -> Result<PathBuf> {
        if !is_sha256(sha256) {
            return Err(Error::new(format!("{sha256:?} is not a sha256 in lower-case hex")));
        }
        Ok(self.dir.join("expanded").join(sha256))
    }

    /// The directory of a layer, by its name; it need not be there.
    pub fn layer(&self, name: &str) -> PathBuf {
        self.dir.join("layers").join(name)
    }

    /// Makes a layer: `fill` writes into a new directory, which gets its place by rename. Two processes may do so at
    /// once: the first one stays.
    pub fn make_layer(&self, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let place = self.layer(name);
        let scratch = crate::scratch::Scratch::new(&self.dir.join("layers"), "making-")?;
        let layer = scratch.path().join("layer");
        fs::create_dir(&layer)?;
        fill(&layer)?;
        match fs::rename(&layer, &place) {
            Err(_) if place.is_dir() => Ok(()),
            renamed => Ok(renamed?),
        }
    }

    /// Removes a layer that is of no use.
    pub fn remove_layer(&self, name: &str) -> Result<()> {
        self.discard(&self.layer(name))
    }

    /// What the store holds: each kind in words, and how much of it there is.
    pub fn sizes(&self) -> Result<Vec<(&'static str, Size)>> {
        KINDS.iter().map(|(kind, words)| Ok((*words, self.size_of(kind)?))).collect()
    }

    fn size_of(&self, kind: &str) -> Result<Size> {
        let mut size = Size::default();
        add_sizes(&self.dir.join(kind), &mut size)?;
        Ok(size)
    }

    /// Empties the store, which nobody may use then.
    pub fn clear(&self) -> Result<()> {
        let _gate = lease::gate(self.dir(), lease::Turn::Alone)?;
        let (_, living) = lease::held(self.dir())?;
        if living > 0 {
            return Err(Error::new(format!("the cache is in use: {living} goldcast at work"))
                .hint("wait for it; `goldcast cache gc` leaves what is in use"));
        }
        for (kind, _) in KINDS.iter().filter(|(kind, _)| *kind != TMP) {
            let dir = self.dir.join(kind);
            // By a rename first: when this is stopped, nobody may find half of a tree under its name, and trust it.
            let grave = self.tmp_dir()?;
            fs::rename(&dir, grave.path().join("gone"))?;
            fs::create_dir_all(&dir)?;
            grave.close().doing_with(|| format!("removing what was in {}", dir.display()))?;
        }
        self.sweep()
    }

    fn blob(&self, sha256: &str) -> Result<PathBuf> {
        if !is_sha256(sha256) {
            return Err(Error::new(format!("{sha256:?} is not a sha256 in lower-case hex")));
        }
        Ok(self.dir.join("cas").join(&sha256[..2]).join(sha256))
    }

    fn partial(&self, sha256: &str) -> PathBuf {
        self.dir.join("partial").join(sha256)
    }

    fn result(&self, key: &str) -> Result<PathBuf> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || b"._+-".contains(&c);
        if key.is_empty() || key.len() > 200 || key.starts_with('.') || !key.bytes().all(plain) {
            return Err(Error::new(format!("{key:?} cannot name a cached result")));
        }
        Ok(self.dir.join("ac").join(key))
    }

    /// A new file inside the store, which can get its place in it by rename.
    pub fn temporary_file(&self) -> Result<tempfile::NamedTempFile> {
        let made = tempfile::Builder::new().prefix("blob-").tempfile_in(self.dir.join(TMP));
        made.doing("cannot make a file in the cache")
    }

    /// Gives a checked file its place among the blobs. Two processes may do so at once: the bytes are equal.
    fn settle(&self, file: tempfile::TempPath, sha256: &str) -> Result<PathBuf> {
        let path = self.blob(sha256)?;
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444))?;
        file.persist(&path).map_err(|error| error.error).doing("cannot write into the cache")?;
        Ok(path)
    }
}

/// Whether the text is a sha256 as the store spells it: 64 lower-case hex digits.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

/// The sha256 of a file, in hex.
pub fn hash_file(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    feed(&mut hasher, &mut file)?;
    Ok(hex::encode(hasher.finalize()))
}

/// Feeds all of a reader to a hasher; returns how many bytes there were.
fn feed(hasher: &mut Sha256, reader: &mut impl Read) -> Result<u64> {
    let mut buffer = vec![0; 128 << 10];
    let mut total = 0;
    loop {
        crate::interrupt::check()?;
        match reader.read(&mut buffer)? {
            0 => return Ok(total),
            count => {
                hasher.update(&buffer[..count]);
                total += count as u64;
            }
        }
    }
}

/// Adds what is in a directory. Another process may be renaming and removing there at this moment.
fn add_sizes(dir: &Path, size: &mut Size) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let Ok(entry) = entry else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            add_sizes(&entry.path(), size)?;
        } else {
            size.files += 1;
            size.bytes += metadata.len();
        }
    }
    Ok(())
}

fn default_dir(own: Option<PathBuf>, xdg: Option<PathBuf>, home: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(dir) = own.filter(|dir| !dir.as_os_str().is_empty()) {
        return Ok(dir);
    }
    if let Some(dir) = xdg.filter(|dir| dir.is_absolute()) {
        return Ok(dir.join("goldcast"));
    }
    home.filter(|dir| dir.is_absolute()).map(|dir| dir.join(".cache/goldcast")).ok_or_else(|| {
        Error::new("cannot tell where the cache goes: HOME is not set")
            .hint("set GOLDCAST_CACHE to a directory")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("cache")).unwrap();
        (dir, store)
    }

    #[test]
    fn bytes_come_back_and_cannot_be_written() {
        let (_dir, store) = store();
        let sha256 = store.put_bytes(b"hello").unwrap();
        assert_eq!(sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        assert_eq!(store.get_bytes(&sha256).unwrap(), b"hello");
        assert_eq!(store.put_bytes(b"hello").unwrap(), sha256);
        let mode = fs::metadata(store.path(&sha256).unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o444);
        assert_eq!(store.size_of("cas").unwrap(), Size { files: 1, bytes: 5 });
    }

    #[test]
    fn a_damaged_blob_is_named_and_removed() {
        let (_dir, store) = store();
        let sha256 = store.put_bytes(b"hello").unwrap();
        let path = store.path(&sha256).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"hullo").unwrap();
        let error = store.verify(&sha256).unwrap_err();
        assert!(error.what().contains(&sha256), "{error}");
        assert_eq!(store.path(&sha256), None);
    }

    #[test]
    fn a_file_becomes_a_blob() {
        let (_dir, store) = store();
        let work = store.tmp_dir().unwrap();
        for _ in 0..2 {
            fs::write(work.path().join("x"), b"layer").unwrap();
            let sha256 = store.put_file(&work.path().join("x")).unwrap();
            assert_eq!(store.get_bytes(&sha256).unwrap(), b"layer");
            assert!(!work.path().join("x").exists());
        }
    }

    #[test]
    fn results_are_replaced_and_wrong_shapes_are_none() {
        let (_dir, store) = store();
        assert_eq!(store.get_result::<String>("layer.1").unwrap(), None);
        store.put_result("layer.1", &"a").unwrap();
        store.put_result("layer.1", &"b").unwrap();
        assert_eq!(store.get_result::<String>("layer.1").unwrap().as_deref(), Some("b"));
        assert_eq!(store.get_result::<u32>("layer.1").unwrap(), None);
    }

    #[test]
    fn names_that_would_leave_the_store_are_refused() {
        let (_dir, store) = store();
        for name in ["", ".", "..", "../x", "a/b", "a\0b"] {
            assert!(store.put_result(name, &1).is_err(), "{name:?}");
            assert_eq!(store.path(name), None);
        }
        assert_eq!(store.path(&"é".repeat(32)), None);
    }

    #[test]
    fn a_store_in_use_is_not_emptied() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().to_path_buf()).unwrap();
        let user = Store::open(directory.path().to_path_buf()).unwrap().leased().unwrap();
        let error = store.clear().unwrap_err();
        assert!(error.to_string().contains("in use: 1 goldcast"), "{error}");
        drop(user);
        store.clear().unwrap();
    }

    #[test]
    fn clearing_leaves_a_store_that_works() {
        let (_dir, store) = store();
        store.put_bytes(b"hello").unwrap();
        // As a killed run leaves it.
        let left = store.dir().join("tmp/run-dead/gone");
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("file"), "x").unwrap();
        store.clear().unwrap();
        assert!(store.sizes().unwrap().iter().all(|(_, size)| *size == Size::default()));
        store.put_bytes(b"hello").unwrap();
    }

    #[test]
    fn what_goes_while_it_is_counted_counts_nothing() {
        let (_dir, store) = store();
        let mut size = Size::default();
        add_sizes(&store.dir().join("work/build-gone"), &mut size).unwrap();
        assert_eq!(size, Size::default());
    }

    #[test]
    fn the_default_directory_follows_the_environment() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(default_dir(path("c"), path("/x"), path("/h")).unwrap(), Path::new("c"));
        assert_eq!(default_dir(path(""), path("/x"), path("/h")).unwrap(), Path::new("/x/goldcast"));
        assert_eq!(default_dir(None, path("rel"), path("/h")).unwrap(), Path::new("/h/.cache/goldcast"));
        assert!(default_dir(None, None, None).is_err());
    }
}
