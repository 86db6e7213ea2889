//! Background threads that help the collector's thread to mark.
//!
//! A heap has one marker for every four processors. The first is the collector's own thread; the others are here,
//! asleep between marks. Besides there are the *idle* helpers, which mark while processors have nothing else to do: they are started when
//! they are first called, and a marker calls them that has work to give ([`Room`](super::room::Room) says how many).

use crate::panics::tell;
use crate::sync::{Arc, AtomicUsize, Condvar, Mutex, Ordering, thread};

/// The helpers of one collector.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
    /// How many markers there may be at a time: who calls, helpers and idle ones.
    most_markers: usize,
    heap: u64,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Idle helpers that a call would reach, started or not: not to be locked for in vain.
    callable: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// The job of the moment, and its number.
    job: Option<Job>,
    number: u64,
    /// Helpers that have not finished it.
    unfinished: usize,
    /// Calls for idle helpers that none has followed yet.
    calls: usize,
    /// Idle helpers that do nothing.
    asleep: usize,
    /// Idle helpers that may still be started.
    to_start: usize,
    idle_threads: Vec<thread::JoinHandle<()>>,
    stop: bool,
}

/// Who runs a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Helper {
    /// One that does so from the beginning to the end.
    Steady,
    /// One that was called, and may leave.
    Idle,
}

/// A borrowed closure; `with_helpers` outlives every use of it.
#[derive(Clone, Copy)]
struct Job(*const (dyn Fn(Helper) + Sync));

// SAFETY: the closure is `Sync`, and `with_helpers` does not return before every helper is done with it.
unsafe impl Send for Job {}

impl Workers {
    /// Starts `count` helpers; fewer, with a word, if the system refuses a thread: cycles take longer then, no more. Up to `idle` more are
    /// started when they are called.
    pub(crate) fn start(count: usize, idle: usize, heap: u64) -> Self {
        let shared = Arc::new(Shared::default());
        shared.state.lock().to_start = idle;
        // Relaxed, wherever it is touched: a hint, to call in vain or not at all for a while.
        shared.callable.store(idle, Ordering::Relaxed);
        let mut threads = Vec::new();
        for index in 0..count {
            let shared = Arc::clone(&shared);
            let builder = thread::Builder::new().name(format!("linchpin-{heap}-mark-{index}"));
            match builder.spawn(move || shared.serve(Helper::Steady)) {
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
        let most_markers = 1 + threads.len() + idle;
        Self { shared, threads, most_markers, heap }
    }

    /// No helpers: the collector's thread marks alone.
    pub(crate) fn none() -> Self {
        Self { shared: Arc::new(Shared::default()), threads: Vec::new(), most_markers: 1, heap: 0 }
    }

    /// Helpers that take part in each mark from its beginning.
    pub(crate) fn count(&self) -> usize {
        self.threads.len()
    }

    /// How many markers there may be at a time.
    pub(crate) fn most_markers(&self) -> usize {
        self.most_markers
    }

    /// Whether there are idle helpers that do nothing. A hint.
    #[inline]
    pub(crate) fn has_idle(&self) -> bool {
        self.shared.callable.load(Ordering::Relaxed) != 0
    }

    /// Counts the threads, and who has them.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn watch(&self) -> std::sync::Weak<impl Sized + use<>> {
        Arc::downgrade(&self.shared)
    }

    /// Idle helpers that were started.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn started_idle(&self) -> usize {
        self.shared.state.lock().idle_threads.len()
    }

    /// Idle helpers that do nothing.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn asleep(&self) -> usize {
        self.shared.state.lock().asleep
    }

    /// Has one idle helper run the job of the moment, if there is a helper left, and a job. To be called by who runs it.
    #[cold]
    pub(crate) fn call_idle(&self) {
        let mut state = self.shared.state.lock();
        if state.job.is_none() {
            // A call would be counted for the next job, which is not the one that was meant.
            return;
        }
        if state.asleep == 0 && state.to_start != 0 {
            state.to_start -= 1;
            let shared = Arc::clone(&self.shared);
            let builder = thread::Builder::new().name(format!("linchpin-{}-idle-{}", self.heap, state.to_start));
            match builder.spawn(move || shared.serve(Helper::Idle)) {
                Ok(thread) => {
                    state.idle_threads.push(thread);
                    state.asleep += 1;
                }
                // The mark goes on without; it is not tried again.
                Err(_) => state.to_start = 0,
            }
        }
        if state.asleep != 0 {
            state.asleep -= 1;
            state.calls += 1;
            state.unfinished += 1;
            self.shared.changed.notify_all();
        }
        self.shared.note_callable(&state);
    }

    /// Runs `helper` on every helper, and on idle ones that are called, and `own` here; returns when all have returned.
    pub(crate) fn with_helpers(&self, helper: &(dyn Fn(Helper) + Sync), own: impl FnOnce()) {
        if self.threads.is_empty() && !self.may_have_idle() {
            return own();
        }
        let job: *const (dyn Fn(Helper) + Sync + '_) = helper;
        // SAFETY: only the lifetime changes; the wait below (in a guard, so that an unwinding `own` waits too)
        // keeps the borrow alive for as long as a helper may use it.
        let job = Job(unsafe {
            std::mem::transmute::<*const (dyn Fn(Helper) + Sync + '_), *const (dyn Fn(Helper) + Sync)>(job)
        });
        {
            let mut state = self.shared.state.lock();
            debug_assert!(state.job.is_none() && state.calls == 0 && state.unfinished == 0, "one job at a time");
            state.job = Some(job);
            state.number += 1;
            state.unfinished = self.threads.len();
        }
        self.shared.changed.notify_all();
        let _wait = WaitForHelpers(&self.shared);
        own();
    }

    fn may_have_idle(&self) -> bool {
        let state = self.shared.state.lock();
        state.to_start != 0 || !state.idle_threads.is_empty()
    }
}

struct WaitForHelpers<'a>(&'a Shared);

impl Drop for WaitForHelpers<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        // Who has not come by now need not.
        state.unfinished -= state.calls;
        state.asleep += std::mem::take(&mut state.calls);
        while state.unfinished != 0 {
            self.0.changed.wait(&mut state);
        }
        state.job = None;
        self.0.note_callable(&state);
    }
}

impl Shared {
    fn serve(&self, helper: Helper) {
        let abort = super::AbortOnUnwind;
        let mut done = 0;
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return abort.disarm();
            }
            let is_wanted = match helper {
                Helper::Steady => state.number != done,
                Helper::Idle => state.calls != 0,
            };
            match state.job {
                Some(job) if is_wanted => {
                    done = state.number;
                    state.calls -= usize::from(helper == Helper::Idle);
                    drop(state);
                    // SAFETY: `with_helpers` waits until `unfinished` is 0, so the closure lives.
                    (unsafe { &*job.0 })(helper);
                    state = self.state.lock();
                    state.unfinished -= 1;
                    state.asleep += usize::from(helper == Helper::Idle);
                    self.note_callable(&state);
                    self.changed.notify_all();
                }
                _ => self.changed.wait(&mut state),
            }
        }
    }
}

impl Shared {
    /// Has `callable` say how many idle helpers there are to call.
    fn note_callable(&self, state: &State) {
        self.callable.store(state.asleep + state.to_start, Ordering::Relaxed);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let idle_threads = {
            let mut state = self.shared.state.lock();
            state.stop = true;
            std::mem::take(&mut state.idle_threads)
        };
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..).chain(idle_threads) {
            // A helper that panicked has printed why; there is nothing to add here.
            let _ = thread.join();
        }
    }
}
