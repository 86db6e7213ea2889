//! Interleavings of locks with a cycle that a test from outside cannot arrange.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::collector::protocol_tests::mutate_in;
use crate::processor::phase::Mode;
use crate::{Gc, GcCell, GcMutex, GcOnce, GcRwLock, Heap, Mutator, Root, Trace, Tracer};

#[path = "../../../tests/common/gate.rs"]
mod gate;
use gate::{Behind, Gate};

type Several<'gc> = GcMutex<Vec<Gc<'gc, Arc<()>>>>;

/// A lock, and one behind another.
#[derive(Trace)]
struct Keeper<'gc> {
    outer: Several<'gc>,
    nested: GcMutex<Vec<Several<'gc>>>,
}

/// A mutation in `Arm` takes locks, and gives them back; then one that is still in `Off` moves the only pointer to an object
/// behind one of them, without a word. That one must not count as traced.
fn a_lock_that_was_taken_in_arm_is_traced_later(put: for<'gc> fn(&Mutator<'gc>, &Keeper<'gc>, Gc<'gc, Arc<()>>)) {
    let heap = Heap::builder().processors(2).build().unwrap();
    let alive = Arc::new(());
    let witness = Arc::clone(&alive);
    let only_root: Mutex<Option<Root<Arc<()>>>> = Mutex::new(Some(heap.mutate(|mu| mu.root(mu.alloc(witness)))));
    let keeper: Root<Keeper<'static>> = heap.mutate(|mu| {
        let nested = GcMutex::new(vec![GcMutex::default()]);
        mu.root(mu.alloc(Keeper { outer: GcMutex::default(), nested }))
    });
    let (in_off, off_entered) = channel();
    let (locks_taken, taken) = channel();
    thread::scope(|scope| {
        let (heap, only_root, keeper) = (&heap, &only_root, &keeper);
        scope.spawn(move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                in_off.send(()).unwrap();
                taken.recv().unwrap();
                let root = only_root.lock().unwrap().take().unwrap();
                put(mu, keeper.get(mu).as_ref(), root.get(mu));
                drop(root);
            });
        });
        off_entered.recv().unwrap();
        scope.spawn(move || heap.collect());
        mutate_in(heap, Mode::Arm, |mu| {
            let keeper = keeper.get(mu).as_ref();
            assert!(keeper.outer.lock(mu).is_empty());
            assert_eq!(keeper.nested.lock(mu).len(), 1);
        });
        locks_taken.send(()).unwrap();
    });
    assert_eq!(Arc::strong_count(&alive), 2, "the value was dropped while a lock's contents lead to it");
    drop(keeper);
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 1, "now nothing leads to it");
}

#[test]
fn a_lock_that_arm_took_is_traced_later() {
    a_lock_that_was_taken_in_arm_is_traced_later(|mu, keeper, object| keeper.outer.lock(mu).push(object));
}

#[test]
fn a_lock_behind_one_that_arm_took_is_traced_later() {
    a_lock_that_was_taken_in_arm_is_traced_later(|mu, keeper, object| keeper.nested.lock(mu)[0].get_mut().push(object));
}

type Slot<'gc> = GcCell<'gc, Arc<()>>;

/// A pointer whose trace can be stopped.
struct Stopped<'gc, P> {
    gate: Behind,
    pointer: P,
    _brand: std::marker::PhantomData<Gc<'gc, u8>>,
}

impl<P> Stopped<'_, P> {
    fn new(gate: &Arc<Gate>, pointer: P) -> Self {
        Self { gate: Behind(Arc::clone(gate)), pointer, _brand: std::marker::PhantomData }
    }
}

// SAFETY: `Branded` replaces the brand and nothing else; both fields are traced.
unsafe impl<P: Trace> Trace for Stopped<'_, P> {
    type Branded<'b> = Stopped<'b, P::Branded<'b>>;
    const NEEDS_TRACE: bool = true;

    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.gate.trace(tracer);
        self.pointer.trace(tracer);
    }
}

type Contents<'gc> = Stopped<'gc, Option<Gc<'gc, Slot<'gc>>>>;

#[derive(Trace)]
struct Both<'gc> {
    mutex: GcMutex<Contents<'gc>>,
    rw_lock: GcRwLock<Contents<'gc>>,
}

/// A mutation has taken a lock, and is still shading what is behind it, when the marker passes by and the closing round
/// begins. One that has answered the round shades the same object, into a buffer that the round does not look at again. The
/// object must be traced all the same.
fn a_lock_that_is_passed_by_takes_one_more_round(is_mutex: bool) {
    let heap = Heap::builder().processors(2).build().unwrap();
    let alive = Arc::new(());
    let [marker_gate, contents_gate, open] = std::array::from_fn(|_| Arc::new(Gate::default()));
    let (locked, slot): (Root<Stopped<'static, Both<'static>>>, _) = heap.mutate(|mu| {
        let slot = mu.alloc(Slot::new(mu.alloc(Arc::clone(&alive))));
        let [full, empty] = [Stopped::new(&contents_gate, Some(slot)), Stopped::new(&open, None)];
        let (mutex, rw_lock) = if is_mutex { (full, empty) } else { (empty, full) };
        let both = Both { mutex: GcMutex::new(mutex), rw_lock: GcRwLock::new(rw_lock) };
        (mu.root(mu.alloc(Stopped::new(&marker_gate, both))), slot.start())
    });
    let (marker_closed, contents_closed) = (marker_gate.close(), contents_gate.close());
    let taken_out: Mutex<Option<Root<Slot<'static>>>> = Mutex::new(None);
    thread::scope(|scope| {
        let (marker_closed, contents_closed) = (marker_closed, contents_closed);
        let (heap, locked, taken_out) = (&heap, &locked, &taken_out);
        scope.spawn(|| heap.collect());
        // Roots are walked then, so the marker will not find the slot by this one.
        marker_gate.wait_until_reached();
        // SAFETY: the slot is alive, behind the lock, and of this type; it might have been read there.
        let root = mutate_in(heap, Mode::Mark, |mu| mu.root(unsafe { Gc::<'_, Slot<'_>>::from_start(slot) }));
        scope.spawn(move || {
            mutate_in(heap, Mode::Mark, |mu| {
                let both = &locked.get(mu).as_ref().pointer;
                let slot =
                    if is_mutex { both.mutex.lock(mu).pointer.take() } else { both.rw_lock.write(mu).pointer.take() };
                *taken_out.lock().unwrap() = Some(mu.root(slot.unwrap()));
            });
        });
        contents_gate.wait_until_reached();
        drop(marker_closed);
        // The marker has passed by, and found nothing else to do.
        mutate_in(heap, Mode::Close, |_| ());
        drop(root);
        drop(contents_closed);
    });
    assert_eq!(Arc::strong_count(&alive), 2, "what the slot leads to was dropped");
    drop((taken_out, locked));
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_mutex_that_the_marker_passes_by_takes_one_more_round() {
    a_lock_that_is_passed_by_takes_one_more_round(true);
}

#[test]
fn a_writer_whose_lock_the_marker_passes_by_takes_one_more_round() {
    a_lock_that_is_passed_by_takes_one_more_round(false);
}

/// A marker that looks behind a lock has it: who wants to change the contents has to wait, who only reads has not.
#[test]
fn who_changes_what_is_behind_a_lock_waits_for_the_marker() {
    type Gated<'gc> = Stopped<'gc, ()>;

    #[derive(Trace)]
    struct Locks<'gc> {
        mutex: GcMutex<Gated<'gc>>,
        rw_lock: GcRwLock<Gated<'gc>>,
    }

    let heap = Heap::builder().processors(2).build().unwrap();
    let gates: [_; 2] = std::array::from_fn(|_| Arc::new(Gate::default()));
    let [mutex_gate, rw_lock_gate] = &gates;
    let locks: Root<Locks<'static>> = heap.mutate(|mu| {
        let [mutex, rw_lock] = [mutex_gate, rw_lock_gate].map(|gate| Stopped::new(gate, ()));
        mu.root(mu.alloc(Locks { mutex: GcMutex::new(mutex), rw_lock: GcRwLock::new(rw_lock) }))
    });
    let (mutex_closed, rw_lock_closed) = (mutex_gate.close(), rw_lock_gate.close());
    thread::scope(|scope| {
        let (mutex_closed, rw_lock_closed) = (mutex_closed, rw_lock_closed);
        scope.spawn(|| heap.collect());
        mutex_gate.wait_until_reached();
        heap.mutate(|mu| assert!(locks.get(mu).mutex.try_lock(mu).is_none()));
        drop(mutex_closed);
        rw_lock_gate.wait_until_reached();
        heap.mutate(|mu| {
            let lock = &locks.get(mu).as_ref().rw_lock;
            assert!(lock.try_write(mu).is_none());
            assert!(lock.try_read(mu).is_some());
        });
        drop(rw_lock_closed);
    });
    // It gave them back.
    heap.mutate(|mu| {
        let locks = locks.get(mu).as_ref();
        assert!(locks.mutex.try_lock(mu).is_some());
        assert!(locks.rw_lock.try_write(mu).is_some());
    });
}

/// A marker does not look behind a lock that somebody has, who may be changing the contents.
#[test]
fn a_marker_does_not_look_behind_a_lock_that_is_taken() {
    #[derive(Trace)]
    struct Locks<'gc> {
        mutex: GcMutex<Stopped<'gc, ()>>,
        rw_lock: GcRwLock<Stopped<'gc, ()>>,
        after: Stopped<'gc, ()>,
    }

    let heap = Heap::builder().processors(2).build().unwrap();
    let gates: [_; 3] = std::array::from_fn(|_| Arc::new(Gate::default()));
    let locks: Root<Locks<'static>> = heap.mutate(|mu| {
        let [mutex, rw_lock, after] = gates.each_ref().map(|gate| Stopped::new(gate, ()));
        mu.root(mu.alloc(Locks { mutex: GcMutex::new(mutex), rw_lock: GcRwLock::new(rw_lock), after }))
    });
    let closed = gates[2].close();
    thread::scope(|scope| {
        let mut closed = Some(closed);
        heap.mutate(|mu| {
            let locks = locks.get(mu).as_ref();
            // Forgotten, so that they are taken for ever, and nobody shades what is behind them.
            std::mem::forget((locks.mutex.lock(mu), locks.rw_lock.write(mu)));
        });
        scope.spawn(|| heap.collect());
        gates[2].wait_until_reached();
        assert!(!gates[0].is_reached(), "the marker has looked behind a mutex that is taken");
        assert!(!gates[1].is_reached(), "the marker has looked behind a lock that is taken to write");
        drop(closed.take());
    });
}

/// Locks behind a lock.
type Outer<'gc> = GcMutex<Vec<Several<'gc>>>;

/// Lets `in_arm` be a mutation in `Arm`, while another one has been in `Off` (in which it does `in_off`), and then in `Mark`
/// (`in_mark`); `in_arm` is told to go on, by the channel, when that has been.
fn arm_beside_mark(
    heap: &Heap,
    in_off: impl for<'gc> FnOnce(&Mutator<'gc>) + Send,
    in_mark: impl for<'gc> Fn(&Mutator<'gc>) + Send,
    in_arm: impl for<'gc> Fn(&Mutator<'gc>, &dyn Fn()),
) {
    let (off, off_entered) = channel();
    let (arm, arm_entered) = channel();
    let (mark, mark_left) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                off.send(()).unwrap();
                arm_entered.recv().unwrap();
                in_off(mu);
            });
            mutate_in(heap, Mode::Mark, in_mark);
            mark.send(()).unwrap();
        });
        off_entered.recv().unwrap();
        scope.spawn(|| heap.collect());
        mutate_in(heap, Mode::Arm, |mu| {
            in_arm(mu, &|| {
                arm.send(()).unwrap();
                mark_left.recv().unwrap();
            });
        });
    });
}

/// A mutation in `Arm` moves a lock behind one that is not traced any more in this cycle. It must be traced in the next.
#[test]
fn a_lock_that_arm_moves_is_not_two_cycles_old() {
    let heap = Heap::builder().processors(2).build().unwrap();
    let alive = Arc::new(());
    let from: Root<Outer<'static>> =
        heap.mutate(|mu| mu.root(mu.alloc(GcMutex::new(vec![GcMutex::new(vec![mu.alloc(Arc::clone(&alive))])]))));
    heap.collect();
    let to: Mutex<Option<Root<Outer<'static>>>> = Mutex::new(None);
    arm_beside_mark(
        &heap,
        |_| (),
        |mu| *to.lock().unwrap() = Some(mu.root(mu.alloc(GcMutex::new(Vec::<Several<'_>>::new())))),
        |mu, others| {
            others();
            let inner = from.get(mu).as_ref().lock(mu).pop().unwrap();
            to.lock().unwrap().as_ref().unwrap().get(mu).as_ref().lock(mu).push(inner);
        },
    );
    for _ in 0..3 {
        assert_eq!(Arc::strong_count(&alive), 2, "the value was dropped while a lock behind a lock leads to it");
        heap.collect();
    }
    drop((from, to));
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 1, "now nothing leads to it");
}

/// A mutation in `Mark` has traced what is behind a lock. One in `Arm` takes out the lock behind it, puts there what it alone
/// has in hand, and makes a new object of it.
#[test]
fn a_lock_that_becomes_part_of_a_newborn_of_arm_is_traced() {
    let heap = Heap::builder().processors(2).build().unwrap();
    let alive = Arc::new(());
    let witness = Arc::clone(&alive);
    let only_root: Mutex<Option<Root<Arc<()>>>> = Mutex::new(Some(heap.mutate(|mu| mu.root(mu.alloc(witness)))));
    let from: Root<Outer<'static>> = heap.mutate(|mu| mu.root(mu.alloc(GcMutex::new(vec![Several::default()]))));
    let made: Mutex<Option<Root<Several<'static>>>> = Mutex::new(None);
    arm_beside_mark(
        &heap,
        |_| drop(only_root.lock().unwrap().take()),
        |mu| assert_eq!(from.get(mu).as_ref().lock(mu).len(), 1),
        |mu, others| {
            let in_hand: Gc<'_, Arc<()>> = only_root.lock().unwrap().as_ref().unwrap().get(mu);
            others();
            let mut inner = from.get(mu).as_ref().lock(mu).pop().unwrap();
            inner.get_mut().push(in_hand);
            *made.lock().unwrap() = Some(mu.root(mu.alloc(inner)));
        },
    );
    assert_eq!(Arc::strong_count(&alive), 2, "the value was dropped while a newborn's lock leads to it");
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(made);
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 1, "now nothing leads to it");
}

/// What `Arm` writes once is shaded before anybody sees it: else another mutation could take a lock in it, which the shade
/// would pass by.
#[test]
fn what_arm_writes_once_is_shaded_before_it_is_seen() {
    let heap = Heap::builder().processors(3).build().unwrap();
    let alive = Arc::new(());
    let gate = Arc::new(Gate::default());
    let (once, slot): (Root<GcOnce<Contents<'static>>>, Root<Slot<'static>>) = heap.mutate(|mu| {
        let slot = mu.alloc(Slot::new(mu.alloc(Arc::clone(&alive))));
        (mu.root(mu.alloc(GcOnce::<Contents<'_>>::new())), mu.root(slot))
    });
    let (in_off, off_entered) = channel();
    let (shading, is_shading) = channel();
    thread::scope(|scope| {
        let (heap, once, gate) = (&heap, &once, &gate);
        // Keeps the other one in Arm.
        scope.spawn(move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                in_off.send(()).unwrap();
                is_shading.recv().unwrap();
            });
        });
        off_entered.recv().unwrap();
        scope.spawn(|| heap.collect());
        scope.spawn(move || {
            mutate_in(heap, Mode::Arm, |mu| {
                let closed = gate.close();
                thread::scope(|scope| {
                    let closed = closed;
                    scope.spawn(move || {
                        gate.wait_until_reached();
                        heap.mutate(|mu| assert!(once.get(mu).get().is_none(), "it is seen before it is shaded"));
                        drop(closed);
                    });
                    let contents = Stopped::new(gate, Some(slot.get(mu)));
                    assert!(once.get(mu).as_ref().set(mu, contents).is_ok());
                });
                assert!(once.get(mu).get().is_some());
            });
            shading.send(()).unwrap();
        });
    });
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 2);
}
