//! `#[derive(Trace)]` on types whose parameters have bounds of their own, in place and in a where
//! clause: the bounds hold for the parameter under every brand.

#![cfg(not(loom))]

mod common;

use std::fmt::Debug;
use std::hash::Hash;

use common::{Counted, Ledger};
use linchpin::{Gc, GcCell, Heap, Root, Trace};

#[derive(Trace)]
struct InPlace<K: Trace + Eq + Hash> {
    key: K,
}

#[derive(Trace)]
struct InWhereClause<'gc, T, const LEN: usize>
where
    T: Trace + PartialEq + Debug + 'gc,
{
    content: [T; LEN],
    held: GcCell<'gc, Counted>,
}

#[derive(Trace)]
enum Choice<'gc, T: Trace + Clone> {
    Owned(T),
    Shared(Gc<'gc, T>),
}

/// What leads from a parameter to another type.
trait Leads<By> {
    type To;
}

impl<T> Leads<u8> for Option<T> {
    type To = T;
}

/// Bounds on what a trait of the parameter leads to, in the short form and in the long one.
#[derive(Trace)]
struct ByShortName<T: Send + Leads<u8>>
where
    T::To: Trace + Debug,
    <T>::To: Sync,
    Option<T::To>: Clone,
    <T as Leads<u8>>::To: PartialEq,
{
    content: T::To,
    whole: T,
}

#[derive(Trace)]
struct OfIterator<T>
where
    T: Iterator<Item = u8>,
    T::Item: Trace,
{
    content: T::Item,
    whole: T,
}

#[derive(Trace)]
struct Bytes;

impl Iterator for Bytes {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        Some(7)
    }
}

#[test]
fn bounds_on_associated_types() {
    type Pointer<'gc> = Gc<'gc, String>;
    const {
        assert!(<ByShortName<Option<Pointer<'static>>> as Trace>::NEEDS_TRACE);
        assert!(!<ByShortName<Option<String>> as Trace>::NEEDS_TRACE);
    }
    let heap = Heap::new();
    let (root, bytes): (Root<ByShortName<Option<Pointer<'static>>>>, Root<OfIterator<Bytes>>) = heap.mutate(|mu| {
        let content = mu.alloc("content".repeat(10));
        let whole = Some(mu.alloc("whole".repeat(10)));
        let bytes = OfIterator { content: 9, whole: Bytes };
        (mu.root(mu.alloc(ByShortName::<Option<Pointer<'_>>> { content, whole })), mu.root(mu.alloc(bytes)))
    });
    heap.collect();
    common::churn(&heap, 1000);
    heap.collect();
    heap.mutate(|mu| {
        let object = root.get(mu);
        assert_eq!(*object.content, "content".repeat(10));
        assert_eq!(object.whole.as_deref(), Some(&"whole".repeat(10)));
        assert!(bytes.get(mu).content == 9 && matches!(bytes.get(mu).whole, Bytes));
    });
}

#[test]
fn bounds_in_place_and_in_a_where_clause() {
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let in_place: Root<InPlace<String>> = heap.mutate(|mu| mu.root(mu.alloc(InPlace { key: "key".to_owned() })));
    let in_where_clause: Root<InWhereClause<'static, u32, 3>> = heap.mutate(|mu| {
        let held = GcCell::new(mu.alloc(ledger.counted(0)));
        mu.root(mu.alloc(InWhereClause { content: [1_u32, 2, 3], held }))
    });
    let choices: Root<[Choice<'static, String>]> = heap.mutate(|mu| {
        let shared = mu.alloc("shared".to_owned());
        mu.root(mu.alloc_slice_with(2, |index| match index {
            0 => Choice::Owned("owned".to_owned()),
            _ => Choice::Shared(shared),
        }))
    });
    heap.collect();
    heap.mutate(|mu| {
        assert_eq!(in_place.get(mu).key, "key");
        let object = in_where_clause.get(mu);
        assert_eq!(object.content, [1, 2, 3]);
        assert_eq!(object.held.load().map(|held| held.entry()), Some(0));
        let names = choices.get(mu).as_ref().iter().map(|choice| match choice {
            Choice::Owned(name) => name.as_str(),
            Choice::Shared(name) => name.as_str(),
        });
        assert_eq!(names.collect::<Vec<_>>(), ["owned", "shared"]);
    });
    ledger.assert_none();
    drop((in_place, in_where_clause, choices));
    heap.collect();
    ledger.assert_each_once();
}
