//! Root slots: made, changed and dropped while the table is walked.

use super::{assert_alive, chain, during_a_cycle, explore, heap, is_allocated, lone, spawn, thing};
use crate::collector::cycle::Cycle;
use crate::collector::workers::Workers;
use crate::sync::Arc;

/// A root that is made in mid-cycle, and the walk over the table.
#[test]
fn an_object_that_becomes_a_root_is_not_lost() {
    explore("an_object_that_becomes_a_root_is_not_lost", 1, || {
        let heap = heap(1);
        let from = Arc::new(chain(&heap, 1));
        let lent = Arc::clone(&from);
        let (moved, born) = during_a_cycle(&heap, move |heap| {
            heap.mutate(|mu| {
                // A newborn that only a root leads to: the walk may find it, in the free slot of the chunk that it walks.
                let born = mu.root(thing(mu, 5, None));
                (mu.root(lent.get(mu).next.swap(mu, None).unwrap()), born)
            })
        });
        heap.mutate(|mu| {
            for (root, content) in [(&moved, 1), (&born, 5)] {
                assert!(is_allocated(&heap, root.get(mu)) && root.get(mu).read() == content);
            }
        });
    });
}

/// The walk over the table, and what it marks, against a newborn that becomes a root.
#[test]
fn a_newborn_is_whole_when_the_walk_finds_it() {
    explore("a_newborn_is_whole_when_the_walk_finds_it", 3, || {
        let heap = heap(1);
        let earlier = lone(&heap, 1);
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        cycle.take_the_snapshot();
        let mutator = {
            let heap = Arc::clone(&heap);
            // The second slot of the table's chunk, which the walk has in hand.
            spawn(move || lone(&heap, 5))
        };
        cycle.mark();
        let born = mutator.join().unwrap();
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        heap.mutate(|mu| {
            for (root, content) in [(&earlier, 1), (&born, 5)] {
                assert!(is_allocated(&heap, root.get(mu)) && root.get(mu).read() == content);
            }
        });
    });
}

/// A root that is dropped in mid-cycle, outside any mutation, after what it led to was linked elsewhere.
#[test]
fn what_a_dropped_root_led_to_is_not_lost() {
    explore("what_a_dropped_root_led_to_is_not_lost", 1, || {
        let heap = heap(1);
        let keeper = Arc::new(lone(&heap, 2));
        let root = lone(&heap, 1);
        let lent = Arc::clone(&keeper);
        during_a_cycle(&heap, move |heap| {
            heap.mutate(|mu| lent.get(mu).next.store(mu, root.get(mu)));
            drop(root);
        });
        assert_alive(&heap, &keeper, 1);
    });
}

/// What another thread finds in a root it sees whole, with no cycle that would order anything.
#[test]
fn a_newborn_is_whole_when_a_root_leads_to_it() {
    explore("a_newborn_is_whole_when_a_root_leads_to_it", 3, || {
        let heap = heap(2);
        let root = Arc::new(lone(&heap, 2));
        let other = {
            let (heap, root) = (Arc::clone(&heap), Arc::clone(&root));
            spawn(move || heap.mutate(|mu| root.set(mu, thing(mu, 3, None))))
        };
        heap.mutate(|mu| assert!([2, 3].contains(&root.get(mu).read())));
        other.join().unwrap();
    });
}
