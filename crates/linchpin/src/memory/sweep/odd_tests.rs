//! Slots of an odd number of words, through the public interface and from inside.

use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::memory::quarters::{bytes_in_unit, lead, quarter_of};
use crate::memory::size_class::is_odd;
use crate::memory::{GRANULE, SPAN_BYTES};
use crate::verify::settings::{DebugSettings, Verify};
use crate::{Gc, GcCell, Heap, Mutator, Object, Pinner, Root, Trace};

/// Of `WORDS` + 2 words.
#[derive(Trace)]
struct Node<'gc, const WORDS: usize> {
    next: GcCell<'gc, Node<'gc, WORDS>>,
    number: usize,
    more: [usize; WORDS],
}

type Table<const WORDS: usize> = Root<[GcCell<'static, Node<'static, WORDS>>]>;

/// More than quarters have room for, so that whole units are among the spans.
const NODES: usize = 30_000;

fn heap() -> Heap {
    Heap::builder().processors(1).growth_percent(100_000).build().unwrap()
}

/// One that looks at all it does, and fills what is free.
fn verified() -> Heap {
    let debug = DebugSettings::new().verify(Verify::Strict).poison(true);
    Heap::builder().processors(1).growth_percent(100_000).debug(debug).build().unwrap()
}

fn alloc<'gc, const WORDS: usize>(mu: &Mutator<'gc>, number: usize) -> Gc<'gc, Node<'gc, WORDS>> {
    mu.alloc(Node { next: GcCell::null(), number, more: [number; WORDS] })
}

fn table_of<const WORDS: usize>(heap: &Heap) -> Table<WORDS> {
    heap.mutate(|mu| {
        let table = mu.alloc_slice_with(NODES, |_| GcCell::<Node<'_, WORDS>>::null());
        (0..NODES).for_each(|number| table[number].store(mu, alloc(mu, number)));
        mu.root(table)
    })
}

fn addresses<const WORDS: usize>(heap: &Heap, table: &Table<WORDS>) -> BTreeMap<usize, usize> {
    heap.mutate(|mu| {
        let live = |(number, cell): (usize, &GcCell<'_, Node<'_, WORDS>>)| {
            let node = cell.load()?;
            assert_eq!((node.number, node.more), (number, [number; WORDS]), "what it holds is its own");
            Some((node.start().addr().get(), number))
        };
        table.get(mu).iter().enumerate().filter_map(live).collect()
    })
}

/// Runs a test for nodes of each odd size.
macro_rules! for_each_size {
    ($test:ident) => {
        $test::<1>(heap());
        $test::<3>(heap());
        $test::<5>(heap());
        $test::<7>(heap());
        $test::<9>(heap());
        $test::<11>(heap());
        $test::<13>(heap());
        $test::<1>(verified());
        $test::<5>(verified());
    };
}

/// No slot is left out, none lies in two spans, and each byte of an object leads to it.
fn fill<const WORDS: usize>(heap: Heap) {
    let table = table_of::<WORDS>(&heap);
    let all = addresses(&heap, &table);
    let (core, bytes) = (heap.core(), size_of::<Node<'_, WORDS>>());
    let region = &core.memory.region;
    assert_eq!(all.len(), NODES);
    let mut spans: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &address in all.keys() {
        assert!((address % SPAN_BYTES).is_multiple_of(bytes), "{address:#x} in slots of {bytes}");
        for within in [0, 7, GRANULE, bytes - 1] {
            assert_eq!(core.object_at(address + within), Some(address), "{within} bytes into {address:#x}");
        }
        spans.entry(region.span_at(address)).or_default().push(address);
    }
    let quarters = spans.keys().filter(|&&span| quarter_of(span).is_some()).count();
    assert!(quarters >= 4 && spans.len() > quarters, "{quarters} quarters of {} spans", spans.len());
    // One of them is not full yet.
    let full = spans.iter().filter(|&(&span, slots)| region.slots(span).eq(slots.iter().copied())).count();
    assert!(full + 1 >= spans.len(), "{full} of {} spans", spans.len());
    for &span in spans.keys() {
        let start = region.span_start(span).addr().get();
        let end = region.slots(span).last().unwrap() + bytes;
        assert!(
            end <= start + bytes_in_unit(span) && end + bytes > start + bytes_in_unit(span),
            "as many as there is room for"
        );
        // What comes before the first slot is nobody's.
        assert!((start..start + lead(span, bytes)).all(|address| core.object_at(address).is_none()));
    }
    heap.verify().unwrap();
}

#[test]
fn odd_slots_fill_spans() {
    for_each_size!(fill);
}

/// What dies leaves free slots, all of which are found again; and nothing else is handed out.
fn reuse<const WORDS: usize>(heap: Heap) {
    let table = table_of::<WORDS>(&heap);
    let before = addresses(&heap, &table);
    // Runs of all lengths, and of one.
    let is_kept = |number: usize| number.wrapping_mul(0x9e37_79b9) >> 7 & 3 != 0 || number % 1000 < 300;
    heap.mutate(|mu| {
        let table = table.get(mu);
        (0..NODES).filter(|&number| !is_kept(number)).for_each(|number| table[number].clear(mu));
    });
    heap.collect();
    heap.verify().unwrap();
    let kept = addresses(&heap, &table);
    assert!(
        kept.values().all(|&number| is_kept(number))
            && kept.len() == (0..NODES).filter(|&number| is_kept(number)).count()
    );
    let units = heap.core().memory.units_in_use();
    heap.mutate(|mu| {
        let table = table.get(mu);
        (0..NODES).filter(|&number| !is_kept(number)).for_each(|number| table[number].store(mu, alloc(mu, number)));
    });
    let after = addresses(&heap, &table);
    assert!(kept.iter().all(|(address, number)| after.get(address) == Some(number)), "who lives stays where he is");
    let places = |all: &BTreeMap<usize, usize>| all.keys().copied().collect::<BTreeSet<_>>();
    // The last span had slots that nothing had been in.
    let others = places(&after).difference(&places(&before)).count();
    assert!(
        others < SPAN_BYTES / size_of::<Node<'_, WORDS>>() && heap.core().memory.units_in_use() <= units,
        "{others} new"
    );
    heap.verify().unwrap();
}

#[test]
fn free_odd_slots_are_found_again() {
    for_each_size!(reuse);
}

/// A list that goes through all spans by leaps: whatever leads to it, each of its objects is found by its granule, and traced.
fn trace<const WORDS: usize>(heap: Heap) {
    let table = table_of::<WORDS>(&heap);
    let first = heap.mutate(|mu| {
        let table = table.get(mu);
        let mut place = 0;
        for _ in 1..NODES {
            // No multiple of it has a factor in common with the number of nodes.
            let next = (place + 7919) % NODES;
            table[place].load().unwrap().next.store(mu, table[next].load().unwrap());
            place = next;
        }
        mu.root(table[0].load().unwrap())
    });
    let before = addresses(&heap, &table);
    drop(table);
    for _ in 0..2 {
        heap.collect();
        heap.verify().unwrap();
    }
    heap.mutate(|mu| {
        let list = std::iter::successors(Some(first.get(mu)), |node| node.next.load());
        let after: BTreeMap<_, _> = list.map(|node| (node.start().addr().get(), node.number)).collect();
        assert_eq!(after, before);
    });
    assert_eq!(heap.stats().live_objects, NODES as u64);
}

#[test]
fn odd_objects_are_traced() {
    for_each_size!(trace);
}

/// A pin is that of one object, though the end of another may lie in its granule.
fn pin<const WORDS: usize>(heap: Heap) {
    let core = heap.core();
    let bytes = size_of::<Node<'_, WORDS>>();
    let mut pinner = Pinner::new();
    let (pinned, others): (Vec<_>, Vec<_>) = heap.mutate(|mu| {
        let nodes: Vec<_> = (0..NODES).map(|number| alloc::<WORDS>(mu, number)).collect();
        let mut places = (Vec::new(), Vec::new());
        for (number, &node) in nodes.iter().enumerate() {
            let address = node.start().addr().get();
            if number % 5 < 2 {
                pinner.pin(mu, node);
                places.0.push(address);
            } else {
                places.1.push(address);
            }
        }
        places
    });
    let is_pinned = |address: usize| heap.is_pinned(std::ptr::without_provenance::<u8>(address));
    let bytes_of = |address: usize| [0, 7, 8, bytes - 8, bytes - 1].map(|within| address + within);
    for &address in &pinned {
        assert!(bytes_of(address).into_iter().all(is_pinned), "{address:#x}");
        let counter = NonNull::from(core.memory.region.pin_counter(address));
        // SAFETY: it is one of this heap, and counts a pin.
        assert_eq!(unsafe { core.memory.region.object_of_counter(counter) }.addr().get(), address);
    }
    assert!(!others.iter().any(|&address| bytes_of(address).into_iter().any(is_pinned)));
    heap.collect();
    heap.verify().unwrap();
    assert_eq!(heap.stats().live_objects, pinned.len() as u64);
    pinner.unpin();
    heap.collect();
    heap.verify().unwrap();
    assert_eq!(heap.stats().live_objects, 0);
}

#[test]
fn odd_objects_are_pinned_one_by_one() {
    for_each_size!(pin);
}

/// Texts of all lengths that have small slots, some of them odd.
#[test]
fn texts_lie_in_odd_slots_and_others() {
    let heap = heap();
    let text = |number: usize| "abcdefghijklmnopqrstuvwxyz".repeat(5)[..number % 130].to_owned();
    let table = heap.mutate(|mu| {
        let table = mu.alloc_slice_with(NODES, |_| GcCell::<str>::null());
        (0..NODES).for_each(|number| table[number].store(mu, mu.alloc_str(&text(number))));
        mu.root(table)
    });
    heap.mutate(|mu| (0..NODES).filter(|number| number % 3 == 1).for_each(|number| table.get(mu)[number].clear(mu)));
    heap.collect();
    heap.mutate(|mu| {
        let table = table.get(mu);
        (0..NODES)
            .filter(|number| number % 3 == 1)
            .for_each(|number| table[number].store(mu, mu.alloc_str(&text(number))));
        let mut odd = 0;
        for (number, cell) in table.iter().enumerate() {
            let held = cell.load().unwrap();
            assert_eq!(*held, *text(number));
            odd += usize::from(is_odd(heap.core().memory.region.span_of(held.start()).slot_bytes()));
        }
        assert!((NODES / 3..NODES / 2).contains(&odd), "{odd} of {NODES}");
    });
    heap.verify().unwrap();
}

/// A slice of pointers has whole granules: what traces it does not know the size of its slot.
#[test]
fn traced_slices_are_not_odd() {
    let heap = heap();
    heap.mutate(|mu| {
        for length in 0..200 {
            let slice = mu.alloc_slice_with(length, |_| GcCell::<u64>::null());
            let span = heap.core().memory.region.span_of(slice.start());
            assert!(span.info().unwrap().trace.is_some() && !is_odd(span.slot_bytes()), "{length}");
        }
    });
    assert!(<[u64] as Object>::INFO.is_plain());
}

/// Who is dead is dropped, once, and nobody else.
#[test]
fn odd_values_are_dropped() {
    #[derive(Trace)]
    struct Counted(Arc<AtomicUsize>, usize, usize);

    impl Drop for Counted {
        fn drop(&mut self) {
            assert_eq!(self.1, self.2);
            self.0.fetch_add(self.1, Ordering::Relaxed);
            self.2 = usize::MAX;
        }
    }

    let heap = heap();
    let dropped = Arc::new(AtomicUsize::new(0));
    let table = heap.mutate(|mu| {
        let table = mu.alloc_slice_with(NODES, |_| GcCell::<Counted>::null());
        (0..NODES).for_each(|number| table[number].store(mu, mu.alloc(Counted(Arc::clone(&dropped), number, number))));
        mu.root(table)
    });
    let is_kept = |number: usize| number % 7 < 3;
    heap.mutate(|mu| (0..NODES).filter(|&number| !is_kept(number)).for_each(|number| table.get(mu)[number].clear(mu)));
    heap.collect();
    assert_eq!(dropped.load(Ordering::Relaxed), (0..NODES).filter(|&number| !is_kept(number)).sum::<usize>());
    heap.mutate(|mu| {
        let kept = |number: usize| table.get(mu)[number].load().map(|value| (value.1, value.2));
        (0..NODES).for_each(|number| assert_eq!(kept(number), is_kept(number).then_some((number, number))));
    });
    drop(table);
    heap.collect();
    assert_eq!(dropped.load(Ordering::Relaxed), (0..NODES).sum::<usize>());
    heap.verify().unwrap();
}
