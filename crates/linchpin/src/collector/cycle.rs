//! One cycle, from the flip of the colours to the last swept span, as the collector's thread runs it.
//!
//! See the head of [`collector`](super) for the protocol and for why each step is there, and [`steps`](super::steps) for the steps.

use super::AbortOnUnwind;
use super::handshake::Patience;
use super::leaving::{Cores, Kind, LOOK_AFTER, Leaving, Turn};
use super::mark::Tracer;
use super::mark::pending::Pending;
use super::mark::sharing::Marking;
use super::relay::{InProgress, is_end_short};
use super::report::CycleCause;
use super::room::Room;
use super::steps::{Due, Steps};
use super::workers::{Helper, Workers};
use crate::heap::Core;
#[cfg(test)]
use crate::sync::thread;

/// Runs a whole cycle on this thread, as far as mutations take no step of it.
pub(crate) fn run(core: &Core, workers: &Workers, cause: CycleCause) {
    if let Some(in_progress) = core.relay.begin(core, || Some(cause)) {
        go_on(core, workers, in_progress);
    }
}

/// Runs the cycle that is wanted, or goes on with it if it has begun; false if mutations have ended it. On the collector's thread.
pub(crate) fn run_wanted(core: &Core, workers: &Workers) -> bool {
    let in_progress = core.relay.begin(core, || core.control.begin_wanted());
    in_progress.is_some_and(|in_progress| go_on(core, workers, in_progress))
}

/// Takes the steps of a cycle in progress that mutations do not take, to its end; false if they have taken the last.
fn go_on(core: &Core, workers: &Workers, mut in_progress: InProgress<'_>) -> bool {
    let abort = AbortOnUnwind;
    let mut marker = Marker::new(core, workers, in_progress.steps().black());
    let mut patience = Patience::new(core);
    let mut leaving = Leaving::default();
    let mut has_left_the_sweep = false;
    loop {
        let (kind, cores) = (in_progress.kind(core), in_progress.cores(core));
        let is_for_mutations = kind == Kind::Small && cores == Cores::All;
        // If somebody waits for its end, it is not left to who traces only as it allocates.
        let is_awaited = |steps: &Steps| steps.is_asked_for() || core.control.is_awaited() || core.relay.is_held_off();
        let steps = in_progress.steps();
        let mut is_ended = false;
        let due = steps.advance(core);
        if due != Due::Answers {
            patience.end();
        }
        match due {
            Due::Answers => {
                let asked = steps.asked();
                patience.pause(asked, !is_for_mutations, |pause| {
                    is_ended = !in_progress.leave_for(if is_for_mutations { LOOK_AFTER } else { pause });
                });
            }
            Due::Roots => steps.mark_roots(core),
            Due::Trace => match leaving.turn(kind, cores, core.pace.traced()) {
                Turn::Mutations(pause) if !is_awaited(steps) => {
                    is_ended = !in_progress.leave_mark_for(core, kind, pause);
                }
                Turn::Unknown if !is_awaited(steps) => is_ended = !in_progress.leave_for(LOOK_AFTER),
                _ => {
                    core.relay.note_mark_is_not_theirs();
                    marker.trace(steps);
                    steps.begin_round(core);
                }
            },
            Due::Decision => match marker.trace_ephemerons() {
                true => steps.begin_round(core),
                false => _ = steps.decide(core),
            },
            // Where the system takes the core away in the midst of it, the next cycle would begin late: so if they sweep, it is theirs.
            Due::Sweep if is_for_mutations && !has_left_the_sweep && is_end_short(core) && !is_awaited(steps) => {
                has_left_the_sweep = true;
                is_ended = !in_progress.leave_for(LOOK_AFTER);
            }
            Due::Sweep => break,
        }
        if is_ended {
            abort.disarm();
            return false;
        }
    }
    in_progress.sweep(core);
    abort.disarm();
    true
}

/// A cycle that one thread runs alone, step by step: [`go_on`] as tests have it, that let something happen in between. The steps
/// follow one another in the order in which they stand here.
#[cfg(test)]
pub(crate) struct Cycle<'a> {
    marker: Marker<'a>,
    steps: Steps,
}

#[cfg(test)]
impl<'a> Cycle<'a> {
    /// Nobody else runs a cycle of the heap before this one has been swept.
    pub(crate) fn begin(core: &'a Core, workers: &'a Workers) -> Self {
        let steps = Steps::begin(core, CycleCause::Growth, false, Pending::default());
        Self { marker: Marker::new(core, workers, steps.black()), steps }
    }

    fn advance(&mut self) -> Due {
        let core = self.marker.core;
        let mut patience = Patience::new(core);
        loop {
            match self.steps.advance(core) {
                Due::Answers => patience.pause(self.steps.asked(), true, thread::sleep),
                due => return due,
            }
        }
    }

    pub(crate) fn take_the_snapshot(&mut self) {
        assert_eq!(self.advance(), Due::Roots);
    }

    /// Marks what roots and pins lead to.
    pub(crate) fn mark(&mut self) {
        self.steps.mark_roots(self.marker.core);
        self.marker.trace(&mut self.steps);
    }

    /// Closing rounds, until one brings nothing; then it is decided what is dead, and weak pointers to that are cleared.
    pub(crate) fn close(&mut self) {
        let core = self.marker.core;
        loop {
            self.steps.begin_round(core);
            match self.advance() {
                Due::Trace => self.marker.trace(&mut self.steps),
                Due::Decision if self.trace_ephemerons() => {}
                Due::Decision if self.steps.decide(core) => break,
                Due::Decision => self.marker.trace(&mut self.steps),
                other => panic!("a closing round ends in {other:?}"),
            }
        }
    }

    /// A test has decided by hand.
    pub(crate) fn note_decided(&mut self) {
        self.steps.note_decided();
    }

    pub(crate) fn switch_off(&mut self) {
        assert_eq!(self.advance(), Due::Sweep);
    }

    pub(crate) fn sweep(mut self) {
        self.steps.sweep(self.marker.core);
        self.steps.stop(self.marker.core);
    }

    /// Traces the values of weak maps whose keys are marked; whether that has marked anything.
    pub(crate) fn trace_ephemerons(&mut self) -> bool {
        self.marker.trace_ephemerons()
    }
}

/// The collector's thread as a marker, and those that it has mark with it.
struct Marker<'a> {
    core: &'a Core,
    workers: &'a Workers,
    black: u8,
    tracer: Tracer<'a>,
}

impl<'a> Marker<'a> {
    fn new(core: &'a Core, workers: &'a Workers, black: u8) -> Self {
        Self { core, workers, black, tracer: Tracer::new(&core.memory.region, black) }
    }

    /// Traces the values of weak maps whose keys are marked; whether that has marked anything.
    fn trace_ephemerons(&mut self) -> bool {
        self.core.decision.ephemerons.trace(&self.core.queue, &mut self.tracer)
    }

    /// Traces until the queue is empty.
    fn trace(&mut self, steps: &mut Steps) {
        let (core, black, tracer) = (self.core, self.black, &mut self.tracer);
        let room = Room::new(&core.processors, self.workers);
        let marking = Marking::new(self.workers.count() + 1);
        let has_room = |markers| !room.is_exceeded(markers);
        let help = |helper| {
            let mut tracer = Tracer::new(&core.memory.region, black);
            match helper {
                Helper::Steady => {
                    marking.drain_and_call(|_| (), &mut Pending::default(), &core.queue, &core.pace, &mut tracer);
                }
                Helper::Idle => marking.drain_while(has_room, &core.queue, &core.pace, &mut tracer),
            }
        };
        self.workers.with_helpers(&help, || {
            let call = |markers| room.call(markers);
            marking.drain_and_call(call, &mut steps.pending, &core.queue, &core.pace, tracer);
        });
        let most = &mut steps.stopwatch.report.markers;
        *most = marking.most().max(*most);
    }
}
