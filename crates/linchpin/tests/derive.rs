//! `#[derive(Trace)]` on every shape of type, with every kind of content: what it holds stays
//! alive through a root of the type, and dies with it.

#![cfg(not(loom))]

mod common;

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use common::{Counted, Ledger};
use linchpin::{Gc, GcCell, Heap, Root, Trace};

/// Entries 0 to 9 of the ledger as objects, for a type under test to hold some of.
struct Leaves<'gc>([Gc<'gc, Counted>; 10]);

/// Checks that a rooted object, made by `$make` of ten leaves, keeps alive exactly the first
/// `$held` of them, and that `$see` finds those.
macro_rules! assert_holds {
    ($root:ty, $held:literal, |$mu:ident, $leaves:ident| $make:expr, |$object:ident| $see:expr) => {{
        let heap = Heap::new();
        let ledger = Ledger::new(10);
        let root: Root<$root> = heap.mutate(|$mu| {
            let $leaves = Leaves(std::array::from_fn(|entry| $mu.alloc(ledger.counted(entry)))).0;
            $mu.root($mu.alloc($make))
        });
        for _ in 0..2 {
            heap.collect();
            common::churn(&heap, 1000);
        }
        for entry in 0..10 {
            assert_eq!(ledger.drops_of(entry), u32::from(entry >= $held), "entry {entry}");
        }
        heap.mutate(|mu| {
            let $object = root.get(mu);
            let seen: Vec<usize> = $see;
            assert_eq!(seen, (0..$held).collect::<Vec<usize>>());
        });
        drop(root);
        heap.collect();
        ledger.assert_each_once();
    }};
}

#[derive(Trace)]
struct Named<'gc> {
    id: u64,
    first: Gc<'gc, Counted>,
    name: String,
    second: GcCell<'gc, Counted>,
}

#[test]
fn a_struct_with_named_fields() {
    assert_holds!(
        Named<'static>,
        2,
        |mu, leaves| Named { id: 7, first: leaves[0], name: "named".to_owned(), second: GcCell::new(leaves[1]) },
        |object| {
            assert_eq!((object.id, object.name.as_str()), (7, "named"));
            vec![object.first.entry(), object.second.load().expect("it was stored").entry()]
        }
    );
}

#[derive(Trace)]
struct Tuple<'gc>(u8, Gc<'gc, Counted>, (u16, Gc<'gc, Counted>));

#[test]
fn a_tuple_struct_and_a_tuple_in_it() {
    assert_holds!(Tuple<'static>, 2, |mu, leaves| Tuple(1, leaves[0], (2, leaves[1])), |object| {
        assert_eq!((object.0, object.2.0), (1, 2));
        vec![object.1.entry(), object.2.1.entry()]
    });
}

#[derive(Trace)]
struct Unit;

#[test]
fn a_unit_struct() {
    let heap = Heap::new();
    let root: Root<Unit> = heap.mutate(|mu| mu.root(mu.alloc(Unit)));
    heap.collect();
    heap.mutate(|mu| assert!(matches!(*root.get(mu), Unit)));
}

#[derive(Trace)]
enum Tree<'gc> {
    Empty,
    Leaf(Gc<'gc, Counted>),
    Fork { left: Gc<'gc, Tree<'gc>>, right: GcCell<'gc, Tree<'gc>>, weight: u32 },
}

impl Tree<'_> {
    fn entries(&self, seen: &mut Vec<usize>) {
        match self {
            Tree::Empty => {}
            Tree::Leaf(leaf) => seen.push(leaf.entry()),
            Tree::Fork { left, right, weight } => {
                assert_eq!(*weight, 9);
                left.entries(seen);
                if let Some(right) = right.load() {
                    right.entries(seen);
                }
            }
        }
    }
}

#[test]
fn an_enum_with_every_kind_of_variant() {
    assert_holds!(
        Tree<'static>,
        3,
        |mu, leaves| {
            let fork = |left, right| mu.alloc(Tree::Fork { left, right: GcCell::new(right), weight: 9 });
            let leaf = |entry: usize| mu.alloc(Tree::Leaf(leaves[entry]));
            let right = fork(leaf(1), Some(fork(mu.alloc(Tree::Empty), Some(leaf(2)))));
            Tree::Fork { left: fork(leaf(0), None), right: GcCell::new(right), weight: 9 }
        },
        |object| {
            let mut seen = Vec::new();
            object.entries(&mut seen);
            seen
        }
    );
}

#[derive(Trace)]
struct Contents<'gc> {
    many: Vec<Gc<'gc, Counted>>,
    some: Option<Gc<'gc, Counted>>,
    none: Option<Gc<'gc, Counted>>,
    boxed: Box<(Gc<'gc, Counted>, u8)>,
    mapped: HashMap<u64, Gc<'gc, Counted>>,
    array: [Gc<'gc, Counted>; 2],
    cells: [GcCell<'gc, Counted>; 2],
    nested: Option<Box<[Option<Gc<'gc, Counted>>]>>,
    text: String,
    shared: Arc<u64>,
}

#[test]
fn the_standard_librarys_containers() {
    let shared = Arc::new(11_u64);
    assert_holds!(
        Contents<'static>,
        9,
        |mu, leaves| Contents {
            many: vec![leaves[0], leaves[1]],
            some: Some(leaves[2]),
            none: None,
            boxed: Box::new((leaves[3], 4)),
            mapped: HashMap::from([(40, leaves[4]), (50, leaves[5])]),
            array: [leaves[6], leaves[6]],
            cells: [GcCell::null(), GcCell::new(leaves[7])],
            nested: Some(Box::new([None, Some(leaves[8])])),
            text: "text".repeat(100),
            shared: Arc::clone(&shared),
        },
        |object| {
            assert!(object.none.is_none());
            assert!(object.cells[0].load().is_none());
            assert_eq!(object.text.len(), 400);
            assert_eq!(*object.shared, 11);
            assert_eq!(object.boxed.1, 4);
            assert!(Gc::ptr_eq(object.array[0], object.array[1]));
            let nested = object.nested.as_ref().expect("it was stored");
            let held = [
                object.many[0],
                object.many[1],
                object.some.expect("it was stored"),
                object.boxed.0,
                object.mapped[&40],
                object.mapped[&50],
                object.array[0],
                object.cells[1].load().expect("it was stored"),
                nested[1].expect("it was stored"),
            ];
            held.iter().map(|leaf| leaf.entry()).collect()
        }
    );
    assert_eq!(Arc::strong_count(&shared), 1, "the swept object dropped its share");
}

/// Generic, with pointers of its own.
#[derive(Trace)]
struct Pair<'gc, A: Trace, B: Trace> {
    first: A,
    second: B,
    spare: GcCell<'gc, Counted>,
}

#[test]
fn a_generic_type_with_pointers() {
    assert_holds!(
        Pair<'static, Gc<'static, Counted>, Option<Gc<'static, Counted>>>,
        3,
        |mu, leaves| Pair { first: leaves[0], second: Some(leaves[1]), spare: GcCell::new(leaves[2]) },
        |object| vec![
            object.first.entry(),
            object.second.expect("it was stored").entry(),
            object.spare.load().expect("it was stored").entry(),
        ]
    );
}

/// Generic, without pointers unless its content has some.
#[derive(Trace)]
struct Wrapper<T> {
    content: T,
}

#[test]
fn a_generic_type_without_pointers_of_its_own() {
    assert_holds!(
        Wrapper<Vec<Gc<'static, Counted>>>,
        2,
        |mu, leaves| Wrapper { content: vec![leaves[0], leaves[1]] },
        |object| object.content.iter().map(|leaf| leaf.entry()).collect()
    );
    let heap = Heap::new();
    let root: Root<Wrapper<u64>> = heap.mutate(|mu| mu.root(mu.alloc(Wrapper { content: 5_u64 })));
    heap.collect();
    heap.mutate(|mu| assert_eq!(root.get(mu).content, 5));
}

/// With a where clause and a constant parameter.
#[derive(Trace)]
struct Counts<'gc, T, const LEN: usize>
where
    T: Trace,
{
    content: [T; LEN],
    held: [Gc<'gc, Counted>; LEN],
    nothing: PhantomData<T>,
}

#[test]
fn a_where_clause_and_a_constant_parameter() {
    assert_holds!(
        Counts<'static, u32, 3>,
        3,
        |mu, leaves| Counts { content: [1_u32, 2, 3], held: [leaves[0], leaves[1], leaves[2]], nothing: PhantomData },
        |object| {
            assert!(object.content == [1, 2, 3]);
            object.held.iter().map(|leaf| leaf.entry()).collect()
        }
    );
}

#[derive(Trace)]
struct Strings<'gc> {
    words: Gc<'gc, [Gc<'gc, [u8]>]>,
    leaves: Gc<'gc, [Gc<'gc, Counted>]>,
}

#[test]
fn slices_of_pointers() {
    assert_holds!(
        Strings<'static>,
        4,
        |mu, leaves| {
            let words = ["one", "two", ""].map(|word| mu.alloc_slice_copy(word.as_bytes()));
            Strings {
                words: mu.alloc_slice_with(3, |index| words[index]),
                leaves: mu.alloc_slice_from_iter(leaves[..4].iter().copied()),
            }
        },
        |object| {
            assert_eq!(*object.words[0], *b"one");
            assert_eq!(*object.words[1], *b"two");
            assert_eq!(object.words[2].len(), 0);
            object.leaves.iter().map(|leaf| leaf.entry()).collect()
        }
    );
}

/// A type of its own inside another one, by value.
#[derive(Trace)]
struct Outer<'gc> {
    inner: Tuple<'gc>,
    inners: Vec<Named<'gc>>,
}

#[test]
fn derived_types_inside_derived_types() {
    assert_holds!(
        Outer<'static>,
        4,
        |mu, leaves| Outer {
            inner: Tuple(1, leaves[0], (2, leaves[1])),
            inners: vec![Named { id: 1, first: leaves[2], name: String::new(), second: GcCell::new(leaves[3]) }],
        },
        |object| vec![
            object.inner.1.entry(),
            object.inner.2.1.entry(),
            object.inners[0].first.entry(),
            object.inners[0].second.load().expect("it was stored").entry(),
        ]
    );
}

/// Types and constants of a program that have the names the derived code uses, or might.
mod names {
    #![allow(non_camel_case_types, non_upper_case_globals, dead_code, reason = "names that could get in the way")]

    use linchpin::{Gc, Trace};

    use crate::common::Counted;

    struct bool;
    struct N;
    pub(super) const field_0: u8 = 3;
    const tracer: u8 = 4;
    const inspector: u8 = 5;

    #[derive(Trace)]
    pub(super) struct Unlucky<'gc, T, const N: usize> {
        pub(super) number: u8,
        pub(super) held: Gc<'gc, Counted>,
        pub(super) more: [T; N],
    }

    #[derive(Trace)]
    pub(super) enum Either<T, const N: usize> {
        One(T),
        Many([T; N]),
    }
}

#[test]
fn names_that_the_program_has_taken() {
    use names::{Either, Unlucky, field_0};
    type Pointer<'gc> = Gc<'gc, Counted>;
    type Unlucky3<'gc> = Unlucky<'gc, Either<Pointer<'gc>, 1>, 2>;
    assert_holds!(
        Unlucky3<'static>,
        3,
        |mu, leaves| Unlucky {
            number: field_0,
            held: leaves[0],
            more: [Either::One(leaves[1]), Either::Many([leaves[2]])]
        },
        |object| {
            assert_eq!(object.number, 3);
            let more = object.more.iter().map(|either| match either {
                Either::One(leaf) | Either::Many([leaf]) => leaf.entry(),
            });
            std::iter::once(object.held.entry()).chain(more).collect()
        }
    );
}
