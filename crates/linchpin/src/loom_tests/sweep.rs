//! Sweeps, by plain accesses, against mutations that allocate, sweep for themselves and colour.

use super::{chain, during_a_cycle, explore, heap, is_allocated, lone, spawn, thing};
use crate::Heap;
use crate::collector::cycle::{self, Cycle};
use crate::collector::handshake::handshake;
use crate::collector::report::CycleCause;
use crate::collector::workers::Workers;
use crate::processor::phase::{Mode, colour_of_cycle};
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
        // A span with one object that stays, one that is dead when the cycle begins, and room for what the mutation makes: who
        // takes it unswept keeps it.
        let kept = lone(&heap, 1);
        drop(lone(&heap, 2));
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

/// Spans are swept, by plain accesses, only when no mutation can be looking at mark bytes in its barrier any more.
#[test]
fn a_sweep_waits_for_every_barrier() {
    explore("a_sweep_waits_for_every_barrier", 3, || {
        let heap = heap(1);
        let from = Arc::new(chain(&heap, 1));
        // The second of them opens a new span, and the first span goes back to its class.
        let others = [2, 3, 4].map(|content| lone(&heap, content));
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        cycle.take_the_snapshot();
        cycle.mark();
        cycle.close();
        let mutator = {
            let (heap, from) = (Arc::clone(&heap), Arc::clone(&from));
            spawn(move || heap.mutate(|mu| from.get(mu).next.clear(mu)))
        };
        cycle.switch_off();
        cycle.sweep();
        mutator.join().unwrap();
        assert_swept(&heap, 1);
        heap.mutate(|mu| assert!(others.iter().all(|root| is_allocated(&heap, root.get(mu)))));
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
            cycle::run(heap.core(), &Workers::none(), CycleCause::Asked);
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
        let core = heap.core();
        core.memory.open_sweep(1);
        let sweeper = {
            let heap = Arc::clone(&heap);
            spawn(move || heap.mutate(|mu| _ = thing(mu, 4, None)))
        };
        let shader = {
            let (heap, kept) = (Arc::clone(&heap), Arc::clone(&kept));
            spawn(move || heap.mutate(|mu| kept.get(mu).next.store(mu, kept.get(mu))))
        };
        core.memory.sweep_all(1);
        // The next cycle begins.
        handshake(core, Mode::Arm, colour_of_cycle(2));
        sweeper.join().unwrap();
        shader.join().unwrap();
        cycle::run(core, &none, CycleCause::Asked);
        assert_swept(&heap, 2);
        heap.mutate(|mu| {
            let next = kept.get(mu).next.load().expect("it was stored");
            assert!(is_allocated(&heap, next));
            assert_eq!(next.read(), 1);
        });
    });
}
