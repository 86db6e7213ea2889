//! Tracing: a pointer that the collector does not hear of is freed under its holder's hands.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;

use linchpin::{Gc, GcCell, GcMutex, GcOnce, GcRwLock, Heap, Root, Trace, Tracer};

use crate::common::{Counted, Ledger, churn};
use crate::in_child;

/// Whose `trace` panics.
struct Panics;

// SAFETY: there is no pointer to report. That it panics breaks the contract, in the way that the test is about.
unsafe impl Trace for Panics {
    type Branded<'b> = Panics;
    const NEEDS_TRACE: bool = true;
    fn trace(&self, _: &mut Tracer<'_>) {
        panic!("a trace that panics");
    }
}

fn assert_aborts(name: &str, act: impl FnOnce()) {
    let act = || {
        act();
        eprintln!("the panic was survived");
    };
    let Some(child) = in_child(name, act) else { return };
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(!child.status.success() && !said.contains("was survived"), "the child lived: {said}");
    assert!(said.contains("a trace that panics"), "the child did not come to its panic: {said}");
    assert!(said.contains("hand-written Trace must not panic"), "it does not say why it ended: {said}");
}

/// gc-arena #64: the object whose `trace` panicked was grey no more and not yet black, so what it held was freed after the
/// panic was caught. Here the process ends.
#[test]
fn a_panic_in_trace_ends_the_process() {
    assert_aborts("tracing::a_panic_in_trace_ends_the_process", || {
        let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
        let _root = heap.mutate(|mu| mu.root(mu.alloc(Panics)));
        heap.collect();
    });
}

/// The same in the last cycle, which the thread that drops the heap runs itself. (A thread that helps to mark:
/// `a_trace_that_panics_in_a_helper_ends_the_process` in `tests/faults/trace.rs`.)
#[test]
fn a_panic_in_trace_ends_the_process_on_whatever_thread() {
    assert_aborts("tracing::a_panic_in_trace_ends_the_process_on_whatever_thread", || {
        let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
        let _root = heap.mutate(|mu| mu.root(mu.alloc(Panics)));
        drop(heap);
    });
}

/// A hasher that holds a pointer.
#[derive(Trace)]
struct Keyed<'gc> {
    key: Gc<'gc, Counted>,
}

impl BuildHasher for Keyed<'_> {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        self.key.entry().hash(&mut hasher);
        hasher
    }
}

/// gc-arena #34, rust-gc #165: the hasher of a map was not traced. It may hold pointers like any value.
#[test]
fn the_hasher_of_a_map_is_traced() {
    type Map<'gc> = HashMap<u64, u64, Keyed<'gc>>;
    type Set<'gc> = HashSet<u64, Keyed<'gc>>;
    const { assert!(Map::NEEDS_TRACE && Set::NEEDS_TRACE) };
    let heap = Heap::new();
    let ledger = Ledger::new(2);
    let (map, set): (Root<Map<'static>>, Root<Set<'static>>) = heap.mutate(|mu| {
        let keyed = |entry: usize| Keyed { key: mu.alloc(ledger.counted(entry)) };
        let mut map = HashMap::with_hasher(keyed(0));
        map.extend((0..100_u64).map(|number| (number, number * 7_u64)));
        let mut set = HashSet::with_hasher(keyed(1));
        set.extend(0..100_u64);
        (mu.root(mu.alloc(map)), mu.root(mu.alloc(set)))
    });
    for _ in 0..3 {
        heap.collect();
        churn(&heap, 2000);
    }
    ledger.assert_none();
    heap.mutate(|mu| {
        assert_eq!(map.get(mu).get(&9), Some(&63));
        assert!(set.get(mu).contains(&9) && !set.get(mu).contains(&100));
    });
    drop((map, set));
    heap.collect();
    ledger.assert_each_once();
}

/// A key with a pointer in it.
#[derive(Trace)]
struct Key<'gc> {
    order: usize,
    held: Gc<'gc, Counted>,
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Key<'_> {}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.order.hash(state);
    }
}

type Eight<'gc> = (u8, u8, u8, u8, u8, u8, u8, Gc<'gc, Counted>);

/// Every container of `trace::impls` that `tests/derive.rs` does not have, and the locks.
#[derive(Trace)]
struct Containers<'gc> {
    deque: VecDeque<Key<'gc>>,
    list: LinkedList<Key<'gc>>,
    tree_map: BTreeMap<Key<'gc>, Key<'gc>>,
    tree_set: BTreeSet<Key<'gc>>,
    heap: BinaryHeap<Key<'gc>>,
    hash_map: HashMap<Key<'gc>, u8>,
    hash_set: HashSet<Key<'gc>>,
    results: [Result<Key<'gc>, Key<'gc>>; 2],
    eight: Eight<'gc>,
    boxed: Box<[Key<'gc>]>,
    mutex: GcMutex<Vec<Key<'gc>>>,
    lock: GcRwLock<Option<Key<'gc>>>,
    once: GcOnce<Key<'gc>>,
}

/// A generic parameter that smuggles a pointer through a type whose `trace` does nothing: for every container, a parameter
/// with pointers makes it one that is traced, and what it holds stays.
#[test]
fn no_container_hides_a_pointer() {
    macro_rules! assert_asks {
        ($($type:ty),* $(,)?) => { const { $(assert!(<$type as Trace>::NEEDS_TRACE, stringify!($type));)* } };
    }
    type P = Gc<'static, u64>;
    type K = Key<'static>;
    assert_asks!(P, GcCell<'static, u64>, Gc<'static, [u64]>, Gc<'static, str>, Box<P>, Box<[P]>, [P; 1], Option<P>);
    assert_asks!(Vec<P>, VecDeque<P>, LinkedList<P>, BTreeSet<K>, BinaryHeap<K>, HashSet<K>, HashSet<u8, Keyed<'static>>);
    assert_asks!(BTreeMap<K, u8>, BTreeMap<u8, P>, HashMap<K, u8>, HashMap<u8, P>, HashMap<u8, u8, Keyed<'static>>);
    assert_asks!(Result<P, u8>, Result<u8, P>, (P,), (u8, P), (P, u8), (u8, u8, P), (u8, u8, u8, P), (u8, u8, u8, u8, P));
    assert_asks!((u8, u8, u8, u8, u8, P), (u8, u8, u8, u8, u8, u8, P), Eight<'static>);
    assert_asks!(GcMutex<P>, GcMutex<Vec<P>>, GcRwLock<P>, GcRwLock<Option<K>>, GcOnce<P>, GcMutex<GcOnce<P>>);

    let heap = Heap::new();
    let ledger = Ledger::new(28);
    let root: Root<Containers<'static>> = heap.mutate(|mu| {
        let mut entries = 0..28;
        let mut key = || {
            let order = entries.next().expect("as many as are asked for");
            Key { order, held: mu.alloc(ledger.counted(order)) }
        };
        // A deque that wraps around in its buffer.
        let mut deque = VecDeque::with_capacity(4);
        deque.push_front(key());
        deque.push_back(key());
        deque.push_front(key());
        let containers = mu.alloc(Containers {
            deque,
            list: LinkedList::from([key(), key()]),
            tree_map: BTreeMap::from([(key(), key()), (key(), key())]),
            tree_set: BTreeSet::from([key(), key()]),
            heap: BinaryHeap::from([key(), key(), key()]),
            hash_map: HashMap::from([(key(), 1), (key(), 2)]),
            hash_set: HashSet::from([key(), key()]),
            results: [Ok(key()), Err(key())],
            eight: (0, 0, 0, 0, 0, 0, 0, key().held),
            boxed: Box::new([key(), key(), key()]),
            mutex: GcMutex::new(vec![key(), key()]),
            lock: GcRwLock::new(Some(key())),
            once: GcOnce::new(),
        });
        assert!(containers.once.set(mu, key()).is_ok());
        mu.root(containers)
    });
    for _ in 0..3 {
        heap.collect();
        churn(&heap, 2000);
    }
    ledger.assert_none();
    heap.mutate(|mu| {
        let containers = root.get(mu);
        let tree_map = containers.tree_map.iter().flat_map(|(key, value)| [key, value]);
        let results = containers.results.iter().map(|result| result.as_ref().unwrap_or_else(|error| error));
        let keys = containers.deque.iter().chain(&containers.list).chain(tree_map).chain(&containers.tree_set);
        let keys = keys.chain(&containers.heap).chain(containers.hash_map.keys()).chain(&containers.hash_set);
        let mut found: Vec<usize> = keys.chain(results).chain(&containers.boxed).map(|key| key.held.entry()).collect();
        found.push(containers.eight.7.entry());
        found.extend(containers.mutex.lock(mu).iter().map(|key| key.held.entry()));
        found.extend(containers.lock.read(mu).iter().map(|key| key.held.entry()));
        found.push(containers.once.get().expect("it is set").held.entry());
        found.sort_unstable();
        assert_eq!(found, (0..28).collect::<Vec<_>>());
    });
    drop(root);
    heap.collect();
    ledger.assert_each_once();
}

trait Names {
    type Named;
}

impl<T> Names for PhantomData<T> {
    type Named = T;
}

/// What it holds appears in its parameter's trait only, and the parameter itself holds nothing.
#[derive(Trace)]
struct ByAssociation<T: Names>
where
    <T as Names>::Named: Trace,
{
    named: <T as Names>::Named,
    parameter: T,
}

/// The same by way of phantom data, which holds nothing itself, but has the brand: it may not say that there is nothing to trace.
#[test]
fn phantom_data_hides_no_pointer() {
    type Hidden<'gc> = PhantomData<Gc<'gc, Counted>>;
    const { assert!(<Hidden<'static> as Trace>::NEEDS_TRACE && !<PhantomData<u64> as Trace>::NEEDS_TRACE) };
    const { assert!(<ByAssociation<Hidden<'static>> as Trace>::NEEDS_TRACE) };
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let root: Root<ByAssociation<Hidden<'static>>> = heap.mutate(|mu| {
        let named = mu.alloc(ledger.counted(0));
        mu.root(mu.alloc(ByAssociation::<Hidden<'_>> { named, parameter: PhantomData }))
    });
    heap.collect();
    churn(&heap, 2000);
    heap.collect();
    ledger.assert_none();
    heap.mutate(|mu| assert_eq!(root.get(mu).named.entry(), 0));
}

/// Whether a type implements a trait, in code that compiles either way: an inherent constant is preferred to a trait's.
macro_rules! implements {
    ($type:ty: $($bound:tt)+) => {{
        #[allow(dead_code, reason = "used only if the answer is no")]
        trait No {
            const ANSWER: bool = false;
        }
        impl<T: ?Sized> No for T {}
        struct Ask<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "used only if the answer is yes")]
        impl<T: ?Sized + $($bound)+> Ask<T> {
            const ANSWER: bool = true;
        }
        <Ask<$type>>::ANSWER
    }};
}
pub(crate) use implements;

/// rust-gc #134: `Trace` for `Rc` and `Arc` of traced contents must not exist, since what is shared is not the object's own.
/// Nor may it for anything else that hides, shares or changes its contents past the barrier. (That `Arc` and the locks, which
/// do implement it, take no pointers is in `ui/gc_in_arc.rs`, `gc_in_cell_of_std.rs`, `gc_in_static_contents.rs`.)
#[test]
fn what_hides_or_shares_its_contents_is_no_object() {
    use std::cell::{Cell, LazyCell, OnceCell, RefCell, UnsafeCell};
    use std::mem::{ManuallyDrop, MaybeUninit};
    use std::rc;
    use std::sync::atomic::AtomicPtr;
    macro_rules! assert_none {
        ($($type:ty),* $(,)?) => { const { $(assert!(!implements!($type: linchpin::Trace), stringify!($type));)* } };
    }
    const { assert!(implements!(u8: linchpin::Trace) && implements!(Box<u8>: linchpin::Trace), "it can tell") };
    assert_none!(
        rc::Rc<u8>,
        rc::Weak<u8>,
        rc::Rc<[u8]>,
        Cell<u8>,
        RefCell<u8>,
        OnceCell<u8>,
        LazyCell<u8>,
        UnsafeCell<u8>
    );
    assert_none!(ManuallyDrop<u8>, MaybeUninit<u8>, AtomicPtr<u8>, *const u8, *mut u8, std::ptr::NonNull<u8>);
    assert_none!(fn(), fn(Gc<'static, u8>), fn() -> Gc<'static, u8>, for<'a> fn(&'a u8), &'static mut u8);
    assert_none!(
        Box<dyn Send + Sync>,
        Box<dyn std::any::Any + Send + Sync>,
        std::sync::Arc<dyn std::any::Any + Send + Sync>,
        Box<dyn Fn() + Send + Sync>,
        std::pin::Pin<Box<u8>>,
        std::borrow::Cow<'static, u8>
    );
    assert_none!(std::sync::mpsc::Sender<u8>, std::thread::JoinHandle<u8>, std::vec::IntoIter<u8>, std::ops::Range<u8>);
    assert_none!(std::sync::LazyLock<u8>, std::thread::LocalKey<u8>, std::task::Waker, &'static mut Gc<'static, u8>);
    assert_none!(linchpin::Mutator<'static>, linchpin::Heap, std::sync::Arc<[u8]>);
}
