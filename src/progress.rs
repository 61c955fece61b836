//! What a run tells while it works: bars on a terminal, plain timed lines elsewhere, or JSON events.

use crate::error::Result;
use crate::{stderr, stdout, terminal};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Where no bar moves, a stage under way is told of this often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// The kind of line that the user should act on.
const WARNING: &str = "warning";

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Moving bars, for a terminal.
    Bars,
    /// A line when a stage starts and ends, and now and then how far it is, with seconds since the start.
    Plain,
    /// One JSON object a line on standard output.
    Json,
    /// Only what the user should act on.
    Quiet,
    /// Nothing.
    Silent,
}

impl Mode {
    /// JSON when asked for, bars on a terminal that can show them, plain lines otherwise.
    pub fn detect(json: bool) -> Self {
        match (json, terminal::moves()) {
            (true, _) => Self::Json,
            (false, true) => Self::Bars,
            (false, false) => Self::Plain,
        }
    }
}

/// A stage that has ended.
#[derive(Debug, Clone, Serialize)]
pub struct Ended {
    /// The stage's name.
    pub stage: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What it did, in a few words.
    pub summary: String,
}

/// The run's voice; clones speak through the same terminal.
#[derive(Clone)]
pub struct Progress(Arc<Inner>);

struct Inner {
    mode: Mode,
    start: Instant,
    bars: MultiProgress,
    ended: Mutex<Vec<Ended>>,
}

impl Progress {
    /// A voice in this mode; the clock starts now.
    pub fn new(mode: Mode) -> Self {
        Self(Arc::new(Inner {
            mode,
            start: Instant::now(),
            bars: MultiProgress::new(),
            ended: Mutex::new(Vec::new()),
        }))
    }

    /// The mode it was made with.
    pub fn mode(&self) -> Mode {
        self.0.mode
    }

    /// Begins a stage. Dropping it without [`Stage::finish`] says that it was left.
    pub fn stage(&self, name: impl Into<String>) -> Stage {
        let name = name.into();
        let bar = match self.0.mode {
            Mode::Bars => {
                let bar = self.0.bars.add(ProgressBar::new_spinner());
                bar.set_style(style("{spinner} {prefix:<12} {msg} {elapsed}"));
                bar.set_prefix(name.clone());
                bar.enable_steady_tick(Duration::from_millis(120));
                Some(bar)
            }
            _ => None,
        };
        self.event(&name, "started", serde_json::json!({}));
        let start = Instant::now();
        Stage {
            progress: self.clone(),
            name,
            start,
            bar,
            reached: AtomicU64::new(0),
            total: AtomicU64::new(0),
            told: Mutex::new(start),
            done: false,
        }
    }

    /// A line that the user should see but need not act on.
    pub fn say(&self, text: impl AsRef<str>) {
        self.line("note", text.as_ref());
    }

    /// A line that the user should act on.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.line(WARNING, text.as_ref());
    }

    /// A line of what was asked for: on standard output, and an event when those are JSON.
    pub fn answer(&self, text: impl AsRef<str>) -> Result<()> {
        match self.0.mode {
            Mode::Json => {
                self.line("answer", text.as_ref());
                Ok(())
            }
            _ => stdout::line(text.as_ref()),
        }
    }

    /// The stages that have ended so far, in order of their end.
    pub fn ended(&self) -> Vec<Ended> {
        lock(&self.0.ended).clone()
    }

    fn line(&self, kind: &str, text: &str) {
        match self.0.mode {
            Mode::Bars => self.0.bars.suspend(|| stderr::line(format_args!("{kind}: {text}"))),
            Mode::Plain => stderr::line(format_args!("{} {kind}: {text}", self.clock())),
            Mode::Json => self.event("run", kind, serde_json::json!({ "text": text })),
            Mode::Quiet if kind == WARNING => stderr::line(format_args!("{kind}: {text}")),
            Mode::Quiet | Mode::Silent => {}
        }
    }

    fn event(&self, stage: &str, event: &str, mut more: serde_json::Value) {
        match self.0.mode {
            Mode::Json => {
                more["version"] = 1.into();
                more["stage"] = stage.into();
                more["event"] = event.into();
                more["at"] = (self.0.start.elapsed().as_millis() as f64 / 1e3).into();
                // A run goes on when nobody listens any more.
                stdout::line(more).ok();
            }
            Mode::Plain if event == "started" => stderr::line(format_args!("{} {stage} …", self.clock())),
            Mode::Plain if event == "reached" => {
                stderr::line(format_args!("{} {stage}: {}", self.clock(), reached(&more)));
            }
            Mode::Plain if event == "ended" => {
                let seconds = more["seconds"].as_f64().unwrap_or_default();
                let summary = more["summary"].as_str().unwrap_or_default();
                stderr::line(format_args!("{} {stage}: {summary} ({seconds:.1} s)", self.clock()));
            }
            _ => {}
        }
    }

    fn clock(&self) -> String {
        format!("[{:7.1}s]", self.0.start.elapsed().as_secs_f64())
    }
}

/// One stage under way.
pub struct Stage {
    progress: Progress,
    name: String,
    start: Instant,
    bar: Option<ProgressBar>,
    reached: AtomicU64,
    total: AtomicU64,
    told: Mutex<Instant>,
    done: bool,
}

impl Stage {
    /// Says how many bytes there are to go through; the stage then shows a bar.
    pub fn bytes(&self, total: u64) {
        self.measured(total, "{spinner} {prefix:<12} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}");
    }

    /// Says how many items there are to go through; the stage then shows a bar.
    pub fn items(&self, total: u64) {
        self.measured(total, "{spinner} {prefix:<12} {bar:30} {pos}/{len} {msg}");
    }

    fn measured(&self, total: u64, template: &str) {
        self.total.store(total, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_style(style(template));
        }
    }

    /// That many more bytes or items are done. Callable from any thread.
    pub fn add(&self, amount: u64) {
        let reached = self.reached.fetch_add(amount, Ordering::Relaxed) + amount;
        if let Some(bar) = &self.bar {
            bar.inc(amount);
            return;
        }
        let mut told = lock(&self.told);
        if told.elapsed() >= SIGN_OF_LIFE {
            *told = Instant::now();
            let total = self.total.load(Ordering::Relaxed);
            self.progress.event(
                &self.name,
                "reached",
                serde_json::json!({ "done": reached, "total": total }),
            );
        }
    }

    /// What is being worked on right now.
    pub fn now(&self, text: impl Into<String>) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.into());
        }
    }

    /// The stage is done; `summary` says what it did in a few words.
    pub fn finish(mut self, summary: impl Into<String>) {
        self.done = true;
        let seconds = self.start.elapsed().as_secs_f64();
        let summary = summary.into();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            let line = format!("  ✓ {:<12} {summary} ({seconds:.1} s)", self.name);
            self.progress.0.bars.suspend(|| stderr::line(line));
        }
        let rounded = (seconds * 1e3).round() / 1e3;
        self.progress.event(
            &self.name,
            "ended",
            serde_json::json!({ "seconds": rounded, "summary": &summary }),
        );
        lock(&self.progress.0.ended).push(Ended { stage: self.name.clone(), seconds: rounded, summary });
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.done {
            if let Some(bar) = &self.bar {
                bar.finish_and_clear();
            }
            self.progress.event(&self.name, "left", serde_json::json!({}));
        }
    }
}

/// How far a stage is, for a plain line.
fn reached(event: &serde_json::Value) -> String {
    match (event["done"].as_u64().unwrap_or_default(), event["total"].as_u64().unwrap_or_default()) {
        (done, 0) => done.to_string(),
        // Bytes say nothing to anybody by the million.
        (done, total) if total > 100_000 => format!("{} %", done.saturating_mul(100) / total),
        (done, total) => format!("{done} of {total}"),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_it_is_is_said_in_items_or_percent() {
        let said = |done: u64, total: u64| reached(&serde_json::json!({ "done": done, "total": total }));
        assert_eq!(said(7, 0), "7");
        assert_eq!(said(70, 119), "70 of 119");
        assert_eq!(said(50_000_000, 200_000_000), "25 %");
    }
}
