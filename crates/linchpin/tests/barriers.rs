//! What changes while the collector marks. A gate in the graph holds the marker fast at a known
//! point, so that each test is in the middle of a mark for sure, with part of the graph not yet
//! reached.

#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use common::gate::{Behind, Gate};
use common::{Counted, Ledger, Triple, churn};
use linchpin::{Gc, GcCell, Heap, Mutator, Pinner, Root, Trace};

#[derive(Trace)]
struct Pair<'gc> {
    counted: Counted,
    child: GcCell<'gc, Counted>,
}

#[derive(Trace)]
struct Slot<'gc> {
    held: GcCell<'gc, Pair<'gc>>,
}

/// An object whose fields are traced only when its gate is open.
#[derive(Trace)]
struct Gated<'gc> {
    gate: Behind,
    below: GcCell<'gc, Pair<'gc>>,
}

/// A heap with a gate, below which lies a pair that the marker has not reached.
struct Fixture {
    heap: Heap,
    gate: Arc<Gate>,
    gated: Root<Gated<'static>>,
    other: Root<Slot<'static>>,
    ledger: Ledger,
}

impl Fixture {
    fn new() -> Self {
        let heap = Heap::builder().processors(3).build().expect("a heap of three processors");
        let gate = Arc::new(Gate::default());
        let ledger = Ledger::new(4);
        let gated = heap.mutate(|mu| {
            let child = GcCell::new(mu.alloc(ledger.counted(1)));
            let below = GcCell::new(mu.alloc(Pair { counted: ledger.counted(0), child }));
            mu.root(mu.alloc(Gated { gate: Behind(Arc::clone(&gate)), below }))
        });
        let other = heap.mutate(|mu| mu.root(mu.alloc(Slot { held: GcCell::null() })));
        Self { heap, gate, gated, other, ledger }
    }

    /// Runs a cycle, and `action` as a mutation while its marker stands at the gate.
    fn in_mid_mark<R: Send>(&self, action: impl for<'gc> FnOnce(&Mutator<'gc>) -> R) -> R {
        let closed = self.gate.close();
        let outcome = thread::scope(|scope| {
            let closed = closed;
            scope.spawn(|| self.heap.collect());
            self.gate.wait_until_reached();
            let outcome = self.heap.mutate(action);
            churn(&self.heap, 1000);
            drop(closed);
            outcome
        });
        churn(&self.heap, 5000);
        outcome
    }

    /// Fails unless the pair in the slot is the one that was below the gate, with its child.
    fn check_moved(&self, slot: &Root<Slot<'static>>) {
        assert_eq!(self.ledger.drops_of(0), 0, "the pair was swept");
        assert_eq!(self.ledger.drops_of(1), 0, "the pair's child was swept");
        self.heap.mutate(|mu| {
            let pair = slot.get(mu).held.load().expect("the pair was stored");
            assert_eq!(pair.counted.entry(), 0);
            assert_eq!(pair.child.load().map(|child| child.entry()), Some(1));
            assert!(self.gated.get(mu).below.load().is_none());
        });
    }

    /// Lets everything go and checks that it is dropped.
    fn end(self, entries: u64) {
        let Self { heap, gated, other, ledger, .. } = self;
        drop((gated, other));
        heap.collect();
        assert_eq!(ledger.total(), entries);
        assert_eq!(heap.stats().live_bytes, 0);
    }
}

/// Puts the pair into a new object, which the collector does not trace.
fn into_new_object<'gc>(mu: &Mutator<'gc>, pair: Gc<'gc, Pair<'gc>>) -> Root<Slot<'static>> {
    mu.root(mu.alloc(Slot { held: GcCell::new(pair) }))
}

#[test]
fn a_pair_moved_by_swap_survives() {
    let fixture = Fixture::new();
    let moved = fixture.in_mid_mark(|mu| {
        let pair = fixture.gated.get(mu).below.swap(mu, None).expect("it was stored");
        into_new_object(mu, pair)
    });
    fixture.check_moved(&moved);
    drop(moved);
    fixture.end(2);
}

#[test]
fn a_pair_moved_by_load_and_store_survives() {
    let fixture = Fixture::new();
    let moved = fixture.in_mid_mark(|mu| {
        let below = &fixture.gated.get(mu).as_ref().below;
        let pair = below.load().expect("it was stored");
        below.store(mu, None);
        into_new_object(mu, pair)
    });
    fixture.check_moved(&moved);
    drop(moved);
    fixture.end(2);
}

#[test]
fn a_pair_moved_by_compare_exchange_survives() {
    let fixture = Fixture::new();
    let moved = fixture.in_mid_mark(|mu| {
        let below = &fixture.gated.get(mu).as_ref().below;
        let pair = below.load();
        let moved = into_new_object(mu, pair.expect("it was stored"));
        assert!(below.compare_exchange(mu, pair, None).is_ok());
        moved
    });
    fixture.check_moved(&moved);
    drop(moved);
    fixture.end(2);
}

#[test]
fn a_pair_moved_into_an_old_object_survives() {
    let fixture = Fixture::new();
    fixture.in_mid_mark(|mu| {
        let pair = fixture.gated.get(mu).below.swap(mu, None);
        fixture.other.get(mu).held.store(mu, pair);
    });
    fixture.check_moved(&fixture.other);
    fixture.end(2);
}

#[test]
fn a_pair_that_becomes_a_root_survives() {
    let fixture = Fixture::new();
    let root = fixture.in_mid_mark(|mu| {
        let pair = fixture.gated.get(mu).below.swap(mu, None).expect("it was stored");
        mu.root(pair)
    });
    fixture.ledger.assert_none();
    fixture.heap.mutate(|mu| assert_eq!(root.get(mu).child.load().map(|child| child.entry()), Some(1)));
    drop(root);
    fixture.end(2);
}

#[test]
fn a_pair_that_is_pinned_survives() {
    let fixture = Fixture::new();
    let pinner = fixture.in_mid_mark(|mu| {
        let pair = fixture.gated.get(mu).below.swap(mu, None).expect("it was stored");
        let mut pinner = Pinner::new();
        pinner.pin(mu, pair);
        pinner
    });
    fixture.ledger.assert_none();
    fixture.heap.collect();
    fixture.ledger.assert_none();
    drop(pinner);
    fixture.end(2);
}

#[test]
fn what_is_born_in_mid_mark_survives() {
    let fixture = Fixture::new();
    fixture.in_mid_mark(|mu| {
        let child = GcCell::new(mu.alloc(fixture.ledger.counted(3)));
        let pair = mu.alloc(Pair { counted: fixture.ledger.counted(2), child });
        fixture.other.get(mu).held.store(mu, pair);
        mu.alloc(Triple::of(1));
    });
    fixture.ledger.assert_none();
    fixture.heap.mutate(|mu| {
        let pair = fixture.other.get(mu).held.load().expect("the pair was stored");
        assert_eq!(pair.counted.entry(), 2);
        assert_eq!(pair.child.load().map(|child| child.entry()), Some(3));
    });
    fixture.end(4);
}

#[test]
fn a_child_taken_out_of_a_pair_survives() {
    let fixture = Fixture::new();
    let child = fixture.in_mid_mark(|mu| {
        let pair = fixture.gated.get(mu).below.load().expect("it was stored");
        let child = pair.child.swap(mu, None).expect("it was stored");
        mu.root(mu.alloc(Pair { counted: fixture.ledger.counted(2), child: GcCell::new(child) }))
    });
    fixture.ledger.assert_none();
    fixture.heap.mutate(|mu| assert_eq!(child.get(mu).child.load().map(|child| child.entry()), Some(1)));
    drop(child);
    fixture.end(3);
}

#[test]
fn a_child_that_is_stored_over_survives() {
    let fixture = Fixture::new();
    let child = fixture.in_mid_mark(|mu| {
        let pair = fixture.gated.get(mu).below.load().expect("it was stored");
        let child = pair.child.load().expect("it was stored");
        pair.child.store(mu, mu.alloc(fixture.ledger.counted(3)));
        mu.root(mu.alloc(Pair { counted: fixture.ledger.counted(2), child: GcCell::new(child) }))
    });
    fixture.ledger.assert_none();
    fixture.heap.mutate(|mu| {
        assert_eq!(child.get(mu).child.load().map(|child| child.entry()), Some(1));
        let below = fixture.gated.get(mu).below.load().expect("it is there still");
        assert_eq!(below.child.load().map(|child| child.entry()), Some(3));
    });
    drop(child);
    fixture.end(4);
}

#[test]
fn a_long_mutation_in_mid_mark_may_move_things_at_its_end() {
    let fixture = Fixture::new();
    let moved = fixture.in_mid_mark(|mu| {
        let below = &fixture.gated.get(mu).as_ref().below;
        let pair = below.load().expect("it was stored");
        // Another thread unlinks the pair meanwhile; this mutation alone knows it then.
        thread::scope(|scope| {
            scope.spawn(|| {
                fixture.heap.mutate(|mu| fixture.gated.get(mu).below.store(mu, None));
                churn(&fixture.heap, 5000);
            });
        });
        into_new_object(mu, pair)
    });
    fixture.check_moved(&moved);
    drop(moved);
    fixture.end(2);
}

/// Two threads swap the same field while the collector marks: whatever was put there is taken out once.
#[test]
fn two_who_swap_at_the_same_time_lose_nothing() {
    const SWAPS: usize = 50_000;
    type Number<'gc> = GcCell<'gc, usize>;
    let fixture = Fixture::new();
    let cell: Root<Number<'static>> = fixture.heap.mutate(|mu| mu.root(mu.alloc(Number::null())));
    let taken_out: Vec<AtomicUsize> = (0..2 * SWAPS).map(|_| AtomicUsize::new(0)).collect();
    let begin = Barrier::new(2);
    let swap_all = &|first: usize| {
        begin.wait();
        for numbers in (first..first + SWAPS).collect::<Vec<_>>().chunks(1000) {
            fixture.heap.mutate(|mu| {
                for &number in numbers {
                    if let Some(old) = cell.get(mu).swap(mu, mu.alloc(number)) {
                        taken_out[*old].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    };
    let closed = fixture.gate.close();
    thread::scope(|scope| {
        let closed = closed;
        scope.spawn(|| fixture.heap.collect());
        fixture.gate.wait_until_reached();
        thread::scope(|swapping| [0, SWAPS].map(|first| _ = swapping.spawn(move || swap_all(first))));
        drop(closed);
    });
    let last = fixture.heap.mutate(|mu| *cell.get(mu).load().expect("somebody was last"));
    taken_out[last].fetch_add(1, Ordering::Relaxed);
    for (number, count) in taken_out.iter().enumerate() {
        assert_eq!(count.load(Ordering::Relaxed), 1, "how often {number} was taken out");
    }
    drop(cell);
    fixture.end(2);
}

/// Fields that are traced only when their gate is open.
#[derive(Trace)]
struct GatedFields<'gc> {
    gate: Behind,
    held: [Vec<GcCell<'gc, Pair<'gc>>>; 2],
}

/// Two threads store into each other's fields what they have loaded there, before the marker comes to any of it: whatever these stores
/// replace, all that is in a field afterwards is alive, and so is all that was moved out of one.
#[test]
fn two_who_store_at_the_same_time_lose_nothing() {
    const PAIRS: usize = 2_000;
    let heap = Heap::builder().processors(3).build().expect("a heap of three processors");
    let gate = Arc::new(Gate::default());
    let ledger = Ledger::new(4 * PAIRS);
    let fields: Root<GatedFields<'static>> = heap.mutate(|mu| {
        let pair = |entry: usize| {
            let child = GcCell::new(mu.alloc(ledger.counted(2 * entry + 1)));
            GcCell::new(mu.alloc(Pair { counted: ledger.counted(2 * entry), child }))
        };
        let held = [0, PAIRS].map(|first| (first..first + PAIRS).map(pair).collect());
        mu.root(mu.alloc(GatedFields { gate: Behind(Arc::clone(&gate)), held }))
    });
    let begin = Barrier::new(2);
    let move_one = |index: usize, own: usize| {
        heap.mutate(|mu| {
            let held = &fields.get(mu).as_ref().held;
            let [to, from] = [own, 1 - own].map(|side| &held[side][index]);
            let moved_out = into_new_object(mu, to.load().expect("nobody stores null"));
            let found = from.load().expect("nobody stores null");
            to.store(mu, found);
            found.child.store(mu, found.child.load());
            moved_out
        })
    };
    let move_all = &|own: usize| {
        begin.wait();
        (0..PAIRS).map(|index| move_one(index, own)).collect::<Vec<_>>()
    };
    let closed = gate.close();
    let moved: [Vec<Root<Slot<'static>>>; 2] = thread::scope(|scope| {
        let closed = closed;
        scope.spawn(|| heap.collect());
        gate.wait_until_reached();
        let movers = [0, 1].map(|own| scope.spawn(move || move_all(own)));
        let moved = movers.map(|mover| mover.join().expect("it does not panic"));
        drop(closed);
        moved
    });
    heap.collect();
    ledger.assert_none();
    heap.mutate(|mu| {
        let moved_out = moved.iter().flatten().map(|slot| slot.get(mu).held.load());
        let held = fields.get(mu).as_ref().held.iter().flatten().map(GcCell::load);
        for pair in moved_out.chain(held) {
            let pair = pair.expect("nobody stores null");
            assert_eq!(pair.child.load().map(|child| child.entry()), Some(pair.counted.entry() + 1));
        }
    });
    drop((fields, moved));
    heap.collect();
    assert_eq!(ledger.total(), 4 * PAIRS as u64);
}
