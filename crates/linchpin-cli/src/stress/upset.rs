//! Panics that unwind out of mutations, and out of the closures that fill new objects.

use std::panic::{self, AssertUnwindSafe};

use linchpin::{Heap, Mutator, Pinner};

use super::ledger::Ghost;
use super::objects::{Empty, KIDS, Leaf, Maker};

/// What an injected panic carries, so that the hook knows it.
struct Injected;

/// Keeps injected panics from printing; all others print as before.
pub(crate) fn silence_injected() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Injected>() {
            before(info);
        }
    }));
}

/// Panics in some way inside a mutation, catches it outside, and sees that nothing was left open.
pub(crate) fn panic_inside(heap: &Heap, maker: &mut Maker) -> Result<(), String> {
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        heap.mutate(|mu| {
            let way = maker.numbers.below(5);
            litter(mu, maker);
            match way {
                0 => inject(),
                1 => half_a_group(mu, maker),
                2 => {
                    mu.alloc_bytes_with(maker.numbers.below(70_000), |buffer| {
                        buffer.fill(0xEE);
                        inject()
                    });
                }
                3 => heap.mutate(|inner| {
                    litter(inner, maker);
                    inject()
                }),
                _ => {
                    // Caught in between: the outer mutation goes on, then panics on its own.
                    let inner = panic::catch_unwind(AssertUnwindSafe(|| {
                        heap.mutate(|inner| half_a_group(inner, maker));
                    }));
                    litter(mu, maker);
                    if let Err(payload) = inner {
                        panic::resume_unwind(payload);
                    }
                }
            }
        });
    }));
    match outcome {
        Ok(()) => Err("a panic did not leave its mutation".to_owned()),
        Err(payload) if payload.is::<Injected>() => Ok(()),
        Err(payload) => panic::resume_unwind(payload),
    }
}

/// Makes things that the unwinding must drop or give back, as far as they are not garbage.
fn litter(mu: &Mutator<'_>, maker: &mut Maker) {
    let mut pinner = Pinner::new();
    let (node, ..) = maker.node(mu, [None; KIDS]);
    pinner.pin(mu, node);
    let (bytes, _) = maker.bytes(mu);
    pinner.pin(mu, bytes);
    let root = mu.root(node);
    let tracked = maker.tracked();
    let (tracked, _) = (mu.alloc(tracked), mu.alloc(Ghost::new()));
    mu.alloc(Empty);
    node.tracked.store(mu, tracked);
    drop(root);
}

/// A slice whose filling stops in the middle: what was made of it must still be dropped, once.
fn half_a_group(mu: &Mutator<'_>, maker: &mut Maker) {
    let length = 1 + maker.numbers.below(12);
    let stop = maker.numbers.below(length);
    let mut pinner = Pinner::new();
    pinner.pin(mu, mu.alloc(Leaf { id: 0, check: 0 }));
    let kept = mu.root(mu.alloc(Leaf { id: 0, check: 0 }));
    mu.alloc_slice_with(length, |index| {
        if index == stop {
            inject()
        }
        maker.tracked()
    });
    drop(kept);
}

fn inject() {
    panic::panic_any(Injected);
}
