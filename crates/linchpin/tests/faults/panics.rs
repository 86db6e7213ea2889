//! The program's own code panics: in mutations, in what fills an object, in `Drop`, `Clone`, `Debug`, in iterators. The panic
//! reaches whom it should, what was made is dropped once, and the heap goes on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::common::{Counted, Ledger, Triple, assert_nothing_live, churn, panic_text};
use crate::process::in_own_process;
use linchpin::{Gc, GcCell, Heap, Pinner, Root, Trace};

fn heap_of_one() -> Heap {
    Heap::builder().processors(1).build().expect("a heap of one processor")
}

/// Fails unless the heap works, on another thread, too, and nothing is in it.
#[track_caller]
fn assert_goes_on(heap: &Heap) {
    std::thread::scope(|scope| _ = scope.spawn(|| churn(heap, 1000)));
    churn(heap, 1000);
    heap.collect();
    assert_nothing_live(heap);
}

#[test]
fn a_heap_may_be_dropped_by_unwinding() {
    let ledger = Ledger::new(2);
    let text = panic_text(|| {
        let heap = heap_of_one();
        heap.mutate(|mu| _ = mu.alloc(ledger.counted(0)));
        heap.collect();
        heap.mutate(|mu| _ = mu.alloc(ledger.counted(1)));
        panic!("on purpose");
    });
    assert_eq!(text, "on purpose");
    ledger.assert_each_once();
}

#[test]
fn the_last_root_and_the_last_pin_of_an_ended_heap_may_be_dropped_by_unwinding() {
    let ledger = Ledger::new(2);
    let heap = Heap::builder().on_pin_leak(|_| {}).build().expect("a heap");
    let mut pinner = Pinner::new();
    let root = heap.mutate(|mu| {
        pinner.pin(mu, mu.alloc(ledger.counted(0)));
        mu.root(mu.alloc(ledger.counted(1)))
    });
    drop(heap);
    ledger.assert_none();
    let text = panic_text(|| {
        let _held = (pinner, root);
        panic!("on purpose");
    });
    assert_eq!(text, "on purpose");
    ledger.assert_each_once();
}

#[test]
fn a_panic_in_a_mutation_takes_what_it_held_with_it() {
    let heap = heap_of_one();
    let ledger = Ledger::new(4);
    let kept = heap.mutate(|mu| mu.root(mu.alloc(GcCell::new(mu.alloc(ledger.counted(0))))));
    for depth in 0..3 {
        let text = panic_text(|| {
            heap.mutate(|outer| {
                let _root = outer.root(outer.alloc(ledger.counted(depth + 1)));
                let mut pinner = Pinner::new();
                let pinned = outer.alloc(Triple::of(1));
                pinner.pin(outer, pinned);
                heap.mutate(|inner| {
                    pinner.pin(inner, inner.alloc(Triple::of(2)));
                    heap.mutate(|_| assert!(depth != 2, "depth 2"));
                    assert!(depth != 1, "depth 1");
                });
                panic!("depth 0");
            });
        });
        assert_eq!(text, format!("depth {depth}"));
        assert_eq!(heap.stats().roots, 1);
    }
    heap.collect();
    assert_eq!((ledger.drops_of(0), ledger.total()), (0, 3));
    heap.mutate(|mu| assert_eq!(kept.get(mu).load().expect("it was stored").entry(), 0));
    drop(kept);
    assert_goes_on(&heap);
    ledger.assert_each_once();
}

/// Panics when the slice, buffer or iterator comes to its element 5.
#[test]
fn a_panic_in_what_fills_an_object_leaves_nothing_behind() {
    let heap = heap_of_one();
    let ledger = Ledger::new(1000);
    let next = AtomicU32::new(0);
    let make = |element: usize| {
        assert!(element != 5, "element 5");
        ledger.counted(next.fetch_add(1, Ordering::Relaxed) as usize)
    };
    for length in [6, 7, 100, 10_000] {
        let text = panic_text(|| heap.mutate(|mu| _ = mu.alloc_slice_with(length, make)));
        assert_eq!(text, "element 5");
        let text = panic_text(|| heap.mutate(|mu| _ = mu.try_alloc_slice_with(length, make)));
        assert_eq!(text, "element 5");
        let text = panic_text(|| heap.mutate(|mu| _ = mu.alloc_slice_from_iter((0..length).map(make))));
        assert_eq!(text, "element 5");
        let filling =
            || heap.mutate(|mu| _ = mu.alloc_bytes_with(length, |bytes| assert!(bytes.len() == 1, "filling")));
        assert_eq!(panic_text(filling), "filling");
        let filling =
            || heap.mutate(|mu| _ = mu.try_alloc_bytes_with(length, |bytes| assert!(bytes.len() == 1, "filling")));
        assert_eq!(panic_text(filling), "filling");
    }
    // The same in a nested mutation, whose outer one goes on.
    heap.mutate(|mu| {
        let before = mu.alloc_str("before");
        assert_eq!(panic_text(|| heap.mutate(|mu| _ = mu.alloc_slice_with(6, make))), "element 5");
        assert_eq!(&*before, "before");
    });
    assert_goes_on(&heap);
    let made = next.into_inner() as usize;
    assert_eq!(made, 4 * 15 + 5);
    assert!((0..made).all(|entry| ledger.drops_of(entry) == 1));
}

#[test]
fn a_panic_in_clone_drops_what_was_cloned() {
    struct Fragile {
        counted: Counted,
        ledger: Ledger,
        clones: Arc<AtomicU32>,
    }
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            let number = self.clones.fetch_add(1, Ordering::Relaxed);
            assert!(number != 20, "clone 20");
            let counted = self.ledger.counted(self.counted.entry() + 1 + number as usize);
            Self { counted, ledger: self.ledger.clone(), clones: Arc::clone(&self.clones) }
        }
    }
    let heap = heap_of_one();
    let ledger = Ledger::new(21);
    let source = Fragile { counted: ledger.counted(0), ledger: ledger.clone(), clones: Arc::default() };
    let text = panic_text(|| {
        heap.mutate(|mu| _ = mu.alloc_slice_from_iter(std::iter::repeat_n(&source, 50).cloned().map(linchpin::Opaque)));
    });
    assert_eq!(text, "clone 20");
    // What the vector had is dropped at once, and was never the heap's.
    assert_eq!(ledger.total(), 20);
    drop(source);
    ledger.assert_each_once();
    assert_goes_on(&heap);
}

#[test]
fn a_panic_in_debug_of_a_value_goes_through_the_pointer() {
    #[derive(Trace)]
    struct Shy;
    impl fmt::Debug for Shy {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("shy");
        }
    }
    let heap = heap_of_one();
    assert_eq!(panic_text(|| heap.mutate(|mu| _ = format!("{:?}", mu.alloc(Shy)))), "shy");
    assert_eq!(panic_text(|| heap.mutate(|mu| _ = format!("{:?}", mu.alloc_slice_with(3, |_| Shy)))), "shy");
    assert_goes_on(&heap);
}

/// Panics when dropped.
#[derive(Trace)]
struct Grumpy {
    counted: Counted,
}

impl Drop for Grumpy {
    fn drop(&mut self) {
        // Not in vain: the field is dropped by the unwinding.
        panic!("grumpy {}", self.counted.entry());
    }
}

#[derive(Trace)]
enum Mood {
    Grumpy(Grumpy),
    Calm(Counted),
}

/// As a whole, a slice of two such elements could not be dropped: the second panic would end the process.
#[test]
fn every_element_of_a_slice_is_dropped_though_several_panic() {
    const LENGTH: usize = 40;
    let heap = heap_of_one();
    for grumpy in [vec![20], vec![0], vec![LENGTH - 1], vec![0, 1, 20, 21, LENGTH - 1], (0..LENGTH).collect()] {
        let panics_before = heap.stats().drop_panics;
        let ledger = Ledger::new(LENGTH + 1);
        let root: Root<[Mood]> = heap.mutate(|mu| {
            mu.alloc(ledger.counted(LENGTH));
            mu.root(mu.alloc_slice_with(LENGTH, |entry| match ledger.counted(entry) {
                counted if grumpy.contains(&entry) => Mood::Grumpy(Grumpy { counted }),
                counted => Mood::Calm(counted),
            }))
        });
        heap.collect();
        heap.mutate(|mu| {
            assert!(root.get(mu).iter().enumerate().all(|(entry, mood)| match mood {
                Mood::Grumpy(Grumpy { counted }) | Mood::Calm(counted) => counted.entry() == entry,
            }));
        });
        drop(root);
        heap.collect();
        ledger.assert_each_once();
        assert_eq!(heap.stats().drop_panics - panics_before, 1, "one object's drop has panicked");
    }
    assert_goes_on(&heap);
}

#[test]
fn many_drops_that_panic_are_counted_one_by_one() {
    let heap = heap_of_one();
    let ledger = Ledger::new(300);
    heap.mutate(|mu| (0..300).for_each(|entry| _ = mu.alloc(Grumpy { counted: ledger.counted(entry) })));
    heap.collect();
    ledger.assert_each_once();
    assert_eq!((heap.stats().drop_panics, heap.stats().dropped_values), (300, 300));
    assert_goes_on(&heap);
    // Also at the end of the heap, on the program's thread, which sees nothing of it.
    let ledger = Ledger::new(10);
    heap.mutate(|mu| (0..10).for_each(|entry| _ = mu.alloc(Grumpy { counted: ledger.counted(entry) })));
    drop(heap);
    ledger.assert_each_once();
}

/// Two panicking fields of one value are Rust's own affair, as they are for a local: the process ends, and says why.
#[test]
fn two_panics_in_the_drop_of_one_value_end_the_process() {
    #[derive(Trace)]
    struct Pair {
        _first: Grumpy,
        _second: Grumpy,
    }
    let said = in_own_process("panics::two_panics_in_the_drop_of_one_value_end_the_process", || {
        let heap = heap_of_one();
        let ledger = Ledger::new(2);
        let [first, second] = [0, 1].map(|entry| Grumpy { counted: ledger.counted(entry) });
        heap.mutate(|mu| _ = mu.alloc(Pair { _first: first, _second: second }));
        heap.collect();
    })
    .by_abort();
    assert!(said.contains("grumpy 0") && said.contains("grumpy 1"), "{said}");
}

/// A panic that carries a value which panics when it is dropped goes to the caller as it is.
#[test]
fn a_payload_of_any_kind_reaches_the_caller_of_mutate() {
    let heap = heap_of_one();
    let ledger = Ledger::new(1);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        heap.mutate(|mu| {
            let _garbage: Gc<'_, Triple> = mu.alloc(Triple::of(1));
            std::panic::panic_any(ledger.counted(0));
        });
    }));
    let payload = outcome.expect_err("it has panicked");
    ledger.assert_none();
    assert_eq!(payload.downcast::<Counted>().expect("it is what was thrown").entry(), 0);
    ledger.assert_each_once();
    assert_goes_on(&heap);
}
