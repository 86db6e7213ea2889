//! Sweeps, by plain accesses, against mutations that allocate, sweep for themselves and colour.

use super::{chain, during_a_cycle, explore, heap, is_allocated, lone, spawn};
use crate::Heap;
use crate::collector::cycle::{self, Cycle};
use crate::collector::workers::Workers;
use crate::processor::phase::colour_of_cycle;
use crate::sync::{Arc, Ordering};

/// Fails unless every span in use was swept of the dead of `cycle`: none has its old colour.
fn assert_swept(heap: &Heap, cycle: u64) {
    let memory = &heap.core().memory;
    for unit in 0..memory.frontier() {
        for address in memory.region.slots(unit) {
            let mark = memory.region.mark(address).load(Ordering::Relaxed);
            assert!([0, colour_of_cycle(cycle)].contains(&mark), "slot {address:#x} was not swept");
        }
    }
}

/// Dead slots are handed out again once each, and nothing that lives is touched, while the collector and a mutation
/// sweep and allocate in the same class.
#[test]
fn slots_are_handed_out_once() {
    explore("slots_are_handed_out_once", 1, || {
        let heap = heap(1);
        // A span with one object that stays, and three that are dead when the cycle begins.
        let kept = lone(&heap, 1);
        drop(chain(&heap, 2));
        drop(lone(&heap, 3));
        let made = during_a_cycle(&heap, |heap| [lone(heap, 4), lone(heap, 5)]);
        assert_swept(&heap, 1);
        heap.mutate(|mu| {
            let objects = [&kept, &made[0], &made[1]].map(|root| root.get(mu));
            for (object, content) in objects.into_iter().zip([1, 4, 5]) {
                assert!(is_allocated(&heap, object));
                assert_eq!(object.read(), content);
            }
            let mut addresses = objects.map(|object| object.start());
            addresses.sort_unstable();
            assert!(addresses.windows(2).all(|pair| pair[0] != pair[1]), "a slot was handed out twice");
        });
    });
}

/// A cycle right behind the sweep: what was allocated between the two is there, wherever in them that was.
#[test]
fn a_cycle_follows_a_sweep() {
    explore("a_cycle_follows_a_sweep", 1, || {
        let heap = heap(1);
        let kept = lone(&heap, 1);
        drop(lone(&heap, 2));
        let mutator = {
            let heap = Arc::clone(&heap);
            spawn(move || lone(&heap, 4))
        };
        for _ in 0..2 {
            cycle::run(heap.core(), &Workers::none());
        }
        let made = mutator.join().unwrap();
        assert_swept(&heap, 2);
        heap.mutate(|mu| {
            for (root, content) in [(&kept, 1), (&made, 4)] {
                assert!(is_allocated(&heap, root.get(mu)));
                assert_eq!(root.get(mu).read(), content);
            }
        });
    });
}

/// A span that a mutation sweeps for itself, by plain accesses, is swept before another mutation, in the next cycle, shades an
/// object in it.
#[test]
fn the_next_cycle_waits_for_every_sweep() {
    explore("the_next_cycle_waits_for_every_sweep", 1, || {
        let heap = heap(2);
        let kept = Arc::new(lone(&heap, 1));
        drop(lone(&heap, 2));
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        cycle.take_the_snapshot();
        cycle.mark();
        cycle.close();
        cycle.switch_off();
        heap.core().memory.open_sweep(1);
        let sweeper = {
            let heap = Arc::clone(&heap);
            spawn(move || lone(&heap, 4))
        };
        let shader = {
            let (heap, kept) = (Arc::clone(&heap), Arc::clone(&kept));
            spawn(move || heap.mutate(|mu| kept.get(mu).next.store(mu, kept.get(mu))))
        };
        cycle.sweep();
        let mut cycle = Cycle::begin(heap.core(), &none);
        cycle.take_the_snapshot();
        let made = sweeper.join().unwrap();
        shader.join().unwrap();
        cycle.mark();
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        assert_swept(&heap, 2);
        heap.mutate(|mu| {
            for (root, content) in [(&*kept, 1), (&made, 4)] {
                assert!(is_allocated(&heap, root.get(mu)));
                assert_eq!(root.get(mu).read(), content);
            }
        });
    });
}
