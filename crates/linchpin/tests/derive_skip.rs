//! `#[derive(Trace)]` with fields that are skipped, and with what is bound to be `'static`: lifetimes and parameters.

#![cfg(not(loom))]

mod common;

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Counted, Ledger};
use linchpin::{Gc, GcCell, Heap, Root, Trace};
use linchpin_test_attributes::becomes;

/// Of another crate, say: it has no `Trace`.
#[derive(Debug, PartialEq)]
struct Foreign(u32);

/// Keeps one ledger entry alive by each of its objects, and dies with them.
fn assert_keeps<T: ?Sized + 'static + linchpin::Object>(
    heap: &Heap,
    ledger: &Ledger,
    root: Root<T>,
    look: impl for<'gc> Fn(Gc<'gc, T::Branded<'gc>>),
) {
    for _ in 0..2 {
        heap.collect();
        common::churn(heap, 1000);
    }
    ledger.assert_none();
    heap.mutate(|mu| look(root.get(mu)));
    drop(root);
    heap.collect();
    ledger.assert_each_once();
}

#[derive(Trace)]
struct Skips<'gc> {
    #[trace(skip)]
    foreign: Foreign,
    held: Gc<'gc, Counted>,
    #[trace(skip)]
    known: u64,
}

#[derive(Trace)]
struct SkipsInTuple<'gc>(#[trace(skip)] Foreign, Gc<'gc, Counted>, #[trace(skip)] fn(u32) -> u32);

#[derive(Trace)]
enum SkipsInVariants<'gc> {
    Named {
        held: Gc<'gc, Counted>,
        #[trace(skip)]
        foreign: Foreign,
    },
    Tuple(#[trace(skip)] Foreign, GcCell<'gc, Counted>),
    Only(#[trace(skip)] Foreign),
    Nothing,
}

#[test]
fn what_is_beside_a_skipped_field_is_traced() {
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let root: Root<Skips<'static>> =
        heap.mutate(|mu| mu.root(mu.alloc(Skips { foreign: Foreign(1), held: mu.alloc(ledger.counted(0)), known: 2 })));
    assert_keeps(&heap, &ledger, root, |object| {
        assert_eq!((&object.foreign, object.held.entry(), object.known), (&Foreign(1), 0, 2));
    });

    let ledger = Ledger::new(1);
    let root: Root<SkipsInTuple<'static>> =
        heap.mutate(|mu| mu.root(mu.alloc(SkipsInTuple(Foreign(3), mu.alloc(ledger.counted(0)), |number| number + 1))));
    assert_keeps(&heap, &ledger, root, |object| {
        assert_eq!((&object.0, object.1.entry(), (object.2)(4)), (&Foreign(3), 0, 5));
    });

    let ledger = Ledger::new(2);
    let root: Root<[SkipsInVariants<'static>]> = heap.mutate(|mu| {
        let objects = [
            SkipsInVariants::Named { held: mu.alloc(ledger.counted(0)), foreign: Foreign(6) },
            SkipsInVariants::Tuple(Foreign(7), GcCell::new(mu.alloc(ledger.counted(1)))),
            SkipsInVariants::Only(Foreign(8)),
            SkipsInVariants::Nothing,
        ];
        mu.root(mu.alloc_slice_from_iter(objects))
    });
    assert_keeps(&heap, &ledger, root, |objects| {
        let seen: Vec<(Option<usize>, Option<u32>)> = objects
            .as_ref()
            .iter()
            .map(|object| match object {
                SkipsInVariants::Named { held, foreign } => (Some(held.entry()), Some(foreign.0)),
                SkipsInVariants::Tuple(foreign, cell) => (cell.load().map(|held| held.entry()), Some(foreign.0)),
                SkipsInVariants::Only(foreign) => (None, Some(foreign.0)),
                SkipsInVariants::Nothing => (None, None),
            })
            .collect();
        assert_eq!(seen, [(Some(0), Some(6)), (Some(1), Some(7)), (None, Some(8)), (None, None)]);
    });
}

/// Counts its drops.
struct Drops(Arc<AtomicU32>);

impl Drop for Drops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Without pointers: it may be dropped by its own `Drop`, whatever is `'static`.
#[derive(Trace)]
struct Plain<T: 'static> {
    #[trace(skip)]
    content: T,
    drops: Arc<AtomicU32>,
}

impl<T: 'static> Drop for Plain<T> {
    fn drop(&mut self) {
        self.drops.fetch_add(10, Ordering::SeqCst);
    }
}

#[test]
fn a_skipped_field_is_dropped_once() {
    const { assert!(!<Plain<Drops> as Trace>::NEEDS_TRACE) };
    let heap = Heap::new();
    let drops = Arc::new(AtomicU32::new(0));
    heap.mutate(|mu| mu.alloc(Plain { content: Drops(drops.clone()), drops: drops.clone() }).content.0.clone());
    heap.collect();
    heap.collect();
    assert_eq!(drops.load(Ordering::SeqCst), 11);
}

/// Three parameters: one that is re-branded, two that stay what they are, by the two ways to say so.
#[derive(Trace)]
struct Mixed<'gc, T, Foreign: 'static, Known>
where
    Known: Trace + Iterator + 'static,
    Known::Item: Trace,
{
    held: Gc<'gc, T>,
    content: T,
    #[trace(skip)]
    foreign: Foreign,
    known: Known,
    item: Known::Item,
    nothing: PhantomData<T>,
}

#[derive(Trace)]
struct Ones;

impl Iterator for Ones {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        Some(1)
    }
}

#[test]
fn parameters_that_are_static_stay_what_they_are() {
    type Object<'gc> = Mixed<'gc, Option<Gc<'gc, Counted>>, Foreign, Ones>;
    let heap = Heap::new();
    let ledger = Ledger::new(2);
    let root: Root<Object<'static>> = heap.mutate(|mu| {
        let leaf = |entry: usize| Some(mu.alloc(ledger.counted(entry)));
        let (held, content) = (mu.alloc(leaf(0)), leaf(1));
        let object: Object<'_> =
            Mixed { held, content, foreign: Foreign(5), known: Ones, item: 6, nothing: PhantomData };
        mu.root(mu.alloc(object))
    });
    assert_keeps(&heap, &ledger, root, |object| {
        assert_eq!((object.held.map(|leaf| leaf.entry()), object.content.map(|leaf| leaf.entry())), (Some(0), Some(1)));
        assert_eq!((object.foreign.0, object.item), (5, 6));
        assert!(matches!(object.known, Ones));
    });
}

/// Lifetimes beside the heap's: one that is `'static`, one by way of another, one that is the heap's by another name.
#[derive(Trace)]
struct Frame<'gc, 'code: 'static, 'names, 'heap>
where
    'names: 'code,
    'heap: 'gc,
    'gc: 'heap,
{
    code: &'code [u8],
    #[trace(skip)]
    names: &'names [&'static str],
    outer: Option<Gc<'gc, Counted>>,
    same: GcCell<'heap, Counted>,
}

/// No pointers at all: one lifetime, and that is not the heap's.
#[derive(Trace)]
struct Code<'code: 'static>(&'code str, #[trace(skip)] Marker<'code>);

/// Of another crate, with a lifetime.
struct Marker<'code>(PhantomData<&'code ()>);

#[test]
fn lifetimes_beside_the_heaps() {
    const { assert!(!<Code<'static> as Trace>::NEEDS_TRACE) };
    static CODE: [u8; 3] = [1, 2, 3];
    let heap = Heap::new();
    let ledger = Ledger::new(2);
    let root: Root<Frame<'static, 'static, 'static, 'static>> = heap.mutate(|mu| {
        let code = mu.alloc(Code("text", Marker(PhantomData)));
        assert_eq!(code.0, "text");
        let same = GcCell::new(mu.alloc(ledger.counted(1)));
        let frame = Frame { code: &CODE, names: &["first"], outer: Some(mu.alloc(ledger.counted(0))), same };
        mu.root(mu.alloc(frame))
    });
    assert_keeps(&heap, &ledger, root, |frame| {
        assert_eq!((frame.code, frame.names), (&CODE[..], &["first"][..]));
        assert_eq!(frame.outer.map(|leaf| leaf.entry()), Some(0));
        assert_eq!(frame.same.load().map(|leaf| leaf.entry()), Some(1));
    });
}

/// What the derive sees of the skipped field is not what the attribute, which comes after it, makes of it.
#[derive(Trace)]
#[becomes(
    struct Moved<'gc>(Gc<'gc, Counted>, #[trace(skip)] u64);
)]
struct Moved<'gc>(Gc<'gc, Counted>, #[trace(skip)] Foreign);

/// A field that is skipped may change as long as it stays `'static`.
#[test]
fn a_skipped_field_that_changes_after_the_derive() {
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let root: Root<Moved<'static>> = heap.mutate(|mu| mu.root(mu.alloc(Moved(mu.alloc(ledger.counted(0)), 9))));
    assert_keeps(&heap, &ledger, root, |object| assert_eq!((object.0.entry(), object.1), (0, 9)));
}
