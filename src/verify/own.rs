//! Machines of a check's own: booted for the first time, with a larger disk, another drive, or a second one beside.

use super::check::{Context, Key, Own, Place, Runner, Volume};
use super::copies::steady;
use super::frozen::Frozen;
use super::lab::Lab;
use super::machine::{Machine, MachineSpec};
use super::overlay::DISK;
use crate::disk::fat;
use crate::error::{Context as _, Error, Exit, Result};
use crate::interrupt;
use crate::progress::Progress;
use crate::sandbox::{Tools, isolated_network};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The size of a volume: the smallest that is FAT32 with room to spare.
const VOLUME_SIZE: u64 = 64 << 20;
/// The volume's serial number and the time in it: nothing depends on them.
const VOLUME_SERIAL: u32 = 0x676f_6c64;
const VOLUME_TIME: i64 = 1_700_000_000;

/// From what, and among what, such machines are made.
pub struct Ground<'a> {
    /// The machine that they are like.
    pub spec: &'a MachineSpec,
    /// The disk to begin with, when it is not the image: an overlay that an earlier machine of it wrote.
    pub disk: Option<&'a Path>,
    /// A machine that has been booted from the image as it is: it can be the first of two that are compared.
    pub first: Option<&'a Frozen>,
    /// Whether there is a lab, or why not.
    pub lab: &'a Result<(), String>,
    /// Programs.
    pub tools: &'a Tools,
    /// What the check may refer to.
    pub context: &'a Context,
    /// Where overlays and volumes go.
    pub work: &'a Path,
    /// Where warnings go.
    pub progress: &'a Progress,
}

/// What one of them is for, and how it differs.
pub struct Site<'a> {
    /// The name of its log.
    pub name: &'a str,
    /// How it differs.
    pub own: &'a Own,
    /// The files of its volume.
    pub volume: &'a BTreeMap<String, Vec<u8>>,
}

impl Ground<'_> {
    /// Boots the check's machine, or resumes the one that has been booted, in a network of its own and does something
    /// with it. When it breaks down under that, it is done on another one, as [`steady`] says. The inner error is that
    /// of a machine that did not come up.
    pub fn with_machine<T: Send>(
        &self,
        site: &Site,
        work_on: impl Fn(&mut Runner) -> Result<T> + Sync,
    ) -> Result<Result<T>> {
        steady(site.name, self.progress, || {
            let directory = tempfile::Builder::new().prefix("own").tempdir_in(self.work)?;
            isolated_network(self.tools, || self.booted(site, directory.path(), &work_on))?
        })
    }

    /// What comes of the work, or why there was no machine for it; and why neither counts, when that is so.
    fn booted<T>(
        &self,
        site: &Site,
        work: &Path,
        work_on: impl Fn(&mut Runner) -> Result<T>,
    ) -> Result<(Result<Result<T>>, Option<String>)> {
        let lab = match self.lab {
            Ok(()) => Ok(Lab::open(&self.spec.addresses, &self.spec.mail, self.tools, work)?),
            Err(why) => Err(why.as_str()),
        };
        let key = Key::make(self.tools, &work.join("ssh"))?;
        let context = self.context.with_key(key.public());
        let own = site.own;
        let drive = match &own.volume {
            Some(volume) => Some(drive(volume, site.volume, &context, work)?),
            None => None,
        };
        let spec = MachineSpec {
            name: format!("{}.{}", self.spec.firmware, site.name),
            wired: lab.is_ok(),
            disk_size: own.bytes()?,
            drive,
            ..self.spec.clone()
        };
        let mut machine = match self.first.filter(|_| own.as_shipped()) {
            Some(first) => first.thaw(site.name, self.tools, work, self.progress)?,
            None => match self.boot(&spec, work)? {
                Ok(machine) => machine,
                Err(error) => return Ok((Ok(Err(error)), None)),
            },
        };
        let mut second = None;
        if own.clone {
            // The wire has one end. Its card has the same address: nothing but the system tells the two apart.
            let spec = MachineSpec { wired: false, name: format!("{}.second", spec.name), ..spec };
            second = match self.boot(&spec, &work.join("second"))? {
                Ok(machine) => Some(machine),
                Err(error) => return Ok((Ok(Err(error)), None)),
            };
        }
        let lab = lab.as_ref().map_err(|why| *why);
        let runner = Runner::new(Place::Machine(&mut machine), self.tools, &context, work, lab)?;
        let done = work_on(&mut runner.with_key(key).beside(second.as_mut())).map(Ok);
        let broke = machine.broke_down().or_else(|| second.as_mut().and_then(Machine::broke_down));
        Ok((done, broke))
    }

    fn boot(&self, spec: &MachineSpec, work: &Path) -> Result<Result<Machine>> {
        fs_err::create_dir_all(work)?;
        if let Some(disk) = self.disk {
            fs_err::copy(disk, work.join(DISK))?;
        }
        let spec = MachineSpec { keep: self.disk.is_some(), ..spec.clone() };
        match Machine::boot(&spec, self.tools, work, self.progress) {
            Err(error) if error.exit() == Exit::Failed => {
                interrupt::check()?;
                Ok(Err(error))
            }
            booted => booted.map(Ok),
        }
    }
}

/// Makes the volume, with its texts filled in.
fn drive(
    volume: &Volume,
    files: &BTreeMap<String, Vec<u8>>,
    context: &Context,
    work: &Path,
) -> Result<PathBuf> {
    let mut filled = Vec::new();
    for (path, bytes) in files {
        let bytes = match std::str::from_utf8(bytes) {
            Ok(text) => context.fill(text).doing_with(|| format!("filling in {path}"))?.into_bytes(),
            Err(_) => bytes.clone(),
        };
        filled.push((path.as_str(), bytes));
    }
    let mut label = [b' '; 11];
    for (to, from) in label.iter_mut().zip(volume.label.bytes()) {
        *to = from;
    }
    let image = fat::filesystem(&filled, VOLUME_SERIAL, label, VOLUME_TIME, VOLUME_SIZE)
        .map_err(Error::from)
        .doing("making a check's volume")?;
    let path = work.join("volume.raw");
    fs_err::write(&path, image)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::testing::{lock, plan};
    use std::io::Read;

    #[test]
    fn a_volume_has_its_label_and_its_texts_filled_in() {
        let work = tempfile::tempdir().unwrap();
        let context = Context::new(&plan(), &lock(), None).with_key("ssh-ed25519 AAAA");
        let files = BTreeMap::from([
            ("openstack/latest/meta_data.json".to_owned(), b"{\"key\": \"{{run.key}}\"}".to_vec()),
            ("binary".to_owned(), vec![0xff, b'{', b'{']),
        ]);
        let volume = Volume { label: "config-2".into(), directory: String::new() };
        let path = drive(&volume, &files, &context, work.path()).unwrap();
        let file = fs_err::File::open(path).unwrap();
        let volume = fatfs::FileSystem::new(file, fatfs::FsOptions::new()).unwrap();
        assert_eq!(volume.read_volume_label_from_root_dir().unwrap().unwrap(), "config-2");
        let mut text = String::new();
        let mut inside = volume.root_dir().open_file("openstack/latest/meta_data.json").unwrap();
        inside.read_to_string(&mut text).unwrap();
        assert_eq!(text, "{\"key\": \"ssh-ed25519 AAAA\"}");
    }
}
