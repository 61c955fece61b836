//! A machine's whole state in a file, to go on from: a migration (QEMU's `migrate` over QMP) into one.
//!
//! In the `mapped-ram` form (QEMU's docs/devel/migration/mapped-ram.rst) each page of the memory has its place in the
//! file, and a page that is empty takes none: it is as large as what the guest has used, and any number of copies
//! read it where it lies.

use super::qmp::Qmp;
use crate::error::{Error, Result};
use crate::interrupt;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long the whole memory may take to or from a disk.
const LIMIT: Duration = Duration::from_secs(180);
/// How long QEMU may take for any other answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes a second, more than any disk takes. QEMU spares a network by itself (128 MiB a second).
const BANDWIDTH: u64 = 1 << 40;

/// Stops the guest and writes its state to `path`, as QEMU sees it. The guest does not go on afterwards: its disks are
/// at rest, and belong to those who resume it.
///
/// # Errors
/// When QEMU refuses, most often as the disk is full.
pub fn save(qmp: &mut Qmp, path: &str) -> Result<()> {
    prepare(qmp)?;
    // Of a guest that runs, memory would be written again and again.
    qmp.execute("stop", Value::Null, ANSWER)?;
    qmp.execute("migrate", json!({ "uri": format!("file:{path}") }), ANSWER)?;
    await_end(qmp)
}

/// Reads the state from `path` into a QEMU that was started with `-incoming defer` and the same machine, and lets the
/// guest go on.
///
/// # Errors
/// When the state does not fit, or QEMU ended over it; its log says more.
pub fn resume(qmp: &mut Qmp, path: &str) -> Result<()> {
    prepare(qmp)?;
    qmp.execute("migrate-incoming", json!({ "uri": format!("file:{path}") }), LIMIT)?;
    await_end(qmp)?;
    qmp.execute("cont", Value::Null, ANSWER).map(drop)
}

fn prepare(qmp: &mut Qmp) -> Result<()> {
    let capabilities = json!({ "capabilities": [{ "capability": "mapped-ram", "state": true }] });
    qmp.execute("migrate-set-capabilities", capabilities, ANSWER)?;
    qmp.execute("migrate-set-parameters", json!({ "max-bandwidth": BANDWIDTH }), ANSWER).map(drop)
}

fn await_end(qmp: &mut Qmp) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        interrupt::check()?;
        let state = qmp.execute("query-migrate", Value::Null, LIMIT)?;
        match state["status"].as_str().unwrap_or_default() {
            "completed" => return Ok(()),
            "failed" | "cancelled" => {
                let why = state["error-desc"].as_str().unwrap_or("QEMU does not say why");
                return Err(Error::new("the machine's state could not be kept or taken up").because(why));
            }
            _ if Instant::now() > deadline => {
                return Err(Error::new(format!(
                    "the machine's state took longer than {} s",
                    LIMIT.as_secs()
                )));
            }
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::qmp::testing::peer;

    const DONE: &str = r#"{"return": {}}"#;
    const ACTIVE: &str = r#"{"return": {"status": "active"}}"#;
    const COMPLETED: &str = r#"{"return": {"status": "completed"}}"#;
    const FAILED: &str = r#"{"return": {"status": "failed", "error-desc": "No space left on device"}}"#;

    #[test]
    fn a_guest_is_stopped_before_it_is_kept_and_goes_on_only_when_all_of_it_is_there() {
        let asked = |answers, act: fn(&mut Qmp, &str) -> Result<()>| {
            let (mut qmp, requests) = peer(answers);
            act(&mut qmp, "/machine/state").unwrap();
            requests
                .try_iter()
                .skip(2)
                .map(|request| request["execute"].as_str().unwrap().to_owned())
                .collect()
        };
        let saved: Vec<String> = asked(&[DONE, DONE, DONE, DONE, ACTIVE, COMPLETED], save);
        assert_eq!(saved, ["stop", "migrate", "query-migrate", "query-migrate"]);
        let resumed: Vec<String> = asked(&[DONE, DONE, DONE, ACTIVE, COMPLETED, DONE], resume);
        assert_eq!(resumed, ["migrate-incoming", "query-migrate", "query-migrate", "cont"]);
    }

    #[test]
    fn why_a_state_could_not_be_kept_is_told() {
        let (mut qmp, _) = peer(&[DONE, DONE, DONE, DONE, FAILED]);
        let told = save(&mut qmp, "/machine/state").unwrap_err().to_string();
        assert!(told.contains("No space left on device"), "{told}");
    }
}
