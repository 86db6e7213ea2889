//! Memory that is not needed goes back to the operating system, and comes back when it is.

use std::ops::Range;

use linchpin::{DebugSettings, GcCell, Heap, Root, Trace, Verify};

const MEGABYTE: usize = 1 << 20;

#[derive(Trace)]
struct Node<'gc> {
    number: u64,
    next: GcCell<'gc, Node<'gc>>,
}

/// How many of the whole pages in a range the system has memory for, and how many there are.
fn resident(range: &Range<usize>) -> (usize, usize) {
    // SAFETY: it asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    let start = range.start.next_multiple_of(page);
    let pages = (range.end - start) / page;
    let mut state = vec![0_u8; pages];
    // SAFETY: there is a byte for each page.
    let outcome =
        unsafe { libc::mincore(std::ptr::with_exposed_provenance_mut(start), pages * page, state.as_mut_ptr().cast()) };
    assert_eq!(outcome, 0, "{}", std::io::Error::last_os_error());
    (state.iter().filter(|&state| state & 1 != 0).count(), pages)
}

/// An array of so many bytes, none of them 0.
fn array(heap: &Heap, bytes: usize) -> (Root<[u8]>, Range<usize>) {
    let content: Vec<u8> = (0..bytes).map(|index| (index % 251) as u8 + 1).collect();
    heap.mutate(|mu| {
        let array = mu.alloc_slice_copy(&content);
        let start = array.as_ptr().addr();
        (mu.root(array), start..start + bytes)
    })
}

fn is_intact(heap: &Heap, array: &Root<[u8]>) -> bool {
    heap.mutate(|mu| array.get(mu).iter().enumerate().all(|(index, &byte)| byte == (index % 251) as u8 + 1))
}

fn list(heap: &Heap, nodes: u64) -> Root<Node<'static>> {
    heap.mutate(|mu| {
        let list = (0..nodes).fold(None, |next, number| {
            let node = mu.alloc(Node { number, next: GcCell::null() });
            node.next.store(mu, next);
            Some(node)
        });
        mu.root(list.expect("it has nodes"))
    })
}

fn sum(heap: &Heap, list: &Root<Node<'static>>) -> u64 {
    heap.mutate(|mu| std::iter::successors(Some(list.get(mu)), |node| node.next.load()).map(|node| node.number).sum())
}

fn memory_goes_and_comes_back(heap: &Heap) {
    const NODES: u64 = 50_000;
    let kept = list(heap, NODES);
    let (large, range) = array(heap, 32 * MEGABYTE);
    let (neighbour, _) = array(heap, MEGABYTE);
    let dropped = list(heap, 4 * NODES);
    let (with_memory, pages) = resident(&range);
    assert_eq!(with_memory, pages, "all of it was written to");
    let before = heap.stats();
    assert_eq!(before.returned_bytes, 0);
    assert!(before.resident_bytes > before.span_bytes);
    drop((large, dropped));

    heap.return_memory();
    assert_eq!(resident(&range).0, 0);
    let after = heap.stats();
    assert!(after.returned_bytes >= 32 * MEGABYTE, "{after:?}");
    assert!(after.resident_bytes <= before.resident_bytes - 32 * MEGABYTE, "{after:?} {before:?}");
    assert_eq!(sum(heap, &kept), NODES * (NODES - 1) / 2);
    assert!(is_intact(heap, &neighbour));
    assert!(heap.verify().unwrap().objects >= NODES);

    // The same room again.
    let (large, again) = array(heap, 32 * MEGABYTE);
    let more = list(heap, 4 * NODES);
    assert_eq!(again, range);
    assert!(heap.stats().returned_bytes < after.returned_bytes - 31 * MEGABYTE);
    heap.collect();
    assert!(is_intact(heap, &large) && is_intact(heap, &neighbour));
    assert_eq!(sum(heap, &kept), NODES * (NODES - 1) / 2);
    assert_eq!(sum(heap, &more), 4 * NODES * (4 * NODES - 1) / 2);
    assert!(heap.verify().unwrap().objects >= 5 * NODES);
}

#[test]
fn what_was_dropped_is_returned_and_can_be_used_again() {
    memory_goes_and_comes_back(&Heap::builder().processors(1).growth_percent(10_000).build().unwrap());
}

#[test]
fn so_it_is_where_free_memory_is_poisoned_and_each_cycle_verified() {
    let settings = DebugSettings::new().verify(Verify::On).poison(true);
    let heap = Heap::builder().processors(1).growth_percent(10_000).debug(settings);
    memory_goes_and_comes_back(&heap.build().unwrap());
}

/// What a root keeps after the heap's end is all that stays.
#[test]
fn a_heap_that_has_ended_keeps_no_free_memory() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let (large, range) = array(&heap, 16 * MEGABYTE);
    let (kept, kept_range) = array(&heap, MEGABYTE);
    drop(large);
    drop(heap);
    assert_eq!(resident(&range).0, 0);
    let (with_memory, pages) = resident(&kept_range);
    assert_eq!(with_memory, pages);
    drop(kept);
}

#[test]
#[should_panic(expected = "inside a mutation")]
fn memory_is_not_returned_inside_a_mutation() {
    let heap = Heap::new();
    heap.mutate(|_| heap.return_memory());
}
