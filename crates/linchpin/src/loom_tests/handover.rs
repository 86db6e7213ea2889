//! Processors that are handed to waiting threads: the queue of those by itself, without a mutation around it.
//!
//! So these bear more preemptions than `acquire::a_processor_changes_hands_whole`, where three threads go the whole way; with two
//! preemptions that one has more interleavings than half an hour is enough for.
//!
//! That model, and these, once ran into an endless wait: a waiter that had been given a processor never saw it. That was
//! neither an unfair schedule nor a wake-up that was lost, but loom: the waiter took its grant by a swap, and loom does not know
//! that a swap follows what it read directly in the order of changes, with nothing in between. It let the waiter's next swap
//! overlook a grant that happened before it. The grant is made once, so the waiter loads it now, which needs no swap.

use super::acquire::Guarded;
use super::{explore, spawn};
use crate::processor::phase::{Phase, Status};
use crate::processor::waiting::Waiting;
use crate::processor::{Holding, Processor};
use crate::sync::{Arc, thread};

/// Two processors, and the threads that wait for one.
struct Desk {
    processors: [Processor; 2],
    waiting: Waiting,
    /// A number for each processor that only its holder may touch.
    numbers: [Guarded; 2],
}

impl Desk {
    fn new() -> Arc<Self> {
        let processors = [0, 1].map(|index| Processor::new(index, Phase::FIRST));
        Arc::new(Self { processors, waiting: Waiting::default(), numbers: Default::default() })
    }

    /// A processor that is held for a thread to be, which gives it back by `give_back`.
    fn hold(&self, index: usize) {
        let holding = self.processors[index].try_take(Status::Running).expect("nobody else is here yet");
        holding.keep();
    }

    /// As when a mutation ends.
    fn give_back(&self, index: usize) {
        self.numbers[index].add();
        // SAFETY: it was taken by `hold` for the calling thread, or by it.
        let holding = unsafe { Holding::of(&self.processors[index]) };
        if self.waiting.any() {
            self.waiting.pass_on(holding);
        } else {
            drop(holding);
        }
    }

    /// Waits for one of the first `count` processors, and gives it back.
    fn wait_for_one(&self, count: usize) {
        let try_take = || self.processors[..count].iter().find_map(|processor| processor.try_take(Status::Running));
        let holding = self.waiting.wait_for(try_take);
        self.give_back(holding.keep().index());
    }

    /// Nobody waits, every processor can be taken, and so many have had one.
    fn check(&self, had: u32) {
        assert!(!self.waiting.any());
        assert!(
            self.processors.iter().all(|processor| processor.state().status() == Status::Idle),
            "a processor is lost"
        );
        for processor in &self.processors {
            processor.try_take(Status::Running).expect("it is idle").keep();
        }
        assert_eq!(self.numbers.iter().map(Guarded::get).sum::<u32>(), had);
    }
}

/// Whoever waits gets the processor, by looking again or by being given it, and with it what its last holder did.
#[test]
fn a_waiting_thread_gets_the_processor_whole() {
    explore("a_waiting_thread_gets_the_processor_whole", 4, || {
        let desk = Desk::new();
        desk.hold(0);
        let waiter = {
            let desk = Arc::clone(&desk);
            spawn(move || desk.wait_for_one(1))
        };
        // Time for it to look in vain, without a preemption.
        thread::yield_now();
        desk.give_back(0);
        waiter.join().unwrap();
        desk.check(2);
    });
}

/// Two processors come free at once: the waiting thread gets one of them, and the other is not lost, also when one is given to it in
/// the moment in which it takes the other.
#[test]
fn no_processor_is_given_to_who_has_left() {
    explore("no_processor_is_given_to_who_has_left", 2, || {
        let desk = Desk::new();
        let holders = [0, 1].map(|index| {
            desk.hold(index);
            let desk = Arc::clone(&desk);
            spawn(move || {
                thread::yield_now();
                desk.give_back(index);
            })
        });
        desk.wait_for_one(2);
        for holder in holders {
            holder.join().unwrap();
        }
        desk.check(3);
    });
}
