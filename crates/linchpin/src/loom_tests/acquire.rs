//! Taking, giving back and waiting for a processor; answers to handshakes.

use loom::cell::UnsafeCell;

use super::{explore, heap, spawn};
use crate::collector::handshake::handshake;
use crate::processor::phase::{Mode, Status, colour_of_cycle};
use crate::sync::Arc;

/// A number that only who has the one processor may touch.
#[derive(Default)]
pub(super) struct Guarded(UnsafeCell<u32>);

// SAFETY: loom checks that its accesses are ordered.
unsafe impl Sync for Guarded {}

impl Guarded {
    pub(super) fn add(&self) {
        // SAFETY: as above.
        self.0.with_mut(|number| unsafe { *number += 1 });
    }

    pub(super) fn get(&self) -> u32 {
        // SAFETY: as above.
        self.0.with(|number| unsafe { *number })
    }
}

/// Two threads, one processor: one at a time has it, each sees what the one before did, and none waits for ever.
#[test]
fn one_has_the_processor_at_a_time() {
    explore("one_has_the_processor_at_a_time", 2, || {
        let heap = heap(1);
        let number = Arc::new(Guarded::default());
        let other = {
            let (heap, number) = (Arc::clone(&heap), Arc::clone(&number));
            spawn(move || heap.mutate(|_| number.add()))
        };
        // Twice, so that the fast path, by the processor it had last, is taken too.
        for _ in 0..2 {
            heap.mutate(|_| number.add());
        }
        other.join().unwrap();
        assert_eq!(heap.mutate(|_| number.get()), 3);
    });
}

/// A processor that is handed to a waiting thread brings along what its holder did. (More preemptions: `handover`.)
#[test]
fn a_processor_changes_hands_whole() {
    explore("a_processor_changes_hands_whole", 1, || {
        let heap = heap(1);
        let number = Arc::new(Guarded::default());
        let others = [(); 2].map(|()| {
            let (heap, number) = (Arc::clone(&heap), Arc::clone(&number));
            spawn(move || heap.mutate(|_| number.add()))
        });
        heap.mutate(|_| number.add());
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(heap.mutate(|_| number.get()), 3);
    });
}

/// When a handshake is through, every mutation that began before it has ended, and what it did is seen.
#[test]
fn a_handshake_waits_for_mutations_of_the_old_mode() {
    explore("a_handshake_waits_for_mutations_of_the_old_mode", 2, || {
        let heap = heap(1);
        let number = Arc::new(Guarded::default());
        let other = {
            let (heap, number) = (Arc::clone(&heap), Arc::clone(&number));
            spawn(move || {
                let mut in_off = 0;
                for _ in 0..2 {
                    heap.mutate(|mu| {
                        if mu.mode() == Mode::Off {
                            number.add();
                            in_off += 1;
                        }
                    });
                }
                in_off
            })
        };
        let core = heap.core();
        let phase = core.processors.phase().number() + 1;
        handshake(core, Mode::Arm, colour_of_cycle(1));
        // No mutation in `Off` runs any more, nor ever will before the next handshake.
        let seen = number.get();
        assert!(core.processors.all().all(|processor| processor.state().phase().number() >= phase));
        assert_eq!(other.join().unwrap(), seen);
        handshake(core, Mode::Mark, colour_of_cycle(1));
        handshake(core, Mode::Off, colour_of_cycle(1));
    });
}

/// A resize while a mutation begins: it runs on a processor that is in use, or one that is retired after it.
#[test]
fn a_processor_is_retired_between_mutations() {
    explore("a_processor_is_retired_between_mutations", 2, || {
        let heap = heap(2);
        let other = {
            let heap = Arc::clone(&heap);
            spawn(move || heap.mutate(|_| ()))
        };
        heap.set_processors(1).unwrap();
        heap.mutate(|_| ());
        other.join().unwrap();
        // Who has passed by since has seen to it; the collector does at the latest.
        handshake(heap.core(), Mode::Off, colour_of_cycle(0));
        let states = heap.core().processors.all().map(|processor| processor.state().status());
        assert_eq!(states.collect::<Vec<_>>(), [Status::Idle, Status::Retired, Status::Idle]);
    });
}
