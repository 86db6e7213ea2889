//! Ways in which safe code once got at freed memory, or a value was dropped twice: none of them may work again.

#![cfg(not(loom))]

mod common;

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use linchpin::{Gc, Heap, Pinner, Root, Tagged, TaggedCell, Trace};
use linchpin_test_attributes::becomes;

/// An object of exactly one slot, with a field of no size at its end.
#[derive(Trace)]
#[repr(C)]
struct Full {
    first: Arc<()>,
    second: Arc<()>,
    tail: (),
}

/// The address of a field of size zero at the end of an object is that of the next slot, which may be free.
#[test]
fn a_reference_to_nothing_does_not_pin_the_slot_behind() {
    let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
    let counted = Arc::new(());
    let full = || Full { first: counted.clone(), second: counted.clone(), tail: () };
    let kept = heap.mutate(|mu| {
        let kept = mu.root(mu.alloc(full()));
        mu.alloc(full());
        kept
    });
    heap.collect();
    assert_eq!(heap.stats().dropped_values, 1);
    let mut pinner = Pinner::new();
    heap.mutate(|mu| {
        let object = kept.get(mu).as_ref();
        assert_eq!(pinner.pin_ref(mu, &object.tail).as_ptr().cast_const(), &raw const object.tail);
    });
    assert!(pinner.is_empty(), "there is nothing to keep");
    heap.collect();
    pinner.unpin();
    heap.collect();
    assert_eq!(heap.stats().dropped_values, 1);
    drop(kept);
    heap.collect();
    assert_eq!(Arc::strong_count(&counted), 1, "each value was dropped once");
}

/// The end of a slice, empty, is an address behind it.
#[test]
fn an_empty_end_of_a_slice_does_not_pin_what_follows() {
    let heap = Heap::new();
    let mut pinner = Pinner::new();
    heap.mutate(|mu| {
        // With the length in front these fill their slots.
        let (slice, next) = (mu.alloc_slice_copy(&[1_u64; 3]), mu.alloc_slice_copy(&[2_u64; 3]));
        pinner.pin_ref(mu, &slice.as_ref()[3..]);
        assert!(!mu.is_pinned(slice) && !mu.is_pinned(next));
    });
}

static NECROMANCY: OnceLock<Heap> = OnceLock::new();
static REVIVED: Mutex<Pinner> = Mutex::new(Pinner::new());
/// What the heap that is never dropped keeps, where a search for leaks sees it.
static COUNTED: OnceLock<Arc<()>> = OnceLock::new();

/// Pins itself as it is dropped.
#[derive(Trace)]
struct Necromancer(Arc<()>);

impl Drop for Necromancer {
    fn drop(&mut self) {
        let heap = NECROMANCY.get().expect("the test has made the heap");
        heap.mutate(|mu| REVIVED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pin_ref(mu, &self.0));
    }
}

/// What is being dropped cannot be kept: the attempt panics, in the sweep, which goes on.
#[test]
fn a_value_that_is_being_dropped_cannot_be_pinned() {
    let heap = NECROMANCY.get_or_init(|| Heap::builder().processors(2).build().expect("a heap of two processors"));
    let counted = COUNTED.get_or_init(|| Arc::new(()));
    // One stays, so that the span is not given back.
    let kept = heap.mutate(|mu| {
        mu.alloc(Necromancer(counted.clone()));
        mu.root(mu.alloc(Necromancer(counted.clone())))
    });
    heap.collect();
    heap.collect();
    assert_eq!((heap.stats().dropped_values, heap.stats().drop_panics), (1, 1));
    REVIVED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).unpin();
    heap.collect();
    assert_eq!(heap.stats().dropped_values, 1);
    assert_eq!(Arc::strong_count(counted), 2, "dropped once, the other one kept");
    std::mem::forget(kept);
}

/// A heap with two roots, and what the first of them keeps, where a search for leaks sees it.
type Kept = (Heap, Root<Arc<()>>, Root<u64>, Arc<()>);

static KEEPING: OnceLock<Kept> = OnceLock::new();

/// Pins two others, by references, as it is dropped.
#[derive(Trace)]
struct Keeper(());

impl Drop for Keeper {
    fn drop(&mut self) {
        let (heap, dropped, plain, _) = KEEPING.get().expect("the test has made the heap");
        let mut pinner = Pinner::new();
        heap.mutate(|mu| {
            pinner.pin_ref(mu, &*dropped.get(mu));
            pinner.pin_ref(mu, &*plain.get(mu));
            assert!(mu.is_pinned(dropped.get(mu)) && mu.is_pinned(plain.get(mu)));
        });
    }
}

/// What lives can be pinned by a reference during a sweep, whether its type has a `Drop` or not.
#[test]
fn what_lives_can_be_pinned_while_others_are_dropped() {
    let (heap, ..) = KEEPING.get_or_init(|| {
        let heap = Heap::builder().processors(2).build().expect("a heap of two processors");
        let counted = Arc::new(());
        let (dropped, plain) = heap.mutate(|mu| (mu.root(mu.alloc(counted.clone())), mu.root(mu.alloc(7_u64))));
        (heap, dropped, plain, counted)
    });
    for cycles in 1..=2 {
        heap.mutate(|mu| _ = mu.alloc(Keeper(())));
        heap.collect();
        assert_eq!((heap.stats().dropped_values, heap.stats().drop_panics), (cycles, 0));
    }
}

static FLUSHED: OnceLock<Heap> = OnceLock::new();

/// Pins something else as it is dropped, by a pinner of its own.
#[derive(Trace)]
struct Flush(u64);

impl Drop for Flush {
    fn drop(&mut self) {
        let mut pinner = Pinner::new();
        let heap = FLUSHED.get().expect("the test has made the heap");
        heap.mutate(|mu| pinner.pin(mu, mu.alloc(self.0)));
    }
}

/// A pinner that a `Drop` makes for itself is no leak, though it goes away during a sweep.
#[test]
fn a_pinner_local_to_a_drop_is_no_leak() {
    static LEAKS: AtomicU64 = AtomicU64::new(0);
    let heap = FLUSHED.get_or_init(|| {
        let count = |_: &_| {
            LEAKS.fetch_add(1, Ordering::SeqCst);
        };
        Heap::builder().on_pin_leak(count).build().expect("a heap")
    });
    for round in 0..3 {
        heap.mutate(|mu| mu.alloc(Flush(round)).0);
        heap.collect();
    }
    assert_eq!(heap.stats().drop_panics, 0);
    assert_eq!(LEAKS.load(Ordering::SeqCst), 0);
}

/// A panic payload whose own `Drop` panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload panics when it is dropped");
    }
}

#[derive(Trace)]
struct Thrower;

impl Drop for Thrower {
    fn drop(&mut self) {
        std::panic::panic_any(Bomb);
    }
}

#[test]
fn a_payload_that_panics_does_not_end_the_sweep() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        mu.alloc(Thrower);
        mu.alloc(Thrower);
    });
    heap.collect();
    assert_eq!(heap.stats().drop_panics, 2);
    heap.mutate(|mu| {
        mu.alloc(Thrower);
    });
    drop(heap);
}

/// A type may hide its pointers from whoever looks at the words of its declaration only.
trait Content {
    type Is;
}

impl<'gc> Content for BySelf<'gc> {
    type Is = Gc<'gc, String>;
}

#[derive(Trace)]
struct BySelf<'gc> {
    content: <Self as Content>::Is,
}

impl<T> Content for ByParameter<T> {
    type Is = T;
}

#[derive(Trace)]
struct ByParameter<T> {
    content: <Self as Content>::Is,
}

#[derive(Trace)]
struct RawIdent<T: Trace> {
    content: r#T,
}

#[derive(Trace)]
struct RawLifetime<'gc> {
    content: Gc<'r#gc, String>,
}

#[derive(Trace)]
struct List<T> {
    value: T,
    next: Option<Box<List<T>>>,
}

#[test]
fn the_derive_finds_pointers_however_they_are_spelled() {
    const {
        assert!(<BySelf<'static> as Trace>::NEEDS_TRACE);
        assert!(<RawLifetime<'static> as Trace>::NEEDS_TRACE);
        assert!(<RawIdent<Gc<'static, String>> as Trace>::NEEDS_TRACE);
        assert!(<ByParameter<Gc<'static, String>> as Trace>::NEEDS_TRACE);
        assert!(!<RawIdent<u64> as Trace>::NEEDS_TRACE);
        assert!(<List<Gc<'static, String>> as Trace>::NEEDS_TRACE);
    }
    let heap = Heap::new();
    type All = (
        Root<BySelf<'static>>,
        Root<RawIdent<Gc<'static, String>>>,
        Root<RawLifetime<'static>>,
        Root<List<Gc<'static, String>>>,
    );
    let (by_self, raw_ident, raw_lifetime, list): All = heap.mutate(|mu| {
        let text = |name: &str| mu.alloc(name.repeat(20));
        let rest = Box::new(List { value: text("rest"), next: None });
        (
            mu.root(mu.alloc(BySelf { content: text("self") })),
            mu.root(mu.alloc(RawIdent { content: text("ident") })),
            mu.root(mu.alloc(RawLifetime { content: text("lifetime") })),
            mu.root(mu.alloc(List { value: text("first"), next: Some(rest) })),
        )
    });
    heap.collect();
    common::churn(&heap, 1000);
    heap.collect();
    heap.mutate(|mu| {
        assert_eq!(*by_self.get(mu).content, "self".repeat(20));
        assert_eq!(*raw_ident.get(mu).content, "ident".repeat(20));
        assert_eq!(*raw_lifetime.get(mu).content, "lifetime".repeat(20));
        let list = list.get(mu);
        assert_eq!(*list.value, "first".repeat(20));
        assert_eq!(*list.next.as_ref().expect("a second element").value, "rest".repeat(20));
    });
}

trait Leads {
    type To;
}

impl<'gc> Leads for PhantomData<Gc<'gc, Arc<()>>> {
    type To = Gc<'gc, Arc<()>>;
}

/// The derive sees phantom data; the attribute, which comes after it, makes a pointer of them.
#[derive(Trace)]
#[becomes(
    struct Changed<T: Leads> where <T as Leads>::To: Trace { held: <T as Leads>::To }
)]
struct Changed<T: Leads>
where
    <T as Leads>::To: Trace,
{
    held: PhantomData<T>,
}

/// Whether values are traced does not follow from what the derive sees of the fields.
#[test]
fn a_field_that_changes_after_the_derive_is_traced() {
    type Named<'gc> = PhantomData<Gc<'gc, Arc<()>>>;
    const { assert!(<Changed<Named<'static>> as Trace>::NEEDS_TRACE) };
    let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
    let counted = Arc::new(());
    let root: Root<Changed<Named<'static>>> = heap.mutate(|mu| {
        let held = mu.alloc(counted.clone());
        mu.root(mu.alloc(Changed::<Named<'_>> { held }))
    });
    heap.collect();
    heap.collect();
    assert_eq!(Arc::strong_count(&counted), 2, "the value behind the changed field was dropped");
    heap.mutate(|mu| assert!(Arc::ptr_eq(&root.get(mu).held, &counted)));
    drop(root);
    heap.collect();
    assert_eq!(Arc::strong_count(&counted), 1);
}

/// A cell whose values have no brand, which has one itself; and what a trait leads to from there.
#[derive(Trace, Tagged, Clone, Copy)]
enum Number {
    Small(u32),
}

impl<'gc> Leads for TaggedCell<'gc, Number> {
    type To = Gc<'gc, Arc<()>>;
}

#[test]
fn a_tagged_cell_has_a_brand_whatever_its_values_are() {
    type Named<'gc> = TaggedCell<'gc, Number>;
    const { assert!(<Changed<Named<'static>> as Trace>::NEEDS_TRACE) };
    let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
    let counted = Arc::new(());
    let root: Root<Changed<Named<'static>>> = heap.mutate(|mu| {
        assert!(matches!(TaggedCell::new(Number::Small(7)).load(), Number::Small(7)));
        let held = mu.alloc(counted.clone());
        mu.root(mu.alloc(Changed::<Named<'_>> { held }))
    });
    heap.collect();
    heap.collect();
    assert_eq!(Arc::strong_count(&counted), 2, "the value behind the changed field was dropped");
    drop(root);
    heap.collect();
    assert_eq!(Arc::strong_count(&counted), 1);
}

/// Elements of size zero that have a brand, as many as there can be: nobody looks at each.
#[test]
fn a_slice_of_nothing_is_not_looked_through() {
    type Nothing<'gc> = PhantomData<Gc<'gc, u64>>;
    #[derive(Trace)]
    struct Nothings<'gc> {
        vec: Vec<Nothing<'gc>>,
        boxed: Box<[Nothing<'gc>]>,
        slice: Gc<'gc, [Nothing<'gc>]>,
    }
    let heap = Heap::new();
    let root: Root<Nothings<'static>> = heap.mutate(|mu| {
        let boxed = || -> Box<[Nothing<'_>]> { Box::new([PhantomData; usize::MAX]) };
        let (vec, boxed) = (boxed().into_vec(), boxed());
        let slice = mu.alloc_slice_copy(&vec);
        mu.root(mu.alloc(Nothings { vec, boxed, slice }))
    });
    heap.collect();
    heap.verify().expect("a heap in order");
    heap.mutate(|mu| assert_eq!(root.get(mu).slice.len(), usize::MAX));
    drop(root);
    heap.collect();
}

/// A value that contains itself in boxes, a million deep: nobody looks for what it owns at the bottom, which would take a stack of that
/// depth.
#[test]
fn what_a_deep_value_owns_is_not_looked_for_to_the_end() {
    #[derive(Trace)]
    struct Deep(Option<Box<Deep>>);
    impl Drop for Deep {
        fn drop(&mut self) {
            let mut next = self.0.take();
            while let Some(mut deep) = next {
                next = deep.0.take();
            }
        }
    }
    let heap = Heap::new();
    let deep = (0..1_000_000).fold(Deep(None), |inner, _| Deep(Some(Box::new(inner))));
    heap.mutate(|mu| {
        mu.alloc(deep);
    });
    heap.collect();
    let stats = heap.stats();
    assert_eq!((stats.dropped_values, stats.drop_panics, stats.live_external_bytes), (1, 0, 0));
}
