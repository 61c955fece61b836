//! The files handed out, made from the raw disk and the tree: all at once, streaming, each complete or not at all.

mod compress;
mod gzip;
pub mod qcow2;

use super::sparse::{Piece, Pieces};
use crate::error::{Context, Error, Result};
use crate::progress::Progress;
use crate::recipe::plan::Format;
use crate::tree::archive;
use compress::Hashed;
use fs_err::File;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What the formats are made from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The raw disk.
    pub raw: &'a Path,
    /// The tree that is on it.
    pub tree: &'a Path,
    /// source-date-epoch: modification times in archives are clamped to it.
    pub epoch: i64,
    /// The qcow2 file of an earlier build, to take over what has not changed. It changes no byte.
    pub earlier: Option<qcow2::Earlier<'a>>,
}

/// One file handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its format.
    pub format: Format,
    /// Its file name.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its sha256 in hex.
    pub sha256: String,
    /// What a qcow2 file is made of, for [`Source::earlier`] of a later build.
    #[serde(skip)]
    pub index: Option<qcow2::Index>,
}

/// Makes every format but `raw` (which [`Source::raw`] already is) in `directory`, as `NAME.EXTENSION`, in
/// parallel. Files appear, by renaming, once all are complete. The same source gives the same bytes, on any
/// number of cores.
pub fn write(
    formats: &[Format],
    source: &Source,
    directory: &Path,
    name: &str,
    progress: &Progress,
) -> Result<Vec<Artifact>> {
    let formats: Vec<Format> = formats.iter().copied().filter(|&format| format != Format::Raw).collect();
    if formats.is_empty() {
        return Ok(Vec::new());
    }
    let stage = progress.stage("formats");
    stage.items(formats.len() as u64);
    let partial = tempfile::Builder::new()
        .prefix(&format!(".{name}.partial-"))
        .tempdir_in(directory)
        .doing_with(|| format!("making a temporary directory in {}", directory.display()))?;
    let artifacts: Vec<Artifact> = formats
        .par_iter()
        .map(|&format| {
            let file = format!("{name}.{}", format.extension());
            let artifact = one(format, source, &partial.path().join(&file), file.clone())
                .doing_with(|| format!("writing {file}"))?;
            stage.add(1);
            Ok(artifact)
        })
        .collect::<Result<_>>()?;
    for artifact in &artifacts {
        fs_err::rename(partial.path().join(&artifact.file), directory.join(&artifact.file))?;
    }
    stage.finish(artifacts.iter().map(summary).collect::<Vec<_>>().join(", "));
    Ok(artifacts)
}

fn summary(artifact: &Artifact) -> String {
    format!("{} {} MiB", artifact.format.extension(), artifact.size.div_ceil(1 << 20))
}

fn one(format: Format, source: &Source, path: &Path, file: String) -> Result<Artifact> {
    let mut index = None;
    let (size, sha256) = match format {
        Format::Raw => return Err(Error::new("the raw disk is not a format to convert to")),
        Format::RawZst => {
            compress::zstd(path, Some(fs_err::metadata(source.raw)?.len()), |out| raw(source, out))?
        }
        Format::RawGz => compress::gzip(path, |out| raw(source, out))?,
        Format::RootfsTarZst => {
            compress::zstd(path, None, |out| archive::write(source.tree, source.epoch, out))?
        }
        Format::RootfsTarGz => compress::gzip(path, |out| archive::write(source.tree, source.epoch, out))?,
        Format::Qcow2 => {
            let written = qcow2::write(source.raw, path, source.earlier)?;
            index = Some(written.index);
            (written.size, written.sha256)
        }
    };
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o644))?;
    Ok(Artifact { format, file, size, sha256, index })
}

/// Copies the raw disk, its holes as zeros.
fn raw(source: &Source, out: &mut dyn Write) -> Result<()> {
    let zeros = vec![0; PIECE];
    let mut pieces = Pieces::open(source.raw, PIECE)?;
    let mut buffer = Vec::new();
    while let Some(piece) = pieces.next(&mut buffer)? {
        match piece {
            Piece::Zeros(length) => out.write_all(&zeros[..length])?,
            Piece::Data => out.write_all(&buffer)?,
        }
    }
    Ok(())
}

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// A new file that counts and hashes what is written.
fn create(path: &Path) -> Result<Hashed<File>> {
    Ok(Hashed::new(File::create(path)?))
}
