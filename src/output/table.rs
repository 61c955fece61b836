//! The table at the end of a run.

use crate::error::Result;
use crate::event::{Ended, RUN, What};
use crate::progress::{Mode, Progress};
use crate::stdout;

/// What a run did, in the order it is shown: other tables, stages with their times, facts.
#[derive(Debug, Default)]
pub struct Table {
    texts: Vec<String>,
    stages: Vec<Ended>,
    facts: Vec<(String, String)>,
}

impl Table {
    /// Adds text that is shown on top.
    pub fn text(&mut self, text: impl Into<String>) {
        self.texts.push(text.into());
    }

    /// Sets the stages.
    pub fn stages(&mut self, stages: Vec<Ended>) {
        self.stages = stages;
    }

    /// Adds a line.
    pub fn fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.facts.push((name.into(), value.into()));
    }

    /// The table as text, ending in a newline.
    pub fn render(&self) -> String {
        let names =
            self.stages.iter().map(|stage| stage.stage.len()).chain(self.facts.iter().map(|f| f.0.len()));
        let width = names.max().unwrap_or(0);
        let mut text: String = self.texts.iter().map(|text| format!("\n{}\n", text.trim_end())).collect();
        text.push('\n');
        for stage in &self.stages {
            text.push_str(&format!(
                "  {:<width$}  {:>7.1} s  {}\n",
                stage.stage, stage.seconds, stage.summary
            ));
        }
        text.push('\n');
        for (name, value) in &self.facts {
            text.push_str(&format!("  {name:<width$}  {value}\n"));
        }
        text
    }

    /// All of it as one event.
    fn event(&self) -> What {
        What::Finished {
            facts: self.facts.iter().cloned().collect(),
            stages: self.stages.clone(),
            texts: self.texts.clone(),
        }
    }

    /// Prints it: on standard output, or as one event when those are JSON.
    pub fn print(&self, progress: &Progress) -> Result<()> {
        match progress.mode() {
            Mode::Json => {
                progress.tell(RUN, self.event());
                Ok(())
            }
            Mode::Quiet | Mode::Silent => Ok(()),
            Mode::Bars | Mode::Plain => stdout::write(self.render()),
        }
    }
}

/// Bytes as people read them.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_has_all_that_the_table_shows() {
        let mut table = Table::default();
        table.text("  base  reused\n");
        table.stages(vec![Ended { stage: "lock".into(), seconds: 0.5, summary: "3 packages".into() }]);
        table.fact("proof", "proven");
        let event = serde_json::to_string(&table.event()).unwrap();
        for text in ["base  reused", "3 packages", "proven"] {
            assert!(table.render().contains(text) && event.contains(text), "{event}");
        }
    }
}
