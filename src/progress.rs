//! What a run tells while it works: bars on a terminal, plain timed lines elsewhere, or JSON events.

use crate::error::Result;
use crate::event::{Ended, Event, RUN, What, milliseconds};
use crate::{stderr, stdout, terminal};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Where no bar moves, a stage under way is told of this often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

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
        self.tell(&name, What::Started);
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
        self.line("note", text.as_ref(), |text| What::Note { text });
    }

    /// A line that the user should act on.
    pub fn warn(&self, text: impl AsRef<str>) {
        match self.0.mode {
            Mode::Quiet => stderr::line(format_args!("warning: {}", text.as_ref())),
            _ => self.line("warning", text.as_ref(), |text| What::Warning { text }),
        }
    }

    /// A line of what was asked for: on standard output, and an event when those are JSON.
    pub fn answer(&self, text: impl AsRef<str>) -> Result<()> {
        match self.0.mode {
            Mode::Json => {
                self.tell(RUN, What::Answer { text: text.as_ref().to_owned() });
                Ok(())
            }
            _ => stdout::line(text.as_ref()),
        }
    }

    /// The stages that have ended so far, in order of their end.
    pub fn ended(&self) -> Vec<Ended> {
        lock(&self.0.ended).clone()
    }

    fn line(&self, kind: &str, text: &str, event: impl FnOnce(String) -> What) {
        match self.0.mode {
            Mode::Bars => self.0.bars.suspend(|| stderr::line(format_args!("{kind}: {text}"))),
            Mode::Plain => stderr::line(format_args!("{} {kind}: {text}", self.clock())),
            Mode::Json => self.tell(RUN, event(text.to_owned())),
            Mode::Quiet | Mode::Silent => {}
        }
    }

    /// Tells what has happened, where that is told in lines.
    pub fn tell(&self, stage: &str, what: What) {
        match (self.0.mode, what) {
            (Mode::Json, what) => Event::new(self.0.start.elapsed(), stage, what).print(),
            (Mode::Plain, What::Started) => stderr::line(format_args!("{} {stage} …", self.clock())),
            (Mode::Plain, What::Reached { done, total }) => {
                stderr::line(format_args!("{} {stage}: {}", self.clock(), reached(done, total)));
            }
            (Mode::Plain, What::Ended { seconds, summary }) => {
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
            self.progress.tell(&self.name, What::Reached { done: reached, total });
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
        let took = self.start.elapsed();
        let summary = summary.into();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            let line = format!("  ✓ {:<12} {summary} ({:.1} s)", self.name, took.as_secs_f64());
            self.progress.0.bars.suspend(|| stderr::line(line));
        }
        let seconds = milliseconds(took);
        self.progress.tell(&self.name, What::Ended { seconds, summary: summary.clone() });
        lock(&self.progress.0.ended).push(Ended { stage: self.name.clone(), seconds, summary });
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.done {
            if let Some(bar) = &self.bar {
                bar.finish_and_clear();
            }
            self.progress.tell(&self.name, What::Left);
        }
    }
}

/// How far a stage is, for a plain line.
fn reached(done: u64, total: u64) -> String {
    match (done, total) {
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
        assert_eq!(reached(7, 0), "7");
        assert_eq!(reached(70, 119), "70 of 119");
        assert_eq!(reached(50_000_000, 200_000_000), "25 %");
    }
}
