//! Units that are split, through the public interface and from inside.

use std::ptr::NonNull;

use crate::memory::quarters::{QUARTERS, quarter_of, unit_of_span};
use crate::memory::{PIN_FLAG_CLEAR, QUARTER_BYTES, SPAN_BYTES};
use crate::sync::Ordering;
use crate::{Gc, GcCell, Heap, Object, Pinner, Root, Trace};

#[derive(Trace)]
struct Node<'gc, const N: usize> {
    next: GcCell<'gc, Node<'gc, N>>,
    number: u64,
}

fn heap() -> Heap {
    Heap::builder().processors(1).growth_percent(100_000).build().unwrap()
}

fn rooted<const N: usize>(heap: &Heap) -> (Root<Node<'static, N>>, usize) {
    heap.mutate(|mu| {
        let node = mu.alloc(Node { next: GcCell::null(), number: N as u64 });
        (mu.root(node), Gc::as_ptr(node).addr())
    })
}

/// Units that are split, and quarters of them that are free.
fn split(heap: &Heap) -> (usize, usize) {
    heap.core().memory.with_quarters(|quarters| (quarters.units(), quarters.free().count()))
}

#[test]
fn types_share_a_unit_until_all_of_it_is_free() {
    let heap = heap();
    let memory = &heap.core().memory;
    let span = |address| memory.region.span_at(address);
    let (one, at_one) = rooted::<1>(&heap);
    let (two, at_two) = rooted::<2>(&heap);
    assert_ne!(span(at_one), span(at_two));
    assert_eq!(unit_of_span(span(at_one)), unit_of_span(span(at_two)));
    assert_eq!((split(&heap), memory.units_in_use()), ((1, 2), 1));
    assert_eq!(heap.verify().unwrap().objects, 2);
    // One goes; a third type has its quarter.
    drop(one);
    heap.collect();
    assert_eq!((split(&heap), memory.units_in_use()), ((1, 3), 1));
    heap.verify().unwrap();
    let (three, at_three) = rooted::<3>(&heap);
    assert_eq!(at_three, at_one, "the lowest is taken");
    heap.mutate(|mu| assert_eq!((two.get(mu).number, three.get(mu).number), (2, 3)));
    assert_eq!(heap.verify().unwrap().objects, 2);
    drop((two, three));
    heap.collect();
    assert_eq!((split(&heap), memory.units_in_use()), ((0, 0), 0));
    heap.verify().unwrap();
    assert!(!memory.region.span(unit_of_span(span(at_one))).is_split());
}

/// The flag says that somewhere in the unit something may be pinned.
#[test]
fn a_pin_in_one_quarter_outlives_what_was_in_the_others() {
    let heap = heap();
    let memory = &heap.core().memory;
    let (one, at_one) = rooted::<1>(&heap);
    let (two, at_two) = rooted::<2>(&heap);
    let mut pinner = Pinner::new();
    let mut other = Pinner::new();
    heap.mutate(|mu| {
        pinner.pin(mu, two.get(mu));
        other.pin(mu, one.get(mu));
    });
    other.unpin();
    drop((one, two));
    for _ in 0..3 {
        heap.collect();
        assert!(heap.is_pinned(at_two as *const u8));
        assert!(!heap.is_pinned(at_one as *const u8));
        assert_eq!(heap.verify().unwrap().objects, 1);
        assert_eq!(split(&heap), (1, 3));
    }
    // What comes where a pinned object has been begins without its pins.
    let (again, at_again) = rooted::<1>(&heap);
    assert_eq!(at_again, at_one);
    assert_eq!(heap.mutate(|mu| mu.pin_count(again.get(mu))), 0);
    pinner.unpin();
    drop(again);
    heap.collect();
    assert_eq!((split(&heap), memory.units_in_use()), ((0, 0), 0));
    let unit = unit_of_span(memory.region.span_at(at_two));
    assert_eq!(memory.region.pin_flag(unit).load(Ordering::Relaxed), PIN_FLAG_CLEAR);
    heap.verify().unwrap();
}

#[test]
fn a_class_has_quarters_while_its_part_is_small() {
    let heap = heap();
    let memory = &heap.core().memory;
    let class = memory.classes.class(<Node<'_, 1> as Object>::INFO, 16);
    let (least, most) = (8, 128);
    for own in 0..200 {
        assert_eq!(class.wants_quarter(|| 0), own < least, "{own} quarters in a small heap");
        assert_eq!(class.wants_quarter(|| 1 << 20), own < most, "{own} quarters in a large one");
        assert_eq!(class.wants_quarter(|| 80), own < 10, "{own} of 320");
        class.note_opened(crate::memory::FIRST_QUARTER);
    }
    (0..200).for_each(|_| class.note_closed(crate::memory::FIRST_QUARTER));
    assert!(class.wants_quarter(|| 0));
    (0..2).for_each(|_| class.note_opened(7));
    assert!(!class.wants_quarter(|| 0), "two units are eight quarters");
    let large_slots = |bytes| memory.classes.class(<Node<'_, 1> as Object>::INFO, bytes);
    assert!(large_slots(1024).wants_quarter(|| 1 << 20) && !large_slots(1040).wants_quarter(|| 1 << 20));
    assert!(!large_slots(0).fits_quarter(), "objects with spans of their own");
}

/// However a region is cut up, all of it is of use in the end.
#[test]
fn where_no_unit_is_free_a_quarter_will_do() {
    let units = 16;
    let heap = Heap::builder().processors(1).region_size(units * SPAN_BYTES).growth_percent(100_000).build().unwrap();
    let memory = &heap.core().memory;
    // It has a quarter of the first unit.
    let (_other, _) = rooted::<2>(&heap);
    let (list, nodes) = heap.mutate(|mu| {
        let (mut list, mut nodes) = (None::<Gc<'_, Node<'_, 1>>>, 0);
        while let Ok(node) = mu.try_alloc(Node { next: GcCell::new(list), number: nodes }) {
            list = Some(node);
            nodes += 1;
        }
        (mu.root(list.expect("there is room for some")), nodes)
    });
    let slots = units * QUARTERS - 1;
    assert_eq!(nodes as usize, slots * (QUARTER_BYTES / size_of::<Node<'_, 1>>()), "all but the one quarter");
    assert_eq!((split(&heap), memory.units_in_use()), ((3, 0), units));
    heap.verify().unwrap();
    heap.mutate(|mu| {
        let all = std::iter::successors(Some(list.get(mu)), |node| node.next.load());
        assert!(all.map(|node| node.number).eq((0..nodes).rev()));
    });
    drop(list);
    heap.collect();
    assert_eq!((split(&heap), memory.units_in_use()), ((1, 3), 1));
    heap.verify().unwrap();
}

/// The addresses of objects lie in the spans that their records speak for.
#[test]
fn an_address_inside_an_object_leads_to_its_start() {
    let heap = heap();
    let core = heap.core();
    let (_roots, addresses): (Vec<_>, Vec<_>) = (0..3000).map(|_| rooted::<5>(&heap)).unzip();
    let region = &core.memory.region;
    let mut quarters = 0;
    for &address in &addresses {
        for within in [0, 1, 15] {
            assert_eq!(core.object_at(address + within), Some(address));
        }
        let span = region.span_at(address);
        quarters += usize::from(quarter_of(span).is_some());
        let start = region.span_start(span).addr().get();
        assert!((start..start + SPAN_BYTES).contains(&address));
        let record = region.span_of(NonNull::new(region.pointer(address).as_ptr()).unwrap());
        assert!(std::ptr::eq(record, region.span(span)));
    }
    assert_eq!(quarters, 3000, "eight quarters have room for 8192");
}

/// Where a unit is one span, its flag is that span's.
#[test]
fn a_pin_in_a_whole_unit_outlives_what_was_beside_it() {
    let heap = heap();
    let memory = &heap.core().memory;
    let mut pinner = Pinner::new();
    let mut other = Pinner::new();
    // Too large for quarters.
    let address = heap.mutate(|mu| {
        other.pin(mu, mu.alloc([1_u8; 2000]));
        pinner.pin(mu, mu.alloc([2_u8; 2000])).addr().get()
    });
    assert_eq!(quarter_of(memory.region.span_at(address)), None);
    other.unpin();
    for _ in 0..3 {
        heap.collect();
        assert!(heap.is_pinned(address as *const u8));
        assert_eq!(heap.verify().unwrap().objects, 1);
    }
    pinner.unpin();
    heap.collect();
    assert_eq!(memory.units_in_use(), 0);
    heap.verify().unwrap();
}
