//! Mutations that answer handshakes, at each step of a cycle that the test takes by hand.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::phase::Mode;
use crate::collector::cycle::Cycle;
use crate::collector::workers::Workers;
use crate::{Heap, Mutator};

/// Allocates until the mutation is in `mode`. Ends because somebody begins the handshake.
fn alloc_until(mu: &Mutator<'_>, mode: Mode) {
    while mu.mode() != mode {
        mu.alloc([0_u8; 4096]);
        thread::yield_now();
    }
}

/// Allocates until more than one span is full, so that there were some safepoints.
fn pass_safepoints(mu: &Mutator<'_>) {
    for _ in 0..100 {
        mu.alloc([0_u8; 4096]);
    }
}

/// Waits until the collector asks for `mode`.
fn wait_for_handshake(mu: &Mutator<'_>, mode: Mode) {
    while mu.core().processors.phase().mode() != mode {
        thread::yield_now();
    }
}

#[test]
fn a_mutation_answers_every_handshake_but_the_second_where_it_allocates() {
    // No cycle but the one by hand.
    let heap = Heap::builder().processors(1).growth_percent(100_000).build().unwrap();
    let dropped = Arc::new(());
    heap.mutate(|mu| _ = mu.alloc(Arc::clone(&dropped)));
    let (to_mutator, from_collector) = channel();
    let (to_collector, from_mutator) = channel();
    thread::scope(|scope| {
        let heap = &heap;
        let next = |receiver: &Receiver<()>| receiver.recv().unwrap();
        scope.spawn(move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                to_collector.send(()).unwrap();
                alloc_until(mu, Mode::Arm);
                wait_for_handshake(mu, Mode::Mark);
                pass_safepoints(mu);
                assert_eq!(mu.mode(), Mode::Arm, "it may have in hand what nothing leads to");
            });
            next(&from_collector);
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Mark);
                to_collector.send(()).unwrap();
                // By way of `Close`, where it may not be seen: two handshakes may be answered at a time.
                alloc_until(mu, Mode::Off);
                // The sweep does not wait for it either.
                next(&from_collector);
                pass_safepoints(mu);
            });
        });
        next(&from_mutator);
        let workers = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &workers);
        cycle.take_the_snapshot();
        to_mutator.send(()).unwrap();
        next(&from_mutator);
        cycle.mark();
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        assert_eq!(Arc::strong_count(&dropped), 1);
        to_mutator.send(()).unwrap();
    });
    heap.collect();
    heap.verify().unwrap();
}

/// A slice whose elements are still to be made is whole for nobody else.
#[test]
fn no_handshake_is_answered_in_the_midst_of_an_allocation() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let (to_collector, from_mutator) = channel();
    thread::scope(|scope| {
        let heap = &heap;
        scope.spawn(move || {
            heap.mutate(|mu| {
                let mode_inside = || {
                    wait_for_handshake(mu, Mode::Arm);
                    pass_safepoints(mu);
                    mu.mode()
                };
                // There is a run now: none of those below passes a safepoint to get one, before it is in the midst of anything.
                mu.alloc_slice_with(1, |_| ());
                to_collector.send(()).unwrap();
                let mut modes = Vec::new();
                mu.alloc_slice_with(1, |_| modes.push(mode_inside()));
                mu.alloc_bytes_with(1, |_| modes.push(mode_inside()));
                mu.alloc_header_slice(7_u8, 1, |_| modes.push(mode_inside()));
                assert_eq!(modes, [Mode::Off; 3]);
                pass_safepoints(mu);
                assert_eq!(mu.mode(), Mode::Arm);
            });
        });
        from_mutator.recv().unwrap();
        heap.collect();
    });
}
