//! Pin counters and flags against the walk over them.

use super::{assert_alive, chain, during_a_cycle, explore, heap, lone, spawn, thing};
use crate::Pinner;
use crate::collector::cycle::{self, Cycle};
use crate::collector::report::CycleCause;
use crate::collector::workers::Workers;
use crate::memory::PIN_FLAG_RAISED;
use crate::sync::{Arc, Ordering};

/// A pin that is made in mid-cycle: flag, counter and walk; of an old object, and of a newborn that the walk may be the
/// first to find.
#[test]
fn what_is_pinned_is_not_lost() {
    explore("what_is_pinned_is_not_lost", 1, || {
        let heap = heap(1);
        let from = Arc::new(chain(&heap, 1));
        let lent = Arc::clone(&from);
        let (pinner, pinned) = during_a_cycle(&heap, move |heap| {
            let mut pinner = Pinner::new();
            let pinned = heap.mutate(|mu| {
                let moved = lent.get(mu).next.swap(mu, None).unwrap();
                let born = thing(mu, 5, None);
                [pinner.pin(mu, moved), pinner.pin(mu, born)].map(|pointer| pointer.addr().get())
            });
            (pinner, pinned)
        });
        for address in pinned {
            let mark = heap.core().memory.region.mark(address).load(Ordering::Relaxed);
            assert_ne!(mark, 0, "it is pinned, and was freed");
        }
        drop(pinner);
    });
}

/// An object that is unpinned in mid-cycle, outside any mutation, after it was linked elsewhere.
#[test]
fn what_was_unpinned_is_not_lost() {
    explore("what_was_unpinned_is_not_lost", 1, || {
        let heap = heap(1);
        let keeper = Arc::new(lone(&heap, 2));
        let mut pinner = Pinner::new();
        let root = lone(&heap, 1);
        heap.mutate(|mu| _ = pinner.pin(mu, root.get(mu)));
        let lent = Arc::clone(&keeper);
        during_a_cycle(&heap, move |heap| {
            heap.mutate(|mu| lent.get(mu).next.store(mu, root.get(mu)));
            drop(root);
            drop(pinner);
        });
        assert_alive(&heap, &keeper, 1);
    });
}

/// A pin that finds the flag raised still, from an earlier one that is undone, while a cycle lowers it: the next cycle finds the
/// pin all the same.
#[test]
fn a_pin_keeps_the_flag_of_its_span() {
    explore("a_pin_keeps_the_flag_of_its_span", 2, || {
        let heap = heap(1);
        let root = Arc::new(lone(&heap, 1));
        let mut earlier = Pinner::new();
        let address = heap.mutate(|mu| earlier.pin(mu, root.get(mu)).addr().get());
        drop(earlier);
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        let mutator = {
            let (heap, root) = (Arc::clone(&heap), Arc::clone(&root));
            spawn(move || {
                let mut pinner = Pinner::new();
                heap.mutate(|mu| _ = pinner.pin(mu, root.get(mu)));
                pinner
            })
        };
        cycle.take_the_snapshot();
        cycle.mark();
        let pinner = mutator.join().unwrap();
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        let region = &heap.core().memory.region;
        assert_eq!(region.pin_flag(region.unit_of(address)).load(Ordering::Relaxed), PIN_FLAG_RAISED);
        drop(root);
        cycle::run(heap.core(), &none, CycleCause::Asked);
        assert_ne!(region.mark(address).load(Ordering::Relaxed), 0, "it is pinned, and was freed");
        drop(pinner);
    });
}
