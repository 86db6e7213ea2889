//! Handshakes: every processor is asked to adopt a mode, and has answered when it has.

use std::time::Duration;

use crate::heap::Core;
use crate::long_mutations::Wait;
use crate::processor::phase::{Mode, Phase, Status};
use crate::sync::{spin_briefly, thread};

/// Asks every processor to adopt a mode; gives the phase that they are to answer for.
pub(crate) fn ask(core: &Core, mode: Mode, colour: u8) -> Phase {
    core.delay_handshake();
    core.processors.change_phase(|phase| phase.next(mode, colour))
}

/// Whether every processor has answered for `phase`. Answers for those that are idle.
pub(crate) fn is_answered(core: &Core, phase: Phase) -> bool {
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
    all_answered
}

/// Asks every processor to adopt a mode, and waits until all have.
pub(crate) fn handshake(core: &Core, mode: Mode, colour: u8) {
    let phase = ask(core, mode, colour);
    let mut patience = Patience::new(core);
    while !is_answered(core, phase) {
        patience.pause(phase, true, thread::sleep);
    }
}

/// How the collector waits for answers: after each look in vain, and longer and longer. Nobody else ever does.
pub(crate) struct Patience<'a> {
    core: &'a Core,
    /// The phase that answers are waited for, how often they were looked for in vain, and for how long.
    wait: Option<(Phase, u64, Wait<'a>)>,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(core: &'a Core) -> Self {
        Self { core, wait: None }
    }

    /// A mutation is in the way of `phase`: pauses, by `sleep` if it is not for an instant; or by `sleep` anyway, if the first looks are of no use.
    pub(crate) fn pause(&mut self, phase: Phase, may_look: bool, sleep: impl FnOnce(Duration)) {
        if self.wait.as_ref().is_none_or(|&(of, ..)| of != phase) {
            self.wait = Some((phase, 0, Wait::begin(self.core, phase)));
        }
        let Some((_, looks, wait)) = &mut self.wait else { return };
        wait.look();
        match pause_after(*looks) {
            None if may_look => spin_briefly(),
            pause => sleep(pause.unwrap_or_default()),
        }
        *looks += 1;
    }

    /// What was waited for has come.
    pub(crate) fn end(&mut self) {
        self.wait = None;
    }
}

/// Has the system wake the calling thread when it is to, and not up to 50 µs later, as it does by default to wake several at once: in a handshake
/// this one sleeps for 10 µs at first, and what is born meanwhile stays. (Threads that it starts later have it from it: helpers, or what a value that is
/// dropped there may start.)
pub(super) fn wake_in_time() {
    // Where the system does not, it is later. (Loom's threads do not sleep.)
    #[cfg(not(loom))]
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

/// How long to sleep after so many looks in vain, and one more; `None` if it is too soon for that.
///
/// Where threads share a core, to sleep, however shortly, is better than to yield: who yields waits for the others' whole time
/// slices (measured: 4 ms a handshake), while who wakes up goes first.
fn pause_after(looks: u64) -> Option<Duration> {
    looks.checked_sub(4).map(|more| Duration::from_micros(10 << more.min(5)))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::num::NonZeroU64;
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use rustix::thread::{current_timer_slack, set_current_timer_slack};

    use crate::{Heap, Trace};

    /// Tells of the thread that drops it how late it may be woken, in nanoseconds.
    struct Teller(Sender<u64>);

    impl Drop for Teller {
        fn drop(&mut self) {
            let _ = self.0.send(current_timer_slack().unwrap());
        }
    }

    #[derive(Trace)]
    struct Object(#[trace(skip)] Teller);

    #[test]
    fn the_collectors_thread_is_woken_in_time() {
        // The least that the system grants.
        let least = thread::spawn(|| {
            let _ = set_current_timer_slack(NonZeroU64::new(1));
            current_timer_slack().unwrap()
        });
        let (tell, told) = channel();
        let heap = Heap::new();
        heap.mutate(|mu| _ = mu.alloc(Object(Teller(tell))));
        heap.collect();
        assert_eq!(told.recv().unwrap(), least.join().unwrap());
    }

    #[test]
    fn the_collector_sleeps_longer_and_longer_up_to_a_bound() {
        let pauses = [0, 3, 4, 5, 6, 8, 9, 10, u64::MAX].map(super::pause_after);
        let microseconds = pauses.map(|pause| pause.map(|pause| pause.as_micros()));
        let expected = [None, None, Some(10), Some(20), Some(40), Some(160), Some(320), Some(320), Some(320)];
        assert_eq!(microseconds, expected);
    }
}
