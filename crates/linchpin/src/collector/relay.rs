//! The relay: where no core is free for the collector's thread, mutations take the steps of small cycles.
//!
//! A cycle waits for answers at each handshake, and the collector's thread sleeps meanwhile. Where as many mutations run as there are
//! cores, the system may wake it up only when one of them has used up its time slice (4 ms), or takes the core away from it in the
//! midst of a mark. A heap of some megabytes allocates many times its size in that time. So there who answers looks whether all have
//! answered, and if so takes the next steps on the spot: asks for the next handshake, marks the roots, decides, sweeps; and who
//! assists traces what the cycle has pending, as much as a few dozen microseconds allow, so that the mark is short: what is born in it stays. Who allocates beyond the trigger begins the cycle. The collector's thread just looks
//! now and then whether it goes on, and does what is not short: weak pointers and cleanups, values to be dropped, and
//! all of it as soon as a core is free.
//!
//! Of a cycle that is not small the collector's thread does the mark; mutations begin none, and trace only what they find in the queue, and what closing rounds bring. But
//! the other steps they take, so that a mark ends when it has come to its end, and not when the system next has a core for who looks.
//!
//! Such a mark takes the collector's thread hundreds of time slices, and each of them is one in which a mutation does not run. So where mutations allocate slowly
//! enough to keep up ([`Pace::is_calm`](super::pacer::Pace::is_calm)), that mark is left to them, too: they look whether to trace
//! more often than else, and trace for fifteen microseconds, one at a time. The collector's thread looks now and then whether they do.
//!
//! And where a core seems to be free, but a quarter more has been allocated than there should have been by the end of the mark, they take steps as
//! if none were: the system has not woken the collector's thread, or runs something else there.
//!
//! Nobody waits for that. The cycle lies under a lock that mutations only try; the collector's thread has it but while it waits. So
//! each step happens after the one before, whoever took it. A mutation takes steps where it has just answered or could answer: at its
//! beginning, at a [`safepoint`](crate::processor::safepoint), and after it where it [`assist`](super::assist)s. To the protocol that
//! is a moment between two steps of the mutation, in which the collector does something.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::AbortOnUnwind;
use super::leaving::{self, Kind, LOOK_AFTER};
use super::mark::pending::{MOST_KEPT, Pending};
use super::mark::sharing::Pieces;
use super::report::CycleCause;
use super::steps::{Due, MANY_UNITS, Steps};
use crate::heap::Core;
use crate::memory::sweep::Left;
use crate::processor::phase::Status;
use crate::sync::{AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, thread};
use crate::verify::settings::Verify;

/// Mutations take steps of no cycle with more units in use than this (512 MiB): to gather what is to be swept, and to count what may hold pins, is a look at
/// each, and so some dozen microseconds.
pub(super) const MOST_UNITS: usize = 1 << 13;

const _: () =
    assert!(MOST_UNITS <= MOST_KEPT, "the room that is made for a mark which is left is there for the next one");

/// A mutation sweeps no more spans than this at a time.
const MOST_SPANS: usize = 16;

/// Only if a core is found free so often in a row, it is: between two mutations of a thread that does nothing else its processor is idle, too,
/// for an instant.
const LOOKS: u32 = if cfg!(loom) { 1 } else { 8 };

/// Where the cycle in progress lies.
#[derive(Default)]
pub(crate) struct Relay {
    slot: Mutex<Slot>,
    /// How many cores the machine has.
    cores: CoreCount,
    /// Notified when mutations have come to something that they do not do, when another cycle is asked for, and when one has ended for
    /// whose end somebody waits.
    changed: Condvar,
    /// Who waits for a moment without a cycle: none begins meanwhile. Raised before the lock is asked for, which who has just had it
    /// gets before who waits for it.
    held_off: AtomicUsize,
    /// The mark that runs is not small, and left to mutations. (A hint: how much they trace at a time, and how often they look.)
    is_mark_left: AtomicBool,
    /// Mutations have traced some of the mark that runs, as steps of a small cycle. (A hint: how long their runs are.)
    is_mark_relayed: AtomicBool,
}

/// How many cores there are for the process.
struct CoreCount(AtomicUsize);

impl Default for CoreCount {
    fn default() -> Self {
        // To ask takes the system some time.
        static CORES: OnceLock<usize> = OnceLock::new();
        Self(AtomicUsize::new(*CORES.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))))
    }
}

#[derive(Default)]
struct Slot {
    steps: Option<Steps>,
    /// While there is no cycle, what the next one begins with: room.
    pending: Pending,
    /// When the last one ended.
    ended: Option<Instant>,
    /// How often somebody has had a moment without a cycle.
    served: u64,
    /// The collector's thread has been told that something is left to it, and has not waited since.
    is_told: bool,
}

impl Slot {
    /// Begins a cycle.
    fn begin(&mut self, core: &Core, cause: CycleCause) -> &mut Steps {
        let pending = std::mem::take(&mut self.pending);
        let is_calm = self.ended.is_some_and(|ended| core.pace.is_calm(ended.elapsed()));
        self.steps.insert(Steps::begin(core, cause, is_calm, pending))
    }

    /// Ends the cycle, which has been swept.
    fn end(&mut self, core: &Core) {
        if let Some(steps) = self.steps.take() {
            self.pending = steps.stop(core);
            self.ended = Some(Instant::now());
        }
        core.relay.note_mark_is_not_theirs();
        self.is_told = false;
        if core.relay.is_held_off() {
            core.relay.changed.notify_all();
        }
    }
}

impl Relay {
    /// The cycle in progress, for the thread that is to see to its end; one that begins here and now if there is none, but a cause.
    pub(crate) fn begin<'a>(
        &'a self,
        core: &Core,
        cause: impl FnOnce() -> Option<CycleCause>,
    ) -> Option<InProgress<'a>> {
        let mut slot = self.slot.lock();
        // For those who wait now, and not for who comes later: there may always be one.
        let last = slot.served + self.held_off.load(Ordering::Relaxed) as u64;
        while slot.steps.is_none() && slot.served < last {
            slot.is_told = false;
            self.changed.wait_for(&mut slot, LOOK_AFTER);
        }
        if slot.steps.is_none() {
            let cause = cause()?;
            slot.begin(core, cause);
        }
        Some(InProgress { relay: self, slot })
    }

    /// From now on there are so many cores, whatever the machine has.
    #[cfg(test)]
    pub(crate) fn pretend_cores(&self, cores: usize) {
        self.cores.0.store(cores, Ordering::Relaxed);
    }

    /// From now on the last cycle ended so long ago.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn pretend_rest(&self, rest: Duration) {
        self.slot.lock().ended = Instant::now().checked_sub(rest);
    }

    /// Has the collector's thread look at once, if it waits in [`InProgress::leave_for`].
    pub(crate) fn wake(&self) {
        self.changed.notify_all();
    }

    /// Waits until there is no cycle; none begins for as long as what this gives is there.
    pub(crate) fn hold_off(&self) -> impl Sized + use<'_> {
        // Relaxed, wherever it is touched: whether somebody waits is known under the lock, which who waits takes after this.
        self.held_off.fetch_add(1, Ordering::Relaxed);
        let mut slot = self.slot.lock();
        if slot.steps.is_some() {
            // The collector's thread may have left it for a while.
            self.changed.notify_all();
        }
        while slot.steps.is_some() {
            self.changed.wait(&mut slot);
        }
        self.held_off.fetch_sub(1, Ordering::Relaxed);
        slot.served += 1;
        slot
    }

    /// Whether a mark runs that is not small, and is left to mutations.
    #[inline]
    pub(crate) fn is_mark_left(&self) -> bool {
        // Relaxed, wherever it is touched: a hint, by which nothing is passed on.
        self.is_mark_left.load(Ordering::Relaxed)
    }

    /// From now on it is, or is not.
    fn note_mark_left(&self, is_left: bool) {
        self.is_mark_left.store(is_left, Ordering::Relaxed);
    }

    /// Whether mutations have traced some of the mark that runs, as steps of a small cycle.
    #[inline]
    pub(crate) fn is_mark_relayed(&self) -> bool {
        // Relaxed, wherever it is touched: a hint, by which nothing is passed on.
        self.is_mark_relayed.load(Ordering::Relaxed)
    }

    /// From now on mutations have no part in a mark: it has ended, or is the collector's thread's.
    pub(crate) fn note_mark_is_not_theirs(&self) {
        self.note_mark_left(false);
        self.note_mark_relayed(false);
    }

    fn note_mark_relayed(&self, is_relayed: bool) {
        self.is_mark_relayed.store(is_relayed, Ordering::Relaxed);
    }

    /// Whether somebody waits for a moment without a cycle.
    pub(crate) fn is_held_off(&self) -> bool {
        self.held_off.load(Ordering::Relaxed) != 0
    }
}

/// The cycle in progress, in the hands of the thread that is to see to its end.
pub(crate) struct InProgress<'a> {
    relay: &'a Relay,
    slot: MutexGuard<'a, Slot>,
}

impl InProgress<'_> {
    pub(crate) fn steps(&mut self) -> &mut Steps {
        self.slot.steps.as_mut().expect("it has begun, and who has it alone ends it")
    }

    /// What kind of cycle it is, as far as is known by now. (One with several markers is none that mutations trace: those are faster.)
    pub(crate) fn kind(&mut self, core: &Core) -> Kind {
        if is_small(core) {
            Kind::Small
        } else if self.steps().is_calm()
            && core.memory.frontier() <= MOST_UNITS
            && core.control.markers(core.processors.limit()) == 1
            && core.pace.is_mark_calm(self.steps().age())
            && !core.pace.is_overdue()
        {
            Kind::Calm
        } else {
            Kind::Large
        }
    }

    /// How many cores mutations run on.
    pub(super) fn cores(&self, core: &Core) -> leaving::Cores {
        if core.processors.limit() < cores_there_are(core) {
            leaving::Cores::Fewer
        } else if (0..LOOKS).any(|_| all_cores_are_in_use(core)) {
            leaving::Cores::All
        } else {
            leaving::Cores::Some
        }
    }

    /// Leaves the mark to mutations for as long, or until there is something that they do not do; false if they have ended the cycle.
    pub(crate) fn leave_mark_for(&mut self, core: &Core, kind: Kind, pause: Duration) -> bool {
        let units = core.memory.frontier().min(MOST_UNITS);
        if kind == Kind::Calm || units > MANY_UNITS {
            self.steps().make_room(units);
        }
        self.relay.note_mark_left(kind == Kind::Calm);
        self.leave_for(pause)
    }

    /// The same with whatever step is due.
    pub(crate) fn leave_for(&mut self, pause: Duration) -> bool {
        let number = self.steps().number();
        self.slot.is_told = false;
        self.relay.changed.wait_for(&mut self.slot, pause);
        self.slot.steps.as_ref().is_some_and(|steps| steps.number() == number)
    }

    /// Sweeps, and ends it.
    pub(crate) fn sweep(mut self, core: &Core) {
        // It stays in the slot until it has been swept.
        self.steps().sweep(core);
        self.slot.end(core);
    }
}

/// Begins the cycle that is wanted, if it is one for mutations, and nobody else is at it; whether it has.
#[cold]
pub(crate) fn begin(core: &Core) -> bool {
    if !is_turn_of_mutations(core) || !is_small(core) {
        return false;
    }
    let Some(mut slot) = core.relay.slot.try_lock() else { return false };
    if slot.steps.is_some() || core.relay.is_held_off() {
        return false;
    }
    let Some(cause) = core.control.begin_wanted() else { return false };
    let abort = AbortOnUnwind;
    slot.begin(core, cause).advance(core);
    abort.disarm();
    true
}

/// Takes the steps that are due of the cycle in progress, unless somebody else is at it or it is not one for mutations; and traces
/// what a mutation should that has allocated so many bytes, once. Gives whether it has traced.
///
/// No step that is taken here may wait for a mutation, or run the program's code but `Trace`: the caller is in the midst of one, and
/// perhaps of an allocation.
#[cold]
#[inline(never)]
pub(crate) fn take_steps(core: &Core, mut allocated: u64) -> bool {
    let Some(mut slot) = core.relay.slot.try_lock() else { return false };
    let Some(steps) = &mut slot.steps else { return false };
    let (is_small, is_mark_left) = (core.pace.is_small(), core.relay.is_mark_left());
    if core.memory.frontier() > MOST_UNITS || !is_turn_of_mutations(core) {
        return false;
    }
    let since = Instant::now();
    let abort = AbortOnUnwind;
    let (mut has_traced, mut has_ended) = (false, false);
    let is_left_to_the_collector = loop {
        if steps.is_decided() && !is_end_short(core) {
            break true;
        }
        match steps.advance(core) {
            Due::Answers => break false,
            Due::Roots if steps.are_roots_few(core) => steps.mark_roots(core),
            Due::Trace if steps.is_traced(core) => match core.queue.is_assisted() {
                // That may bring something: then there would be another round.
                true => break false,
                false => steps.begin_round(core),
            },
            Due::Trace if is_small || is_mark_left || steps.is_closing() => {
                let bytes = std::mem::take(&mut allocated);
                let (budget, pieces) = if is_small {
                    (core.pace.relay_for(bytes), Pieces::LONG)
                } else if is_mark_left {
                    (core.pace.short_assist_for(bytes), Pieces::SHORT)
                } else {
                    (core.pace.assist_for(bytes), Pieces::LONG)
                };
                if budget == 0 {
                    break false;
                }
                let traced = steps.trace_some(core, budget, pieces);
                if is_small {
                    core.relay.note_mark_relayed(true);
                    core.pace.relayed(traced)
                } else {
                    core.pace.assisted(traced)
                }
                has_traced = true;
            }
            Due::Trace => break true,
            Due::Decision if !core.decision.is_about_weak() => _ = steps.decide(core),
            Due::Sweep => match steps.sweep_some(core, MOST_SPANS) {
                Left::Spans => break false,
                Left::Drops => break true,
                Left::Nothing => {
                    slot.end(core);
                    has_ended = true;
                    // Another one may be asked for already, by who waits for it.
                    break core.control.end_cycle();
                }
            },
            Due::Roots | Due::Decision => break true,
        }
    };
    abort.disarm();
    // Where the mark is its own it does not wait to be told, and would only take the core away.
    let is_to_be_told =
        is_left_to_the_collector && (is_small || is_mark_left) && !std::mem::replace(&mut slot.is_told, true);
    // Who is told may take the core from who tells: not while it has the cycle.
    drop(slot);
    if has_ended {
        core.control.tell_of_end();
    }
    if is_to_be_told {
        core.wake_the_collector();
    }
    core.memory.longest_wait.note(since);
    has_traced
}

/// Whether there is no core for the collector's thread: because mutations run on all, or since it should have come further by now.
fn is_turn_of_mutations(core: &Core) -> bool {
    core.pace.is_overdue() || all_cores_are_in_use(core)
}

/// Whether mutations run on all cores.
fn all_cores_are_in_use(core: &Core) -> bool {
    let cores = cores_there_are(core);
    core.processors.limit() >= cores
        && core.processors.all().filter(|processor| processor.state().status() == Status::Running).count() >= cores
}

fn cores_there_are(core: &Core) -> usize {
    // Relaxed: a figure, which changes in tests only, between mutations.
    core.relay.cores.0.load(Ordering::Relaxed)
}

fn is_small(core: &Core) -> bool {
    core.pace.is_small() && core.memory.frontier() <= MOST_UNITS
}

/// Whether there is nothing at the end of a cycle that takes long, or that a mutation must not do in the midst of an allocation: when
/// all are in `Off`, the verifier looks at the whole heap, and weak maps, which a mutation may have locked, forget that they were
/// reached; after the sweep cleanups are due, and memory beyond the limit is returned. (Values to be dropped are a matter of the
/// sweep.)
pub(super) fn is_end_short(core: &Core) -> bool {
    core.config.debug.verify == Verify::Off && !core.decision.is_about_weak() && core.pace.memory_limit().is_none()
}
