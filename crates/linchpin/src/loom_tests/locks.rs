//! Locks around contents against a marker: what is behind them is looked at by one at a time, and not lost.

use super::{Thing, assert_alive, during_a_cycle, explore, heap, is_allocated, lone, spawn, thing};
use crate::collector::cycle::Cycle;
use crate::collector::workers::Workers;
use crate::sync::Arc;
use crate::{Gc, GcMutex, GcOnce, GcRwLock, Heap, Mutator, Root, Trace, Tracer};

/// An object of the one size there is, with pointers behind locks.
#[repr(align(16384))]
struct Locks<'gc> {
    mutex: GcMutex<Option<Gc<'gc, Thing<'gc>>>>,
    rw_lock: GcRwLock<Option<Gc<'gc, Thing<'gc>>>>,
    once: GcOnce<Gc<'gc, Thing<'gc>>>,
}

// SAFETY: each pointer is reported.
unsafe impl Trace for Locks<'_> {
    type Branded<'b> = Locks<'b>;
    const NEEDS_TRACE: bool = true;
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.mutex.trace(tracer);
        self.rw_lock.trace(tracer);
        self.once.trace(tracer);
    }
}

/// Takes one of the pointers out, or puts one there.
type Swap = for<'gc> fn(&Mutator<'gc>, &Locks<'gc>, Option<Gc<'gc, Thing<'gc>>>) -> Option<Gc<'gc, Thing<'gc>>>;

const BY_MUTEX: Swap = |mu, locks, new| std::mem::replace(&mut *locks.mutex.lock(mu), new);
const BY_RW_LOCK: Swap = |mu, locks, new| std::mem::replace(&mut *locks.rw_lock.write(mu), new);

fn locks(heap: &Heap, content: u64, put: Swap) -> Root<Locks<'static>> {
    heap.mutate(|mu| {
        let locks = Locks { mutex: GcMutex::new(None), rw_lock: GcRwLock::new(None), once: GcOnce::new() };
        let locks = mu.alloc(locks);
        put(mu, locks.as_ref(), Some(thing(mu, content, None)));
        mu.root(locks)
    })
}

/// A mutation takes the only pointer to an object out of a lock, while a marker may be looking behind it.
fn what_is_taken_out_is_not_lost(name: &str, swap: Swap) {
    explore(name, 1, move || {
        let heap = heap(1);
        let from = Arc::new(locks(&heap, 1, swap));
        let to = Arc::new(lone(&heap, 2));
        let lent = (Arc::clone(&from), Arc::clone(&to));
        during_a_cycle(&heap, move |heap| {
            heap.mutate(|mu| {
                let taken = swap(mu, lent.0.get(mu).as_ref(), None);
                lent.1.get(mu).next.store(mu, taken);
            });
        });
        assert_alive(&heap, &to, 1);
    });
}

#[test]
fn what_is_taken_out_of_a_mutex_is_not_lost() {
    what_is_taken_out_is_not_lost("what_is_taken_out_of_a_mutex_is_not_lost", BY_MUTEX);
}

#[test]
fn what_is_taken_out_by_a_writer_is_not_lost() {
    what_is_taken_out_is_not_lost("what_is_taken_out_by_a_writer_is_not_lost", BY_RW_LOCK);
}

/// The same with the mutation in `Mark` from the beginning, so that more can happen between it and the marker: which looks only
/// while nobody has the lock.
#[test]
fn a_marker_looks_while_nobody_changes_anything() {
    for (name, swap) in [("a_marker_looks_by_a_mutex", BY_MUTEX), ("a_marker_looks_as_a_reader", BY_RW_LOCK)] {
        explore(name, 2, move || {
            let heap = heap(1);
            let from = Arc::new(locks(&heap, 1, swap));
            let to = Arc::new(lone(&heap, 2));
            let none = Workers::none();
            let mut cycle = Cycle::begin(heap.core(), &none);
            cycle.take_the_snapshot();
            let mutator = {
                let (heap, from, to) = (Arc::clone(&heap), Arc::clone(&from), Arc::clone(&to));
                spawn(move || {
                    heap.mutate(|mu| {
                        let taken = swap(mu, from.get(mu).as_ref(), None);
                        to.get(mu).next.store(mu, taken);
                    });
                })
            };
            cycle.mark();
            mutator.join().unwrap();
            cycle.close();
            cycle.switch_off();
            cycle.sweep();
            assert_alive(&heap, &to, 1);
        });
    }
}

/// A mutation puts a new object behind a lock, or writes it once, while a marker may be looking there.
#[test]
fn what_is_put_there_is_not_lost() {
    explore("what_is_put_there_is_not_lost", 1, || {
        let heap = heap(1);
        let into = Arc::new(locks(&heap, 1, BY_MUTEX));
        let lent = Arc::clone(&into);
        during_a_cycle(&heap, move |heap| {
            heap.mutate(|mu| {
                let locks = lent.get(mu).as_ref();
                *locks.rw_lock.write(mu) = Some(thing(mu, 3, None));
                assert!(locks.once.set(mu, thing(mu, 4, None)).is_ok());
            });
        });
        heap.mutate(|mu| {
            let locks = into.get(mu).as_ref();
            let kept = [*locks.mutex.lock(mu), *locks.rw_lock.read(mu), locks.once.get().copied()];
            for (object, content) in kept.into_iter().zip([1, 3, 4]) {
                let object = object.expect("it was put there");
                assert!(is_allocated(&heap, object), "it is reachable, and was freed");
                assert_eq!(object.read(), content);
            }
        });
    });
}

/// What two mutations do behind a lock they do one after the other, and each sees what the other did.
#[test]
fn mutations_take_turns() {
    explore("mutations_take_turns", 2, || {
        let heap = heap(2);
        let shared = Arc::new(locks(&heap, 1, BY_MUTEX));
        let other = {
            let (heap, shared) = (Arc::clone(&heap), Arc::clone(&shared));
            spawn(move || {
                heap.mutate(|mu| BY_MUTEX(mu, shared.get(mu).as_ref(), Some(thing(mu, 2, None))).unwrap().read())
            })
        };
        let here = heap.mutate(|mu| BY_MUTEX(mu, shared.get(mu).as_ref(), Some(thing(mu, 3, None))).unwrap().read());
        let there = other.join().unwrap();
        let left = heap.mutate(|mu| shared.get(mu).as_ref().mutex.lock(mu).unwrap().read());
        assert!([(1, 3, 2), (2, 1, 3)].contains(&(here, there, left)), "{here} {there} {left}");
    });
}
