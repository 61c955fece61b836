//! Threads for work that nobody waits for yet: they take what the rest leaves of the processors.

use crate::error::{Error, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The weakest claim on a processor that there is, nice(2).
const NICE: i32 = 19;

/// As many such threads as rayon's own pool has. Parallel iterators inside [`ThreadPool::install`] stay on them.
pub fn pool() -> Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(rayon::current_num_threads())
        .thread_name(|number| format!("background-{number}"))
        // On Linux it is the calling thread's alone. Refused, the work is done all the same.
        .start_handler(|_| {
            let _ = rustix::process::nice(NICE);
        })
        .build()
        .map_err(|error| Error::new("cannot start threads").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_threads_stand_back_and_others_do_not() {
        let before = rustix::process::nice(0).unwrap();
        assert_eq!(pool().unwrap().install(|| rustix::process::nice(0)).unwrap(), NICE);
        assert_eq!(rustix::process::nice(0).unwrap(), before);
    }
}
