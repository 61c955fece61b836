//! Bytes at any place: of a file, of a disk in it, of a partition on that.

use crate::disk::sparse;
use crate::error::{Context, Error, Result};
use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;

/// Something that is read at random: a raw disk, or a format that a disk is stored in.
pub trait ReadAt: Send + Sync {
    /// Its length in bytes.
    fn size(&self) -> u64;

    /// Fills the buffer with the bytes at `offset`. It is an error when they do not all exist.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// The first stretch that ends beyond `offset` and may hold anything but zeros. Its start is the size when there
    /// is none. A format that knows its holes says so here; for the others all is data.
    fn data_from(&self, offset: u64) -> Result<Range<u64>> {
        Ok(offset..u64::MAX)
    }

    /// The bytes of a range, at most `limit` of them.
    fn bytes(&self, range: Range<u64>, limit: usize) -> Result<Vec<u8>> {
        let length = range.end.saturating_sub(range.start);
        let length = usize::try_from(length).ok().filter(|&length| length <= limit);
        let length = length.ok_or_else(|| Error::new(format!("{range:?} is more than {limit} bytes")))?;
        let mut bytes = vec![0; length];
        self.read_at(range.start, &mut bytes)?;
        Ok(bytes)
    }
}

/// What several readers share.
pub type Source = Arc<dyn ReadAt>;

/// A file of the host.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    size: u64,
}

impl FileSource {
    /// Reads a file that is already open. Where it ends is asked of it: the metadata of a host's disk have no length.
    pub fn new(mut file: File) -> Result<Self> {
        let size = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, size })
    }
}

impl ReadAt for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        Ok(self.file.read_exact_at(buffer, offset)?)
    }

    fn data_from(&self, offset: u64) -> Result<Range<u64>> {
        sparse::data_from(&self.file, offset, self.size)
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let found = usize::try_from(offset).ok().and_then(|start| self.get(start..)?.get(..buffer.len()));
        buffer.copy_from_slice(found.ok_or_else(|| beyond(offset, buffer.len()))?);
        Ok(())
    }
}

/// A part of something, as a thing of its own: a partition.
#[derive(Clone)]
pub struct Window {
    whole: Source,
    start: u64,
    size: u64,
}

impl Window {
    /// The range of `whole`, cut where that ends.
    pub fn new(whole: &Source, range: Range<u64>) -> Self {
        let start = range.start.min(whole.size());
        let size = range.end.min(whole.size()).saturating_sub(start);
        Self { whole: Arc::clone(whole), start, size }
    }
}

impl ReadAt for Window {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        match end.filter(|&end| end <= self.size) {
            Some(_) => self.whole.read_at(self.start + offset, buffer),
            None => Err(beyond(offset, buffer.len())),
        }
    }

    fn data_from(&self, offset: u64) -> Result<Range<u64>> {
        let data = self.whole.data_from(self.start.saturating_add(offset))?;
        let inside = |at: u64| at.saturating_sub(self.start).min(self.size);
        Ok(inside(data.start)..if data.end == u64::MAX { u64::MAX } else { inside(data.end) })
    }
}

fn beyond(offset: u64, length: usize) -> Error {
    Error::new(format!("{length} bytes at offset {offset} are beyond the end"))
}

/// A source as the libraries want it: read in sequence, with a position, in name also writable.
pub struct Stream {
    source: Source,
    position: u64,
}

impl Stream {
    /// Reads from the start.
    pub fn new(source: &Source) -> Self {
        Self { source: Arc::clone(source), position: 0 }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.source.size().saturating_sub(self.position);
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.source.read_at(self.position, &mut buffer[..length]).map_err(std::io::Error::other)?;
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for Stream {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let (base, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(by) => (self.position, by),
            SeekFrom::End(by) => (self.source.size(), by),
        };
        let at = base.checked_add_signed(by);
        self.position = at.ok_or_else(|| std::io::Error::other("a position before the start"))?;
        Ok(self.position)
    }
}

impl Write for Stream {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes a stream into a temporary file, blocks of zeros left out. The file has no name and goes with its reader.
pub fn into_sparse(stream: impl Read, doing: &str) -> Result<FileSource> {
    into_sparse_by(stream, doing, |_, position| Ok(position))
}

/// As [`into_sparse`], for what knows where its zeros are: `skip` is asked where to go on, and moves the stream there.
/// A small file may say that its disk has petabytes.
pub fn into_sparse_by<S: Read>(
    mut stream: S,
    doing: &str,
    skip: impl Fn(&mut S, u64) -> Result<u64>,
) -> Result<FileSource> {
    let file = tempfile::tempfile().doing("making a temporary file")?;
    let file = File::from_parts(file, "a temporary file");
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        crate::interrupt::check()?;
        size = skip(&mut stream, size).doing(doing)?;
        let length = fill(&mut stream, &mut buffer).doing(doing)?;
        if length == 0 {
            break;
        }
        sparse::write_at(&file, size, &buffer[..length]).doing("writing a temporary file")?;
        size += length as u64;
    }
    file.set_len(size).doing("writing a temporary file")?;
    FileSource::new(file)
}

/// Reads until the buffer is full or the stream ends; returns how much was read.
pub fn fill(stream: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_where_it_ends() {
        let whole: Source = Arc::new((0..=99).collect::<Vec<u8>>());
        let window = Window::new(&whole, 10..20);
        let mut bytes = [0; 10];
        window.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes, [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
        assert!(window.read_at(1, &mut bytes).is_err());
        assert!(window.read_at(u64::MAX, &mut bytes).is_err());
        assert_eq!(Window::new(&whole, 90..200).size(), 10);
        assert_eq!(Window::new(&whole, 300..400).size(), 0);
        assert!(window.bytes(0..10, 9).is_err());
    }

    #[test]
    fn a_stream_is_the_source_in_sequence() {
        let source: Source = Arc::new((0..=99).collect::<Vec<u8>>());
        let mut stream = Stream::new(&source);
        stream.seek(SeekFrom::End(-3)).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, [97, 98, 99]);
        assert!(stream.seek(SeekFrom::Current(-101)).is_err());
        assert!(stream.write(b"x").is_err());
    }

    #[test]
    fn what_is_passed_over_is_zeros() {
        let mut bytes = vec![7; (3 << 20) + 5];
        let skip = |stream: &mut std::io::Cursor<Vec<u8>>, position: u64| {
            let next = if position == 1 << 20 { 3 << 20 } else { position };
            stream.set_position(next);
            Ok(next)
        };
        let source = into_sparse_by(std::io::Cursor::new(bytes.clone()), "x", skip).unwrap();
        bytes[1 << 20..3 << 20].fill(0);
        assert!(source.bytes(0..source.size(), 4 << 20).unwrap() == bytes);
        // Nothing but zeros up to the end.
        let end = |stream: &mut std::io::Cursor<Vec<u8>>, _: u64| {
            stream.set_position(5 << 20);
            Ok(5 << 20)
        };
        assert_eq!(into_sparse_by(std::io::Cursor::new(bytes), "x", end).unwrap().size(), 5 << 20);
    }

    #[test]
    fn what_is_unpacked_has_its_holes_and_its_size() {
        let mut bytes = vec![0; 3 << 20];
        bytes[5000] = 1;
        let source = into_sparse(&bytes[..], "x").unwrap();
        assert_eq!(source.size(), 3 << 20);
        assert!(source.bytes(0..3 << 20, 3 << 20).unwrap() == bytes);
        let whole: Source = Arc::new(source);
        let window = Window::new(&whole, 1 << 20..3 << 20);
        assert_eq!(window.data_from(0).unwrap().start.min(2 << 20), window.data_from(0).unwrap().start);
    }
}
