//! `console`: a dialogue over the machine's serial line.

use super::Talk;
use super::expect::regex;
use super::run::{KEPT, Runner, Try};
use crate::error::{Error, Result};
use crate::verify::console::{Console, Heard};
use crate::verify::report::Evidence;
use crate::verify::text::excerpt;
use std::time::Duration;

/// Holds the dialogue, in order, until something is not as it must be.
///
/// # Errors
/// When the machine is gone, or an entry makes no sense.
pub fn dialogue(runner: &mut Runner<'_>, dialogue: &[Talk]) -> Result<Try> {
    let mut console = runner.machine()?.console()?;
    for talk in dialogue {
        if let Some(fault) = one(runner, &mut console, talk)? {
            return Ok(Try::Broke(seen(&console).wanted(fault)));
        }
    }
    Ok(Try::Held(seen(&console)))
}

fn seen(console: &Console) -> Evidence {
    Evidence::new("talk on the serial console", excerpt(console.text().trim(), KEPT))
}

/// One entry; what is wrong, when something is.
fn one(runner: &mut Runner<'_>, console: &mut Console, talk: &Talk) -> Result<Option<String>> {
    if talk.restart == Some(true) {
        runner.machine()?.begin_restart()?;
        return Ok(None);
    }
    if let Some(keys) = &talk.send {
        let keys = runner.fill(&keys.text())?;
        let machine = runner.machine()?;
        console.send(&keys, &mut || machine.check_alive())?;
        return Ok(None);
    }
    let filled = |pattern: &Option<String>| -> Result<Option<String>> {
        pattern.as_ref().map(|pattern| runner.fill(pattern)).transpose()
    };
    let (wanted, unwanted) = (filled(&talk.wait)?, filled(&talk.lacks)?);
    let compile = |pattern: &Option<String>| pattern.as_deref().map(regex).transpose();
    let patterns = (compile(&wanted)?, compile(&unwanted)?);
    let machine = runner.machine()?;
    let limit = talk.within.map_or_else(|| machine.boot_limit(), Duration::from_secs);
    let heard =
        console.wait(patterns.0.as_ref(), patterns.1.as_ref(), limit, &mut || machine.check_alive())?;
    Ok(match (heard, wanted) {
        (Heard::Wanted, _) | (Heard::Nothing, None) => None,
        (Heard::Nothing, Some(wanted)) => {
            Some(format!("nothing that matches /{wanted}/ came within {} s", limit.as_secs()))
        }
        (Heard::Unwanted, _) => {
            Some(format!("what matches /{}/ came", unwanted.as_deref().unwrap_or_default()))
        }
    })
}

/// Whether the entry can fail.
pub fn listens(talk: &Talk) -> bool {
    talk.wait.is_some() || talk.lacks.is_some()
}

/// Whether an entry says one thing, and all that it takes.
///
/// # Errors
/// When it does not.
pub fn validate(talk: &Talk) -> Result<()> {
    let listens = listens(talk);
    let named = [talk.restart == Some(true), talk.send.is_some(), listens];
    if named.iter().filter(|named| **named).count() != 1 {
        return Err(Error::usage("an entry of `console` is one of restart, send, wait and lacks"));
    }
    if talk.within.is_some() && !listens {
        return Err(Error::usage("`within` belongs to `wait` or `lacks`"));
    }
    if talk.wait.is_none() && talk.lacks.is_some() && talk.within.is_none() {
        return Err(Error::usage("`lacks` without `wait` needs `within`: how long to listen"));
    }
    let plain = |pattern: &&String| !pattern.contains("{{");
    [&talk.wait, &talk.lacks]
        .into_iter()
        .flatten()
        .filter(plain)
        .try_for_each(|pattern| regex(pattern).map(drop))
}
