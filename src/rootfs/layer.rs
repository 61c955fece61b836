//! Trees in the cache: each as what must be done to the one below it, under the key of all that it was made from.

use crate::error::{Context, Result};
use crate::progress::Progress;
use crate::store::{Key, Store, Trail};
use crate::tree::index::Index;
use crate::tree::pack;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of a layer beside its files. It is the last file written: a layer without it is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it was made from.
    pub key: Key,
    /// How many archives hold its files.
    pub parts: usize,
    /// Digest of the whole tree, as [`Index::digest`] gives it.
    pub tree: String,
    /// What package scripts said.
    pub log: String,
    /// What made each file of the whole tree that no package owns.
    pub origins: BTreeMap<String, String>,
}

/// The file of the [`Record`].
const RECORD: &str = "layer.json";

/// The store, as the stages of one build see it.
pub struct Cache<'a> {
    /// Where layers are.
    pub store: &'a Store,
    /// Where each stage's fate is noted.
    pub trail: &'a Trail<'a>,
    /// The voice of the run.
    pub progress: &'a Progress,
    /// Everything is made once more: what an earlier build left proves nothing of what the packages give.
    pub anew: bool,
    /// Set when a layer was found damaged, and removed.
    pub damaged: AtomicBool,
}

fn name(key: &Key) -> String {
    format!("{}-{}", key.stage().replace(' ', "-"), &key.digest()[..40])
}

impl Cache<'_> {
    /// The layer made from exactly this, when there is one. From here on it is not collected.
    pub fn find(&self, key: &Key) -> Result<Option<Record>> {
        if self.anew {
            return Ok(None);
        }
        let name = name(key);
        self.store.hold([Path::new("layers").join(&name).as_path()])?;
        let Ok(bytes) = fs_err::read(self.store.layer(&name).join(RECORD)) else { return Ok(None) };
        // A record of another version's shape is as good as none.
        Ok(serde_json::from_slice(&bytes).ok().filter(|record: &Record| record.key == *key))
    }

    /// Does to `tree`, which is what the layer was made over, what makes it the layer's. A damaged layer is removed,
    /// and is an error after which everything can be made anew.
    pub fn restore(&self, record: &Record, tree: &Path, epoch: i64) -> Result<()> {
        let name = name(&record.key);
        pack::restore(&self.store.layer(&name), record.parts, tree, epoch).map_err(|error| {
            // After an interruption nothing is wrong with the layer.
            if crate::interrupt::check().is_ok() && self.store.remove_layer(&name).is_ok() {
                self.damaged.store(true, Ordering::Relaxed);
            }
            error.doing(format!("restoring the cached layer {name}"))
        })
    }

    /// Keeps what must be done to the tree with the index `below` to get `tree`.
    pub fn keep(&self, made: &Made<'_>, below: &Index, index: &Index) -> Result<()> {
        let changes = index.changes_from(below);
        let name = name(made.key);
        if self.store.layer(&name).join(RECORD).exists() {
            return Ok(());
        }
        self.store
            .make_layer(&name, |layer| {
                let parts = pack::pack(made.tree, index, &changes, made.epoch, layer)?;
                let record = Record {
                    key: made.key.clone(),
                    parts,
                    tree: index.digest(),
                    log: made.log.to_owned(),
                    origins: made.origins.clone(),
                };
                let text = serde_json::to_vec(&record).doing("writing down a layer")?;
                Ok(fs_err::write(layer.join(RECORD), text)?)
            })
            .doing_with(|| format!("keeping the layer {name} in the cache"))
    }
}

/// What a layer is kept of.
pub struct Made<'a> {
    /// What it was made from.
    pub key: &'a Key,
    /// Where it is.
    pub tree: &'a Path,
    /// The build's one timestamp.
    pub epoch: i64,
    /// What package scripts said.
    pub log: &'a str,
    /// What made each file that no package owns.
    pub origins: &'a BTreeMap<String, String>,
}
