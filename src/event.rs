//! What `--json` tells: a JSON object a line, on standard output.

use crate::error::Error;
use crate::stdout;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The only format of these lines there is.
const VERSION: u32 = 1;

/// What an event is about when that is no stage.
pub const RUN: &str = "run";

/// One line: what has happened, to which stage, and when.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Event {
    /// Format of the line: 1.
    version: u32,
    /// Seconds since the run began.
    at: f64,
    /// The stage's name, or `run`.
    stage: String,
    #[serde(flatten)]
    what: What,
}

/// What has happened, by its name under `event`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// The stage has begun.
    Started,
    /// The stage is under way, and so far: told every half a minute.
    Reached {
        /// Bytes or items that are done.
        done: u64,
        /// How many there are in all; 0 when nobody knows.
        total: u64,
    },
    /// The stage is done.
    Ended {
        /// How long it took.
        seconds: f64,
        /// What it did, in a few words.
        summary: String,
    },
    /// The stage was given up.
    Left,
    /// What need not be acted on.
    Note {
        /// In words.
        text: String,
    },
    /// What should be acted on.
    Warning {
        /// In words.
        text: String,
    },
    /// What was asked for.
    Answer {
        /// As it is printed without `--json`.
        text: String,
    },
    /// What the run came to; a failure may follow, that of a proof for one.
    Finished {
        /// What is said of the result, by name: `sha256`, `proof` and others.
        facts: BTreeMap<String, String>,
        /// The stages, in order of their end.
        stages: Vec<Ended>,
        /// Tables, as they are printed without `--json`.
        texts: Vec<String>,
    },
    /// The run has failed; no line follows. Standard error has the same for people.
    Failed {
        /// The exit status.
        status: i32,
        /// What failed.
        error: String,
        /// Why, the nearest cause first.
        causes: Vec<String>,
        /// What to do about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
}

/// A stage that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Ended {
    /// The stage's name.
    pub stage: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What it did, in a few words.
    pub summary: String,
}

impl Event {
    /// This happened to that stage, so long after the run began.
    pub fn new(at: Duration, stage: &str, what: What) -> Self {
        Self { version: VERSION, at: milliseconds(at), stage: stage.to_owned(), what }
    }

    /// Prints the line. A run goes on when nobody listens any more.
    pub fn print(&self) {
        if let Ok(line) = serde_json::to_string(self) {
            stdout::line(line).ok();
        }
    }

    /// The JSON Schema of a line.
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Self)
    }
}

impl From<&Error> for What {
    fn from(error: &Error) -> Self {
        Self::Failed {
            status: error.exit().code(),
            error: error.what().to_owned(),
            causes: error.causes().to_vec(),
            hint: error.advice().map(str::to_owned),
        }
    }
}

/// Seconds, of which nobody needs more digits.
pub fn milliseconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_object_with_the_event_by_name() {
        let line =
            |what| serde_json::to_value(Event::new(Duration::from_micros(1_500_900), "disk", what)).unwrap();
        let reached = line(What::Reached { done: 3, total: 7 });
        let wanted = serde_json::json!({
            "version": 1, "at": 1.5, "stage": "disk", "event": "reached", "done": 3, "total": 7,
        });
        assert_eq!(reached, wanted);
        let error = Error::usage("no").because("as it is").hint("look");
        let failed = line(What::from(&error));
        assert_eq!((&failed["event"], &failed["status"]), (&"failed".into(), &2.into()));
        assert_eq!(
            (&failed["error"], &failed["causes"][0], &failed["hint"]),
            (&"no".into(), &"as it is".into(), &"look".into())
        );
    }
}
