//! What a mutation has in hand survives the cycle that begins meanwhile, whatever others unlink and
//! wherever it puts it: into a field, a new object, a root, a pin. These are the cases that the
//! mode between the two first handshakes exists for.

#![cfg(not(loom))]

mod common;

use std::ptr::NonNull;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use common::{Counted, Ledger, Stop, Triple, churn};
use linchpin::{Gc, GcCell, Heap, Mutator, Pinner, Root, Trace};

#[derive(Trace)]
struct Slot<'gc> {
    held: GcCell<'gc, Counted>,
}

/// Where the mutation of the test puts the object that only it knows.
enum Kept {
    In(Root<Slot<'static>>),
    Rooted(Root<Counted>),
    Pinned(Pinner),
}

/// A signal from one thread to another; the receiver also goes on if the sender is gone.
fn signal() -> (Sender<()>, impl FnOnce()) {
    let (sender, receiver): (Sender<()>, Receiver<()>) = channel();
    (sender, move || _ = receiver.recv())
}

/// A mutation begun before the cycle unlinks an object without a word to the collector, after one
/// begun in the cycle has loaded it. The second keeps it by way of `keep`, and it must live.
fn unlinked_object_is_kept(
    keep: impl for<'gc> Fn(&Mutator<'gc>, Gc<'gc, Counted>, &Root<Slot<'static>>) -> Kept + Sync,
) {
    const ROUNDS: usize = 5;
    let heap = Heap::builder().processors(4).build().expect("a heap of four processors");
    let ledger = Ledger::new(ROUNDS);
    for round in 0..ROUNDS {
        let slot: Root<Slot<'static>> =
            heap.mutate(|mu| mu.root(mu.alloc(Slot { held: GcCell::new(mu.alloc(ledger.counted(round))) })));
        let other: Root<Slot<'static>> = heap.mutate(|mu| mu.root(mu.alloc(Slot { held: GcCell::null() })));
        let (begun_old, old_has_begun) = signal();
        let (loaded, has_loaded) = signal();
        let (unlinked, has_unlinked) = signal();
        let (asking, has_asked) = signal();
        let (go_on, may_go_on) = signal();
        let kept = thread::scope(|scope| {
            let (heap, slot, other, keep) = (&heap, &slot, &other, &keep);
            let old = scope.spawn(move || {
                heap.mutate(|mu| {
                    begun_old.send(()).expect("the test waits");
                    has_loaded();
                    // This mutation began before the cycle: nothing is noted.
                    slot.get(mu).held.store(mu, None);
                });
                unlinked.send(()).expect("the young mutation waits");
            });
            old_has_begun();
            let collecting = scope.spawn(move || {
                asking.send(()).expect("the test waits");
                heap.collect();
            });
            has_asked();
            // Gives the collector time to begin, by work: the first handshake waits for `old`.
            churn(heap, 20_000);
            let young = scope.spawn(move || {
                heap.mutate(|mu| {
                    let held = slot.get(mu).held.load().expect("nobody has unlinked it yet");
                    loaded.send(()).expect("the old mutation waits");
                    has_unlinked();
                    may_go_on();
                    assert!(slot.get(mu).held.load().is_none());
                    keep(mu, held, other)
                })
            });
            old.join().expect("the old mutation does not panic");
            // And to go on as far as it can while the young mutation runs.
            churn(heap, 20_000);
            go_on.send(()).expect("the young mutation waits");
            let kept = young.join().expect("the young mutation does not panic");
            collecting.join().expect("the collecting thread does not panic");
            kept
        });
        churn(&heap, 5000);
        heap.collect();
        assert_eq!(ledger.drops_of(round), 0, "what a mutation kept was swept");
        heap.mutate(|mu| match &kept {
            Kept::In(root) => {
                assert_eq!(root.get(mu).held.load().map(|held| held.entry()), Some(round));
            }
            Kept::Rooted(root) => assert_eq!(root.get(mu).entry(), round),
            Kept::Pinned(pinner) => assert_eq!(pinner.len(), 1),
        });
        drop((kept, slot, other));
        heap.collect();
        assert_eq!(ledger.drops_of(round), 1);
    }
    ledger.assert_each_once();
}

#[test]
fn an_unlinked_object_stored_in_an_old_object_lives() {
    unlinked_object_is_kept(|mu, held, other| {
        other.get(mu).held.store(mu, held);
        Kept::In(other.clone())
    });
}

#[test]
fn an_unlinked_object_swapped_into_an_old_object_lives() {
    unlinked_object_is_kept(|mu, held, other| {
        let exchanged = other.get(mu).held.compare_exchange(mu, None, Some(held));
        assert!(exchanged.is_ok_and(|old| old.is_none()));
        Kept::In(other.clone())
    });
}

#[test]
fn an_unlinked_object_in_a_new_object_lives() {
    unlinked_object_is_kept(|mu, held, _| Kept::In(mu.root(mu.alloc(Slot { held: GcCell::new(held) }))));
}

#[test]
fn an_unlinked_object_that_becomes_a_root_lives() {
    unlinked_object_is_kept(|mu, held, _| Kept::Rooted(mu.root(held)));
}

#[test]
fn an_unlinked_object_set_into_a_root_lives() {
    let elsewhere = Ledger::new(100);
    let next = std::sync::atomic::AtomicUsize::new(0);
    unlinked_object_is_kept(|mu, held, _| {
        let entry = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let root = mu.root(mu.alloc(elsewhere.counted(entry)));
        root.set(mu, held);
        Kept::Rooted(root)
    });
}

#[test]
fn an_unlinked_object_that_is_pinned_lives() {
    unlinked_object_is_kept(|mu, held, _| {
        let mut pinner = Pinner::new();
        pinner.pin(mu, held);
        Kept::Pinned(pinner)
    });
}

/// While a mutation that began in the first handshake holds up the second, a later one, which is
/// in the mode for marking already, puts the child of an object into a new object and calls `let_go`,
/// which takes away what the collector could have found it by.
fn child_is_moved_between_handshakes(
    hold: impl for<'gc> Fn(&Mutator<'gc>, Gc<'gc, Slot<'gc>>) -> Holder,
    let_go: impl for<'gc> Fn(&Mutator<'gc>, &mut Option<Holder>),
) {
    const ROUNDS: usize = 5;
    let heap = Heap::builder().processors(4).build().expect("a heap of four processors");
    let ledger = Ledger::new(ROUNDS);
    for round in 0..ROUNDS {
        let mut holder =
            Some(heap.mutate(|mu| hold(mu, mu.alloc(Slot { held: GcCell::new(mu.alloc(ledger.counted(round))) }))));
        let (begun_old, old_has_begun) = signal();
        let (end_old, old_may_end) = signal();
        let (begun_young, young_has_begun) = signal();
        let (end_young, young_may_end) = signal();
        let kept: Root<Slot<'static>> = thread::scope(|scope| {
            // Owned in here, so that the mutations end if the test fails.
            let (end_old, end_young) = (end_old, end_young);
            let heap = &heap;
            let old = scope.spawn(move || {
                heap.mutate(|_| {
                    begun_old.send(()).expect("the test waits");
                    old_may_end();
                });
            });
            old_has_begun();
            scope.spawn(move || heap.collect());
            churn(heap, 20_000);
            scope.spawn(move || {
                heap.mutate(|_| {
                    begun_young.send(()).expect("the test waits");
                    young_may_end();
                });
            });
            young_has_begun();
            end_old.send(()).expect("the old mutation waits");
            old.join().expect("the old mutation does not panic");
            churn(heap, 20_000);
            let kept = heap.mutate(|mu| {
                let child = holder.as_ref().expect("nobody let go yet").child(mu);
                let kept = mu.root(mu.alloc(Slot { held: GcCell::new(child) }));
                let_go(mu, &mut holder);
                kept
            });
            drop(holder.take());
            end_young.send(()).expect("the young mutation waits");
            kept
        });
        churn(&heap, 5000);
        assert_eq!(ledger.drops_of(round), 0, "what a mutation kept was swept");
        heap.mutate(|mu| assert_eq!(kept.get(mu).held.load().map(|held| held.entry()), Some(round)));
        drop(kept);
        heap.collect();
        assert_eq!(ledger.drops_of(round), 1);
    }
}

/// The only thing that holds the object in [`child_is_moved_between_handshakes`].
enum Holder {
    Root(Root<Slot<'static>>),
    Pin(Pinner, NonNull<u8>),
}

impl Holder {
    fn child<'gc>(&self, mu: &Mutator<'gc>) -> Gc<'gc, Counted> {
        match self {
            Self::Root(root) => root.get(mu).held.load(),
            // SAFETY: the slot is pinned, so it is alive, and it is of the heap that `mu` mutates.
            Self::Pin(_, address) => unsafe { address.cast::<Slot<'gc>>().as_ref() }.held.load(),
        }
        .expect("the slot was filled when it was made")
    }
}

#[test]
fn a_root_dropped_between_handshakes_leaves_its_objects_child_alive() {
    child_is_moved_between_handshakes(
        |mu, slot| Holder::Root(mu.root(slot)),
        |_, _| {
            // The root is dropped after the mutation.
        },
    );
}

#[test]
fn a_root_dropped_in_a_mutation_between_handshakes_leaves_its_objects_child_alive() {
    child_is_moved_between_handshakes(|mu, slot| Holder::Root(mu.root(slot)), |_, holder| drop(holder.take()));
}

#[test]
fn a_root_set_between_handshakes_leaves_its_objects_child_alive() {
    child_is_moved_between_handshakes(
        |mu, slot| Holder::Root(mu.root(slot)),
        |mu, holder| {
            let Some(Holder::Root(root)) = holder else { unreachable!("it is a root") };
            root.set(mu, mu.alloc(Slot { held: GcCell::null() }));
        },
    );
}

#[test]
fn an_object_unpinned_between_handshakes_leaves_its_child_alive() {
    child_is_moved_between_handshakes(
        |mu, slot| {
            let mut pinner = Pinner::new();
            let address = pinner.pin(mu, slot).cast();
            Holder::Pin(pinner, address)
        },
        |_, holder| {
            let Some(Holder::Pin(pinner, _)) = holder else { unreachable!("it is a pin") };
            pinner.unpin();
        },
    );
}

/// One object goes from hand to hand, held by exactly one of a root, a field and a mutation at any
/// time, while cycles run without a pause.
#[test]
fn an_object_handed_around_survives() {
    const ROUNDS: usize = 3000;
    let heap = Heap::builder().processors(3).build().expect("a heap of three processors");
    let ledger = Ledger::new(1);
    let slot: Root<Slot<'static>> = heap.mutate(|mu| mu.root(mu.alloc(Slot { held: GcCell::null() })));
    let root: Root<Counted> = heap.mutate(|mu| mu.root(mu.alloc(ledger.counted(0))));
    let stop = Stop::default();
    let root = thread::scope(|scope| {
        let mut root = root;
        let at_end = stop.on_drop();
        scope.spawn(|| stop.until(|| heap.collect()));
        scope.spawn(|| stop.until(|| churn(&heap, 500)));
        for round in 0..ROUNDS {
            // From a root to another one, outside any mutation.
            root = root.clone();
            // From the root into the field; the root goes outside or inside the mutation.
            let inside = heap.mutate(|mu| {
                slot.get(mu).held.store(mu, root.get(mu));
                (round % 2 == 0).then(|| root.clone())
            });
            drop((root, inside));
            // From the field into a root, by way of the mutation alone.
            root = heap.mutate(|mu| {
                let held = slot.get(mu).held.swap(mu, None).expect("the field holds it");
                mu.alloc(Triple::of(1));
                assert_eq!(held.entry(), 0);
                mu.root(held)
            });
            // Held by a pin beside, which goes outside the mutation.
            let mut pinner = Pinner::new();
            heap.mutate(|mu| _ = pinner.pin(mu, root.get(mu)));
            drop(pinner);
        }
        ledger.assert_none();
        drop(at_end);
        root
    });
    heap.mutate(|mu| assert_eq!(root.get(mu).entry(), 0));
    drop(root);
    heap.collect();
    ledger.assert_each_once();
}
