//! What became of each stage of a run: taken from the cache, or made, and then because of which input.

use super::{Key, Store};
use crate::error::Result;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Mutex;

/// How many changed inputs are told; of more, the number.
const TOLD: usize = 12;

/// What became of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The stage.
    pub stage: String,
    /// Its result came from the cache.
    pub reused: bool,
    /// Why it had to be made: a line each.
    pub why: Vec<String>,
}

/// Collects the steps of one run, and remembers each stage's key for the next run of the same recipe.
#[derive(Debug)]
pub struct Trail<'a> {
    store: &'a Store,
    slot: String,
    steps: Mutex<Vec<Step>>,
}

impl<'a> Trail<'a> {
    /// The trail of a recipe, which is known by its absolute path.
    pub fn new(store: &'a Store, recipe: &Path) -> Self {
        let path = std::path::absolute(recipe).unwrap_or_else(|_| recipe.to_path_buf());
        let slot = hex::encode(Sha256::digest(path.as_os_str().as_encoded_bytes()))[..16].to_owned();
        Self { store, slot, steps: Mutex::new(Vec::new()) }
    }

    /// The name under which something of this recipe is remembered.
    pub fn remembered(&self, what: &str) -> String {
        format!("last.{}.{}", self.slot, what.replace(' ', "-"))
    }

    /// The stage's result was in the cache.
    pub fn reused(&self, key: &Key) -> Result<()> {
        self.step(key, true, Vec::new())
    }

    /// The stage's result has to be made.
    pub fn made(&self, key: &Key) -> Result<()> {
        let last: Option<Key> = self.store.get_result(&self.remembered(key.stage()))?;
        let why = match last {
            None => vec!["it was not made before".to_owned()],
            Some(last) => {
                let changes = key.changes_from(&last);
                let mut why: Vec<String> = changes.iter().take(TOLD).map(ToString::to_string).collect();
                if changes.len() > TOLD {
                    why.push(format!("and {} more", changes.len() - TOLD));
                }
                if why.is_empty() {
                    why.push("its inputs are the same; the cache has no result of it".into());
                }
                why
            }
        };
        self.step(key, false, why)
    }

    fn step(&self, key: &Key, reused: bool, why: Vec<String>) -> Result<()> {
        self.store.put_result(&self.remembered(key.stage()), key)?;
        let step = Step { stage: key.stage().to_owned(), reused, why };
        self.steps.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(step);
        Ok(())
    }

    /// The steps so far.
    pub fn steps(&self) -> Vec<Step> {
        self.steps.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_says_what_changed_since_the_last_run() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("cache")).unwrap();
        let run = |key: &Key, reused: bool| {
            let trail = Trail::new(&store, Path::new("/r/a.toml"));
            if reused {
                trail.reused(key).unwrap()
            } else {
                trail.made(key).unwrap()
            }
            trail.steps().remove(0)
        };
        let one = Key::new("set").with("package a", "1");
        assert_eq!(run(&one, false).why, ["it was not made before"]);
        let two = Key::new("set").with("package a", "2");
        assert_eq!(run(&two, false).why, ["package a: 1 → 2"]);
        assert_eq!(run(&one, true), Step { stage: "set".into(), reused: true, why: Vec::new() });
        assert_eq!(run(&two, false).why, ["package a: 1 → 2"]);
        assert!(run(&two, false).why[0].contains("the cache has no result"));
        let other = Trail::new(&store, Path::new("/r/b.toml"));
        other.made(&one).unwrap();
        assert_eq!(other.steps()[0].why, ["it was not made before"]);
        let many = (0..20).fold(Key::new("set"), |key, n| key.with(format!("file {n:02}"), "x"));
        assert_eq!(run(&many, false).why.last().unwrap(), "and 9 more");
    }
}
