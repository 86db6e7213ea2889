//! Locks around contents that hold pointers, and values that are written once: what they do as locks, and that what they hold
//! is kept.

#![cfg(not(loom))]

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use common::{Counted, Ledger, Stop, panic_text};
use linchpin::{DebugSettings, Gc, GcCell, GcMutex, GcMutexGuard, GcOnce, GcRwLock, Heap, Root, Trace, Verify};

/// A value of several words, as a virtual machine has them.
#[derive(Trace, Clone, Copy)]
enum Value<'gc> {
    Nothing,
    Number(u64),
    Text(Gc<'gc, str>),
    List(Gc<'gc, [u64]>),
}

#[derive(Trace)]
struct Variable<'gc> {
    value: GcMutex<Value<'gc>>,
}

fn verified(processors: usize) -> Heap {
    let settings = DebugSettings::new().verify(Verify::On).poison(true);
    Heap::builder().processors(processors).debug(settings).build().expect("a heap")
}

/// Threads change values of several words, and what they lead to, while cycles run without a pause.
#[test]
fn values_of_several_words_are_never_torn_or_lost() {
    let heap = verified(3);
    let root: Root<[Variable<'static>]> = heap.mutate(|mu| {
        let variables = mu.alloc_slice_with(16, |_| Variable { value: GcMutex::new(Value::Nothing) });
        mu.root(variables)
    });
    let stop = Stop::default();
    thread::scope(|scope| {
        scope.spawn(|| stop.until(|| heap.collect()));
        let _stop = stop.on_drop();
        let threads: [_; 3] = std::array::from_fn(|thread| {
            let (heap, root) = (&heap, &root);
            scope.spawn(move || {
                for step in 0..1500_u64 {
                    heap.mutate(|mu| {
                        let variables = root.get(mu).as_ref();
                        let place = ((step * 7 + thread as u64 * 5) % 16) as usize;
                        let (from, to) = (&variables[place], &variables[(place + 3) % 16]);
                        let taken = std::mem::replace(&mut *from.value.lock(mu), Value::Nothing);
                        let put = match taken {
                            Value::Nothing => Value::Number(step),
                            Value::Number(number) => Value::Text(mu.alloc_str(&number.to_string())),
                            Value::Text(text) => {
                                let number: u64 = text.parse().expect("the text of a number");
                                Value::List(mu.alloc_slice_copy(&[number, !number]))
                            }
                            Value::List(list) => {
                                assert_eq!(list[0], !list[1]);
                                Value::Nothing
                            }
                        };
                        *to.value.lock(mu) = put;
                    });
                }
            })
        });
        for thread in threads {
            thread.join().expect("a thread that moves values");
        }
    });
    heap.verify().expect("a sound heap");
}

/// What a lock holds is kept over any number of cycles, in which the lock was taken or not, at any time.
#[test]
fn contents_are_kept_over_cycles_whoever_traces_them() {
    let heap = verified(2);
    let ledger = Ledger::new(40);
    let root: Root<GcMutex<Vec<Gc<'static, Counted>>>> =
        heap.mutate(|mu| mu.root(mu.alloc(GcMutex::new(Vec::<Gc<'_, Counted>>::new()))));
    for entry in 0..40 {
        heap.mutate(|mu| root.get(mu).lock(mu).push(mu.alloc(ledger.counted(entry))));
        thread::scope(|scope| {
            scope.spawn(|| heap.collect());
            // At some time in the cycle, or after it.
            for _ in 0..entry % 7 {
                heap.mutate(|mu| root.get(mu).lock(mu).rotate_left(1));
            }
        });
        if entry % 3 == 0 {
            heap.collect();
        }
    }
    ledger.assert_none();
    heap.mutate(|mu| {
        let mut entries: Vec<usize> = root.get(mu).lock(mu).iter().map(|counted| counted.entry()).collect();
        entries.sort_unstable();
        assert_eq!(entries, (0..40).collect::<Vec<_>>());
        root.get(mu).lock(mu).clear();
    });
    heap.collect();
    ledger.assert_each_once();
}

/// Locks in the contents of locks, which move from one to the other.
#[test]
fn locks_inside_locks_keep_what_they_hold() {
    type Inner<'gc> = Box<GcMutex<Option<Gc<'gc, Counted>>>>;
    #[derive(Trace)]
    struct Outer<'gc> {
        boxes: GcRwLock<Vec<Inner<'gc>>>,
    }
    let heap = verified(2);
    let ledger = Ledger::new(8);
    let [from, to]: [Root<Outer<'static>>; 2] =
        std::array::from_fn(|_| heap.mutate(|mu| mu.root(mu.alloc(Outer { boxes: GcRwLock::default() }))));
    heap.mutate(|mu| {
        for entry in 0..8 {
            let inner = Box::new(GcMutex::new(Some(mu.alloc(ledger.counted(entry)))));
            from.get(mu).boxes.write(mu).push(inner);
        }
    });
    let stop = Stop::default();
    thread::scope(|scope| {
        scope.spawn(|| stop.until(|| heap.collect()));
        let _stop = stop.on_drop();
        for step in 0..400 {
            heap.mutate(|mu| {
                let (from, to) = if step % 2 == 0 { (&from, &to) } else { (&to, &from) };
                for _ in 0..8 {
                    let Some(mut moved) = from.get(mu).boxes.write(mu).pop() else { break };
                    // Past the lock, which nobody else can have.
                    let counted = moved.get_mut().take();
                    *moved.lock(mu) = counted;
                    to.get(mu).boxes.write(mu).push(moved);
                }
                // To read is enough to change what is behind an inner lock.
                let target = to.get(mu).as_ref();
                let boxes = target.boxes.read(mu);
                let first = boxes[0].lock(mu).take();
                let second = std::mem::replace(&mut *boxes[1].lock(mu), first);
                *boxes[0].lock(mu) = second;
            });
        }
    });
    ledger.assert_none();
    drop((from, to));
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn one_mutation_at_a_time_has_a_mutex() {
    let heap = Heap::builder().processors(4).build().expect("a heap");
    let root: Root<GcMutex<(u64, u64)>> = heap.mutate(|mu| mu.root(mu.alloc(GcMutex::new((0_u64, 0_u64)))));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    heap.mutate(|mu| {
                        let pair = &mut *root.get(mu).as_ref().lock(mu);
                        assert_eq!(pair.0, pair.1);
                        pair.0 += 1;
                        pair.1 += 1;
                    });
                }
            });
        }
    });
    assert_eq!(heap.mutate(|mu| *root.get(mu).as_ref().lock(mu)), (8000, 8000));
}

#[test]
fn a_taken_mutex_is_not_taken_again() {
    let heap = Heap::builder().processors(2).build().expect("a heap");
    heap.mutate(|mu| {
        let mutex = mu.alloc(GcMutex::new(1));
        let guard = mutex.try_lock(mu).expect("nobody has it");
        assert!(mutex.try_lock(mu).is_none());
        assert_eq!(format!("{guard:?} {:?}", *mutex), "1 GcMutex { locked: true, .. }");
        drop(guard);
        assert_eq!(*mutex.try_lock(mu).expect("it was given back"), 1);
    });
}

#[test]
fn readers_share_and_a_writer_does_not() {
    let heap = Heap::builder().processors(2).build().expect("a heap");
    heap.mutate(|mu| {
        let lock = mu.alloc(GcRwLock::new(1));
        let (first, second) = (lock.read(mu), lock.try_read(mu).expect("one more reader"));
        assert!(lock.try_write(mu).is_none());
        assert_eq!(*first + *second, 2);
        drop((first, second));
        let mut writer = lock.try_write(mu).expect("nobody reads");
        assert!(lock.try_read(mu).is_none());
        *writer = 2;
        drop(writer);
        assert_eq!(*lock.read(mu), 2);
    });
}

/// A mutation may read what it reads already, though a writer waits in between.
#[test]
fn a_mutation_reads_twice_while_a_writer_waits() {
    let heap = Heap::builder().processors(2).build().expect("a heap");
    let root: Root<GcRwLock<u64>> = heap.mutate(|mu| mu.root(mu.alloc(GcRwLock::new(1_u64))));
    let (reading, is_read) = channel();
    thread::scope(|scope| {
        let (heap, root) = (&heap, &root);
        scope.spawn(move || {
            is_read.recv().expect("the reader");
            heap.mutate(|mu| *root.get(mu).as_ref().write(mu) += 1);
        });
        heap.mutate(|mu| {
            let lock = root.get(mu).as_ref();
            let first = lock.read(mu);
            reading.send(()).expect("the writer");
            for _ in 0..1000 {
                assert_eq!(*lock.read(mu), *first);
                thread::yield_now();
            }
        });
    });
    assert_eq!(heap.mutate(|mu| *root.get(mu).as_ref().read(mu)), 2);
}

/// There is no poison: a guard that is dropped by unwinding gives the lock back.
#[test]
fn a_panic_gives_locks_back() {
    let heap = Heap::builder().processors(1).build().expect("a heap");
    let root: Root<(GcMutex<u8>, GcRwLock<u8>)> =
        heap.mutate(|mu| mu.root(mu.alloc((GcMutex::new(0_u8), GcRwLock::new(0_u8)))));
    let text = panic_text(|| {
        heap.mutate(|mu| {
            let locks = root.get(mu).as_ref();
            let (mut mutex, mut lock) = (locks.0.lock(mu), locks.1.write(mu));
            (*mutex, *lock) = (1, 2);
            panic!("with both of them");
        });
    });
    assert_eq!(text, "with both of them");
    heap.mutate(|mu| {
        let locks = root.get(mu).as_ref();
        assert_eq!((*locks.0.lock(mu), *locks.1.read(mu)), (1, 2));
    });
}

/// The collector passes by a lock whose guard was forgotten, does not wait for it, and frees what is behind it: nobody can
/// look there any more.
#[test]
fn a_forgotten_guard_forgets_the_contents() {
    #[derive(Trace)]
    struct Locks<'gc> {
        inside: GcMutex<Vec<GcMutex<Option<Gc<'gc, Counted>>>>>,
        kept: GcCell<'gc, Counted>,
    }
    let heap = verified(1);
    let ledger = Ledger::new(2);
    let root: Root<Locks<'static>> = heap.mutate(|mu| {
        let inner = GcMutex::new(Some(mu.alloc(ledger.counted(0))));
        let kept = GcCell::new(mu.alloc(ledger.counted(1)));
        mu.root(mu.alloc(Locks { inside: GcMutex::new(vec![inner]), kept }))
    });
    heap.mutate(|mu| std::mem::forget(root.get(mu).as_ref().inside.lock(mu)[0].lock(mu)));
    heap.collect();
    assert_eq!((ledger.drops_of(0), ledger.drops_of(1)), (1, 0));
    heap.mutate(|mu| {
        let locks = root.get(mu).as_ref();
        assert!(locks.inside.lock(mu)[0].try_lock(mu).is_none());
        let inner = locks.inside.lock(mu).pop().expect("it was put there");
        let mut inner = inner;
        assert!(panic_text(|| _ = inner.get_mut()).contains("a guard of it was forgotten"));
        assert!(panic_text(|| _ = inner.into_inner()).contains("a guard of it was forgotten"));
        assert_eq!(locks.kept.load().expect("it was stored").entry(), 1);
    });
    for _ in 0..3 {
        heap.collect();
    }
    heap.verify().expect("a sound heap");
    drop(root);
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn a_forgotten_writer_forgets_the_contents_and_a_forgotten_reader_does_not() {
    let heap = verified(1);
    let ledger = Ledger::new(2);
    type Lock<'gc> = GcRwLock<Gc<'gc, Counted>>;
    let [written, read]: [Root<Lock<'static>>; 2] = std::array::from_fn(|entry| {
        heap.mutate(|mu| mu.root(mu.alloc(GcRwLock::new(mu.alloc(ledger.counted(entry))))))
    });
    heap.mutate(|mu| {
        std::mem::forget(written.get(mu).as_ref().write(mu));
        std::mem::forget(read.get(mu).as_ref().read(mu));
    });
    for _ in 0..3 {
        heap.collect();
    }
    assert_eq!((ledger.drops_of(0), ledger.drops_of(1)), (1, 0));
    heap.mutate(|mu| {
        assert!(written.get(mu).as_ref().try_read(mu).is_none());
        assert_eq!(read.get(mu).as_ref().read(mu).entry(), 1);
        assert!(read.get(mu).as_ref().try_write(mu).is_none());
    });
}

/// What was behind such a lock may be gone, so nobody gets there past it; a reader that was forgotten takes nothing away.
#[test]
fn who_owns_a_lock_is_refused_what_a_forgotten_writer_has() {
    let heap = verified(1);
    heap.mutate(|mu| {
        for writes in [true, false] {
            let new = || {
                let lock = GcRwLock::new(7);
                if writes {
                    std::mem::forget(lock.write(mu))
                } else {
                    std::mem::forget(lock.read(mu))
                }
                lock
            };
            let mut lock = new();
            if writes {
                assert!(panic_text(|| _ = lock.get_mut()).contains("a guard of it was forgotten"));
                assert!(panic_text(|| _ = new().into_inner()).contains("a guard of it was forgotten"));
            } else {
                assert_eq!((*lock.get_mut(), new().into_inner()), (7, 7));
            }
        }
    });
}

#[test]
fn what_nobody_shares_needs_no_lock() {
    let mut mutex = GcMutex::from(1);
    *mutex.get_mut() += 1;
    assert_eq!(mutex.into_inner(), 2);
    let mut lock = GcRwLock::new("text".to_owned());
    lock.get_mut().push('!');
    assert_eq!(lock.into_inner(), "text!");
}

/// The lock of a mutex and what the collector keeps there take a byte each.
#[test]
fn locks_are_small() {
    assert_eq!(size_of::<GcMutex<()>>(), 2);
    assert_eq!(size_of::<GcMutex<Value<'static>>>(), size_of::<Value<'static>>() + 8);
    assert_eq!(size_of::<GcRwLock<Value<'static>>>(), size_of::<Value<'static>>() + 16);
    assert_eq!(size_of::<GcOnce<Gc<'static, u8>>>(), 16);
}

#[test]
fn a_value_is_written_once() {
    let heap = verified(4);
    let ledger = Ledger::new(1);
    let root: Root<GcOnce<(usize, Gc<'static, Counted>)>> =
        heap.mutate(|mu| mu.root(mu.alloc(GcOnce::<(usize, Gc<'_, Counted>)>::new())));
    let text = panic_text(|| {
        heap.mutate(|mu| _ = root.get(mu).as_ref().get_or_init(mu, || panic!("not made")));
    });
    assert_eq!(text, "not made");
    let winners: Vec<usize> = thread::scope(|scope| {
        let threads: [_; 4] = std::array::from_fn(|thread| {
            let (heap, root, ledger) = (&heap, &root, &ledger);
            scope.spawn(move || {
                heap.mutate(|mu| {
                    let once = root.get(mu).as_ref();
                    once.get_or_init(mu, || (thread, mu.alloc(ledger.counted(0)))).0
                })
            })
        });
        threads.map(|thread| thread.join().expect("a thread that asks for the value")).to_vec()
    });
    assert!(winners.iter().all(|&winner| winner == winners[0]), "{winners:?}");
    heap.collect();
    ledger.assert_none();
    heap.mutate(|mu| {
        let once = root.get(mu).as_ref();
        let value = *once.get().expect("it was written");
        assert!(once.set(mu, (9, value.1)).is_err_and(|refused| refused.0 == 9));
        assert_eq!(once.get().map(|value| value.0), Some(winners[0]));
    });
    drop(root);
    heap.collect();
    ledger.assert_each_once();
}

/// A map under a lock: keys, values and what they lead to.
#[test]
fn maps_behind_locks_grow_and_shrink() {
    let heap = verified(2);
    let alive = Arc::new(());
    let root: Root<GcRwLock<HashMap<String, Gc<'static, Arc<()>>>>> =
        heap.mutate(|mu| mu.root(mu.alloc(GcRwLock::new(HashMap::<String, Gc<'_, Arc<()>>>::new()))));
    for round in 0..5 {
        for key in 0..200 {
            heap.mutate(|mu| {
                let value = mu.alloc(Arc::clone(&alive));
                root.get(mu).as_ref().write(mu).insert(format!("{key}"), value);
            });
        }
        heap.collect();
        assert_eq!(Arc::strong_count(&alive), 201, "round {round}");
        heap.mutate(|mu| root.get(mu).as_ref().write(mu).retain(|key, _| key.len() < 3));
        heap.collect();
        assert_eq!(Arc::strong_count(&alive), 101, "round {round}");
    }
}

/// A guard may be lent to other threads, to look through.
#[test]
fn a_guard_is_lent_to_threads() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        let mutex = mu.alloc(GcMutex::new(vec![1, 2, 3]));
        let guard: GcMutexGuard<'_, '_, Vec<i32>> = mutex.lock(mu);
        let shared = &guard;
        let sum: i32 = thread::scope(|scope| scope.spawn(move || shared.iter().sum()).join()).expect("the sum");
        assert_eq!(sum, 6);
    });
}

#[test]
fn what_may_lead_in_a_circle_does_not_show_its_contents() {
    let heap = verified(1);
    heap.mutate(|mu| {
        let (mutex, rw_lock, once) = (GcMutex::from(7), GcRwLock::from(8), GcOnce::<i32>::default());
        assert_eq!(format!("{mutex:?}"), "GcMutex { locked: false, .. }");
        {
            let guard = mutex.lock(mu);
            assert_eq!(format!("{mutex:?}"), "GcMutex { locked: true, .. }");
            assert_eq!(format!("{guard:?} {guard}"), "7 7", "who has a guard sees them");
        }
        {
            let guard = rw_lock.read(mu);
            assert_eq!(format!("{rw_lock:?}"), "GcRwLock { written: false, .. }");
            assert_eq!(format!("{guard:?}"), "8");
        }
        {
            let guard = rw_lock.write(mu);
            assert_eq!(format!("{rw_lock:?}"), "GcRwLock { written: true, .. }");
            assert_eq!(format!("{guard:?}"), "8");
        }
        assert_eq!(format!("{once:?}"), "GcOnce { is_set: false }");
        assert!(once.set(mu, 9).is_ok());
        assert_eq!(format!("{once:?}"), "GcOnce { is_set: true }");
        let root = mu.root(mu.alloc(1_u8));
        assert_eq!(format!("{root:?}"), format!("Root {{ type: \"u8\", heap: {}, .. }}", heap.id()));
        let cell = GcCell::new(root.get(mu));
        assert_eq!(format!("{cell:?}"), format!("GcCell({:p})", Gc::as_ptr(root.get(mu))));
    });
}

/// Locks move between many others, so that in most cycles most of them are taken in one mode or another for the first time.
#[test]
fn locks_that_move_among_many_keep_what_they_hold() {
    const OUTER: usize = 512;
    type Inner<'gc> = GcMutex<Option<Gc<'gc, Counted>>>;
    let heap = Heap::builder().processors(4).build().expect("a heap");
    let ledger = Ledger::new(2 * OUTER);
    let outer: Vec<Root<GcMutex<Vec<Inner<'static>>>>> = (0..OUTER)
        .map(|index| {
            heap.mutate(|mu| {
                let inner = |entry| GcMutex::new(Some(mu.alloc(ledger.counted(entry))));
                mu.root(mu.alloc(GcMutex::new(vec![inner(2 * index), inner(2 * index + 1)])))
            })
        })
        .collect();
    let stop = Stop::default();
    thread::scope(|scope| {
        scope.spawn(|| stop.until(|| heap.collect()));
        let _stop = stop.on_drop();
        let movers: [_; 3] = std::array::from_fn(|thread| {
            let (heap, outer) = (&heap, &outer);
            scope.spawn(move || {
                let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(thread as u64 + 1);
                for _ in 0..15000 {
                    heap.mutate(|mu| {
                        for _ in 0..30 {
                            state ^= state << 13;
                            state ^= state >> 7;
                            state ^= state << 17;
                            let [from, to] = [state >> 33, state >> 43].map(|bits| &outer[bits as usize % OUTER]);
                            let moved = from.get(mu).as_ref().lock(mu).pop();
                            to.get(mu).as_ref().lock(mu).extend(moved);
                            if state >> 59 == 0 {
                                thread::yield_now();
                            }
                        }
                    });
                }
            })
        });
        for mover in movers {
            mover.join().expect("a thread that moves locks");
        }
    });
    ledger.assert_none();
    drop(outer);
    heap.collect();
    ledger.assert_each_once();
}
