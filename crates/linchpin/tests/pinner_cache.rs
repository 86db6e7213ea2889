//! The one inner pinner that each processor caches: taken, given back only into an empty slot,
//! and let go at the end of a cycle or with its processor. All of it observed by counting.

#![cfg(not(loom))]

mod common;

use std::sync::Barrier;
use std::thread;

use common::Triple;
use linchpin::{Heap, Pinner};

fn heap_with_one_processor() -> Heap {
    Heap::builder().processors(1).pinner_cache(true).build().expect("a heap of one processor")
}

/// One whole use of a Pinner in one mutation.
fn pin_and_unpin(heap: &Heap) {
    heap.mutate(|mu| {
        let mut pinner = Pinner::new();
        pinner.pin(mu, mu.alloc(Triple::of(1)));
        pinner.unpin();
    });
}

#[test]
fn an_inner_pinner_is_used_again_after_unpin() {
    let heap = heap_with_one_processor();
    for _ in 0..1000 {
        pin_and_unpin(&heap);
    }
    let stats = heap.stats();
    assert_eq!(stats.pinners_created, 1);
    assert_eq!(stats.pinners_freed, 0);
}

#[test]
fn a_drop_gives_back_as_unpin_does() {
    let heap = heap_with_one_processor();
    for _ in 0..1000 {
        heap.mutate(|mu| {
            let mut pinner = Pinner::new();
            pinner.pin(mu, mu.alloc(Triple::of(2)));
        });
    }
    assert_eq!(heap.stats().pinners_created, 1);
}

#[test]
fn a_pinner_that_pins_nothing_needs_no_inner() {
    let heap = heap_with_one_processor();
    heap.mutate(|mu| {
        let mut pinner = Pinner::new();
        pinner.unpin();
        drop(pinner);
        let _garbage = mu.alloc(Triple::of(3));
        drop(Pinner::new());
    });
    assert_eq!(heap.stats().pinners_created, 0);
}

#[test]
fn a_full_slot_takes_no_second_inner() {
    let heap = heap_with_one_processor();
    heap.mutate(|mu| {
        let object = mu.alloc(Triple::of(4));
        let mut first = Pinner::new();
        let mut second = Pinner::new();
        first.pin(mu, object);
        second.pin(mu, object);
        assert_eq!(heap.stats().pinners_created, 2);

        first.unpin(); // into the empty slot
        second.unpin(); // the slot is full: the Pinner keeps its own
        assert_eq!(heap.stats().pinners_freed, 0);

        let mut third = Pinner::new();
        third.pin(mu, object); // takes the slot's
        second.pin(mu, object); // uses the one it kept
        assert_eq!(heap.stats().pinners_created, 2);

        let mut fourth = Pinner::new();
        fourth.pin(mu, object); // the slot is empty now
        assert_eq!(heap.stats().pinners_created, 3);
        assert_eq!(mu.pin_count(object), 3);
    });
}

#[test]
fn a_cycle_empties_the_slot() {
    let heap = heap_with_one_processor();
    for round in 1..=5 {
        pin_and_unpin(&heap);
        pin_and_unpin(&heap);
        assert_eq!(heap.stats().pinners_created, round);
        assert_eq!(heap.stats().pinners_freed, round - 1);
        heap.collect();
        assert_eq!(heap.stats().pinners_freed, round, "the cycle left the slot full");
    }
}

#[test]
fn a_cycle_leaves_an_inner_in_use_alone() {
    let heap = heap_with_one_processor();
    let mut pinner = Pinner::new();
    heap.mutate(|mu| pinner.pin(mu, mu.alloc(Triple::of(5))));
    heap.collect();
    assert_eq!(heap.stats().pinners_freed, 0);
    assert_eq!(pinner.len(), 1);
    heap.mutate(|mu| {
        pinner.pin(mu, mu.alloc(Triple::of(6)));
        pinner.unpin();
    });
    assert_eq!(heap.stats().pinners_created, 1);
}

#[test]
fn retiring_a_processor_empties_its_slot() {
    let heap = Heap::builder().processors(2).build().expect("a heap of two processors");
    let both_inside = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                heap.mutate(|mu| {
                    let mut pinner = Pinner::new();
                    pinner.pin(mu, mu.alloc(Triple::of(7)));
                    both_inside.wait();
                    pinner.unpin();
                });
            });
        }
    });
    assert_eq!(heap.stats().pinners_created, 2);
    assert_eq!(heap.stats().pinners_freed, 0);

    heap.set_processors(1).expect("one processor is allowed");
    assert_eq!(heap.processors(), 1);
    assert_eq!(heap.stats().pinners_freed, 1, "the retired processor kept its inner");

    pin_and_unpin(&heap);
    assert_eq!(heap.stats().pinners_created, 2, "the remaining processor lost its inner");
}

#[test]
fn without_the_cache_every_round_makes_and_frees_one() {
    let heap = Heap::builder().processors(1).pinner_cache(false).build().expect("a heap without pinner cache");
    for _ in 0..100 {
        pin_and_unpin(&heap);
    }
    assert_eq!(heap.stats().pinners_created, 100);
    assert_eq!(heap.stats().pinners_freed, 100);
}

#[test]
fn a_pinner_of_a_heap_without_cache_keeps_its_inner_while_it_lives() {
    let heap = Heap::builder().processors(1).pinner_cache(false).build().expect("a heap without pinner cache");
    let mut pinner = Pinner::new();
    for _ in 0..100 {
        heap.mutate(|mu| {
            pinner.pin(mu, mu.alloc(Triple::of(8)));
            pinner.unpin();
        });
    }
    assert_eq!(heap.stats().pinners_created, 1);
    drop(pinner);
    assert_eq!(heap.stats().pinners_freed, 1);
}

#[test]
fn no_inner_is_lost_on_threads() {
    const THREADS: usize = 4;
    let heap = Heap::builder().processors(2).build().expect("a heap of two processors");
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut kept = Pinner::new();
                for round in 0..300 {
                    heap.mutate(|mu| {
                        let mut short = Pinner::new();
                        short.pin(mu, mu.alloc(Triple::of(9)));
                        kept.pin(mu, mu.alloc(Triple::of(10)));
                    });
                    if round % 3 == 0 {
                        kept.unpin();
                    }
                    if round % 100 == 0 {
                        heap.collect();
                    }
                }
            });
        }
    });
    heap.collect();
    let stats = heap.stats();
    assert!(stats.pinners_created > 0);
    assert_eq!(stats.pinners_created, stats.pinners_freed, "an inner pinner was lost");
}
