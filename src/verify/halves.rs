//! How much of the host's processors machines are given at the same time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Processors, each in two halves. A machine that boots keeps a processor busy; one that has booted waits for most of
/// what is done to it, and two of those get on beside each other.
#[derive(Debug)]
pub struct Halves {
    all: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// How many have asked so far, and how many of those were given what they asked for.
    asked: usize,
    given: usize,
}

/// Halves that are in use until this is dropped.
#[derive(Debug)]
pub struct Taken<'a> {
    from: &'a Halves,
    count: usize,
}

impl Halves {
    /// The halves of this many processors.
    pub fn of(processors: usize) -> Self {
        let all = processors.max(1).saturating_mul(2);
        Self { all, state: Mutex::new(State { free: all, asked: 0, given: 0 }), changed: Condvar::new() }
    }

    /// All that there are.
    pub fn count(&self) -> usize {
        self.all
    }

    /// Waits for a whole processor.
    pub fn whole(&self) -> Taken<'_> {
        self.take(2)
    }

    /// Waits for half a processor.
    pub fn half(&self) -> Taken<'_> {
        self.take(1)
    }

    /// They are given in the order in which they are asked for, lest those who want a whole one wait for ever.
    fn take(&self, count: usize) -> Taken<'_> {
        let mut state = self.state();
        let turn = state.asked;
        state.asked += 1;
        while state.given != turn || state.free < count {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.free -= count;
        state.given += 1;
        self.changed.notify_all();
        Taken { from: self, count }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.from.state().free += self.count;
        self.from.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn two_halves_are_one_processor() {
        let halves = Halves::of(2);
        assert_eq!(halves.count(), 4);
        let (_whole, half, _other) = (halves.whole(), halves.half(), halves.half());
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _half = halves.half();
                tell.send(()).unwrap();
            });
            assert!(told.recv_timeout(Duration::from_millis(100)).is_err(), "a fifth half was given");
            drop(half);
            told.recv_timeout(SOON).unwrap();
        });
    }

    #[test]
    fn who_wants_a_whole_one_is_not_overtaken() {
        let halves = Halves::of(1);
        let (first, second) = (halves.half(), halves.half());
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let asked = || halves.state().asked;
            scope.spawn(|| {
                let _whole = halves.whole();
                tell.send("whole").unwrap();
            });
            while asked() < 3 {
                thread::yield_now();
            }
            scope.spawn(|| {
                let _half = halves.half();
                tell.send("half").unwrap();
            });
            while asked() < 4 {
                thread::yield_now();
            }
            drop(first);
            assert!(told.recv_timeout(Duration::from_millis(100)).is_err(), "somebody overtook");
            drop(second);
            assert_eq!(told.recv_timeout(SOON), Ok("whole"));
            assert_eq!(told.recv_timeout(SOON), Ok("half"));
        });
    }
}
