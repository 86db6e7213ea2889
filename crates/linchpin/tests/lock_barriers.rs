//! Locks that are taken while the collector marks: what is taken out of their contents, before a marker has come there, is kept.

#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::thread;

use common::gate::{Behind, Gate};
use common::{Counted, Ledger, churn};
use linchpin::{Gc, GcMutex, GcRwLock, Heap, Mutator, Root, Trace};

/// Something that has to be traced, not only marked.
#[derive(Trace)]
struct Parent<'gc> {
    child: Gc<'gc, Counted>,
}

type Held<'gc> = Option<Gc<'gc, Parent<'gc>>>;

fn parent_of<'gc>(mu: &Mutator<'gc>, child: Counted) -> Held<'gc> {
    Some(mu.alloc(Parent { child: mu.alloc(child) }))
}

/// Locks that a marker does not come to before the gate is open.
#[derive(Trace)]
struct Gated<'gc> {
    gate: Behind,
    mutex: GcMutex<Held<'gc>>,
    rw_lock: GcRwLock<Held<'gc>>,
    nested: GcMutex<Vec<GcMutex<Held<'gc>>>>,
}

/// Puts a pointer into one of the places, or takes it out.
type Swap = for<'gc> fn(&Mutator<'gc>, &Gated<'gc>, Held<'gc>) -> Held<'gc>;

/// Takes the only pointer to a value out of a place in mid-mark, before the marker comes there, and keeps it by a new object,
/// which is never traced; and puts it back after the cycle, a few times over.
fn what_is_taken_out_in_mid_mark_survives(swap: Swap) {
    let heap = Heap::builder().processors(3).build().expect("a heap of three processors");
    let ledger = Ledger::new(1);
    let gate = Arc::new(Gate::default());
    let gated: Root<Gated<'static>> = heap.mutate(|mu| {
        let gated = Gated {
            gate: Behind(Arc::clone(&gate)),
            mutex: GcMutex::default(),
            rw_lock: GcRwLock::default(),
            nested: GcMutex::new(vec![GcMutex::default()]),
        };
        assert!(swap(mu, &gated, parent_of(mu, ledger.counted(0))).is_none());
        mu.root(mu.alloc(gated))
    });
    for round in 0..4 {
        let closed = gate.close();
        let kept: Root<GcMutex<Held<'static>>> = thread::scope(|scope| {
            let closed = closed;
            scope.spawn(|| heap.collect());
            gate.wait_until_reached();
            let kept = heap.mutate(|mu| {
                let held = swap(mu, gated.get(mu).as_ref(), None);
                assert!(held.is_some(), "round {round}");
                mu.root(mu.alloc(GcMutex::new(held)))
            });
            drop(closed);
            kept
        });
        churn(&heap, 5000);
        assert_eq!(ledger.total(), 0, "the value was dropped in round {round}");
        heap.mutate(|mu| {
            let held = kept.get(mu).as_ref().lock(mu).take();
            assert_eq!(held.map(|held| held.child.entry()), Some(0));
            assert!(swap(mu, gated.get(mu).as_ref(), held).is_none());
        });
        drop(kept);
    }
    drop(gated);
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn what_is_taken_out_of_a_mutex_survives() {
    what_is_taken_out_in_mid_mark_survives(|mu, gated, held| std::mem::replace(&mut *gated.mutex.lock(mu), held));
}

#[test]
fn what_is_taken_out_by_a_writer_survives() {
    what_is_taken_out_in_mid_mark_survives(|mu, gated, held| std::mem::replace(&mut *gated.rw_lock.write(mu), held));
}

#[test]
fn what_is_taken_out_of_a_lock_behind_a_lock_survives() {
    what_is_taken_out_in_mid_mark_survives(|mu, gated, held| {
        std::mem::replace(&mut *gated.nested.lock(mu)[0].lock(mu), held)
    });
}

/// The outer lock is what protects it.
#[test]
fn what_is_taken_out_past_a_lock_behind_a_lock_survives() {
    what_is_taken_out_in_mid_mark_survives(|mu, gated, held| {
        std::mem::replace(gated.nested.lock(mu)[0].get_mut(), held)
    });
}

/// The whole inner lock is taken out, and another one put there.
#[test]
fn what_is_behind_a_lock_that_is_taken_out_survives() {
    what_is_taken_out_in_mid_mark_survives(|mu, gated, held| {
        std::mem::replace(&mut gated.nested.lock(mu)[0], GcMutex::new(held)).into_inner()
    });
}

/// While a mutation that has taken a lock in mid-mark runs, the marker comes there, and passes by.
#[test]
fn a_marker_passes_by_a_lock_that_is_taken() {
    let heap = Heap::builder().processors(3).build().expect("a heap of three processors");
    let ledger = Ledger::new(2);
    let gate = Arc::new(Gate::default());
    let behind = Arc::new(Gate::default());
    let gated: Root<(Gated<'static>, Gated<'static>)> = heap.mutate(|mu| {
        let [first, second] = [(&gate, 0), (&behind, 1)].map(|(gate, entry)| Gated {
            gate: Behind(Arc::clone(gate)),
            mutex: GcMutex::new(parent_of(mu, ledger.counted(entry))),
            rw_lock: GcRwLock::default(),
            nested: GcMutex::default(),
        });
        mu.root(mu.alloc((first, second)))
    });
    let (first_closed, second_closed) = (gate.close(), behind.close());
    thread::scope(|scope| {
        let (first_closed, second_closed) = (first_closed, second_closed);
        scope.spawn(|| heap.collect());
        gate.wait_until_reached();
        heap.mutate(|mu| {
            let mut taken = gated.get(mu).as_ref().0.mutex.lock(mu);
            let held = taken.take();
            drop(first_closed);
            // The marker is past the lock now, which this mutation has.
            behind.wait_until_reached();
            *taken = held;
        });
        drop(second_closed);
    });
    churn(&heap, 5000);
    heap.collect();
    ledger.assert_none();
    drop(gated);
    heap.collect();
    ledger.assert_each_once();
}
