//! A recipe and the archive that it is locked from.

use super::archive::Archive;
use super::{Bench, HEAD, Ran, USER};

/// A bench with an archive and a recipe that asks for the greeter.
pub struct World {
    /// Where goldcast is run.
    pub bench: Bench,
    /// The mirror that it is given.
    pub archive: Archive,
    _dir: tempfile::TempDir,
}

impl World {
    /// A new one, without a lock.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let archive = Archive::new(dir.path());
        let mut bench = Bench::new();
        bench.mirror(archive.address());
        let mut world = Self { bench, archive, _dir: dir };
        world.trust();
        world.recipe("install = [\"greeter\"]");
        world
    }

    /// Writes the archive's key where the recipe says.
    pub fn trust(&mut self) {
        let key = self.archive.signer.armoured();
        self.bench.write("archive.asc", key);
    }

    /// Writes the recipe, with these lines in its table of packages.
    pub fn recipe(&mut self, packages: &str) {
        let text = format!("{HEAD}keyring = \"archive.asc\"\n[packages]\n{packages}\n{USER}");
        self.bench.write("tiny.toml", text);
    }

    /// Runs `goldcast lock`.
    pub fn lock(&self) -> Ran {
        self.bench.run(["lock", "tiny.toml"])
    }
}
