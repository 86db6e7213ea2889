//! Layout: where in a slot a value lies, for every alignment, and that nobody looks there without need.
#![forbid(unsafe_code)]

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use linchpin::{Gc, GcCell, Heap, Pinner, Root, Trace};

use crate::common::{Counted, Ledger, assert_nothing_live, churn, panic_text};

/// Objects, slices and zero-sized objects of one alignment, plain and with pointers and `Drop`; what they hold survives, each
/// is pinned at its own address, and each value is dropped once.
macro_rules! check_alignment {
    ($heap:expr, $align:literal) => {{
        #[derive(Trace)]
        #[repr(C, align($align))]
        struct Nothing;
        #[derive(Trace)]
        #[repr(C, align($align))]
        struct Plain(u8);
        #[derive(Trace)]
        #[repr(C, align($align))]
        struct Full<'gc> {
            tag: u8,
            held: Gc<'gc, Counted>,
            own: Counted,
        }
        let heap: &Heap = $heap;
        let ledger = Ledger::new(2 * 12);
        let objects = heap.mutate(|mu| {
            let full = |entry: usize| Full {
                tag: entry as u8,
                held: mu.alloc(ledger.counted(2 * entry)),
                own: ledger.counted(2 * entry + 1),
            };
            let nothing: Root<[Nothing]> = mu.root(mu.alloc_slice_with(3, |_| Nothing));
            let plain: Root<[Plain]> = mu.root(mu.alloc_slice_with(5, |index| Plain(index as u8)));
            let none: Root<[Full<'static>]> = mu.root(mu.alloc_slice_from_iter(std::iter::empty::<Full<'_>>()));
            let slice: Root<[Full<'static>]> = mu.root(mu.alloc_slice_with(9, full));
            let single: [Root<Full<'static>>; 3] = std::array::from_fn(|index| mu.root(mu.alloc(full(9 + index))));
            let lone: [Root<Nothing>; 2] = std::array::from_fn(|_| mu.root(mu.alloc(Nothing)));
            (nothing, plain, none, slice, single, lone)
        });
        for _ in 0..2 {
            heap.collect();
            churn(heap, 500);
        }
        ledger.assert_none();
        heap.mutate(|mu| {
            let (nothing, plain, none, slice, single, lone) = &objects;
            let (nothing, plain, slice) = (nothing.get(mu), plain.get(mu), slice.get(mu));
            assert_eq!((nothing.len(), plain.len(), none.get(mu).len(), slice.len()), (3, 5, 0, 9));
            let mut addresses = vec![nothing.as_ptr().addr(), none.get(mu).as_ptr().addr()];
            addresses.extend(plain.iter().map(|each| ptr::from_ref(each).addr()));
            addresses.extend(slice.iter().map(|each| ptr::from_ref(each).addr()));
            addresses.extend(single.iter().map(|root| Gc::as_ptr(root.get(mu)).addr()));
            addresses.extend(lone.iter().map(|root| Gc::as_ptr(root.get(mu)).addr()));
            assert!(addresses.iter().all(|address| address.is_multiple_of($align)), "{addresses:x?}");
            assert!(plain.iter().enumerate().all(|(index, each)| usize::from(each.0) == index));
            let fulls = slice.iter().chain(single.iter().map(|root| root.get(mu).as_ref()));
            for (entry, full) in fulls.enumerate() {
                assert_eq!(usize::from(full.tag), entry);
                assert_eq!((full.held.entry(), full.own.entry()), (2 * entry, 2 * entry + 1));
                // The last field of the last element is found from the start of its object, and back.
                let mut pinner = Pinner::new();
                assert_eq!(pinner.pin_ref(mu, &full.own).as_ptr().cast_const(), &raw const full.own);
                let pins = heap.pin_count(full);
                assert_eq!(pins, 1, "an element of an object of alignment {}", $align);
            }
            let mut pinner = Pinner::new();
            for root in single {
                assert_eq!(pinner.pin(mu, root.get(mu)).addr().get(), Gc::as_ptr(root.get(mu)).addr());
                assert_eq!(mu.pin_count(root.get(mu)), 1, "each has a counter of its own");
            }
            for root in lone {
                pinner.pin(mu, root.get(mu));
                assert_eq!(mu.pin_count(root.get(mu)), 1, "each has a counter of its own");
            }
        });
        drop(objects);
        heap.collect();
        ledger.assert_each_once();
        assert_nothing_live(heap);
    }};
}

/// gc-arena #37 (the offset of the payload, computed from a type that was erased), gc-arena 0.6.1 (casts between types that
/// align differently). Here there is no header, a slice's elements begin where the type's alignment says, and no cast.
/// Zero-sized and over-aligned types, up to the largest alignment there is.
#[test]
fn every_alignment_is_kept() {
    let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
    check_alignment!(&heap, 1);
    check_alignment!(&heap, 16);
    check_alignment!(&heap, 32);
    check_alignment!(&heap, 64);
    check_alignment!(&heap, 128);
    check_alignment!(&heap, 256);
    check_alignment!(&heap, 512);
    check_alignment!(&heap, 1024);
    check_alignment!(&heap, 2048);
    check_alignment!(&heap, 4096);
    check_alignment!(&heap, 8192);
    check_alignment!(&heap, 16384);
    check_alignment!(&heap, 32768);
    check_alignment!(&heap, 65536);
}

/// A panic half-way through a slice, here of over-aligned elements with pointers, while a cycle marks: what was made is a
/// valid, shorter slice that nothing leads to. (Besides: `a_panic_while_filling_loses_nothing` in `tests/reclaim.rs`.)
#[test]
fn half_a_slice_is_dropped_once() {
    #[derive(Trace)]
    #[repr(align(256))]
    struct Element<'gc> {
        own: Counted,
        held: Gc<'gc, Counted>,
        before: GcCell<'gc, Counted>,
    }
    let heap = Heap::builder().processors(2).build().expect("a heap of two processors");
    let ledger = Ledger::new(2 * 50 * 20);
    thread::scope(|scope| {
        for round in 0..50 {
            let cycle = scope.spawn(|| heap.collect());
            let made = round % 20;
            let text = panic_text(|| {
                heap.mutate(|mu| {
                    mu.alloc_slice_with(20, |index| {
                        if index == made {
                            // A cycle that has begun meanwhile is marking, and cannot end.
                            churn(&heap, 100);
                            panic!("half-way, at {index}");
                        }
                        let entry = 2 * (round * 20 + index);
                        let held = mu.alloc(ledger.counted(entry));
                        Element { own: ledger.counted(entry + 1), held, before: GcCell::new(held) }
                    });
                });
            });
            assert_eq!(text, format!("half-way, at {made}"));
            cycle.join().expect("collecting does not panic");
        }
    });
    heap.collect();
    for round in 0..50 {
        for entry in 0..40 {
            let made = entry / 2 < round % 20;
            assert_eq!(ledger.drops_of(round * 40 + entry), u32::from(made), "round {round}, entry {entry}");
        }
    }
    assert_nothing_live(&heap);
}

/// Two of the same layout, whose functions are the same code.
#[derive(Trace)]
struct Left(Counted);
#[derive(Trace)]
struct Right(Counted);
#[derive(Trace)]
struct Tagged<T: Trace>(Counted, PhantomData<T>);

/// `TypeInfo` constants merged by the linker, or there twice (in several codegen units): a merged one would have to be the
/// same in every part, its name too; one there twice makes two classes of one type. Neither is more than that: each value is
/// traced and dropped as its own type, and goes by its own name.
#[test]
fn types_that_look_alike_stay_themselves() {
    static NAMES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let note = |leak: &linchpin::PinLeak| NAMES.lock().expect("nobody panics with it").push(leak.type_name());
    let heap = Heap::builder().processors(1).on_pin_leak(note).build().expect("a heap of one processor");
    let ledger = Ledger::new(8);
    let mut pinners = [const { Pinner::new() }; 4];
    heap.mutate(|mu| {
        for first in [0, 4] {
            pinners[0].pin(mu, mu.alloc(Left(ledger.counted(first))));
            pinners[1].pin(mu, mu.alloc(Right(ledger.counted(first + 1))));
            pinners[2].pin(mu, mu.alloc(Tagged::<u8>(ledger.counted(first + 2), PhantomData)));
            pinners[3].pin(mu, mu.alloc(Tagged::<i8>(ledger.counted(first + 3), PhantomData)));
        }
    });
    heap.collect();
    ledger.assert_none();
    drop(heap);
    let mut names = std::mem::take(&mut *NAMES.lock().expect("nobody panics with it"));
    let mut expected =
        [type_name::<Left>(), type_name::<Right>(), type_name::<Tagged<u8>>(), type_name::<Tagged<i8>>()];
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
    drop(pinners);
    ledger.assert_each_once();
}

/// crossbeam-epoch 0.9.19: `fmt::Pointer` looked at what the pointer leads to. Here it shows the address and asks nothing of
/// the object's type; so does the `Debug` of a cell, which would not come to an end in a ring.
#[test]
fn a_pointer_is_shown_without_a_look_at_its_object() {
    #[derive(Trace)]
    struct Shy<'gc>(GcCell<'gc, Shy<'gc>>);
    impl fmt::Debug for Shy<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            // Follows the ring one step, by the cell's own `Debug`.
            f.debug_tuple("Shy").field(&self.0).finish()
        }
    }
    impl fmt::Pointer for Shy<'_> {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("the object's own Pointer is not asked");
        }
    }
    Heap::new().mutate(|mu| {
        let shy = mu.alloc(Shy(GcCell::null()));
        shy.0.store(mu, shy);
        let address = format!("{:p}", Gc::as_ptr(shy));
        assert_eq!(format!("{shy:p}"), address);
        assert_eq!(format!("{shy:?}"), format!("Shy(GcCell({address}))"));
    });
}

/// Found here: `Heap::is_pinned` and `Heap::pin_count` take any address, also one of memory that changes from small slots to
/// one large object at this moment; a record read half before and half after led far outside the region. (The moment is
/// short; `memory::span` has the test that always finds it.)
#[test]
fn any_address_may_be_asked_about_at_any_time() {
    let heap = Heap::builder().processors(2).region_size(32 << 20).build().expect("a small heap");
    let heap = Arc::new(heap);
    let base = heap.mutate(|mu| Gc::as_ptr(mu.alloc(1_u64)).addr()) & !0xFFFF;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for offset in (0xFFF0..32 << 20).step_by(0x1_0000) {
                    let address: *const u8 = ptr::without_provenance(base + offset);
                    let (contained, pinned) = (heap.contains(address), heap.is_pinned(address));
                    assert_eq!((pinned, heap.pin_count(address)), (!contained, 0));
                }
            }
        });
        for _ in 0..30 {
            heap.mutate(|mu| (0..20_000).for_each(|_| _ = mu.alloc([1_u8; 16])));
            heap.collect();
            heap.mutate(|mu| _ = mu.try_alloc_bytes_with(20 << 20, |_| ()));
            heap.collect();
        }
        done.store(true, Ordering::Relaxed);
    });
}
