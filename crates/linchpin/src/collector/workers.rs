//! Background threads that help the collector's thread to mark.
//!
//! A heap has one marker for every four processors. The first is the collector's own thread; the others are here,
//! asleep between marks.

use crate::panics::tell;
use crate::sync::{Arc, Condvar, Mutex, thread};

/// The helpers of one collector.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The job of the moment, and its number.
    job: Option<Job>,
    number: u64,
    /// Helpers that have not finished it.
    unfinished: usize,
    stop: bool,
}

/// A borrowed closure; `with_helpers` outlives every use of it.
#[derive(Clone, Copy)]
struct Job(*const (dyn Fn() + Sync));

// SAFETY: the closure is `Sync`, and `with_helpers` does not return before every helper is done with it.
unsafe impl Send for Job {}

impl Workers {
    /// Starts `count` helpers; fewer, with a word, if the system refuses a thread: cycles take longer then, no more.
    pub(crate) fn start(count: usize, heap: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let mut threads = Vec::new();
        for index in 0..count {
            let shared = Arc::clone(&shared);
            let builder = thread::Builder::new().name(format!("linchpin-{heap}-mark-{index}"));
            match builder.spawn(move || shared.serve()) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    tell(format_args!(
                        "only {index} of the {count} threads that help heap {heap} to mark could be started ({error}); its \
                         cycles take longer"
                    ));
                    break;
                }
            }
        }
        Self { shared, threads }
    }

    /// No helpers: the collector's thread marks alone.
    pub(crate) fn none() -> Self {
        Self { shared: Arc::new(Shared::default()), threads: Vec::new() }
    }

    pub(crate) fn count(&self) -> usize {
        self.threads.len()
    }

    /// Runs `helper` on every helper and `own` here; returns when all have returned.
    pub(crate) fn with_helpers(&self, helper: &(dyn Fn() + Sync), own: impl FnOnce()) {
        if self.threads.is_empty() {
            return own();
        }
        let job: *const (dyn Fn() + Sync + '_) = helper;
        // SAFETY: only the lifetime changes; the wait below (in a guard, so that an unwinding `own` waits too)
        // keeps the borrow alive for as long as a helper may use it.
        let job = Job(unsafe { std::mem::transmute::<*const (dyn Fn() + Sync + '_), *const (dyn Fn() + Sync)>(job) });
        {
            let mut state = self.shared.state.lock();
            state.job = Some(job);
            state.number += 1;
            state.unfinished = self.threads.len();
        }
        self.shared.changed.notify_all();
        let _wait = WaitForHelpers(&self.shared);
        own();
    }
}

struct WaitForHelpers<'a>(&'a Shared);

impl Drop for WaitForHelpers<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        while state.unfinished != 0 {
            self.0.changed.wait(&mut state);
        }
        state.job = None;
    }
}

impl Shared {
    fn serve(&self) {
        let abort = super::AbortOnUnwind;
        let mut done = 0;
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return abort.disarm();
            }
            match state.job {
                Some(job) if state.number != done => {
                    done = state.number;
                    drop(state);
                    // SAFETY: `with_helpers` waits until `unfinished` is 0, so the closure lives.
                    (unsafe { &*job.0 })();
                    state = self.state.lock();
                    state.unfinished -= 1;
                    self.changed.notify_all();
                }
                _ => self.changed.wait(&mut state),
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.state.lock().stop = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A helper that panicked has printed why; there is nothing to add here.
            let _ = thread.join();
        }
    }
}
