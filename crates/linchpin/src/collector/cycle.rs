//! One cycle, from the flip of the colours to the last swept span.
//!
//! See the head of [`collector`](super) for the protocol and for why each step is there.

use super::AbortOnUnwind;
use super::mark::Tracer;
use super::mark::sharing::Marking;
use super::report::{CycleCause, Stopwatch};
use super::room::Room;
use super::workers::{Helper, Workers};
use crate::heap::Core;
use crate::long_mutations::Wait;
use crate::memory::{PIN_FLAG_RAISED, PIN_FLAG_TOUCHED, SPAN_BYTES};
use crate::processor::phase::{Mode, Status, colour_of_cycle};
use crate::processor::thread::Sweeping;
use crate::sync::{Ordering, reordered, spin_briefly, thread};
use crate::verify;
use std::time::Duration;

/// Runs a whole cycle on this thread.
pub(crate) fn run(core: &Core, workers: &Workers, cause: CycleCause) {
    let abort = AbortOnUnwind;
    let _no_other = core.debug.no_cycle.lock();
    let mut cycle = Cycle::begin(core, workers);
    cycle.stopwatch.report.cause = cause;
    cycle.take_the_snapshot();
    cycle.mark();
    cycle.close();
    cycle.switch_off();
    cycle.sweep();
    abort.disarm();
}

/// A cycle in progress. The steps follow one another in the order in which they stand here; [`run`] takes them, and tests that
/// let something happen at one of them.
pub(crate) struct Cycle<'a> {
    core: &'a Core,
    workers: &'a Workers,
    number: u64,
    black: u8,
    tracer: Tracer<'a>,
    /// The spans whose pin flags were lowered.
    may_hold_pins: Vec<usize>,
    stopwatch: Stopwatch,
}

impl<'a> Cycle<'a> {
    /// Nobody else runs a cycle of the heap before this one has been swept.
    pub(crate) fn begin(core: &'a Core, workers: &'a Workers) -> Self {
        let number = core.memory.marked_cycle() + 1;
        let black = colour_of_cycle(number);
        let stopwatch = Stopwatch::start(core, number);
        core.pace.begin_mark();
        let tracer = Tracer::new(&core.memory.region, black);
        Self { core, workers, number, black, tracer, may_hold_pins: Vec::new(), stopwatch }
    }

    pub(crate) fn take_the_snapshot(&mut self) {
        let late = reordered!("cycle.pin_flags");
        if !late {
            self.may_hold_pins = take_pin_flags(self.core);
        }
        // Handshake 1: when all have answered, every deletion is logged. This is the snapshot.
        handshake(self.core, Mode::Arm, self.black);
        // Handshake 2: when all have answered, no mutation that began before the snapshot still runs.
        handshake(self.core, Mode::Mark, self.black);
        self.core.pace.note_births();
        self.core.queue.let_assist(true);
        if late {
            self.may_hold_pins = take_pin_flags(self.core);
        }
        self.stopwatch.lap(|report| &mut report.snapshot);
    }

    /// Marks what roots and pins lead to.
    pub(crate) fn mark(&mut self) {
        self.core.roots.visit_all(&mut self.tracer);
        visit_pins(self.core, std::mem::take(&mut self.may_hold_pins), &mut self.tracer);
        self.trace();
        self.stopwatch.lap(|report| &mut report.mark);
    }

    /// Ends the mark: handshake 3 is the first closing round; each round collects every barrier buffer, and one that brings
    /// nothing is the last; unless a marker has passed by a lock before it ([`lock`](crate::gc::lock) tells why). Then it is
    /// decided what is dead, and weak pointers to that are cleared.
    pub(crate) fn close(&mut self) {
        loop {
            let before = self.core.queue.pushed();
            handshake(self.core, Mode::Close, self.black);
            if self.core.queue.pushed() != before || !self.core.queue.is_empty() {
                self.trace();
            } else if !self.core.queue.take_passed_by() && !self.trace_ephemerons() {
                if self.core.decision.decide(&self.core.queue, before) {
                    break;
                }
                // A weak pointer was upgraded since the round began.
                self.trace();
            }
        }
        self.core.queue.let_assist(false);
        self.core.decision.clear(&self.core.memory.region, self.black);
        self.core.cleanups.take_dead(&self.core.memory.region, self.black);
        self.stopwatch.lap(|report| &mut report.close);
    }

    pub(crate) fn switch_off(&mut self) {
        let late = reordered!("cycle.end_mark");
        if !late {
            self.core.memory.end_mark(self.number);
        }
        self.stopwatch.end_mark(self.core);
        self.core.pace.end_mark();
        if !reordered!("cycle.switch_off") {
            handshake(self.core, Mode::Off, self.black);
        }
        if late {
            self.core.memory.end_mark(self.number);
        }
        self.core.decision.end();
        self.stopwatch.lap(|report| &mut report.switch_off);
        verify::after_mark(self.core);
    }

    pub(crate) fn sweep(mut self) {
        let core = self.core;
        core.memory.open_sweep(self.number);
        {
            let _sweeping = Sweeping::begin(core.id);
            core.memory.sweep_all(self.number);
            let panics = core.decision.ephemerons.drop_dead();
            core.memory.swept.drop_panics.fetch_add(panics, Ordering::Relaxed);
        }
        core.cleanups.queue_due();
        if reordered!("cycle.switch_off") {
            handshake(core, Mode::Off, self.black);
        }
        verify::after_sweep(core);
        let swept = &core.memory.swept;
        let (live, disowned) = (swept.live_bytes.load(Ordering::Relaxed), swept.disowned_bytes.load(Ordering::Relaxed));
        core.pace.end_sweep(live, core.memory.units_in_use() * SPAN_BYTES, disowned);
        self.stopwatch.lap(|report| &mut report.sweep);
        self.stopwatch.stop(core);
    }

    /// Traces the values of weak maps whose keys are marked; whether that has marked anything.
    pub(crate) fn trace_ephemerons(&mut self) -> bool {
        self.core.decision.ephemerons.trace(&self.core.queue, &mut self.tracer)
    }

    /// Traces until the queue is empty.
    fn trace(&mut self) {
        let (core, black, tracer) = (self.core, self.black, &mut self.tracer);
        let room = Room::new(&core.processors, self.workers);
        let marking = Marking::new(self.workers.count() + 1);
        let has_room = |markers| !room.is_exceeded(markers);
        let help = |helper| {
            let mut tracer = Tracer::new(&core.memory.region, black);
            match helper {
                Helper::Steady => marking.drain_and_call(|_| (), &core.queue, &core.pace, &mut tracer),
                Helper::Idle => marking.drain_while(has_room, &core.queue, &core.pace, &mut tracer),
            }
        };
        self.workers.with_helpers(&help, || {
            marking.drain_and_call(|markers| room.call(markers), &core.queue, &core.pace, tracer);
        });
        let most = &mut self.stopwatch.report.markers;
        *most = marking.most().max(*most);
    }
}

/// Asks every processor to adopt a mode, and waits until all have. Only the collector ever waits here.
pub(crate) fn handshake(core: &Core, mode: Mode, colour: u8) {
    core.delay_handshake();
    let phase = core.processors.change_phase(|phase| phase.next(mode, colour));
    let mut wait = None::<Wait<'_>>;
    for looks in 0_u64.. {
        let mut all_answered = true;
        for processor in core.processors.all() {
            let state = processor.state();
            let answered = state.phase().number() >= phase.number();
            let must_retire = core.processors.must_retire(processor);
            if state.status() == Status::Retired || (answered && !must_retire) {
                continue;
            }
            core.delay_handshake();
            match processor.try_take(Status::Held) {
                // A resize may have changed the number since; the newest phase answers this one too.
                Some(holding) if must_retire => {
                    core.processors.retire(core, holding);
                    // It stays in use, without an answer, if the limit has been raised meanwhile: look again.
                    all_answered = false;
                }
                Some(holding) => holding.answer_held(core, core.processors.phase()),
                None => all_answered &= answered,
            }
        }
        if all_answered {
            return;
        }
        // A mutation is in the way.
        wait.get_or_insert_with(|| Wait::begin(core, phase)).look();
        match pause_after(looks) {
            None => spin_briefly(),
            Some(pause) => thread::sleep(pause),
        }
    }
}

/// How long to sleep after so many looks in vain, and one more; `None` if it is too soon for that.
///
/// Where threads share a core, to sleep, however shortly, is better than to yield: who yields waits for the others' whole time
/// slices (measured: 4 ms a handshake), while who wakes up goes first.
fn pause_after(looks: u64) -> Option<Duration> {
    looks.checked_sub(4).map(|more| Duration::from_micros(10 << more.min(5)))
}

/// Lowers the flag of every span that may hold pins; returns those spans.
///
/// From here on a pin raises the flag again, unless its mutation saw it still raised; that mutation ends before
/// handshake 2 is through, so its pin is found when the returned spans are walked.
fn take_pin_flags(core: &Core) -> Vec<usize> {
    let region = &core.memory.region;
    let units = 0..core.memory.frontier();
    units
        .filter(|&unit| {
            let flag = region.pin_flag(unit);
            // Relaxed: the handshakes order these bytes with pins (above).
            let raised = flag.load(Ordering::Relaxed) == PIN_FLAG_RAISED;
            if raised {
                flag.store(PIN_FLAG_TOUCHED, Ordering::Relaxed);
            }
            raised
        })
        .collect()
}

/// Marks every pinned object: the counters are the truth.
///
/// Called when handshake 2 is through, and not sooner. Who pins is a mutation with the object in hand, or one to which such a
/// mutation has *lent* it: a reference that a scoped thread pins by [`pin_ref`](crate::Pinner::pin_ref). Where an object comes
/// from a mutation that began before the snapshot, it may have been unlinked in `Off`, without a word. Then
///
/// * if the pinning mutation is in `Off`, its pin comes before its processor's answer to handshake 1, and is found here;
/// * if it is in `Arm`, it shades, and its pin comes before its processor's answer to handshake 2;
/// * if it is in `Mark`, nothing is shaded, and its own processor has answered already. It can only have borrowed the object, and
///   the first lender, in `Arm` still, does not end before the borrowing thread has been joined. So flag and count come before the
///   join, that before the lender's processor's answer to handshake 2, and that before this walk, which alone saves the object
///   (`protocol_tests::what_arm_lends_and_mark_pins_survives`).
///
/// Whatever else is pinned is part of the snapshot, or was born black.
fn visit_pins(core: &Core, taken: Vec<usize>, tracer: &mut Tracer<'_>) {
    let region = &core.memory.region;
    let mut units = taken;
    units.extend((0..core.memory.frontier()).filter(|&unit| {
        // Relaxed: a flag that this walk needs was raised before some processor's answer to handshake 2 (above), and was
        // seen with that.
        region.pin_flag(unit).load(Ordering::Relaxed) == PIN_FLAG_RAISED
    }));
    units.sort_unstable();
    units.dedup();
    for unit in units {
        for address in region.slots(unit) {
            // A pin that this walk needs is seen by way of the handshakes, like its flag.
            if region.is_pinned(address) {
                // Relaxed: as where it is lowered; the next cycle's thread has seen this one end.
                region.pin_flag(unit).store(PIN_FLAG_RAISED, Ordering::Relaxed);
                tracer.visit_root(region.pointer(address));
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #[test]
    fn the_collector_sleeps_longer_and_longer_up_to_a_bound() {
        let pauses = [0, 3, 4, 5, 6, 8, 9, 10, u64::MAX].map(super::pause_after);
        let microseconds = pauses.map(|pause| pause.map(|pause| pause.as_micros()));
        let expected = [None, None, Some(10), Some(20), Some(40), Some(160), Some(320), Some(320), Some(320)];
        assert_eq!(microseconds, expected);
    }
}
