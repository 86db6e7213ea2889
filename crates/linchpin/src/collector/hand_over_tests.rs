//! Barrier buffers that are handed over, and pins that a cycle finds, at moments that a test from outside cannot arrange.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use super::cycle::Cycle;
use super::protocol_tests::mutate_in;
use super::queue::Grey;
use super::workers::Workers;
use crate::processor::phase::{Mode, colour_of_cycle};
use crate::sync::Ordering;
use crate::{DebugSettings, Gc, GcCell, Heap, Pinner, Root, Trace};

type Slot<'gc> = GcCell<'gc, Arc<()>>;

#[derive(Trace)]
struct Parent<'gc> {
    child: Gc<'gc, Arc<()>>,
}

#[derive(Trace)]
struct Cells<'gc> {
    cells: Gc<'gc, [GcCell<'gc, Parent<'gc>>]>,
}

/// A mutation that shades more than a barrier buffer takes hands some of it over while it runs. Here that is all that
/// leads to the children.
#[test]
fn whatever_one_mutation_shades_is_traced() {
    const PARENTS: usize = 3000;
    let heap = Heap::builder().processors(2).build().unwrap();
    let alive = Arc::new(());
    let old: Root<Cells<'static>> = heap.mutate(|mu| {
        let parent = |_| GcCell::new(mu.alloc(Parent { child: mu.alloc(Arc::clone(&alive)) }));
        mu.root(mu.alloc(Cells { cells: mu.alloc_slice_with(PARENTS, parent) }))
    });
    let (in_off, off_entered) = channel();
    let (in_arm, arm_entered) = channel();
    let new: Root<Cells<'static>> = thread::scope(|scope| {
        let heap = &heap;
        // Holds up the first handshake.
        scope.spawn(move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                in_off.send(()).unwrap();
                arm_entered.recv().unwrap();
            });
        });
        off_entered.recv().unwrap();
        scope.spawn(move || heap.collect());
        mutate_in(heap, Mode::Arm, |mu| {
            in_arm.send(()).unwrap();
            let cells = old.get(mu).cells;
            let moved = |index: usize| GcCell::new(cells[index].swap(mu, None));
            mu.root(mu.alloc(Cells { cells: mu.alloc_slice_with(PARENTS, moved) }))
        })
    });
    assert_eq!(Arc::strong_count(&alive), 1 + PARENTS, "children were dropped while their parents live");
    heap.mutate(|mu| assert!(new.get(mu).cells.iter().all(|cell| Arc::ptr_eq(&cell.load().unwrap().child, &alive))));
    drop((old, new));
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// What a mutation has shaded is in the queue before its processor counts as having answered: also in the last closing
/// round, after which nobody looks again.
#[test]
fn the_barrier_buffer_is_handed_over_before_the_answer() {
    const ROUNDS: usize = 12;
    let debug = DebugSettings::new().delay_handshakes(3000);
    let heap = Heap::builder().processors(2).debug(debug).build().unwrap();
    for round in 0..ROUNDS {
        let alive = Arc::new(());
        let old: Root<GcCell<'static, Parent<'static>>> = heap.mutate(|mu| {
            let parent = mu.alloc(Parent { child: mu.alloc(Arc::clone(&alive)) });
            mu.root(mu.alloc(GcCell::new(parent)))
        });
        let (in_arm, arm_entered) = channel();
        let (unlinked, has_unlinked) = channel();
        let new = thread::scope(|scope| {
            let heap = &heap;
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                scope.spawn(move || heap.collect());
                // Holds up the handshake to Mark, so that roots are not visited yet when this thread unlinks.
                scope.spawn(move || {
                    mutate_in(heap, Mode::Arm, |_| {
                        in_arm.send(()).unwrap();
                        has_unlinked.recv().unwrap();
                    });
                });
                arm_entered.recv().unwrap();
            });
            let new = mutate_in(heap, Mode::Mark, |mu| {
                let parent = old.get(mu).swap(mu, None);
                unlinked.send(()).unwrap();
                // Until the queue has run empty and a closing round waits for this mutation.
                while heap.core().processors.phase().mode() != Mode::Close {
                    thread::yield_now();
                }
                mu.root(mu.alloc(GcCell::new(parent)))
            });
            // Its thread answers, if it is here before the collector.
            heap.mutate(|_| ());
            new
        });
        heap.collect();
        assert_eq!(Arc::strong_count(&alive), 2, "round {round}: the child of a living parent was dropped");
        drop((old, new));
    }
}

/// A mutation in `Off` sees an object that another one, in `Arm`, has shaded already: it has a colour that is unknown to the
/// first, and yet it lives, and can be pinned by a reference.
#[test]
fn what_the_next_cycle_has_marked_is_not_being_dropped() {
    let heap = Heap::builder().processors(2).build().unwrap();
    let root: Root<Arc<()>> = heap.mutate(|mu| mu.root(mu.alloc(Arc::new(()))));
    // No new object, so that it carries the colour of a cycle that has ended.
    heap.collect();
    let (in_off, off_entered) = channel();
    let (shaded, has_shaded) = channel();
    thread::scope(|scope| {
        let (heap, root) = (&heap, &root);
        scope.spawn(move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                in_off.send(()).unwrap();
                has_shaded.recv().unwrap();
                let mut pinner = Pinner::new();
                pinner.pin_ref(mu, &*root.get(mu));
                assert!(mu.is_pinned(root.get(mu)));
            });
        });
        off_entered.recv().unwrap();
        scope.spawn(move || heap.collect());
        mutate_in(heap, Mode::Arm, |mu| {
            // A root that goes away is shaded.
            drop(mu.root(root.get(mu)));
            shaded.send(()).unwrap();
        });
    });
}

/// A mutation within a mutation answers nothing: what the outer one has in hand nobody knows of.
#[test]
fn a_nested_mutation_answers_no_handshake() {
    let heap = Heap::builder().processors(1).build().unwrap();
    thread::scope(|scope| {
        heap.mutate(|outer| {
            scope.spawn(|| heap.collect());
            while heap.core().processors.phase().mode() != Mode::Arm {
                thread::yield_now();
            }
            heap.mutate(|inner| assert_eq!(inner.mode(), Mode::Off));
            assert_eq!(outer.mode(), Mode::Off);
        });
    });
}

/// Every pin that a mutation undoes while a cycle marks is shaded, not the first one only: here the pins are not walked yet
/// when they go, and the objects go into new ones, which are black.
#[test]
fn whatever_is_unpinned_while_a_cycle_marks_survives() {
    let heap = Heap::builder().processors(2).build().unwrap();
    let alive = Arc::new(());
    let mut pinner = Pinner::new();
    let pinned = [(); 2].map(|()| heap.mutate(|mu| pinner.pin(mu, mu.alloc(Arc::clone(&alive)))));
    let (in_arm, arm_entered) = channel();
    let (unpinned, has_unpinned) = channel();
    let kept: [Root<Slot<'static>>; 2] = thread::scope(|scope| {
        let heap = &heap;
        heap.mutate(|mu| {
            assert_eq!(mu.mode(), Mode::Off);
            scope.spawn(move || heap.collect());
            // Holds up the handshake to Mark.
            scope.spawn(move || {
                mutate_in(heap, Mode::Arm, |_| {
                    in_arm.send(()).unwrap();
                    has_unpinned.recv().unwrap();
                });
            });
            arm_entered.recv().unwrap();
        });
        mutate_in(heap, Mode::Mark, |mu| {
            // SAFETY: a pinned address is that of a live object of its type, in hand of this mutation as if loaded from a root.
            let objects = pinned.map(|address| unsafe { Gc::<'_, Arc<()>>::from_start(address.cast()) });
            pinner.unpin();
            let kept = objects.map(|object| mu.root(mu.alloc(Slot::new(object))));
            unpinned.send(()).unwrap();
            kept
        })
    });
    assert_eq!(Arc::strong_count(&alive), 3, "what was unpinned was dropped, though fields lead to it");
    drop(kept);
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// What is born in `Arm` is traced, also where its slot is the next one of a run that was begun in `Off`: here it is all that
/// leads to what a mutation still in `Off` has unlinked without a word.
#[test]
fn what_a_newborn_of_arm_leads_to_survives() {
    let heap = Heap::builder().processors(2).build().unwrap();
    let alive = Arc::new(());
    let witness = Arc::clone(&alive);
    let only_root: Mutex<Option<Root<Arc<()>>>> = Mutex::new(Some(heap.mutate(|mu| mu.root(mu.alloc(witness)))));
    let (in_off, off_entered) = channel();
    let (in_arm, arm_entered) = channel();
    let (unlinked, has_unlinked) = channel();
    let new: Root<Parent<'static>> = thread::scope(|scope| {
        let (heap, only_root) = (&heap, &only_root);
        scope.spawn(move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                in_off.send(()).unwrap();
                arm_entered.recv().unwrap();
                drop(only_root.lock().unwrap().take());
                unlinked.send(()).unwrap();
            });
        });
        off_entered.recv().unwrap();
        // Begins the run, on the other processor.
        heap.mutate(|mu| _ = mu.alloc(Parent { child: mu.alloc(Arc::new(())) }));
        scope.spawn(move || heap.collect());
        mutate_in(heap, Mode::Arm, |mu| {
            let child = only_root.lock().unwrap().as_ref().unwrap().get(mu);
            in_arm.send(()).unwrap();
            has_unlinked.recv().unwrap();
            mu.root(mu.alloc(Parent { child }))
        })
    });
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 2, "the child of a living parent was dropped");
    drop(new);
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// The spare takes part in handshakes as any processor does: what is shaded there is handed over. Here a root goes away outside
/// any mutation while all processors are busy, and what it held lives on by another one, black and not traced.
#[test]
fn whatever_is_shaded_on_the_spare_is_traced() {
    let heap = Heap::builder().processors(2).build().unwrap();
    let alive = Arc::new(());
    let mut old: Option<Root<Parent<'static>>> = Some(heap.mutate(|mu| {
        let child = mu.alloc(Arc::clone(&alive));
        mu.root(mu.alloc(Parent { child }))
    }));
    let (in_off, off_entered) = channel();
    let (in_arm, arm_entered) = channel();
    let new: Root<Parent<'static>> = thread::scope(|scope| {
        let heap = &heap;
        // Holds up the first handshake.
        scope.spawn(move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                in_off.send(()).unwrap();
                arm_entered.recv().unwrap();
            });
        });
        off_entered.recv().unwrap();
        scope.spawn(move || heap.collect());
        mutate_in(heap, Mode::Arm, |mu| {
            let old = old.take().unwrap();
            let parent = old.get(mu);
            thread::scope(|other| _ = other.spawn(move || drop(old)));
            in_arm.send(()).unwrap();
            mu.root(parent)
        })
    });
    assert_eq!(Arc::strong_count(&alive), 2, "the child of a living parent was dropped");
    drop(new);
    heap.collect();
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// A batch that comes when marking has run out of work, and before the closing round, is traced, though the round brings
/// nothing.
#[test]
fn what_comes_before_the_closing_round_is_traced() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let alive = Arc::new(());
    let parent = heap.mutate(|mu| mu.alloc(Parent { child: mu.alloc(Arc::clone(&alive)) }).start());
    let core = heap.core();
    let workers = Workers::none();
    let mut cycle = Cycle::begin(core, &workers);
    cycle.take_the_snapshot();
    cycle.mark();
    // Nothing leads to the parent. It is shaded as a barrier does it.
    core.memory.region.mark(parent.addr().get()).store(colour_of_cycle(1), Ordering::Relaxed);
    core.queue.push(vec![Grey(parent)]);
    cycle.close();
    assert!(core.queue.is_empty());
    cycle.switch_off();
    cycle.sweep();
    assert_eq!(Arc::strong_count(&alive), 2, "the child of a grey parent was dropped");
    drop(heap);
    assert_eq!(Arc::strong_count(&alive), 1);
}
