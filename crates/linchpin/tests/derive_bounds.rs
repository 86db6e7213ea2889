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
