//! The containers of other crates, each behind a feature: what they hold lives as long as they do, their hashers and keys are traced,
//! each value is dropped once, and the verifier looks into them.
//!
//! `cargo test -p linchpin --all-features --test containers`; without features there is nothing here.

#![cfg(not(loom))]
#![cfg_attr(
    not(all(
        feature = "arrayvec",
        feature = "either",
        feature = "hashbrown",
        feature = "indexmap",
        feature = "smallvec"
    )),
    allow(unused, reason = "what the tests of some feature use")
)]

mod common;

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};

use common::{Counted, Ledger, churn};
use linchpin::{Gc, Heap, Root, Trace, Tracer};

/// Checks that a rooted container, made by `$make` of the leaves that `$leaf` gives, keeps all `$held` of them alive, that `$see` finds
/// them in their order, and that all are dropped once, after the root. The verifier has nothing to say meanwhile.
macro_rules! assert_holds {
    ($root:ty, $held:literal, |$leaf:ident| $make:expr, |$object:ident| $see:expr) => {{
        const { assert!(<$root as Trace>::NEEDS_TRACE) };
        let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
        let ledger = Ledger::new($held);
        let root: Root<$root> = heap.mutate(|mu| {
            let $leaf = |entry: usize| mu.alloc(ledger.counted(entry));
            mu.root(mu.alloc($make))
        });
        for _ in 0..3 {
            heap.collect();
            churn(&heap, 1000);
        }
        ledger.assert_none();
        let report = heap.verify().expect("a heap that is in order");
        assert!(report.suspicions.is_empty(), "{report:?}");
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

/// Checks that the verifier finds a pointer which an element, a key or a hasher in a container does not report.
macro_rules! assert_looked_into {
    ($root:ty, |$forgetful:ident| $make:expr) => {{
        let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
        let (_root, _held): (Root<$root>, Root<u64>) = heap.mutate(|mu| {
            let held = mu.alloc(7_u64);
            let $forgetful = || Forgetful(held);
            (mu.root(mu.alloc($make)), mu.root(held))
        });
        let report = heap.verify().expect("a heap that is in order");
        assert_eq!(report.suspicions.len(), 1, "{report:?}");
    }};
}

type Leaf<'gc> = Gc<'gc, Counted>;

/// A `Trace` by hand that forgets its pointer. As a key it is like all others; as a hasher it hashes.
struct Forgetful<'gc>(#[allow(dead_code, reason = "for the verifier alone")] Gc<'gc, u64>);

// SAFETY: none; it forgets its field, which is what is to be found. The test keeps what it forgets alive.
unsafe impl Trace for Forgetful<'_> {
    type Branded<'b> = Forgetful<'b>;
    const NEEDS_TRACE: bool = true;
    fn trace(&self, _: &mut Tracer<'_>) {}
}

impl PartialEq for Forgetful<'_> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Forgetful<'_> {}

impl Hash for Forgetful<'_> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl BuildHasher for Forgetful<'_> {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        DefaultHasher::new()
    }
}

/// A key with a pointer in it.
#[derive(Trace)]
struct Key<'gc>(Leaf<'gc>);

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.entry() == other.0.entry()
    }
}

impl Eq for Key<'_> {}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.entry().hash(hasher);
    }
}

/// A hasher that holds a pointer.
#[derive(Trace)]
struct Keyed<'gc>(Leaf<'gc>);

impl BuildHasher for Keyed<'_> {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        self.0.entry().hash(&mut hasher);
        hasher
    }
}

fn sorted(entries: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut entries: Vec<usize> = entries.into_iter().collect();
    entries.sort_unstable();
    entries
}

#[cfg(feature = "smallvec")]
#[test]
fn smallvec_inline_and_spilled() {
    use smallvec::SmallVec;
    type Small<'gc> = SmallVec<[Leaf<'gc>; 4]>;
    const { assert!(!<SmallVec<[u64; 4]> as Trace>::NEEDS_TRACE) };
    assert_holds!(Small<'static>, 3, |leaf| (0..3).map(leaf).collect::<Small<'_>>(), |object| {
        assert!(!object.spilled());
        object.iter().map(|leaf| leaf.entry()).collect()
    });
    assert_holds!(Small<'static>, 9, |leaf| (0..9).map(leaf).collect::<Small<'_>>(), |object| {
        assert!(object.spilled());
        object.iter().map(|leaf| leaf.entry()).collect()
    });
    let texts: SmallVec<[String; 2]> = SmallVec::from_iter(["12".to_owned(), "3".to_owned()]);
    assert_eq!(texts.owned_bytes(), 3);
    assert_eq!(SmallVec::<[u64; 2]>::with_capacity(5).owned_bytes(), 40);
    assert_looked_into!(SmallVec<[Forgetful<'static>; 4]>, |make| SmallVec::<[Forgetful<'_>; 4]>::from_iter([make()]));
    assert_looked_into!(SmallVec<[Forgetful<'static>; 0]>, |make| SmallVec::<[Forgetful<'_>; 0]>::from_iter([make()]));
}

#[cfg(feature = "arrayvec")]
#[test]
fn arrayvec_and_its_string() {
    use arrayvec::{ArrayString, ArrayVec};
    type Vector<'gc> = ArrayVec<Leaf<'gc>, 8>;
    type Named<'gc> = (ArrayString<8>, Vector<'gc>);
    const { assert!(!<ArrayVec<u64, 8> as Trace>::NEEDS_TRACE && !<ArrayString<8> as Trace>::NEEDS_TRACE) };
    assert_holds!(
        Named<'static>,
        5,
        |leaf| {
            let name: ArrayString<8> = ArrayString::from("arrayvec").expect("eight bytes");
            (name, (0..5).map(leaf).collect::<Vector<'_>>())
        },
        |object| {
            assert_eq!(&object.0, "arrayvec");
            object.1.iter().map(|leaf| leaf.entry()).collect()
        }
    );
    const { assert!(!<ArrayVec<u64, 8> as Trace>::OWNS_MEMORY) };
    assert_eq!(ArrayVec::<String, 8>::from_iter(["12".to_owned(), "3".to_owned()]).owned_bytes(), 3);
    assert_looked_into!(ArrayVec<Forgetful<'static>, 2>, |make| ArrayVec::<Forgetful<'_>, 2>::from_iter([make()]));
}

#[cfg(feature = "either")]
#[test]
fn either_of_two() {
    use either::Either;
    type One<'gc> = Either<Leaf<'gc>, Box<(u8, Leaf<'gc>)>>;
    type Both<'gc> = [One<'gc>; 2];
    const { assert!(!<Either<u64, String> as Trace>::NEEDS_TRACE) };
    const { assert!(<Either<u64, Leaf<'static>> as Trace>::NEEDS_TRACE) };
    assert_holds!(
        Both<'static>,
        2,
        |leaf| {
            let both: Both<'_> = [Either::Left(leaf(0)), Either::Right(Box::new((7, leaf(1))))];
            both
        },
        |object| object.iter().map(|one| one.as_ref().either(|leaf| leaf.entry(), |pair| pair.1.entry())).collect()
    );
    assert_eq!(Either::<u64, _>::Right("123".to_owned()).owned_bytes(), 3);
    assert_looked_into!(Either<Forgetful<'static>, u64>, |make| Either::<_, u64>::Left(make()));
    assert_looked_into!(Either<u64, Forgetful<'static>>, |make| Either::<u64, _>::Right(make()));
}

#[cfg(feature = "hashbrown")]
#[test]
fn hashbrown_keys_values_and_hashers() {
    use hashbrown::{HashMap, HashSet, HashTable};
    type Map<'gc> = HashMap<Key<'gc>, Leaf<'gc>, Keyed<'gc>>;
    type Set<'gc> = HashSet<Key<'gc>>;
    type Hashers<'gc> = (HashMap<u64, u64, Keyed<'gc>>, HashSet<u64, Keyed<'gc>>);
    const { assert!(!<HashMap<u64, String> as Trace>::NEEDS_TRACE && !<HashSet<u64> as Trace>::NEEDS_TRACE) };
    assert_holds!(
        Map<'static>,
        21,
        |leaf| {
            let mut map: Map<'_> = HashMap::with_hasher(Keyed(leaf(20)));
            map.extend((0..10).map(|entry| (Key(leaf(entry)), leaf(entry + 10))));
            map
        },
        |object| {
            let both = object.iter().flat_map(|(key, value)| [key.0.entry(), value.entry()]);
            sorted(both.chain([object.hasher().0.entry()]))
        }
    );
    assert_holds!(
        Set<'static>,
        10,
        |leaf| (0..10).map(|entry| Key(leaf(entry))).collect::<Set<'_>>(),
        |object| sorted(object.iter().map(|key| key.0.entry()))
    );
    assert_holds!(
        Hashers<'static>,
        2,
        |leaf| {
            let hashers: Hashers<'_> = (HashMap::with_hasher(Keyed(leaf(0))), HashSet::with_hasher(Keyed(leaf(1))));
            hashers
        },
        |object| vec![object.0.hasher().0.entry(), object.1.hasher().0.entry()]
    );
    assert_holds!(
        HashTable<Leaf<'static>>,
        5,
        |leaf| {
            let mut table = HashTable::new();
            for entry in 0..5 {
                table.insert_unique(entry as u64, leaf(entry), |leaf| leaf.entry() as u64);
            }
            table
        },
        |object| sorted(object.iter().map(|leaf| leaf.entry()))
    );
    let map = HashMap::<u64, String>::from_iter([(1, "123".to_owned())]);
    assert_eq!(map.owned_bytes(), map.capacity() * size_of::<(u64, String)>() + 3);
    assert_looked_into!(HashMap<Forgetful<'static>, u64>, |make| HashMap::<_, u64>::from_iter([(make(), 1)]));
    assert_looked_into!(HashMap<u64, Forgetful<'static>>, |make| HashMap::<u64, _>::from_iter([(1, make())]));
    assert_looked_into!(HashMap<u64, u64, Forgetful<'static>>, |make| HashMap::<u64, u64, _>::with_hasher(make()));
    assert_looked_into!(HashSet<Forgetful<'static>>, |make| HashSet::<Forgetful<'_>>::from_iter([make()]));
}

#[cfg(feature = "indexmap")]
#[test]
fn indexmap_keys_values_and_hashers() {
    use indexmap::{IndexMap, IndexSet};
    type Map<'gc> = IndexMap<Key<'gc>, Leaf<'gc>, Keyed<'gc>>;
    type Set<'gc> = IndexSet<Key<'gc>, Keyed<'gc>>;
    const { assert!(!<IndexMap<u64, String> as Trace>::NEEDS_TRACE && !<IndexSet<u64> as Trace>::NEEDS_TRACE) };
    assert_holds!(
        Map<'static>,
        21,
        |leaf| {
            let mut map: Map<'_> = IndexMap::with_hasher(Keyed(leaf(20)));
            map.extend((0..10).map(|entry| (Key(leaf(2 * entry)), leaf(2 * entry + 1))));
            map
        },
        |object| {
            let both = object.iter().flat_map(|(key, value)| [key.0.entry(), value.entry()]);
            both.chain([object.hasher().0.entry()]).collect()
        }
    );
    assert_holds!(
        Set<'static>,
        11,
        |leaf| {
            let mut set: Set<'_> = IndexSet::with_hasher(Keyed(leaf(10)));
            set.extend((0..10).map(|entry| Key(leaf(entry))));
            set
        },
        |object| object.iter().map(|key| key.0.entry()).chain([object.hasher().0.entry()]).collect()
    );
    let map = IndexMap::<u64, String>::from_iter([(1, "123".to_owned())]);
    assert_eq!(map.owned_bytes(), map.capacity() * size_of::<(u64, String)>() + 3);
    assert_looked_into!(IndexMap<Forgetful<'static>, u64>, |make| IndexMap::<_, u64>::from_iter([(make(), 1)]));
    assert_looked_into!(IndexMap<u64, Forgetful<'static>>, |make| IndexMap::<u64, _>::from_iter([(1, make())]));
    assert_looked_into!(IndexMap<u64, u64, Forgetful<'static>>, |make| IndexMap::<u64, u64, _>::with_hasher(make()));
    assert_looked_into!(IndexSet<Forgetful<'static>>, |make| IndexSet::<Forgetful<'_>>::from_iter([make()]));
}
