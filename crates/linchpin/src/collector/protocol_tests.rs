//! Interleavings that a test from outside cannot arrange, because it does not see the mode it is in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::memory::PIN_FLAG_RAISED;
use crate::processor::phase::{Mode, Status, colour_of_cycle};
use crate::{Gc, GcCell, GcMutex, GcOnce, GcRwLock, Heap, Mutator, Pinner, Root, Trace, WeakMap};

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

/// Stays in a mutation for as long as that is in `mode`. Ends as `mutate_in` does. (Not until it is in the next one: it may answer two handshakes at a
/// time. And it allocates nothing, as it may have to wait for long where much else runs.)
pub(crate) fn stay_while(mu: &Mutator<'_>, mode: Mode) {
    while mu.mode() == mode {
        mu.safepoint();
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
    map: WeakMap<'gc, u8, Gc<'gc, Arc<()>>>,
    key: Gc<'gc, u8>,
}

impl<'gc> Places<'gc> {
    fn empty(mu: &Mutator<'gc>) -> Self {
        Self {
            cell: GcCell::null(),
            mutex: GcMutex::default(),
            rw_lock: GcRwLock::default(),
            once: GcOnce::new(),
            map: WeakMap::new(mu),
            key: mu.alloc(7),
        }
    }
}

/// Puts a pointer into one of the places.
type Put = for<'gc> fn(&Mutator<'gc>, &Places<'gc>, Gc<'gc, Arc<()>>);

/// A mutation in `Arm` has in hand what a mutation still in `Off` has unlinked, and puts it into an object that a mutation
/// in `Mark` has made: black, and never traced. Only the insertion barrier tells the collector of it.
fn what_arm_puts_into_an_object_born_in_mark_survives(put: Put) {
    what_is_put_into_an_object_born_in_mark_survives(false, put);
}

/// The same by a mutation that began in `Off`, if `from_off`, and has come to `Arm` at a safepoint.
fn what_is_put_into_an_object_born_in_mark_survives(from_off: bool, put: Put) {
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
                *made.lock().unwrap() = Some(mu.root(mu.alloc(Places::empty(mu))));
            });
            in_mark.send(()).unwrap();
        });
        // The second: in Arm all the while, with the object in hand.
        scope.spawn(move || {
            off_entered.recv().unwrap();
            let collect = || _ = scope.spawn(move || heap.collect());
            if !from_off {
                collect();
            }
            mutate_in(heap, if from_off { Mode::Off } else { Mode::Arm }, |mu| {
                if from_off {
                    // Not before: while it is idle, its processor would be put into `Arm` for it.
                    collect();
                }
                let in_hand: Gc<'_, Arc<()>> = only_root.lock().unwrap().as_ref().unwrap().get(mu);
                stay_while(mu, Mode::Off);
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
fn what_is_stored_behind_a_safepoint_survives() {
    what_is_put_into_an_object_born_in_mark_survives(true, |mu, places, object| places.cell.store(mu, object));
    what_is_put_into_an_object_born_in_mark_survives(true, |mu, places, object| places.mutex.lock(mu).push(object));
}

#[test]
fn what_arm_puts_behind_a_mutex_survives() {
    what_arm_puts_into_an_object_born_in_mark_survives(|mu, places, object| places.mutex.lock(mu).push(object));
}

#[test]
fn what_arm_inserts_into_a_weak_map_survives() {
    what_arm_puts_into_an_object_born_in_mark_survives(|mu, places, object| {
        assert!(places.map.insert(mu, places.key, object).is_none());
    });
}

#[test]
fn what_arm_makes_for_a_weak_map_survives() {
    what_arm_puts_into_an_object_born_in_mark_survives(|mu, places, object| {
        assert!(Gc::ptr_eq(places.map.get_or_insert_with(mu, places.key, || object), object));
    });
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

/// A mutation still in `Off` pins what nothing else leads to, after the flags were lowered: only the walk of the flags that
/// were raised since finds the pin.
#[test]
fn what_off_pins_after_the_flags_were_lowered_survives() {
    let heap = Heap::builder().processors(2).build().unwrap();
    let alive = Arc::new(());
    let witness = Arc::clone(&alive);
    let only_root: Root<Arc<()>> = heap.mutate(|mu| mu.root(mu.alloc(witness)));
    let mut pinner = Pinner::new();
    let (in_off, off_entered) = channel();
    let (in_arm, arm_entered) = channel();
    thread::scope(|scope| {
        let (heap, pinner) = (&heap, &mut pinner);
        scope.spawn(move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                in_off.send(()).unwrap();
                arm_entered.recv().unwrap();
                pinner.pin(mu, only_root.get(mu));
                // In Off, so without a shade.
                drop(only_root);
            });
        });
        off_entered.recv().unwrap();
        scope.spawn(move || heap.collect());
        // The first handshake has begun, and waits for the other mutation.
        mutate_in(heap, Mode::Arm, |_| in_arm.send(()).unwrap());
    });
    assert_eq!(Arc::strong_count(&alive), 2, "a pinned value was dropped");
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 2, "a pinned value was dropped by the next cycle");
    pinner.unpin();
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 1, "now nothing keeps it");
}

/// A span is walked as long as something in it is pinned, and once more.
#[test]
fn a_flag_stays_up_as_long_as_there_are_pins() {
    let heap = Heap::new();
    let root: Root<u64> = heap.mutate(|mu| mu.root(mu.alloc(7_u64)));
    let mut pinner = Pinner::new();
    let address = heap.mutate(|mu| pinner.pin(mu, root.get(mu)));
    let is_raised = || {
        let region = &heap.core().memory.region;
        region.pin_flag(region.unit_of(address.addr().get())).load(Ordering::Relaxed) == PIN_FLAG_RAISED
    };
    for _ in 0..3 {
        assert!(is_raised());
        heap.collect();
    }
    assert!(is_raised());
    pinner.unpin();
    heap.collect();
    assert!(!is_raised(), "a span without pins is walked for ever");
    heap.mutate(|mu| pinner.pin(mu, root.get(mu)));
    assert!(is_raised());
}

/// A mutation may outlast the resize that takes its processor away. The next handshake retires it, so that its thread,
/// which remembers it, does not go on with it.
#[test]
fn a_processor_beyond_the_limit_is_retired_by_a_handshake() {
    let heap = Heap::builder().processors(2).build().unwrap();
    let (begun, has_begun) = channel();
    let (resized, has_resized) = channel();
    thread::scope(|scope| {
        let heap = &heap;
        scope.spawn(move || {
            heap.mutate(|_| {
                begun.send(()).unwrap();
                has_resized.recv().unwrap();
            });
        });
        has_begun.recv().unwrap();
        // Two mutations at once have both processors.
        heap.mutate(|_| {
            thread::scope(|scope| {
                scope.spawn(|| heap.set_processors(1).unwrap());
            });
        });
        resized.send(()).unwrap();
    });
    heap.collect();
    let retired = |index| {
        let processor = heap.core().processors.all().find(|processor| processor.index() == index).unwrap();
        processor.state().status() == Status::Retired
    };
    assert!(!retired(0));
    assert!(retired(1), "a processor beyond the limit is in use after a cycle");
}

/// Threads that swap in one cell while cycles mark: each object comes out once, as from an atomic swap.
#[test]
fn swaps_at_once_while_cycles_mark_lose_nothing() {
    const SWAPS: u64 = 1000;
    const THREADS: u64 = 2;
    let heap = Heap::builder().processors(THREADS as usize).build().unwrap();
    let cell: Root<GcCell<'static, u64>> = heap.mutate(|mu| mu.root(mu.alloc(GcCell::<u64>::null())));
    let stop = AtomicBool::new(false);
    let mut seen: Vec<u64> = thread::scope(|scope| {
        let stop = StopOnDrop(&stop);
        let flag = stop.0;
        let (heap, cell) = (&heap, &cell);
        scope.spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                heap.collect();
            }
        });
        let swapping: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    let mut next = 0;
                    while next < 3 * SWAPS {
                        heap.mutate(|mu| {
                            if mu.mode() == Mode::Off {
                                return;
                            }
                            for number in next..next + SWAPS {
                                let old = cell.get(mu).swap(mu, mu.alloc(number * THREADS + thread));
                                seen.extend(old.map(|old| *old));
                            }
                            next += SWAPS;
                        });
                    }
                    seen
                })
            })
            .collect();
        swapping.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    seen.extend(heap.mutate(|mu| cell.get(mu).load().map(|last| *last)));
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..3 * SWAPS * THREADS), "{} came out", seen.len());
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
