//! The collector: an on-the-fly snapshot-at-the-beginning mark and sweep that never stops a thread.
//!
//! Every processor has a mode. It changes only in a *handshake*, between two mutations of that processor: done by
//! its thread on the next `mutate`, or by the collector for an idle one; but for the second handshake also inside a mutation, where
//! that allocates ([`safepoint`](crate::processor::safepoint)). The collector waits for handshakes, mutations never do. (Where they
//! do wait for the collector, for a moment: a full region, [`patiently`](crate::memory::sweep), and a [`lock`](crate::gc::lock)
//! behind which a marker looks.)
//!
//! | mode | pointer store `old -> new` | new object | root or pin made | root or pin dropped |
//! | --- | --- | --- | --- | --- |
//! | `Off` | nothing | colour of the last cycle | nothing | nothing |
//! | `Arm` | shade old and new | colour of the last cycle | shade | shade |
//! | `Mark`, `Close` | shade old | black | nothing | shade |
//!
//! A cycle:
//!
//! 1. The colours swap meaning: all that lives is white now. Handshake 1 puts every processor into `Arm`. When all
//!    have answered, every deletion is logged: that instant is the *snapshot*, and what is reachable then
//!    survives the cycle.
//! 2. Handshake 2 puts every processor into `Mark`. When all have answered, no mutation that began before the
//!    snapshot still runs. `Arm` exists for those: such a mutation may have in hand an object that a mutation
//!    still in `Off` had unlinked without a word, so whatever it stores, roots or pins is shaded. (What it builds is white, and
//!    becomes reachable by one of these.)
//! 3. Roots and pins are marked, and markers trace. No stack is scanned: between mutations nothing is on it.
//! 4. When the queue is empty, a round of handshakes (into `Close`) collects every barrier buffer. If it brought
//!    anything, marking goes on. A round that brings nothing ends the mark: every grey object was in some buffer
//!    when the round began, each buffer was handed over during it, and with nothing grey anywhere no white
//!    object is reachable from the snapshot, so no barrier can find one any more.
//!    One more round is needed if a marker has passed by a lock that a mutation had: see [`lock`](crate::gc::lock).
//!    The end is decided under a lock that the upgrade of a weak pointer takes, too, and before anything else what weak pointers
//!    lead to is cleared if it is dead: see [`decision`].
//! 5. The handshake to `Off` takes the runs back and drops cached inner pinners. Then nobody has a barrier active or
//!    a span unknown to its class, and the sweep begins; it ends before the next cycle starts.
//!
//! How the barriers do it is told at the head of [`barrier`]. *The collector* is whoever takes the steps of the cycle: the
//! collector's thread, or, of some cycles, mutations that are at it anyway ([`relay`]).

pub(crate) mod assist;
#[cfg(all(test, not(loom)))]
mod assist_tests;
pub(crate) mod barrier;
#[cfg(all(test, not(loom)))]
mod calm_tests;
pub(crate) mod cycle;
pub(crate) mod decision;
pub(crate) mod ephemerons;
#[cfg(all(test, not(loom)))]
mod full_region_tests;
#[cfg(all(test, not(loom)))]
mod hand_over_tests;
pub(crate) mod handshake;
#[cfg(all(test, not(loom)))]
mod leaf_tests;
pub(crate) mod leaving;
pub(crate) mod mark;
#[cfg(all(test, not(loom)))]
mod meeting_tests;
#[cfg(all(test, not(loom)))]
mod newborn_tests;
pub(crate) mod pacer;
pub(crate) mod pin_walk;
#[cfg(all(test, not(loom)))]
pub(crate) mod protocol_tests;
pub(crate) mod queue;
pub(crate) mod relay;
#[cfg(all(test, not(loom)))]
mod relay_tests;
pub(crate) mod report;
#[cfg(all(test, not(loom)))]
mod report_tests;
pub(crate) mod room;
#[cfg(all(test, not(loom)))]
mod room_tests;
pub(crate) mod steps;
pub(crate) mod workers;

use crate::heap::Core;
use crate::memory::returning::Returner;
use crate::memory::sweep::Memory;
use crate::panics::{discard, tell};
use crate::processor::thread as this_thread;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Condvar, Mutex, Ordering, thread};
use leaving::LOOK_AFTER;
use report::CycleCause;
use room::most_idle_helpers;
use workers::Workers;

/// What the collector's thread and those who ask it for cycles share.
#[derive(Default)]
pub(crate) struct Control {
    state: Mutex<ControlState>,
    /// Notified when a cycle is asked for that no mutation has begun, when mutations leave one to the thread, and when it is to end.
    asked: Condvar,
    /// Notified when a cycle has ended.
    ended: Condvar,
    /// Set while a cycle asked for by growth has not started, so that asking again costs one load.
    growth_asked: AtomicBool,
    /// Somebody has started the collector's thread, or tried to, before a cycle was asked for.
    is_started_early: AtomicBool,
    /// Threads that mark: the collector's and its helpers; 0 before they are started.
    markers: AtomicUsize,
}

#[derive(Default)]
struct ControlState {
    /// The number of the last cycle that is wanted.
    wanted: u64,
    /// The number of the last cycle that has started, and that has ended.
    started: u64,
    ended: u64,
    /// The number of the last cycle that `collect` has asked for.
    asked: u64,
    stop: bool,
    thread: Option<thread::JoinHandle<()>>,
    /// The collector's thread will not look by itself soon whether a cycle is under way.
    is_asleep: bool,
    /// The heap was dropped on the collector's own thread, which ends the heap when it ends itself.
    end_heap_on_exit: bool,
}

impl Core {
    /// Has the collector's thread look for something to do, wherever it waits.
    pub(crate) fn wake_the_collector(&self) {
        self.control.asked.notify_one();
        self.relay.wake();
    }
}

impl Control {
    /// Asks for a cycle because the heap has grown. Never waits for one.
    #[cold]
    pub(crate) fn ask_for_growth(&self, core: &Core) -> Result<(), NoThread> {
        // Relaxed, wherever it is touched: a hint, by which nothing is passed on. Who finds it set leaves the asking to who set
        // it; that it is lowered as a cycle starts, under the lock, makes the next one ask again.
        if self.growth_asked.swap(true, Ordering::Relaxed) {
            // Who has asked may not have got at the cycle.
            relay::begin(core);
            return Ok(());
        }
        let is_asleep = {
            let mut state = self.state.lock();
            state.wanted = state.wanted.max(state.started + 1);
            self.ensure_thread(core, &mut state)?;
            state.is_asleep
        };
        // Not for nothing, nor under a lock, as in `collect`.
        if !relay::begin(core) || is_asleep {
            core.wake_the_collector();
        }
        Ok(())
    }

    /// Starts the collector's thread if the first cycle is near, and nobody has tried: a new thread takes the system a while, and many bytes are allocated in that.
    #[inline]
    pub(crate) fn start_early(&self, core: &Core) {
        // Relaxed, wherever it is touched: a hint, by which nothing is passed on.
        if !self.is_started_early.load(Ordering::Relaxed) && core.pace.is_first_cycle_near() {
            self.start_first(core);
        }
    }

    #[cold]
    fn start_first(&self, core: &Core) {
        if !self.is_started_early.swap(true, Ordering::Relaxed) {
            // If it cannot be started, who asks for a cycle tries again, and tells.
            let _ = self.ensure_thread(core, &mut self.state.lock());
        }
    }

    /// Counts a cycle as started, if one is wanted and none is on; gives why it is to run.
    pub(crate) fn begin_wanted(&self) -> Option<CycleCause> {
        let mut state = self.state.lock();
        let is_due = state.wanted > state.started && state.started == state.ended && !state.stop;
        is_due.then(|| {
            state.started += 1;
            // Relaxed: as in `ask_for_growth`.
            self.growth_asked.store(false, Ordering::Relaxed);
            if state.asked == state.started { CycleCause::Asked } else { CycleCause::Growth }
        })
    }

    /// Asks for a cycle, with nobody to run it.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn want_without_a_thread(&self) {
        let mut state = self.state.lock();
        state.wanted = state.started + 1;
    }

    /// Asks for a cycle that starts from now on and waits until it has ended.
    pub(crate) fn collect(&self, core: &Core) {
        let mut state = self.state.lock();
        let target = state.started + 1;
        state.wanted = state.wanted.max(target);
        if let Err(refused) = self.ensure_thread(core, &mut state) {
            drop(state);
            refused.panic();
        }
        state.asked = target;
        // Not under the lock: who is woken may take the core from who wakes it.
        drop(state);
        core.wake_the_collector();
        state = self.state.lock();
        // If the heap ends meanwhile, which a cleanup that waits here may see, its last cycle is the one.
        while state.ended < target && !state.stop {
            self.ended.wait(&mut state);
        }
    }

    /// Whether somebody waits for the end of a cycle, of the one in progress or of the next one.
    pub(crate) fn is_awaited(&self) -> bool {
        let state = self.state.lock();
        state.asked > state.ended
    }

    /// From now on somebody waits, until a cycle has ended.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn pretend_awaited(&self) {
        let mut state = self.state.lock();
        state.asked = state.ended + 1;
    }

    /// Cycles that have ended.
    pub(crate) fn cycles(&self) -> u64 {
        self.state.lock().ended
    }

    /// Threads that mark, or, before they are started, that are to mark.
    pub(crate) fn markers(&self, processors: usize) -> usize {
        // Relaxed: a figure.
        match self.markers.load(Ordering::Relaxed) {
            0 => mark_helpers(processors) + 1,
            markers => markers,
        }
    }

    fn ensure_thread(&self, core: &Core, state: &mut ControlState) -> Result<(), NoThread> {
        if state.thread.is_some() || state.stop {
            return Ok(());
        }
        let shared = core.shared();
        let spawned = thread::Builder::new().name(format!("linchpin-{}", core.id)).spawn(move || serve(shared));
        match spawned {
            Ok(handle) => {
                state.thread = Some(handle);
                Ok(())
            }
            Err(error) => {
                // The next allocation or `collect` tries again. Relaxed: as in `ask_for_growth`.
                self.growth_asked.store(false, Ordering::Relaxed);
                // Nor does a mutation begin one, which nobody would end.
                state.wanted = state.started;
                Err(NoThread { whose: "of the collector", error })
            }
        }
    }

    /// Ends the collector's thread and waits for it. False if this *is* that thread: then it ends the heap itself
    /// when it is done.
    pub(crate) fn stop(&self, core: &Core) -> bool {
        let thread = {
            let mut state = self.state.lock();
            state.stop = true;
            if this_thread::is_collector_of(core.id) {
                state.end_heap_on_exit = true;
                drop(state);
                self.ended.notify_all();
                return false;
            }
            state.thread.take()
        };
        core.wake_the_collector();
        self.ended.notify_all();
        if let Some(thread) = thread {
            // The collector aborts rather than unwinds, so there is no panic to pass on.
            let _ = thread.join();
        }
        true
    }

    /// Waits for the next cycle to run, which may have begun; false when the thread is to end.
    ///
    /// Meanwhile memory that is not needed goes back to the operating system.
    fn next_cycle(&self, memory: &Memory, returner: &mut Returner) -> bool {
        let mut seen = 0;
        loop {
            let mut state = self.state.lock();
            // One that has begun comes to its end.
            if state.started > state.ended {
                return true;
            }
            if state.stop || state.wanted > state.started {
                return !state.stop;
            }
            drop(state);
            let rest = returner.step(memory);
            state = self.state.lock();
            // What was asked for meanwhile was notified of before this thread waits.
            if state.stop || state.wanted > state.ended {
                continue;
            }
            // Where mutations have run a cycle since the last look, they will soon begin another one.
            state.is_asleep = std::mem::replace(&mut seen, state.ended) == state.ended;
            match rest {
                _ if !state.is_asleep => self.asked.wait_for(&mut state, rest.unwrap_or(LOOK_AFTER).min(LOOK_AFTER)),
                Some(rest) => self.asked.wait_for(&mut state, rest),
                None => self.asked.wait(&mut state),
            }
            state.is_asleep = false;
        }
    }

    /// Counts the cycle as ended; whether another one is wanted. [`tell_of_end`](Self::tell_of_end) is due as soon as no lock is held.
    pub(crate) fn end_cycle(&self) -> bool {
        let mut state = self.state.lock();
        state.ended = state.started;
        state.wanted > state.started
    }

    /// Tells those who wait for a cycle that one has ended.
    pub(crate) fn tell_of_end(&self) {
        self.ended.notify_all();
    }

    /// Counts a cycle that was run by the thread that ends the heap.
    pub(crate) fn count_last_cycle(&self) {
        let mut state = self.state.lock();
        state.started += 1;
        state.ended = state.started;
    }
}

/// A thread could not be started: the collector's, or the one for cleanups.
#[must_use]
pub(crate) struct NoThread {
    pub(crate) whose: &'static str,
    pub(crate) error: std::io::Error,
}

impl NoThread {
    /// Without a collector the heap would grow without end, and there is nobody to return an error to. Called without a lock:
    /// the program's panic hook may use the heap.
    #[cold]
    pub(crate) fn panic(self) -> ! {
        let Self { whose, error } = self;
        panic!(
            "linchpin: the thread {whose} could not be started ({error}); raise the limit of threads \
             (ulimit -u) or of address space (ulimit -v), or free memory"
        )
    }
}

/// The collector's thread.
fn serve(core: Arc<Core>) {
    this_thread::set_collector_of(core.id);
    let helpers = mark_helpers(core.processors.limit());
    let workers = Workers::start(helpers, most_idle_helpers(helpers + 1), core.id);
    // Relaxed: as in `markers`.
    core.control.markers.store(workers.count() + 1, Ordering::Relaxed);
    handshake::wake_in_time();
    let mut returner = Returner::default();
    while core.control.next_cycle(&core.memory, &mut returner) {
        let is_ended = cycle::run_wanted(&core, &workers);
        core.queue.trim();
        if !is_ended {
            continue;
        }
        if let Some(limit) = core.pace.memory_limit() {
            core.memory.return_to(limit);
        }
        core.control.end_cycle();
        core.control.tell_of_end();
        if core.pace.allocated(0) {
            // It has been started: this is it.
            let _ = core.control.ask_for_growth(&core);
        }
    }
    drop(workers);
    let end_heap = std::mem::take(&mut core.control.state.lock().end_heap_on_exit);
    if end_heap {
        core.cleanups.stop();
        if let Err(payload) = core.end() {
            // Nobody waits for this thread; the panic hook has told, and so have we.
            discard(payload);
        }
    }
    this_thread::set_collector_of(0);
}

/// How many helpers mark beside the collector's thread: together a quarter of the processors, at least one.
pub(crate) fn mark_helpers(processors: usize) -> usize {
    processors.div_ceil(4) - 1
}

/// A marker that unwinds has lost objects it was to trace; going on would free what is in use.
///
/// Whether it does is not to be asked of `thread::panicking`: a heap may be dropped, and its last cycle run, by a thread
/// that unwinds already. So whoever has come to its end says so.
pub(crate) struct AbortOnUnwind;

impl AbortOnUnwind {
    /// Nothing has unwound.
    pub(crate) fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        tell(format_args!("the collector panicked (a hand-written Trace must not panic); aborting"));
        std::process::abort();
    }
}
