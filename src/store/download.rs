//! Downloads into the store: parallel, resumed, retried, and checked while they stream.

use super::client::{Client, Failure, check_scheme};
use super::{Store, feed};
use crate::error::{Context, Error, Result};
use crate::interrupt;
use crate::progress::{Progress, Stage};
use fs_err as fs;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How often one address is tried before the next one.
const ATTEMPTS: u32 = 5;
/// The wait after the first failure; it doubles with every further one.
const FIRST_WAIT: Duration = if cfg!(test) { Duration::from_millis(5) } else { Duration::from_millis(400) };

/// The advice when no address had what is wanted.
pub const UNREACHABLE: &str =
    "check the network and the proxy settings (http_proxy), or name another mirror with --mirror";

/// One blob that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// What it is, for messages: `vim-tiny 2:9.1 amd64`.
    pub what: String,
    /// sha256 in lower-case hex.
    pub sha256: String,
    /// Length in bytes.
    pub size: u64,
    /// Where it may be had, best first: `http://`, `https://`, `file://` or an absolute path.
    pub urls: Vec<String>,
}

/// How to download.
#[derive(Debug, Clone, Copy)]
pub struct FetchOptions {
    /// Downloads at the same time.
    pub jobs: usize,
    /// Take nothing from the network: what the store lacks is an error.
    pub offline: bool,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self { jobs: 8, offline: false }
    }
}

/// What a fetch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FetchSummary {
    /// Blobs that were downloaded.
    pub downloaded: usize,
    /// Bytes that were downloaded.
    pub bytes: u64,
    /// Blobs that the store had already.
    pub present: usize,
}

impl Store {
    /// Makes sure that the store has all of these, and holds them.
    ///
    /// The first failure stops the rest, and names the blob. Other processes that want the same blob at the
    /// same time wait for the one that began, then use its result.
    pub fn fetch(&self, wants: &[Want], options: &FetchOptions, progress: &Progress) -> Result<FetchSummary> {
        self.fetch_and(wants, options, progress, &|_| {})
    }

    /// As [`Store::fetch`]; `arrived` is told each blob that was downloaded, by the thread that did it.
    pub fn fetch_and(
        &self,
        wants: &[Want],
        options: &FetchOptions,
        progress: &Progress,
        arrived: &(dyn Fn(&Want) + Sync),
    ) -> Result<FetchSummary> {
        let mut blobs = Vec::with_capacity(wants.len());
        for want in wants {
            let blob = self.blob(&want.sha256);
            blobs.push(blob.doing_with(|| format!("{} has an impossible hash", want.what))?);
        }
        self.hold(blobs.iter().filter_map(|blob| blob.strip_prefix(&self.dir).ok()))?;
        let mut missing = BTreeMap::new();
        let mut present = 0;
        for want in wants {
            for url in &want.urls {
                check_scheme(url)?;
            }
            match self.complete(want)? {
                true => present += 1,
                false => drop(missing.insert(want.sha256.as_str(), want)),
            }
        }
        let missing: Vec<&Want> = missing.into_values().collect();
        let mut summary = FetchSummary { present, ..FetchSummary::default() };
        if missing.is_empty() {
            return Ok(summary);
        }
        if options.offline {
            return Err(offline_error(&missing));
        }
        let stage = progress.stage("download");
        stage.bytes(missing.iter().map(|want| want.size).sum());
        self.fetch_missing(&missing, options.jobs.clamp(1, 64), &stage, arrived)?;
        summary.downloaded = missing.len();
        summary.bytes = missing.iter().map(|want| want.size).sum();
        stage.finish(format!("{} files, {:.1} MB", summary.downloaded, summary.bytes as f64 / 1e6));
        Ok(summary)
    }

    /// Reads a small file whose hash nobody knows yet (an InRelease), from the first address that has it.
    /// More than `limit` bytes are refused.
    pub fn fetch_bytes(&self, what: &str, urls: &[String], limit: u64) -> Result<Vec<u8>> {
        let client = Client::new();
        let mut causes = Vec::new();
        for url in urls {
            check_scheme(url)?;
            let attempt = || {
                let answer = client.open(url, 0, true)?;
                let mut bytes = Vec::new();
                let read = answer.body.take(limit + 1).read_to_end(&mut bytes);
                read.map_err(|error| Failure::Passing(error.to_string()))?;
                if answer.length.is_some_and(|length| length != bytes.len() as u64)
                    && bytes.len() as u64 <= limit
                {
                    return Err(Failure::Passing(format!(
                        "the download broke off after {} bytes",
                        bytes.len()
                    )));
                }
                Ok(bytes)
            };
            match retried(&mut causes, url, attempt)? {
                Some(bytes) if bytes.len() as u64 > limit => {
                    return Err(Error::new(format!("{what} is larger than the {limit} bytes allowed"))
                        .because(format!("from {url}")));
                }
                Some(bytes) => return Ok(bytes),
                None => {}
            }
        }
        Err(unreachable_error(what, causes))
    }

    /// Whether the store has the blob, in full: a file cut short by a power failure does not count.
    fn complete(&self, want: &Want) -> Result<bool> {
        let path = self.blob(&want.sha256)?;
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == want.size => Ok(true),
            Ok(_) => {
                fs::remove_file(&path)?;
                Ok(false)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn fetch_missing(
        &self,
        missing: &[&Want],
        jobs: usize,
        stage: &Stage,
        arrived: &(dyn Fn(&Want) + Sync),
    ) -> Result<()> {
        let client = Client::new();
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let failed: Mutex<Option<Error>> = Mutex::new(None);
        let work = || {
            while let Some(want) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                stage.now(want.what.clone());
                let mut download =
                    Download { store: self, client: &client, want, stage, counted: 0, stop: &stop };
                match download.run() {
                    Ok(()) => arrived(want),
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        let mut failed = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        failed.get_or_insert(error);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..jobs.min(missing.len()) {
                scope.spawn(work);
            }
        });
        match failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// One blob on its way in.
struct Download<'a> {
    store: &'a Store,
    client: &'a Client,
    want: &'a Want,
    stage: &'a Stage,
    /// Bytes told to the progress bar; a restart does not count them twice.
    counted: u64,
    /// Set when another download failed: there is no point in going on.
    stop: &'a AtomicBool,
}

impl Download<'_> {
    fn run(&mut self) -> Result<()> {
        let Some((path, mut file)) = self.locked_partial()? else {
            self.count(self.want.size);
            return Ok(());
        };
        let mut causes = Vec::new();
        for url in &self.want.urls {
            let mut fatal = None;
            let attempt = || match self.attempt(url, &mut file) {
                Ok(hash) => Ok(Some(hash)),
                Err(Broken::Failure(failure)) => Err(failure),
                Err(Broken::Fatal(error)) => {
                    fatal = Some(error);
                    Ok(None)
                }
            };
            let hash = retried(&mut causes, url, attempt)?;
            if let Some(error) = fatal {
                return Err(error.doing(format!("cannot download {}", self.want.what)));
            }
            let Some(Some(found)) = hash else { continue };
            if found != self.want.sha256 {
                fs::remove_file(&path)?;
                return Err(self.refusal(url, &format!("its sha256 is {found}, not {}", self.want.sha256)));
            }
            self.store.settle(tempfile::TempPath::try_from_path(&path)?, &self.want.sha256)?;
            return Ok(());
        }
        Err(unreachable_error(&self.want.what, causes))
    }

    /// The partial file under an exclusive lock, or nothing when another process has finished it meanwhile.
    fn locked_partial(&self) -> Result<Option<(PathBuf, fs::File)>> {
        let path = self.store.partial(&self.want.sha256);
        loop {
            let mut options = fs::OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).open(&path)?;
            while let Err(error) = file.file().try_lock() {
                interrupt::check()?;
                match error {
                    std::fs::TryLockError::WouldBlock => std::thread::sleep(Duration::from_millis(50)),
                    std::fs::TryLockError::Error(error) => {
                        return Err(error).doing_with(|| format!("cannot lock {}", path.display()));
                    }
                }
            }
            let same = fs::metadata(&path).is_ok_and(|now| {
                file.metadata().is_ok_and(|held| (now.dev(), now.ino()) == (held.dev(), held.ino()))
            });
            if self.store.complete(self.want)? {
                if same {
                    fs::remove_file(&path)?;
                }
                return Ok(None);
            }
            // The former holder may have removed the file that was waited for: the lock is then on nothing.
            if same {
                return Ok(Some((path, file)));
            }
        }
    }

    /// Fetches what is missing of the partial file and returns the hash of the whole.
    fn attempt(&mut self, url: &str, file: &mut fs::File) -> Result<String, Broken> {
        let mut hasher = Sha256::new();
        file.seek(SeekFrom::Start(0)).map_err(Broken::disk)?;
        let mut position = feed(&mut hasher, file).map_err(Broken::Fatal)?;
        if position > self.want.size {
            position = restart(file, &mut hasher)?;
        }
        let resumed = position > 0;
        self.count(position);
        if position < self.want.size || self.want.size == 0 {
            let answer = match self.client.open(url, position, false) {
                Err(Failure::NoRange) => {
                    restart(file, &mut hasher)?;
                    return Err(Broken::Failure(Failure::Passing("the server could not resume".into())));
                }
                other => other.map_err(Broken::Failure)?,
            };
            if answer.offset != position {
                position = restart(file, &mut hasher)?;
            }
            if let Some(length) = answer.length.filter(|&length| length != self.want.size) {
                let size = self.want.size;
                return Err(Broken::Fatal(self.refusal(url, &format!("it has {length} bytes, not {size}"))));
            }
            position = self.stream(url, answer.body, file, &mut hasher, position)?;
            if position < self.want.size {
                let text = format!("the download broke off after {position} of {} bytes", self.want.size);
                return Err(Broken::Failure(Failure::Passing(text)));
            }
        }
        let found = hex::encode(hasher.finalize());
        if found != self.want.sha256 && resumed {
            // The part from before may be what is wrong: a crash can leave a file with holes.
            restart(file, &mut Sha256::new())?;
            return Err(Broken::Failure(Failure::Passing(
                "the resumed download did not fit together".into(),
            )));
        }
        Ok(found)
    }

    fn stream(
        &mut self,
        url: &str,
        mut body: Box<dyn Read>,
        file: &mut fs::File,
        hasher: &mut Sha256,
        mut position: u64,
    ) -> Result<u64, Broken> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            interrupt::check().map_err(Broken::Fatal)?;
            if self.stop.load(Ordering::Relaxed) {
                return Err(Broken::Fatal(Error::new("another download failed")));
            }
            let count = match body.read(&mut buffer) {
                Ok(0) => return Ok(position),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let size = self.want.size;
                    let text = format!("the download broke off after {position} of {size} bytes ({error})");
                    return Err(Broken::Failure(Failure::Passing(text)));
                }
            };
            let bytes = &buffer[..count];
            if position + count as u64 > self.want.size {
                let text = format!("it has more than {} bytes", self.want.size);
                return Err(Broken::Fatal(self.refusal(url, &text)));
            }
            file.write_all(bytes).map_err(Broken::disk)?;
            hasher.update(bytes);
            position += count as u64;
            self.count(position);
        }
    }

    fn count(&mut self, position: u64) {
        if position > self.counted {
            self.stage.add(position - self.counted);
            self.counted = position;
        }
    }

    fn refusal(&self, url: &str, why: &str) -> Error {
        Error::new(format!("{} is not what the signed index says", self.want.what))
            .because(why)
            .because(format!("from {url}"))
            .hint("nothing of it was kept; the mirror, or a proxy on the way, serves wrong bytes: try another --mirror")
    }
}

/// What stops an attempt.
enum Broken {
    /// The address failed.
    Failure(Failure),
    /// This machine, the user, or a refusal: no other address helps.
    Fatal(Error),
}

impl Broken {
    fn disk(error: std::io::Error) -> Self {
        Self::Fatal(error.into())
    }
}

/// Begins the partial file anew.
fn restart(file: &mut fs::File, hasher: &mut Sha256) -> Result<u64, Broken> {
    file.set_len(0).map_err(Broken::disk)?;
    file.seek(SeekFrom::Start(0)).map_err(Broken::disk)?;
    *hasher = Sha256::new();
    Ok(0)
}

/// Tries one address several times; nothing when it has to be given up, with the reason among the causes.
fn retried<T>(
    causes: &mut Vec<String>,
    url: &str,
    mut attempt: impl FnMut() -> Result<T, Failure>,
) -> Result<Option<T>> {
    let mut wait = FIRST_WAIT;
    for number in 1..=ATTEMPTS {
        interrupt::check()?;
        let tried = attempt();
        if tried.is_err() {
            // A signal closes the connections: what failed then is not the address.
            interrupt::check()?;
        }
        let text = match tried {
            Ok(value) => return Ok(Some(value)),
            Err(Failure::Absent(text)) => {
                causes.push(format!("{url}: {text}"));
                return Ok(None);
            }
            Err(Failure::Passing(text)) => text,
            Err(Failure::NoRange) => "the server answered with a part of it".into(),
        };
        if number == ATTEMPTS {
            causes.push(format!("{url}: {text} (tried {ATTEMPTS} times)"));
        } else {
            pause(wait)?;
            wait *= 2;
        }
    }
    Ok(None)
}

/// Sleeps in slices, so that a signal is heard at once.
fn pause(mut wait: Duration) -> Result<()> {
    const SLICE: Duration = Duration::from_millis(50);
    while !wait.is_zero() {
        interrupt::check()?;
        let slice = wait.min(SLICE);
        std::thread::sleep(slice);
        wait -= slice;
    }
    Ok(())
}

fn offline_error(missing: &[&Want]) -> Error {
    let names: Vec<&str> = missing.iter().take(5).map(|want| want.what.as_str()).collect();
    let more = match missing.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Error::new(format!("the cache lacks {}{more}", names.join(", ")))
        .because("--offline allows no download")
        .hint("run the same command once without --offline; afterwards it works offline")
}

fn unreachable_error(what: &str, causes: Vec<String>) -> Error {
    let none = causes.is_empty().then(|| "no address is known for it".to_string());
    let error = Error::new(format!("cannot download {what}"));
    let error = causes.into_iter().chain(none).fold(error, |error, cause| error.because(cause));
    error.hint(UNREACHABLE)
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
