//! Pins: what foreign code holds, and what a slot remembers of it.
#![forbid(unsafe_code)]

use std::ptr;
use std::thread;

use linchpin::{Gc, GcCell, Heap, Pinner, Trace};

use crate::common::{Counted, Ledger, Triple, churn};

#[derive(Trace)]
struct Node<'gc> {
    counted: Counted,
    next: GcCell<'gc, Node<'gc>>,
}

/// JDK-8351921: an object was reclaimed though foreign code had it pinned, since only that referred to it. Pins are roots:
/// through cycles of either colour, of a slot whose span has garbage on both sides, with all that the object leads to.
#[test]
fn a_pin_as_the_only_reference_keeps_for_many_cycles() {
    let heap = Heap::builder().processors(2).build().expect("a heap of two processors");
    let ledger = Ledger::new(90);
    let mut pinner = Pinner::new();
    let addresses: Vec<_> = heap.mutate(|mu| {
        let node = |entry: usize, next| mu.alloc(Node { counted: ledger.counted(entry), next: GcCell::new(next) });
        (0..30)
            .map(|group| {
                let child = node(3 * group, None);
                let pinned = node(3 * group + 1, Some(child));
                node(3 * group + 2, Some(pinned));
                pinner.pin(mu, pinned);
                Gc::as_ptr(pinned).cast::<u8>()
            })
            .collect()
    });
    for cycle in 0..7 {
        heap.collect();
        churn(&heap, 3000);
        for entry in 0..90 {
            assert_eq!(ledger.drops_of(entry), u32::from(entry % 3 == 2), "entry {entry} after cycle {cycle}");
        }
        assert!(addresses.iter().all(|&address| heap.pin_count(address) == 1));
    }
    pinner.unpin();
    heap.collect();
    ledger.assert_each_once();
}

/// Pins and unpins an object on two processors, so that both halves of its counter have been in use and cancel out.
fn touch(heap: &Heap) -> usize {
    heap.mutate(|mu| {
        let object = mu.alloc(Triple::of(1));
        let root = mu.root(object);
        let (mut here, mut there) = (Pinner::new(), Pinner::new());
        here.pin(mu, object);
        thread::scope(|scope| {
            scope.spawn(|| heap.mutate(|other| _ = there.pin(other, root.get(other))));
        });
        assert_eq!(mu.pin_count(object), 2);
        // Each undone where it was not made.
        thread::scope(|scope| {
            scope.spawn(|| heap.mutate(|_| here.unpin()));
        });
        there.unpin();
        assert_eq!(mu.pin_count(object), 0);
        Gc::as_ptr(object).addr()
    })
}

/// mmtk-core #1166: the pin state of a dead object was taken over by the next one in its place. A swept slot's counter is
/// zero, in both halves (`the_pin_counter_of_a_swept_object_has_no_owner` in `heap.rs` looks at them); the next object there
/// starts without pins, whichever processor pins it, and can die.
#[test]
fn a_slot_forgets_its_pins() {
    let heap = Heap::builder().processors(2).build().expect("a heap of two processors");
    // One stays, so that the span does.
    let kept = heap.mutate(|mu| mu.root(mu.alloc(Triple::of(0))));
    for quiet_cycles in [0, 1, 2, 5] {
        let touched: Vec<usize> = (0..20).map(|_| touch(&heap)).collect();
        for _ in 0..=quiet_cycles {
            heap.collect();
        }
        for &address in &touched {
            let address: *const u8 = ptr::without_provenance(address);
            assert!(!heap.is_pinned(address) && heap.pin_count(address) == 0, "a free slot is not pinned");
        }
        // The same slots again.
        let mut pinner = Pinner::new();
        let reused = heap.mutate(|mu| {
            let objects: Vec<Gc<'_, Triple>> = (0..5000).map(|number| mu.alloc(Triple::of(number))).collect();
            let again = objects.iter().filter(|&&object| touched.contains(&Gc::as_ptr(object).addr()));
            again
                .map(|&object| {
                    assert_eq!((mu.is_pinned(object), mu.pin_count(object)), (false, 0), "a new object is not pinned");
                    let root = mu.root(object);
                    thread::scope(|scope| {
                        scope.spawn(|| heap.mutate(|other| _ = pinner.pin(other, root.get(other))));
                    });
                    assert_eq!((mu.is_pinned(object), mu.pin_count(object)), (true, 1));
                })
                .count()
        });
        assert!(reused > 0, "no slot was used again: the test has shown nothing");
        heap.collect();
        assert_eq!(heap.stats().live_objects, reused as u64 + 1);
        pinner.unpin();
        heap.collect();
        assert_eq!(heap.stats().live_objects, 1, "nothing stays pinned");
    }
    drop(kept);
}

/// The same for large objects, whose memory changes hands by the span: to small objects, and back.
#[test]
fn the_memory_of_a_large_object_forgets_its_pins() {
    let heap = Heap::builder().processors(1).region_size(16 << 20).build().expect("a small heap");
    for _ in 0..5 {
        let mut pinner = Pinner::new();
        let address = heap.mutate(|mu| {
            let (large, ()) = mu.alloc_bytes_with(10 << 20, |bytes| bytes.fill(7));
            pinner.pin(mu, large);
            Gc::as_ptr(large).cast::<u8>()
        });
        heap.collect();
        assert_eq!((heap.pin_count(address), heap.pin_count(address.wrapping_add(9 << 20))), (1, 1));
        pinner.unpin();
        heap.collect();
        heap.mutate(|mu| {
            for number in 0..100_000 {
                assert_eq!(mu.pin_count(mu.alloc(Triple::of(number))), 0);
            }
        });
        heap.collect();
        assert_eq!(heap.stats().live_objects, 0);
    }
}
