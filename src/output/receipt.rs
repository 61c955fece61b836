//! What a build put into its output directory and from what: the same inputs with these outputs in place need no build.

use crate::disk::fingerprint;
use crate::error::Result;
use crate::store::Key;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Remembered in the store, never beside the outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What the outputs were made from.
    pub key: Key,
    /// sha256 (hex) of the raw disk.
    pub raw_sha256: String,
    /// Every file whose bytes the inputs decide, with its fingerprint.
    pub files: BTreeMap<String, String>,
}

impl Receipt {
    /// Takes the fingerprints of these files of a directory.
    pub fn take(key: Key, raw_sha256: String, directory: &Path, files: &[String]) -> Result<Self> {
        let taken = files.par_iter().map(|file| Ok((file.clone(), fingerprint(&directory.join(file))?)));
        Ok(Self { key, raw_sha256, files: taken.collect::<Result<_>>()? })
    }

    /// The first file of a directory that is not as it was written, when there is one. Every byte is read.
    pub fn differs(&self, directory: &Path) -> Result<Option<String>> {
        let all: Vec<(&String, &String)> = self.files.iter().collect();
        let changed = all
            .par_iter()
            .map(|(file, expected)| {
                let path = directory.join(file);
                let same = path.is_file() && fingerprint(&path)? == **expected;
                Ok((!same).then(|| (*file).clone()))
            })
            .collect::<Result<Vec<Option<String>>>>()?;
        Ok(changed.into_iter().flatten().next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts_and_times_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let mut image = vec![0; 20 << 20];
        image[3 << 20] = 7;
        fs_err::write(at("x.raw"), &image).unwrap();
        fs_err::write(at("x.manifest.json"), "{}").unwrap();
        let files = ["x.raw".to_owned(), "x.manifest.json".to_owned()];
        let receipt = Receipt::take(Key::new("outputs"), String::new(), directory.path(), &files).unwrap();
        assert_eq!(receipt.differs(directory.path()).unwrap(), None);
        let old = fs_err::metadata(at("x.raw")).unwrap().modified().unwrap();
        for place in [0, 3 << 20, (20 << 20) - 1] {
            let mut other = image.clone();
            other[place] ^= 1;
            fs_err::write(at("x.raw"), &other).unwrap();
            fs_err::File::options().write(true).open(at("x.raw")).unwrap().file().set_modified(old).unwrap();
            assert_eq!(receipt.differs(directory.path()).unwrap().as_deref(), Some("x.raw"), "{place}");
        }
        fs_err::write(at("x.raw"), &image[..19 << 20]).unwrap();
        assert_eq!(receipt.differs(directory.path()).unwrap().as_deref(), Some("x.raw"));
        fs_err::write(at("x.raw"), &image).unwrap();
        assert_eq!(receipt.differs(directory.path()).unwrap(), None);
        fs_err::remove_file(at("x.manifest.json")).unwrap();
        assert_eq!(receipt.differs(directory.path()).unwrap().as_deref(), Some("x.manifest.json"));
    }
}
