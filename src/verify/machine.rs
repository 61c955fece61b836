//! A machine: the image booted in QEMU under a throw-away overlay, with the agent inside.

use super::accelerator::{Accelerator, Clock, Pulse};
use super::addresses::Addresses;
use super::agent::{Agent, Lost, Ran};
use super::card;
use super::check::Prepare;
use super::console::Console;
use super::firmware::Firmware;
use super::hardware::{CONSOLE, LOGS, arguments};
use super::lab;
use super::overlay;
use super::qemu::Qemu;
use crate::error::{Context, Error, Exit, Result};
use crate::event::milliseconds;
use crate::interrupt;
use crate::progress::Progress;
use crate::recipe::plan::Plan;
use crate::sandbox::Tools;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The memory of a usual machine, in MiB.
pub const MEMORY: u32 = 1024;

/// What a boot that has gone wrong for good writes to the serial line.
const FATAL: [&str; 6] = [
    "Kernel panic - not syncing",
    "(initramfs) ",
    "grub rescue> ",
    "grub> ",
    "No bootable device",
    "No bootable option or device was found",
];
/// What the kernel writes to the serial line before it starts the machine anew of its own accord (kernel/reboot.c,
/// kernel/panic.c, drivers/tty/sysrq.c).
const PARTING: [&str; 3] = ["reboot: Restarting system", "Kernel panic - not syncing", "sysrq: Resetting"];
/// How long a machine may take to switch itself off: an emulated one stops its services slowly.
const OFF_LIMIT: Duration = Duration::from_secs(180);
/// How much of the serial log an error shows.
const SHOWN_LINES: usize = 15;

/// What to boot, and how.
#[derive(Debug, Clone)]
pub struct MachineSpec {
    /// The raw image; it is opened read-only.
    pub image: PathBuf,
    /// What starts it.
    pub firmware: Firmware,
    /// Where the guest is found in a network.
    pub addresses: Addresses,
    /// The name of the guest's card, where the image wants a certain one.
    pub card: Option<String>,
    /// Where it may look for its relay of mail.
    pub mail: lab::MailPorts,
    /// Memory, in MiB.
    pub memory: u32,
    /// Where the serial log (`NAME.serial.log`) and the picture of the screen (`NAME.png`) go.
    pub logs: PathBuf,
    /// What tells its log and picture from those of other machines: the firmware's name, and for a copy what it is for.
    pub name: String,
    /// Whether the guest is to use the network that the calling thread is in, with the host's name servers. A proof
    /// runs in a network namespace that leads nowhere.
    pub outside: bool,
    /// Whether the guest's card is one end of the lab's wire, in the network namespace of the calling thread, rather
    /// than of QEMU's own network.
    pub wired: bool,
    /// Whether to go on from what an earlier machine in the same directory wrote, with whatever firmware.
    pub keep: bool,
    /// The disk's size in bytes, when it is to be larger than the image.
    pub disk_size: Option<u64>,
    /// A second drive, raw and read-only.
    pub drive: Option<PathBuf>,
    /// What its clock follows.
    pub clock: Clock,
    /// What is done to it once it is up.
    pub prepare: Vec<Prepare>,
    /// Whether nothing starts but the agent: the image's disk is at hand as it is before its first boot.
    pub idle: bool,
}

impl MachineSpec {
    /// A machine of [`MEMORY`] from an empty overlay.
    pub fn new(image: &Path, plan: &Plan, firmware: Firmware, logs: &Path) -> Self {
        Self {
            image: image.into(),
            firmware,
            addresses: Addresses::of(plan),
            card: card::name(plan),
            mail: lab::MailPorts::of(plan),
            memory: MEMORY,
            logs: logs.into(),
            name: firmware.name().into(),
            outside: false,
            wired: false,
            keep: false,
            disk_size: None,
            drive: None,
            clock: Clock::Host,
            prepare: Vec::new(),
            idle: false,
        }
    }

    /// The serial log on the host.
    pub fn serial_log(&self) -> PathBuf {
        self.logs.join(format!("{}.serial.log", self.name))
    }

    /// The picture of the screen on the host.
    pub fn screenshot(&self) -> PathBuf {
        self.logs.join(format!("{}.png", self.name))
    }
}

/// A booted machine.
#[derive(Debug)]
pub struct Machine {
    pub(super) spec: MachineSpec,
    pub(super) qemu: Qemu,
    pub(super) agent: Agent,
    pub(super) accelerator: Accelerator,
    /// What the agent inside was given to greet with.
    pub(super) nonce: String,
    pub(super) boot_seconds: f64,
    forwards: BTreeMap<u16, SocketAddr>,
    /// The boot that was told to end, until a later one has greeted.
    ending: Option<String>,
    /// Whether it was ever told to restart.
    restarted: bool,
}

impl Machine {
    /// Boots the image and waits until the system inside says that it is up.
    ///
    /// `work` takes the throw-away overlay and the sockets. The guest's network is QEMU's own (slirp), in the
    /// network namespace of the calling thread, and the machine ends with that thread.
    pub fn boot(spec: &MachineSpec, tools: &Tools, work: &Path, progress: &Progress) -> Result<Self> {
        let accelerator = match spec.clock {
            Clock::Host => Accelerator::choose(tools, work, progress)?,
            Clock::Instructions => Accelerator::Tcg,
        };
        match Self::boot_with(accelerator, spec, tools, work) {
            Err(Failed { accelerator_broke: Some(why), .. }) if accelerator == Accelerator::Kvm => {
                interrupt::check()?;
                Accelerator::kvm_failed(progress, &why);
                Self::boot_with(Accelerator::Tcg, spec, tools, work).map_err(|failed| failed.error)
            }
            // With a disk that is kept it would be another boot than the first.
            Err(Failed { emulation_broke: Some(why), .. }) if !spec.keep => {
                interrupt::check()?;
                progress.warn(format!("{} is booted once more: {why}", spec.name));
                Self::boot_with(accelerator, spec, tools, work).map_err(|failed| failed.error)
            }
            other => other.map_err(|failed| failed.error),
        }
    }

    fn boot_with(
        accelerator: Accelerator,
        spec: &MachineSpec,
        tools: &Tools,
        work: &Path,
    ) -> Result<Self, Failed> {
        prepare(spec, tools, work)?;
        let begun = Instant::now();
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        // KVM that fails shows before QEMU greets, later as a stopped guest, or as one that says nothing.
        let mut qemu =
            Qemu::start(tools, work, |command| arguments(command, tools, accelerator, spec, &nonce))
                .map_err(|error| Failed {
                    accelerator_broke: Some(error.to_string()),
                    emulation_broke: None,
                    error: error.doing(format!("starting the {} machine", spec.firmware)),
                })?;
        let stream = qemu.connect("agent")?;
        let mut agent = Agent::new(stream, &nonce)?;
        let limit = accelerator.boot_limit(spec.clock);
        let mut broke = None;
        let mut pulse = (accelerator == Accelerator::Kvm).then(|| Pulse::new(Instant::now()));
        let mut watch = || {
            qemu.watch().inspect_err(|error| broke = Some(error.to_string()))?;
            if let Some(pulse) = &mut pulse {
                let said = fs_err::metadata(spec.serial_log())?.len();
                let alive = pulse.look(said, Instant::now());
                alive.inspect_err(|error| broke = Some(error.to_string()))?;
            }
            hopeless(spec)
        };
        let greeted = agent.await_hello(None, limit, &mut watch);
        let up = greeted.and_then(|()| {
            wait_up(&mut agent, None, limit, &mut || {
                qemu.watch().inspect_err(|error| broke = Some(error.to_string()))?;
                hopeless(spec)
            })
        });
        let mut machine = Self::running(spec.clone(), qemu, agent, accelerator, nonce);
        match up {
            Ok(()) => {
                machine.boot_seconds = milliseconds(begun.elapsed());
                machine.take_screenshot().ok();
                machine.prepare()?;
                Ok(machine)
            }
            Err(lost) => {
                let pictured = machine.take_screenshot().is_ok();
                let emulation_broke = machine.broke_down();
                let error = not_up(spec, lost, limit, pictured);
                Err(Failed { error, accelerator_broke: broke, emulation_broke })
            }
        }
    }

    /// Does what its checks need; where nothing of the system runs, that need not be.
    fn prepare(&mut self) -> Result<()> {
        let needed = if self.spec.idle { Vec::new() } else { self.spec.prepare.clone() };
        for Prepare { how, run, .. } in needed {
            let ran = self.run(&run, Duration::from_secs(120)).map_err(Lost::into_error)?;
            if ran.exit != 0 || ran.timed_out {
                let told = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
                return Err(Error::new("the machine could not be prepared for its checks")
                    .because(format!("what was to be: {how}"))
                    .because(told));
            }
        }
        Ok(())
    }

    /// One that runs already; how long its boot took is not known.
    pub(super) fn running(
        spec: MachineSpec,
        qemu: Qemu,
        agent: Agent,
        accelerator: Accelerator,
        nonce: String,
    ) -> Self {
        Self {
            spec,
            qemu,
            agent,
            accelerator,
            nonce,
            boot_seconds: 0.0,
            forwards: BTreeMap::new(),
            ending: None,
            restarted: false,
        }
    }

    /// What executes the guest.
    pub fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    /// What started it.
    pub fn firmware(&self) -> Firmware {
        self.spec.firmware
    }

    /// Seconds from QEMU's start until the system said that it is up.
    pub fn boot_seconds(&self) -> f64 {
        self.boot_seconds
    }

    /// Runs a bash script as root inside.
    pub fn run(&mut self, script: &str, limit: Duration) -> Result<Ran, Lost> {
        let boot_limit = self.boot_limit();
        let (agent, qemu) = (&mut self.agent, &mut self.qemu);
        let up = match self.ending.take() {
            Some(ending) => agent.await_hello(Some(&ending), boot_limit, &mut || qemu.watch()),
            None => Ok(()),
        };
        let ran = up.and_then(|()| agent.run(script, limit, &mut || qemu.watch()));
        match ran {
            Err(Lost::Broken(_)) if qemu.switched_off() => Err(Lost::Off),
            ran => ran,
        }
    }

    /// Its serial line, as somebody who sits at the other end has it from now on.
    pub fn console(&self) -> Result<Console> {
        Console::new(self.qemu.connect(CONSOLE)?)
    }

    /// Tells the system inside to restart, and does not wait for it: filesystems are unmounted, but services are not
    /// stopped one by one (systemctl(1), `reboot --force`), for what is looked at begins with the boot that follows.
    /// What is asked next is asked of that boot, as soon as the agent runs there: also in rescue mode.
    pub fn begin_restart(&mut self) -> Result<()> {
        // A moment later: the agent, which stops early, would else be gone before it has answered.
        let script = "setsid --fork sh -c 'sleep 1; exec systemctl --force reboot' >/dev/null 2>&1";
        let ran = self.run(script, Duration::from_secs(60)).map_err(Lost::into_error)?;
        if ran.exit != 0 {
            let told = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
            return Err(Error::new("the machine refused to restart").because(told));
        }
        self.ending = self.agent.session().map(str::to_owned);
        self.restarted = true;
        Ok(())
    }

    /// How long a boot may take here.
    pub fn boot_limit(&self) -> Duration {
        self.accelerator.boot_limit(self.spec.clock)
    }

    /// Where a TCP port of the guest is reached from the network namespace that the machine lives in.
    pub fn reach(&mut self, port: u16) -> Result<SocketAddr> {
        if self.spec.wired {
            return Ok(SocketAddr::from((self.spec.addresses.guest, port)));
        }
        if let Some(address) = self.forwards.get(&port) {
            return Ok(*address);
        }
        // The same number on a loopback address of the private network: what is written in a recipe is what
        // a tool is told.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let line = format!("hostfwd_add net tcp:{address}-{}:{port}", self.spec.addresses.forwarded_to());
        let answer = self.qemu.qmp.human(&line, Duration::from_secs(10))?;
        if !answer.is_empty() {
            return Err(Error::new(format!("port {port} of the machine cannot be reached")).because(answer));
        }
        self.forwards.insert(port, address);
        Ok(address)
    }

    /// Whether its card is on the lab's wire: then what does not answer is shut.
    pub fn wired(&self) -> bool {
        self.spec.wired
    }

    /// Restarts the system inside in good order, and waits until it is up again; returns the seconds.
    pub fn reboot(&mut self) -> Result<f64> {
        let begun = Instant::now();
        let last = self.agent.session().map(str::to_owned);
        self.restarted = true;
        match self.run("systemctl --no-block reboot", Duration::from_secs(60)) {
            Ok(ran) if ran.exit != 0 => {
                let told = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
                return Err(Error::new("the machine refused to restart").because(told));
            }
            Ok(_) | Err(Lost::Rebooted) => {}
            Err(lost) => return Err(lost.into_error()),
        }
        let limit = self.boot_limit();
        let (agent, qemu, spec) = (&mut self.agent, &mut self.qemu, &self.spec);
        let up = wait_up(agent, last.as_deref(), limit, &mut || {
            qemu.watch()?;
            hopeless(spec)
        });
        if let Err(lost) = up {
            let pictured = self.take_screenshot().is_ok();
            return Err(not_up(&self.spec, lost, limit, pictured).doing("restarting the machine"));
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Switches the machine off in good order, as its owner would: what it wrote is on its disk then.
    pub fn power_off(mut self) -> Result<()> {
        match self.run("systemctl --no-block poweroff", Duration::from_secs(60)) {
            Ok(ran) if ran.exit != 0 => {
                let told = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
                Err(Error::new("the machine refused to switch off").because(told))
            }
            // It may be off before it has answered.
            Ok(_) | Err(Lost::Off | Lost::Broken(_)) => {
                self.qemu.wait_end(OFF_LIMIT).doing("switching the machine off")
            }
            Err(lost) => Err(lost.into_error().doing("switching the machine off")),
        }
    }

    /// Ends the machine at once, after what it wrote is on its disk; returns its directory.
    pub fn end(mut self) -> Result<PathBuf> {
        let ran = self.run("sync; mount -o remount,ro / || sync", Duration::from_secs(120));
        ran.map_err(Lost::into_error).doing("writing what the machine changed to its disk")?;
        self.qemu.end()
    }

    /// Takes a picture of the screen (PNG) into the logs.
    pub fn take_screenshot(&mut self) -> Result<()> {
        let file = format!("{LOGS}/{}.png", self.spec.name);
        let arguments = json!({ "filename": file, "format": "png" });
        self.qemu.qmp.execute("screendump", arguments, Duration::from_secs(20))?;
        Ok(())
    }

    /// Why nothing that was seen of it counts: emulated, it started anew, though nobody had told it to and its kernel said
    /// nothing of it. With a kernel that restarts, the serial line has its last word.
    pub fn broke_down(&mut self) -> Option<String> {
        if self.accelerator != Accelerator::Tcg || self.restarted || self.qemu.resets() == 0 {
            return None;
        }
        let said = fs_err::read(self.spec.serial_log()).unwrap_or_default();
        if parted(&String::from_utf8_lossy(&said)) {
            return None;
        }
        let how = if self.qemu.triple_fault() { "with a triple fault" } else { "without a word" };
        Some(format!("the emulated machine started anew {how}"))
    }

    /// Whether that it does not answer says something of the system inside: QEMU runs it, or it has switched itself off.
    pub fn accountable(&mut self) -> bool {
        self.check_alive().is_ok() || self.qemu.switched_off()
    }

    /// Why nothing can be asked of it any more.
    ///
    /// # Errors
    /// When goldcast is to stop.
    pub fn gone(&mut self) -> Result<Option<String>> {
        match self.check_alive() {
            Err(error) if error.exit() == Exit::Failed => Ok(Some(error.to_string())),
            alive => alive.map(|()| None),
        }
    }

    /// An error when the machine has died in the meantime.
    pub fn check_alive(&mut self) -> Result<()> {
        self.qemu.watch()
    }
}

/// Why a boot failed, and whether another accelerator is worth a try.
struct Failed {
    error: Error,
    /// What happened, when it may be the accelerator's fault; only KVM has one to fall back to.
    accelerator_broke: Option<String>,
    /// Why it says nothing of the image ([`Machine::broke_down`]).
    emulation_broke: Option<String>,
}

impl<E: crate::error::IntoError> From<E> for Failed {
    fn from(error: E) -> Self {
        Self { error: error.into_error(), accelerator_broke: None, emulation_broke: None }
    }
}

/// Up is what the machine itself says: the agent's greeting with this run's nonce, then systemd's word that
/// every job of the boot is done.
fn wait_up(
    agent: &mut Agent,
    last: Option<&str>,
    limit: Duration,
    watch: &mut dyn FnMut() -> Result<()>,
) -> Result<(), Lost> {
    let deadline = Instant::now() + limit;
    agent.await_hello(last, limit, watch)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Whether it is `running` or `degraded` is for a check to judge; here it only has to be settled.
        let ran = agent.run("systemctl is-system-running --wait", left, watch)?;
        match String::from_utf8_lossy(&ran.stdout).trim() {
            "running" | "degraded" => return Ok(()),
            _ if ran.timed_out => return Err(Lost::Silent),
            // systemd did not answer in time: early in a slow boot it has more to do.
            "unknown" if !left.is_zero() => std::thread::sleep(Duration::from_secs(1)),
            state => {
                return Err(Lost::Broken(
                    Error::new("the system did not come up")
                        .because(format!("systemd says that it is in state '{state}'")),
                ));
            }
        }
    }
}

fn not_up(spec: &MachineSpec, lost: Lost, limit: Duration, pictured: bool) -> Error {
    let error = match lost {
        Lost::Broken(error) => error,
        Lost::Rebooted => Error::new("it started anew before it was up"),
        Lost::Off => Error::new("it switched itself off before it was up"),
        Lost::Silent => Error::new(format!("no sign of a system that is up within {} s", limit.as_secs())),
    };
    if error.exit() != crate::error::Exit::Failed {
        return error;
    }
    let log = spec.serial_log();
    let error = error
        .doing(format!("the image did not come up with {} firmware", spec.firmware))
        .because(format!("its serial line said last:\n{}", last_lines(&log)));
    let mut hint = format!("the whole serial log is {}", log.display());
    if pictured {
        hint.push_str(&format!("\nthe screen at that moment is {}", spec.screenshot().display()));
    }
    error.hint(hint)
}

/// The end of a serial log, without escape sequences.
fn last_lines(log: &Path) -> String {
    let bytes = fs_err::read(log).unwrap_or_default();
    let text = super::text::plain(&String::from_utf8_lossy(&bytes));
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return "(nothing)".into();
    }
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// An error once the serial line shows that waiting is in vain.
fn hopeless(spec: &MachineSpec) -> Result<()> {
    let Ok(bytes) = fs_err::read(spec.serial_log()) else { return Ok(()) };
    let tail = &bytes[bytes.len().saturating_sub(4096)..];
    let text = String::from_utf8_lossy(tail);
    match FATAL.iter().find(|sign| text.contains(*sign)) {
        Some(sign) => Err(Error::new(format!("the boot failed: '{}'", sign.trim()))),
        None => Ok(()),
    }
}

/// Whether a kernel took leave on the serial line.
fn parted(said: &str) -> bool {
    PARTING.iter().any(|word| said.contains(word))
}

/// Makes what a machine writes to, and where it logs.
fn prepare(spec: &MachineSpec, tools: &Tools, work: &Path) -> Result<()> {
    fs_err::create_dir_all(&spec.logs)?;
    // First: what an earlier machine said must not explain why this one does not come up.
    fs_err::write(spec.serial_log(), "")?;
    overlay::create(&spec.image, spec.firmware, spec.keep, tools, work)?;
    match spec.disk_size {
        Some(size) => overlay::enlarge(&spec.image, size, tools, work),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_restarts_takes_leave_on_the_serial_line() {
        let orderly = "[  OK  ] Reached target reboot.target - System Reboot.\r\n[   71.3] reboot: Restarting system\r\n";
        let panicked = "[    9.1] Kernel panic - not syncing: sysrq triggered crash\r\n";
        assert!(parted(orderly) && parted(panicked));
        // What a firmware and a kernel say who begin.
        assert!(!parted(
            "SeaBIOS (version 1.16.3)\r\nBooting from Hard Disk...\r\n[    0.0] Linux version 6.12\r\n"
        ));
        assert!(!parted(""));
    }
}
