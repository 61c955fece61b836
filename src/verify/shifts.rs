//! Work on machines, some at the same time.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// How busy a job keeps the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// A machine boots in it: that takes a processor, and how long it takes may be a part of what is proved.
    Boots,
    /// It waits for most of its time, as what is done to a booted machine mostly does.
    Waits,
}

type Job<'j> = Box<dyn FnOnce(&Shifts<'j>) + Send + 'j>;

/// Jobs that were not begun yet. Those that boot come first, as many at a time as there are processors, lest one of
/// them is left over at the end; those that wait run beside them.
pub struct Shifts<'j> {
    processors: usize,
    state: Mutex<State<'j>>,
    changed: Condvar,
}

#[derive(Default)]
struct State<'j> {
    boots: VecDeque<Job<'j>>,
    waits: VecDeque<Job<'j>>,
    booting: usize,
    waiting: usize,
}

/// A job that is at work until this is dropped, by a panic too.
struct AtWork<'s, 'j>(&'s Shifts<'j>, Load);

impl<'j> Shifts<'j> {
    /// No jobs yet, for so many processors.
    pub fn new(processors: usize) -> Self {
        Self { processors: processors.max(1), state: Mutex::default(), changed: Condvar::new() }
    }

    /// Adds a job behind those of its load; a job may add others.
    pub fn add(&self, load: Load, job: impl FnOnce(&Self) + Send + 'j) {
        let mut state = self.state();
        match load {
            Load::Boots => state.boots.push_back(Box::new(job)),
            Load::Waits => state.waits.push_back(Box::new(job)),
        }
        self.changed.notify_all();
    }

    /// Does all jobs, at most so many at a time, and those that they add.
    pub fn run(&self, at_a_time: usize) {
        thread::scope(|scope| {
            for _ in 0..at_a_time.max(1) {
                scope.spawn(|| {
                    while let Some((job, _at_work)) = self.next() {
                        job(self);
                    }
                });
            }
        });
    }

    /// The next job, once one may begin; nothing when none is left and none at work could add one.
    fn next(&self) -> Option<(Job<'j>, AtWork<'_, 'j>)> {
        let mut state = self.state();
        loop {
            if state.booting < self.processors
                && let Some(job) = state.boots.pop_front()
            {
                state.booting += 1;
                return Some((job, AtWork(self, Load::Boots)));
            }
            if let Some(job) = state.waits.pop_front() {
                state.waiting += 1;
                return Some((job, AtWork(self, Load::Waits)));
            }
            if state.boots.is_empty() && state.booting + state.waiting == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<'j>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AtWork<'_, '_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        match self.1 {
            Load::Boots => state.booting -= 1,
            Load::Waits => state.waiting -= 1,
        }
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn as_many_boot_as_there_are_processors_and_others_wait_beside_them() {
        let (booting, waiting, most) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new((0, 0, 0)));
        let shifts = Shifts::new(2);
        for load in [Load::Waits, Load::Boots].repeat(12) {
            let count = if load == Load::Boots { &booting } else { &waiting };
            let (booting, waiting, most) = (&booting, &waiting, &most);
            shifts.add(load, move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                let (boots, waits) = (booting.load(Ordering::SeqCst), waiting.load(Ordering::SeqCst));
                let mut seen = most.lock().unwrap();
                *seen = (seen.0.max(boots), seen.1.max(waits), seen.2.max(boots + waits));
                drop(seen);
                thread::sleep(Duration::from_millis(5));
                count.fetch_sub(1, Ordering::SeqCst);
            });
        }
        shifts.run(4);
        let (boots, waits, all) = *most.lock().unwrap();
        assert!(boots <= 2 && waits >= 2 && all <= 4, "{boots} booted, {waits} waited, {all} at all");
    }

    #[test]
    fn what_boots_comes_first_and_a_job_may_add_others() {
        let order = Mutex::new(Vec::new());
        let did = |name: &'static str| order.lock().unwrap().push(name);
        let shifts = Shifts::new(1);
        shifts.add(Load::Waits, |shifts| {
            did("waits");
            shifts.add(Load::Waits, |_| did("added, waits"));
            shifts.add(Load::Boots, |_| did("added, boots"));
        });
        shifts.add(Load::Boots, |_| did("boots"));
        shifts.run(1);
        assert_eq!(*order.lock().unwrap(), ["boots", "waits", "added, boots", "added, waits"]);
    }

    #[test]
    fn nobody_waits_for_a_job_that_panicked() {
        let done = AtomicUsize::new(0);
        let shifts = Shifts::new(1);
        shifts.add(Load::Boots, |_| panic!("on purpose"));
        shifts.add(Load::Boots, |_| {
            done.fetch_add(1, Ordering::SeqCst);
        });
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shifts.run(2)));
        assert!(ran.is_err());
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }
}
