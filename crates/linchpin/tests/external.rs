//! Memory outside the heap counts: what objects own, which is seen where they are allocated and dropped, and what a program reports.

#![cfg(not(loom))]

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::{CString, OsString};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use linchpin::{Gc, GcCell, GcMutex, GcOnce, Heap, Opaque, Root, Trace};

const MEGABYTE: usize = 1 << 20;

/// A small object with a large vector, or an empty one.
#[derive(Trace)]
struct Buffer<'gc> {
    bytes: Vec<u8>,
    next: GcCell<'gc, Buffer<'gc>>,
}

fn buffer<'gc>(capacity: usize) -> Buffer<'gc> {
    Buffer { bytes: Vec::with_capacity(capacity), next: GcCell::null() }
}

fn heap() -> Heap {
    Heap::builder().processors(1).build().expect("a heap of one processor")
}

/// Waits for so many cycles. Where they never come, neither does the end of the test.
fn wait_for_cycles(heap: &Heap, cycles: u64) {
    while heap.stats().cycles < cycles {
        thread::yield_now();
    }
}

/// Checks that no cycle was asked for but so many. One that was asked for may not have started yet: then the one that is asked for here
/// is the same, and nothing is noticed.
#[track_caller]
fn assert_none_asked_for(heap: &Heap, cycles: u64) {
    heap.collect();
    assert_eq!(heap.stats().cycles, cycles + 1);
}

#[test]
fn cycles_start_because_of_what_objects_own() {
    let heap = heap();
    for round in 0..10 {
        assert_eq!(heap.stats().cycles, round);
        heap.mutate(|mu| {
            for _ in 0..4 {
                mu.alloc(buffer(MEGABYTE));
            }
        });
        wait_for_cycles(&heap, round + 1);
    }
    let stats = heap.stats();
    assert_eq!((stats.external_bytes, stats.live_external_bytes), (40 << 20, 0));
    assert!(stats.allocated_bytes < 1 << 20);
}

#[test]
fn the_same_objects_without_it_start_none() {
    let heap = heap();
    heap.mutate(|mu| {
        for _ in 0..40 {
            assert_eq!(mu.alloc(buffer(0)).bytes.capacity(), 0);
        }
    });
    assert_none_asked_for(&heap, 0);
    assert_eq!(heap.stats().external_bytes, 0);
}

/// Many that own little add up.
#[test]
fn little_by_little() {
    let heap = heap();
    heap.mutate(|mu| {
        for _ in 0..200 {
            mu.alloc_slice_with(4, |_| String::with_capacity(8 << 10));
        }
    });
    wait_for_cycles(&heap, 1);
}

#[test]
fn what_is_owned_counts_as_live_for_as_long_as_it_is() {
    let heap = heap();
    let roots: Vec<Root<Buffer<'static>>> =
        heap.mutate(|mu| (0..40).map(|_| mu.root(mu.alloc(buffer(MEGABYTE)))).collect());
    wait_for_cycles(&heap, 1);
    // The first may have begun when some were not there yet.
    heap.collect();
    assert_eq!(heap.stats().live_external_bytes, 40 << 20);
    let cycles = heap.stats().cycles;
    let allocate = |megabytes: usize| {
        heap.mutate(|mu| {
            for _ in 0..megabytes {
                mu.alloc(buffer(MEGABYTE));
            }
        });
    };
    // Less than half the way to the goal, before which no cycle starts, however long the mark before took.
    allocate(19);
    assert_none_asked_for(&heap, cycles);
    assert_eq!(heap.stats().live_external_bytes, 40 << 20, "what was garbage is gone");
    allocate(41);
    wait_for_cycles(&heap, cycles + 2);
    drop(roots);
    heap.collect();
    assert_eq!(heap.stats().live_external_bytes, 0);
    let cycles = heap.stats().cycles;
    allocate(4);
    wait_for_cycles(&heap, cycles + 1);
}

#[test]
fn slices_are_counted_by_their_elements() {
    let heap = heap();
    let root: Root<[Vec<u64>]> =
        heap.mutate(|mu| mu.root(mu.alloc_slice_with(20, |_| Vec::<u64>::with_capacity(MEGABYTE / 8))));
    wait_for_cycles(&heap, 1);
    heap.collect();
    assert_eq!(heap.stats().live_external_bytes, 20 << 20);
    drop(root);
    heap.collect();
    assert_eq!(heap.stats().live_external_bytes, 0);
}

#[test]
fn what_is_reported_starts_cycles_and_is_forgotten() {
    let heap = heap();
    heap.mutate(|mu| {
        for _ in 0..4 {
            mu.report_external(MEGABYTE - 1);
        }
    });
    assert_none_asked_for(&heap, 0);
    heap.mutate(|mu| mu.report_external(4 * MEGABYTE));
    wait_for_cycles(&heap, 2);
    let stats = heap.stats();
    assert_eq!((stats.external_bytes, stats.live_external_bytes), (8 * MEGABYTE as u64 - 4, 0));
    // Even what cannot be.
    heap.mutate(|mu| mu.report_external(usize::MAX));
    wait_for_cycles(&heap, 3);
    assert_none_asked_for(&heap, 3);
    heap.mutate(|mu| mu.report_external(4 * MEGABYTE));
    wait_for_cycles(&heap, 5);
}

#[derive(Trace)]
enum Shape<'gc> {
    Named { text: String, list: Vec<Vec<u16>>, held: Option<Gc<'gc, Buffer<'gc>>> },
    Tuple(Box<u64>, #[trace(skip)] Vec<u8>, Opaque<Vec<u8>>),
    Nothing,
}

/// Contains itself, by way of what owns memory.
#[derive(Trace)]
struct Tree<T> {
    value: T,
    left: Option<Box<Tree<T>>>,
    others: Vec<Tree<T>>,
    by_name: BTreeMap<u8, Forest<T>>,
}

#[derive(Trace)]
struct Forest<T> {
    trees: VecDeque<Tree<T>>,
}

#[test]
fn what_is_owned_is_reckoned_by_capacity() {
    const {
        assert!(<Shape<'static> as Trace>::OWNS_MEMORY && <Tree<u64> as Trace>::OWNS_MEMORY);
        assert!(!<(u64, Gc<'static, Buffer<'static>>, [u8; 3]) as Trace>::OWNS_MEMORY);
        assert!(!<GcMutex<Vec<u8>> as Trace>::OWNS_MEMORY && !<GcOnce<Vec<u8>> as Trace>::OWNS_MEMORY);
        assert!(!<Arc<Vec<u8>> as Trace>::OWNS_MEMORY && !<Mutex<Vec<u8>> as Trace>::OWNS_MEMORY);
    }
    let inner = || -> Vec<u16> { Vec::with_capacity(10) };
    let list = {
        let mut list = Vec::with_capacity(4);
        list.extend([inner(), inner()]);
        list
    };
    let in_list = 4 * size_of::<Vec<u16>>() + 2 * 20;
    assert_eq!(list.owned_bytes(), in_list);
    assert_eq!(Shape::Named { text: String::with_capacity(100), list, held: None }.owned_bytes(), 100 + in_list);
    assert_eq!(Shape::Tuple(Box::new(1), vec![0; 50], Opaque(vec![0; 50])).owned_bytes(), 8);
    assert_eq!(Shape::Nothing.owned_bytes(), 0);

    let leaf = |value: &str| Tree { value: value.to_owned(), left: None, others: Vec::new(), by_name: BTreeMap::new() };
    let mut tree = leaf("12345");
    tree.left = Some(Box::new(leaf("123")));
    tree.by_name.insert(1, Forest { trees: VecDeque::new() });
    assert_eq!(tree.owned_bytes(), 5 + size_of::<Tree<String>>() + 3 + size_of::<(u8, Forest<String>)>());

    let map: HashMap<u64, String> = HashMap::from([(1, "123".to_owned()), (2, "1234567".to_owned())]);
    assert_eq!(map.owned_bytes(), map.capacity() * size_of::<(u64, String)>() + 10);
    let set: HashSet<u64> = HashSet::with_capacity(10);
    assert_eq!(set.owned_bytes(), set.capacity() * 8);
    assert_eq!(BTreeSet::from([1_u32, 2, 3]).owned_bytes(), 12);
    assert_eq!(LinkedList::from([1_u32, 2]).owned_bytes(), 8);
    assert_eq!(BinaryHeap::<u32>::with_capacity(5).owned_bytes(), 20);
    assert_eq!(<Box<[u32]>>::from([1, 2, 3]).owned_bytes(), 12);
    assert_eq!(<Box<[Box<str>]>>::from(["12".into(), "3".into()]).owned_bytes(), 2 * size_of::<Box<str>>() + 3);
    assert_eq!((Some("12".to_owned()), [Ok::<String, u64>("345".to_owned()), Err(7)], 'c').owned_bytes(), 5);
    assert_eq!(PathBuf::with_capacity(9).owned_bytes() + OsString::with_capacity(9).owned_bytes(), 18);
    assert_eq!(CString::new("123").expect("no zero").owned_bytes(), 4);
    assert_eq!(Vec::<()>::with_capacity(9).owned_bytes(), 0);
}
