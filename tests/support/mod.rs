//! What the long tests share: the built goldcast, one cache for all of them, and one image that is built once.

// Every test is a program of its own and uses a part of this.
#![allow(dead_code)]

pub mod browser;

use assert_cmd::Command;
use goldcast::output::manifest::Manifest;
use sha2::{Digest, Sha256};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// The recipe of the image that the tests share: as recipes/minimal.toml, in every format, and with a program that
/// has a capability instead of being setuid (mtr-packet).
pub const RECIPE: &str = r#"
extends = ["base/debian-13.toml"]

[image]
name = "golden"
formats = ["raw", "raw.zst", "raw.gz", "qcow2", "rootfs.tar.zst", "rootfs.tar.gz"]

[packages]
install = ["mtr-tiny"]

[[user]]
name = "admin"
groups = ["sudo"]
ssh-keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti golden@example"]

[overlay.accounts]

[overlay.ssh]
"#;

/// The judges that goldcast itself does not need: mmdebstrap with what it takes for granted, and unpackers.
pub const TOOLS: &str = "mmdebstrap base-files base-passwd bash diffutils findutils grep gzip hostname libc-bin \
                         mount sed tar util-linux zstd";

/// The directory of build products. The tests keep their downloads and images there, and nothing elsewhere.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_path_buf()
}

/// The cache that all tests share, so that a package is downloaded once.
pub fn cache() -> PathBuf {
    target().join("test-cache")
}

/// The built program.
pub fn binary() -> PathBuf {
    assert_cmd::cargo::cargo_bin!("goldcast").to_path_buf()
}

/// The built program, to run with the tests' cache and tools.
pub fn goldcast() -> Command {
    let mut command = Command::new(binary());
    command.env("GOLDCAST_CACHE", cache()).env("GOLDCAST_TOOLS", TOOLS);
    command
}

/// A directory that goes when the test ends.
pub fn scratch(name: &str) -> TempDir {
    tempfile::Builder::new().prefix(name).tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The image that the tests share.
pub struct Golden {
    /// The recipe; its lock lies beside it.
    pub recipe: PathBuf,
    /// The outputs.
    pub out: PathBuf,
    /// What goldcast says is in them.
    pub manifest: Manifest,
}

impl Golden {
    /// An output by its ending.
    pub fn file(&self, ending: &str) -> PathBuf {
        self.out.join(format!("golden.{ending}"))
    }

    /// The digest of an output by its ending, as the manifest has it.
    pub fn digest(&self, ending: &str) -> &str {
        let file = format!("golden.{ending}");
        &self.manifest.artifacts.iter().find(|artifact| artifact.file == file).unwrap().sha256
    }

    /// Runs a program of the tools tree in `directory`, which is its working directory.
    pub fn tool(&self, directory: &Path, argv: &[&str]) -> Output {
        let mut command = goldcast();
        command.current_dir(directory).arg("tool").arg(&self.recipe).arg("--").args(argv);
        command.output().unwrap()
    }

    /// As [`Golden::tool`], for a program that must end well; returns its output and errors.
    pub fn judge(&self, directory: &Path, argv: &[&str]) -> String {
        let output = self.tool(directory, argv);
        let said = said(&output);
        assert!(output.status.success(), "{argv:?} found something:\n{said}");
        said
    }
}

/// Output and errors of a run, as text.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The shared image. The first test that asks builds it; another goldcast or recipe gets another image.
pub fn golden() -> Golden {
    let images = target().join("test-images");
    fs_err::create_dir_all(&images).unwrap();
    let mut key = Sha256::new();
    key.update(fs_err::read(binary()).unwrap());
    key.update(RECIPE);
    key.update(TOOLS);
    let place = images.join(&hex::encode(key.finalize())[..16]);

    // Held until the image is complete: tests of one program run side by side.
    let gate = fs_err::File::create(images.join("gate")).unwrap();
    gate.file().lock().unwrap();
    let recipe = place.join("golden.toml");
    let out = place.join("out");
    if !out.join("SHA256SUMS").exists() {
        for old in fs_err::read_dir(&images).unwrap().map(Result::unwrap) {
            if old.file_type().unwrap().is_dir() {
                fs_err::remove_dir_all(old.path()).unwrap();
            }
        }
        fs_err::create_dir(&place).unwrap();
        fs_err::write(&recipe, RECIPE).unwrap();
        let mut build = goldcast();
        build.arg("build").arg(&recipe).arg("--out").arg(&out).arg("--no-verify").assert().success();
    }
    let manifest = serde_json::from_slice(&fs_err::read(out.join("golden.manifest.json")).unwrap()).unwrap();
    Golden { recipe, out, manifest }
}

/// The golden recipe with the raw disk as its only format: the disk is the same, and made in less time.
pub fn raw_only(golden: &Golden) -> String {
    let text = fs_err::read_to_string(&golden.recipe).unwrap();
    let line = text.lines().find(|line| line.starts_with("formats = ")).unwrap();
    text.replace(line, "formats = [\"raw\"]")
}

/// sha256 of a file, hex.
pub fn sha256(path: &Path) -> String {
    goldcast::output::directory::sha256(path).unwrap()
}

/// Copies a directory by linking its files; where that cannot be, the bytes are copied.
pub fn copy_tree(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_tree(&entry.path(), &target);
        } else if target.symlink_metadata().is_ok() {
            // It is there already, from an earlier copy.
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs_err::read_link(entry.path()).unwrap(), &target).unwrap();
        } else if fs_err::hard_link(entry.path(), &target).is_err() {
            fs_err::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Copies `length` bytes from an offset of a file into a new one, with holes where there are only zeros.
pub fn cut(from: &Path, start: u64, length: u64, to: &Path) {
    let mut source = fs_err::File::open(from).unwrap();
    source.seek(SeekFrom::Start(start)).unwrap();
    let mut source = source.take(length);
    let mut target = fs_err::File::create(to).unwrap();
    target.set_len(length).unwrap();
    let mut buffer = vec![0; 1 << 16];
    let mut at = 0;
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            match source.read(&mut buffer[filled..]).unwrap() {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            break;
        }
        if buffer[..filled].iter().any(|byte| *byte != 0) {
            target.seek(SeekFrom::Start(at)).unwrap();
            target.write_all(&buffer[..filled]).unwrap();
        }
        at += filled as u64;
    }
    assert_eq!(at, length, "{} is too short", from.display());
}

/// Turns one byte of a file into another.
pub fn flip(path: &Path, at: u64) {
    let mut file = fs_err::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[byte[0] ^ 0x55]).unwrap();
}
