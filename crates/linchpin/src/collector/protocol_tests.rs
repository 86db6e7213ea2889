//! Interleavings that a test from outside cannot arrange, because it does not see the mode it is in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::processor::phase::{Mode, colour_of_cycle};
use crate::{Gc, GcCell, GcMutex, GcOnce, GcRwLock, Heap, Mutator, Pinner, Root, Trace};

/// Enters mutations until one is in `mode`, and runs `work` in that one. Ends because the collector has been asked for a
/// cycle and waits for nobody but the caller's threads.
pub(crate) fn mutate_in<R>(heap: &Heap, mode: Mode, mut work: impl for<'gc> FnMut(&Mutator<'gc>) -> R) -> R {
    loop {
        let outcome = heap.mutate(|mu| (mu.mode() == mode).then(|| work(mu)));
        if let Some(outcome) = outcome {
            return outcome;
        }
        thread::yield_now();
    }
}

/// Tells a thread to stop when it goes away.
pub(super) struct StopOnDrop<'a>(pub(super) &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Places for a pointer, each with a barrier of its own.
#[derive(Trace)]
struct Places<'gc> {
    cell: GcCell<'gc, Arc<()>>,
    mutex: GcMutex<Vec<Gc<'gc, Arc<()>>>>,
    rw_lock: GcRwLock<Vec<Gc<'gc, Arc<()>>>>,
    once: GcOnce<Gc<'gc, Arc<()>>>,
}

impl Places<'_> {
    fn empty() -> Self {
        Self { cell: GcCell::null(), mutex: GcMutex::default(), rw_lock: GcRwLock::default(), once: GcOnce::new() }
    }
}

/// Puts a pointer into one of the places.
type Put = for<'gc> fn(&Mutator<'gc>, &Places<'gc>, Gc<'gc, Arc<()>>);

/// A mutation in `Arm` has in hand what a mutation still in `Off` has unlinked, and puts it into an object that a mutation
/// in `Mark` has made: black, and never traced. Only the insertion barrier tells the collector of it.
fn what_arm_puts_into_an_object_born_in_mark_survives(put: Put) {
    let heap = Heap::builder().processors(2).build().unwrap();
    let alive = Arc::new(());
    let witness = Arc::clone(&alive);
    let only_root: Mutex<Option<Root<Arc<()>>>> = Mutex::new(Some(heap.mutate(|mu| mu.root(mu.alloc(witness)))));
    let made: Mutex<Option<Root<Places<'static>>>> = Mutex::new(None);
    let (in_off, off_entered) = channel();
    let (in_arm, arm_entered) = channel();
    let (in_mark, mark_entered) = channel();
    thread::scope(|scope| {
        let (heap, only_root, made) = (&heap, &only_root, &made);
        // The first processor: in Off until the second is in Arm, then in Mark.
        scope.spawn(move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                in_off.send(()).unwrap();
                arm_entered.recv().unwrap();
                // In Off, so without a shade.
                drop(only_root.lock().unwrap().take());
            });
            mutate_in(heap, Mode::Mark, |mu| {
                *made.lock().unwrap() = Some(mu.root(mu.alloc(Places::empty())));
            });
            in_mark.send(()).unwrap();
        });
        // The second: in Arm all the while, with the object in hand.
        scope.spawn(move || {
            off_entered.recv().unwrap();
            scope.spawn(move || heap.collect());
            mutate_in(heap, Mode::Arm, |mu| {
                let in_hand: Gc<'_, Arc<()>> = only_root.lock().unwrap().as_ref().unwrap().get(mu);
                in_arm.send(()).unwrap();
                mark_entered.recv().unwrap();
                let made = made.lock().unwrap().as_ref().unwrap().get(mu);
                put(mu, made.as_ref(), in_hand);
            });
        });
    });
    assert_eq!(Arc::strong_count(&alive), 2, "the value was dropped while a field leads to it");
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(made);
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 1, "now nothing leads to it");
}

#[test]
fn what_arm_stores_into_a_cell_survives() {
    what_arm_puts_into_an_object_born_in_mark_survives(|mu, places, object| places.cell.store(mu, object));
}

#[test]
fn what_arm_puts_behind_a_mutex_survives() {
    what_arm_puts_into_an_object_born_in_mark_survives(|mu, places, object| places.mutex.lock(mu).push(object));
}

#[test]
fn what_arm_puts_behind_a_lock_to_write_survives() {
    what_arm_puts_into_an_object_born_in_mark_survives(|mu, places, object| places.rw_lock.write(mu).push(object));
}

#[test]
fn what_arm_writes_once_survives() {
    what_arm_puts_into_an_object_born_in_mark_survives(|mu, places, object| {
        assert!(places.once.set(mu, object).is_ok());
    });
}

/// Between the end of a mark and its sweep every span counts as unswept. A mutation that still runs in `Close` may allocate
/// all the same, in the spans there are: the region has no fresh one here.
#[test]
fn there_is_room_while_a_mark_ends() {
    let heap = Heap::builder().processors(1).region_size(1 << 20).build().unwrap();
    let half: Vec<Root<[u64; 8]>> = heap.mutate(|mu| {
        let all: Vec<_> = std::iter::from_fn(|| mu.try_alloc([7_u64; 8]).ok()).collect();
        all.into_iter().step_by(2).map(|object| mu.root(object)).collect()
    });
    heap.collect();
    let memory = &heap.core().memory;
    assert!(!memory.is_sweep_pending(), "a cycle ends when everything is swept");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // Set on unwinding, too, so that a failure does not hang.
        let stop = StopOnDrop(&stop);
        scope.spawn(|| {
            while !stop.0.load(Ordering::Relaxed) {
                heap.collect();
            }
        });
        mutate_in(&heap, Mode::Close, |mu| {
            // The processor is in Close, so its round ends the mark, and the handshake to Off waits for this mutation.
            while colour_of_cycle(memory.marked_cycle()) != mu.local().colour() {
                thread::yield_now();
            }
            assert!(memory.is_sweep_pending());
            for _ in 0..1000 {
                mu.try_alloc([8_u64; 8]).expect("half of the region is free");
            }
        });
    });
    assert!(heap.mutate(|mu| half.iter().all(|root| *root.get(mu) == [7; 8])));
}

/// The collector may only look for pins when handshake 2 is through. A mutation in `Arm` has in hand what one still in `Off` has
/// unlinked without a word, and lends it to another thread, whose mutation, in `Mark` already, pins it: which shades nothing.
#[test]
fn what_arm_lends_and_mark_pins_survives() {
    let heap = Heap::builder().processors(2).build().unwrap();
    let alive = Arc::new(());
    let witness = Arc::clone(&alive);
    let only_root: Mutex<Option<Root<Arc<()>>>> = Mutex::new(Some(heap.mutate(|mu| mu.root(mu.alloc(witness)))));
    let mut pinner = Pinner::new();
    let (in_off, off_entered) = channel();
    let (in_arm, arm_entered) = channel();
    let (left_off, off_left) = channel();
    thread::scope(|scope| {
        let (heap, only_root, pinner) = (&heap, &only_root, &mut pinner);
        // The first processor: in Off until the second is in Arm; the borrower has it later.
        scope.spawn(move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                in_off.send(()).unwrap();
                arm_entered.recv().unwrap();
                // In Off, so without a shade.
                drop(only_root.lock().unwrap().take());
            });
            left_off.send(()).unwrap();
        });
        off_entered.recv().unwrap();
        scope.spawn(move || heap.collect());
        // The second: in Arm until the borrower has ended.
        mutate_in(heap, Mode::Arm, |mu| {
            let in_hand: Gc<'_, Arc<()>> = only_root.lock().unwrap().as_ref().unwrap().get(mu);
            in_arm.send(()).unwrap();
            off_left.recv().unwrap();
            let lent: &Arc<()> = in_hand.as_ref();
            let pinner = &mut *pinner;
            thread::scope(|borrowers| {
                borrowers.spawn(move || mutate_in(heap, Mode::Mark, |mu| _ = pinner.pin_ref(mu, lent)));
            });
            assert_eq!(mu.mode(), Mode::Arm);
            assert_eq!(mu.pin_count(in_hand), 1);
        });
    });
    assert_eq!(Arc::strong_count(&alive), 2, "the value was dropped under its pin");
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 2);
    pinner.unpin();
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 1, "now nothing leads to it");
}
