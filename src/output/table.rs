//! The table at the end of a run.

use crate::progress::Ended;

/// Facts of a run, in the order they are shown.
#[derive(Debug, Default)]
pub struct Table {
    stages: Vec<Ended>,
    facts: Vec<(String, String)>,
}

impl Table {
    /// A table that begins with the stages and their times.
    pub fn new(stages: Vec<Ended>) -> Self {
        Self { stages, facts: Vec::new() }
    }

    /// Adds a line.
    pub fn fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.facts.push((name.into(), value.into()));
    }

    /// The table as text, ending in a newline.
    pub fn render(&self) -> String {
        let names = self.stages.iter().map(|stage| stage.stage.len()).chain(self.facts.iter().map(|f| f.0.len()));
        let width = names.max().unwrap_or(0);
        let mut text = String::from("\n");
        for stage in &self.stages {
            text.push_str(&format!("  {:<width$}  {:>7.1} s  {}\n", stage.stage, stage.seconds, stage.summary));
        }
        text.push('\n');
        for (name, value) in &self.facts {
            text.push_str(&format!("  {name:<width$}  {value}\n"));
        }
        text
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
