//! The steps of a cycle: what is done between two waits for answers.
//!
//! A cycle waits at four places, and at each the wait may end while the collector's thread sleeps. So what comes next is not
//! written down as a course of events, but as a state, from which whoever has it can go on ([`advance`](Steps::advance)): the
//! collector's thread, or a mutation that has just answered ([`relay`](super::relay)). One thread has it at a time, and hands it on
//! by way of a lock; so to the protocol they are one collector.

use super::handshake::{ask, handshake, is_answered};
use super::mark::Tracer;
use super::mark::pending::Pending;
use super::mark::sharing::{Pieces, trace_pieces};
use super::pin_walk::{raised_pin_flags, take_pin_flags, visit_pins};
use super::report::{CycleCause, Stopwatch};
use std::time::{Duration, Instant};

use crate::heap::Core;
use crate::memory::SPAN_BYTES;
use crate::memory::sweep::Left;
use crate::processor::phase::{Mode, Phase, colour_of_cycle};
use crate::processor::thread::Sweeping;
use crate::sync::{Ordering, reordered};
use crate::verify;

/// Mutations mark the roots if there are no more slots of them, and spans that may hold pins, than that: some microseconds.
const MOST_ROOT_SLOTS: usize = 4096;
const MOST_PINNED_SPANS: usize = 4;

/// To look through the spans of more units than this (128 MiB) is a step by itself; and room for so many that are pending takes the system a while.
pub(super) const MANY_UNITS: usize = 1 << 11;

/// A cycle in progress, between two steps.
pub(crate) struct Steps {
    number: u64,
    black: u8,
    stage: Stage,
    /// The phase that was last asked for, and when; and whether it was found not answered since.
    asked: Phase,
    asked_at: Instant,
    is_delayed: bool,
    /// Batches that had been pushed when the last closing round began; `None` before the first.
    pushed: Option<u64>,
    began: Instant,
    /// Mutations had allocated slowly before it began.
    is_calm: bool,
    /// The spans whose pin flags were lowered.
    may_hold_pins: Vec<usize>,
    /// These, or the roots, were found to be too many for a mutation.
    are_roots_many: bool,
    /// What is grey and not in the queue, between two who trace.
    pub(super) pending: Pending,
    /// Room was made for what may be, which is done once.
    has_room: bool,
    /// Whether the sweep has been opened.
    is_open: bool,
    pub(crate) stopwatch: Stopwatch,
}

/// How far a cycle has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Nothing has been asked for.
    Begun,
    /// Handshake 1 is awaited: when all have answered, every deletion is logged. This is the snapshot.
    Arm,
    /// Handshake 2 is awaited: when all have answered, no mutation that began before the snapshot still runs.
    Mark,
    /// Roots and pins are to be marked.
    Roots,
    /// There may be something to trace.
    Trace,
    /// A closing round is awaited, which collects every barrier buffer; the first is handshake 3.
    Close,
    /// A closing round has brought nothing.
    Decision,
    /// It is decided what is dead.
    Decided,
    /// The handshake to `Off` is awaited.
    Off,
    /// The dead are to be swept.
    Sweep,
}

/// What a cycle needs to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// Answers.
    Answers,
    /// [`Steps::mark_roots`].
    Roots,
    /// Somebody to trace what is grey, and then [`Steps::begin_round`].
    Trace,
    /// A pass over ephemerons, which ends in [`Steps::begin_round`] if it has marked anything, and else in [`Steps::decide`].
    Decision,
    /// [`Steps::sweep`].
    Sweep,
}

impl Steps {
    /// Nobody else runs a cycle of the heap before this one has been swept. It is calm, or not.
    pub(crate) fn begin(core: &Core, cause: CycleCause, is_calm: bool, pending: Pending) -> Self {
        let number = core.memory.marked_cycle() + 1;
        let stopwatch = Stopwatch::start(core, number, cause);
        core.pace.begin_mark();
        Self {
            number,
            black: colour_of_cycle(number),
            stage: Stage::Begun,
            asked: core.processors.phase(),
            asked_at: Instant::now(),
            is_delayed: false,
            pushed: None,
            began: Instant::now(),
            is_calm,
            may_hold_pins: Vec::new(),
            are_roots_many: false,
            pending,
            has_room: false,
            is_open: false,
            stopwatch,
        }
    }

    /// The number of the cycle.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The colour of what is alive.
    pub(crate) fn black(&self) -> u8 {
        self.black
    }

    /// The phase that was last asked for.
    pub(crate) fn asked(&self) -> Phase {
        self.asked
    }

    /// Whether there are so few roots, and spans that may hold pins, that a mutation may mark them.
    pub(crate) fn are_roots_few(&mut self, core: &Core) -> bool {
        if !self.are_roots_many {
            let raised = || raised_pin_flags(core).take(MOST_PINNED_SPANS + 1).count();
            self.are_roots_many =
                core.roots.slots() > MOST_ROOT_SLOTS || self.may_hold_pins.len() + raised() > MOST_PINNED_SPANS;
        }
        !self.are_roots_many
    }

    /// Whether somebody waits for the cycle.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.stopwatch.report.cause != CycleCause::Growth
    }

    /// How long ago it began.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether mutations had allocated slowly before it began.
    pub(crate) fn is_calm(&self) -> bool {
        self.is_calm
    }

    /// Whether a closing round has begun.
    pub(crate) fn is_closing(&self) -> bool {
        self.pushed.is_some()
    }

    /// Whether the mark has ended, by decision.
    pub(crate) fn is_decided(&self) -> bool {
        matches!(self.stage, Stage::Decided | Stage::Off | Stage::Sweep)
    }

    fn ask(&mut self, core: &Core, mode: Mode, stage: Stage) {
        self.asked = ask(core, mode, self.black);
        (self.asked_at, self.is_delayed) = (Instant::now(), false);
        self.stage = stage;
    }

    /// Takes all steps that are due and that are short whatever is in the heap; gives what the next one needs.
    pub(crate) fn advance(&mut self, core: &Core) -> Due {
        loop {
            let stage = self.stage;
            match stage {
                Stage::Begun => {
                    if !reordered!("cycle.pin_flags") {
                        self.may_hold_pins = take_pin_flags(core);
                    }
                    self.ask(core, Mode::Arm, Stage::Arm);
                }
                Stage::Arm | Stage::Mark | Stage::Close | Stage::Off if !self.is_answered(core) => return Due::Answers,
                Stage::Arm => self.ask(core, Mode::Mark, Stage::Mark),
                Stage::Mark => self.end_snapshot(core),
                Stage::Roots => return Due::Roots,
                Stage::Trace => return Due::Trace,
                Stage::Close => self.end_round(core),
                Stage::Decision => return Due::Decision,
                Stage::Decided => self.switch_off(core),
                Stage::Off => self.end_off(core),
                Stage::Sweep => return Due::Sweep,
            }
        }
    }

    fn is_answered(&mut self, core: &Core) -> bool {
        let is_answered = is_answered(core, self.asked);
        if is_answered && self.is_delayed {
            core.long_mutations.note_delay(self.asked_at.elapsed());
        }
        self.is_delayed |= !is_answered;
        is_answered
    }

    fn end_snapshot(&mut self, core: &Core) {
        core.pace.note_births();
        core.queue.let_assist(true);
        if reordered!("cycle.pin_flags") {
            self.may_hold_pins = take_pin_flags(core);
        }
        self.stopwatch.lap(|report| &mut report.snapshot);
        self.stage = Stage::Roots;
    }

    /// Marks roots and pins, and puts them into the queue.
    pub(crate) fn mark_roots(&mut self, core: &Core) {
        debug_assert_eq!(self.stage, Stage::Roots);
        let mut tracer = Tracer::new(&core.memory.region, self.black);
        core.roots.visit_all(&mut tracer);
        visit_pins(core, std::mem::take(&mut self.may_hold_pins), &mut tracer);
        core.queue.push(tracer.take_grey());
        self.stage = Stage::Trace;
    }

    /// Makes room for so many units that wait, the first time.
    pub(crate) fn make_room(&mut self, units: usize) {
        if !std::mem::replace(&mut self.has_room, true) {
            self.pending.make_room(units);
        }
    }

    /// Traces so many bytes, about, or a part of them, if that takes long; gives how many those were.
    pub(crate) fn trace_some(&mut self, core: &Core, budget: u64, pieces: Pieces) -> u64 {
        let began = Instant::now();
        self.trace_unless(core, budget, pieces, || began.elapsed() >= pieces.long)
    }

    fn trace_unless(&mut self, core: &Core, budget: u64, pieces: Pieces, is_long: impl Fn() -> bool) -> u64 {
        debug_assert_eq!(self.stage, Stage::Trace);
        let mut tracer = Tracer::new(&core.memory.region, self.black);
        trace_pieces(&core.queue, &mut self.pending, &mut tracer, budget, pieces, is_long)
    }

    /// Whether nothing is there to trace, but perhaps in buffers, or with one that assists.
    pub(crate) fn is_traced(&self, core: &Core) -> bool {
        self.pending.is_done() && core.queue.is_empty()
    }

    /// Begins a closing round: nothing grey is left, but in buffers.
    pub(crate) fn begin_round(&mut self, core: &Core) {
        debug_assert!(self.pending.is_done());
        if self.pushed.is_none() {
            self.stopwatch.lap(|report| &mut report.mark);
        }
        self.pushed = Some(core.queue.pushed());
        self.ask(core, Mode::Close, Stage::Close);
    }

    /// A round that brings nothing is the last; unless a marker has passed by a lock before it ([`lock`](crate::gc::lock)
    /// tells why).
    fn end_round(&mut self, core: &Core) {
        if Some(core.queue.pushed()) != self.pushed || !core.queue.is_empty() {
            self.stage = Stage::Trace;
        } else if core.queue.take_passed_by() {
            self.begin_round(core);
        } else {
            self.stage = Stage::Decision;
        }
    }

    /// Decides what is dead, and clears weak pointers to that. False if a weak pointer was upgraded since the round began: then there
    /// is something to trace.
    pub(crate) fn decide(&mut self, core: &Core) -> bool {
        debug_assert_eq!(self.stage, Stage::Decision);
        let is_decided = self.pushed.is_some_and(|pushed| core.decision.decide(&core.queue, pushed));
        if !is_decided {
            self.stage = Stage::Trace;
            return false;
        }
        core.queue.let_assist(false);
        core.decision.clear(&core.memory.region, self.black);
        core.cleanups.take_dead(&core.memory.region, self.black);
        self.stopwatch.lap(|report| &mut report.close);
        self.stage = Stage::Decided;
        true
    }

    /// A test has decided by hand.
    #[cfg(test)]
    pub(crate) fn note_decided(&mut self) {
        self.stage = Stage::Decided;
    }

    fn switch_off(&mut self, core: &Core) {
        if !reordered!("cycle.end_mark") {
            core.memory.end_mark(self.number);
        }
        self.stopwatch.end_mark(core);
        core.pace.end_mark();
        if reordered!("cycle.switch_off") {
            // What was asked for last has been answered.
            self.stage = Stage::Off;
        } else {
            self.ask(core, Mode::Off, Stage::Off);
        }
    }

    fn end_off(&mut self, core: &Core) {
        if reordered!("cycle.end_mark") {
            core.memory.end_mark(self.number);
        }
        core.decision.end();
        self.stopwatch.lap(|report| &mut report.switch_off);
        verify::after_mark(core);
        self.stage = Stage::Sweep;
    }

    /// Has processors sweep what they need; whether they did not before.
    fn open_sweep(&mut self, core: &Core) -> bool {
        debug_assert_eq!(self.stage, Stage::Sweep);
        if self.is_open {
            return false;
        }
        core.memory.open_sweep(self.number);
        self.is_open = true;
        true
    }

    /// Sweeps some spans, if none of their values are to be dropped; gives what is left.
    pub(crate) fn sweep_some(&mut self, core: &Core, most: usize) -> Left {
        if self.open_sweep(core) && core.memory.frontier() > MANY_UNITS {
            return Left::Spans;
        }
        let left = core.memory.sweep_some(self.number, most);
        if left == Left::Nothing {
            self.end_sweep(core);
        }
        left
    }

    /// Sweeps the rest.
    pub(crate) fn sweep(&mut self, core: &Core) {
        self.open_sweep(core);
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
        self.end_sweep(core);
    }

    fn end_sweep(&mut self, core: &Core) {
        verify::after_sweep(core);
        let swept = &core.memory.swept;
        let (live, disowned) = (swept.live_bytes.load(Ordering::Relaxed), swept.disowned_bytes.load(Ordering::Relaxed));
        core.pace.end_sweep(live, core.memory.units_in_use() * SPAN_BYTES, disowned);
        self.stopwatch.lap(|report| &mut report.sweep);
    }

    /// Ends the cycle, which has been swept; gives what the next one begins with.
    pub(crate) fn stop(self, core: &Core) -> Pending {
        self.stopwatch.stop(core);
        self.pending.kept()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::collector::relay_tests::{Node, list};
    use crate::{Heap, Root};

    const PIECE_BYTES: u64 = Pieces::LONG.bytes;

    /// Begins a cycle, and marks its roots.
    fn begin(core: &Core) -> Steps {
        let mut steps = Steps::begin(core, CycleCause::Growth, false, Pending::default());
        assert_eq!(steps.advance(core), Due::Roots);
        steps.mark_roots(core);
        steps
    }

    /// Takes a cycle of which all is traced to its sweep.
    fn end_mark(core: &Core, steps: &mut Steps) {
        steps.begin_round(core);
        while steps.advance(core) != Due::Decision {
            steps.begin_round(core);
        }
        assert!(steps.decide(core));
        assert_eq!(steps.advance(core), Due::Sweep);
    }

    /// To gather what is to be swept is all that a mutation does at a time, if there is much to look through.
    #[test]
    fn to_open_a_large_sweep_is_a_step_by_itself() {
        for units in [1, MANY_UNITS + 1] {
            let heap = Heap::builder().processors(1).growth_percent(100_000).build().unwrap();
            let core = heap.core();
            let _root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
            // As if a large object had them; nobody touches them.
            let start = core.memory.with_free_spans_mut(|free| free.take(units)).unwrap();
            let mut steps = begin(core);
            steps.trace_unless(core, u64::MAX, Pieces::LONG, || false);
            end_mark(core, &mut steps);
            let left = |steps: &mut Steps| steps.sweep_some(core, usize::MAX);
            if units > MANY_UNITS {
                assert!(left(&mut steps) == Left::Spans);
            }
            assert!(left(&mut steps) == Left::Nothing);
            core.memory.with_free_spans_mut(|free| free.give_back(start, units));
            steps.stop(core);
            heap.verify().unwrap();
        }
    }

    /// Where objects have to come from memory, to trace all that a mutation may would take it longer than it should.
    #[test]
    fn a_mutation_goes_on_only_if_the_last_piece_was_quick() {
        for (is_long, expected) in [(false, 4 * PIECE_BYTES), (true, PIECE_BYTES)] {
            let heap = Heap::builder().processors(1).growth_percent(100_000).build().unwrap();
            let core = heap.core();
            let _root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
            let mut steps = begin(core);
            let traced = steps.trace_unless(core, 4 * PIECE_BYTES, Pieces::LONG, || is_long);
            // A piece ends with the window that it came to last.
            assert!((expected..expected + PIECE_BYTES / 4).contains(&traced), "{traced} of {expected} bytes");
            // More than there is.
            let rest = steps.trace_unless(core, u64::MAX, Pieces::LONG, || false);
            assert!(steps.is_traced(core) && rest > PIECE_BYTES / 2, "{rest} bytes more");
            end_mark(core, &mut steps);
            steps.sweep(core);
            steps.stop(core);
            heap.verify().unwrap();
        }
    }
}
