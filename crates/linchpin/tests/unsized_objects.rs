//! Objects whose size or type is not in their pointer's type: behind traits, with headers, formatted.

#![cfg(not(loom))]

mod common;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Counted, Ledger, churn};
use linchpin::{
    Gc, GcCell, GcDyn, GcMutex, GcOnce, HeaderSlice, Heap, Mutator, Pinner, Root, Trace, WeakRoot, trait_object, unsize,
};

/// A trait that names the heap's lifetime: what it gives are pointers.
trait Node<'gc>: fmt::Debug {
    fn number(&self) -> usize;
    fn next(&self, mu: &Mutator<'gc>) -> Option<GcDyn<'gc, dyn Node<'gc> + 'gc>>;
}
trait_object!(dyn Node<'gc>);

/// One that does not, though those who implement it hold pointers.
trait Name {
    fn name(&self) -> String;
}
trait_object!(dyn Name);

#[derive(Trace, Debug)]
struct Leaf {
    number: usize,
}

impl<'gc> Node<'gc> for Leaf {
    fn number(&self) -> usize {
        self.number
    }

    fn next(&self, _: &Mutator<'gc>) -> Option<GcDyn<'gc, dyn Node<'gc> + 'gc>> {
        None
    }
}

#[derive(Trace)]
struct Link<'gc> {
    counted: Counted,
    next: GcMutex<Option<GcDyn<'gc, dyn Node<'gc> + 'gc>>>,
}

impl fmt::Debug for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.counted.entry())
    }
}

impl<'gc> Node<'gc> for Link<'gc> {
    fn number(&self) -> usize {
        self.counted.entry()
    }

    fn next(&self, mu: &Mutator<'gc>) -> Option<GcDyn<'gc, dyn Node<'gc> + 'gc>> {
        *self.next.lock(mu)
    }
}

impl Name for Link<'_> {
    fn name(&self) -> String {
        format!("link {}", self.counted.entry())
    }
}

impl Name for String {
    fn name(&self) -> String {
        self.clone()
    }
}

type Start<'gc> = GcDyn<'gc, dyn Node<'gc> + 'gc>;

#[test]
fn objects_behind_a_trait_are_kept() {
    const LENGTH: usize = 100;
    let heap = Heap::new();
    let ledger = Ledger::new(LENGTH);
    let root: Root<Start<'static>> = heap.mutate(|mu| {
        let mut node: Start<'_> = unsize!(mu.alloc(Leaf { number: LENGTH }) => dyn Node<'_>);
        for entry in (0..LENGTH).rev() {
            let link = mu.alloc(Link { counted: ledger.counted(entry), next: GcMutex::new(Some(node)) });
            node = unsize!(link => dyn Node<'_>);
        }
        mu.root(mu.alloc(node))
    });
    for _ in 0..3 {
        heap.collect();
        churn(&heap, 1000);
        ledger.assert_none();
        heap.mutate(|mu| {
            let mut node = *root.get(mu);
            for number in 0..LENGTH {
                assert_eq!(node.number(), number);
                node = node.next(mu).expect("there is a next one");
            }
            assert!(node.number() == LENGTH && node.next(mu).is_none());
            assert_eq!(format!("{node:?}"), "Leaf { number: 100 }");
        });
    }
    heap.verify().unwrap();
    drop(root);
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn one_object_may_be_seen_as_several_things() {
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    heap.mutate(|mu| {
        let link = mu.alloc(Link { counted: ledger.counted(0), next: GcMutex::default() });
        let other = mu.alloc(Link { counted: Ledger::new(1).counted(0), next: GcMutex::default() });
        let (node, same) = (unsize!(link => dyn Node<'_>), unsize!(link => dyn Node<'_>));
        let name = unsize!(link => dyn Name);
        assert!(GcDyn::ptr_eq(node, same) && !GcDyn::ptr_eq(node, unsize!(other => dyn Node<'_>)));
        assert_eq!((name.name(), node.number()), ("link 0".to_owned(), 0));
        assert_eq!(name.as_ref().name(), "link 0");
        assert!(std::ptr::eq(std::ptr::from_ref(name.as_ref()).cast::<u8>(), Gc::as_ptr(link).cast()));
        // A ring, through the trait.
        *link.next.lock(mu) = Some(node);
        assert!(GcDyn::ptr_eq(node.next(mu).unwrap().next(mu).unwrap(), node));
    });
    heap.collect();
    ledger.assert_each_once();
}

/// Where there is room for one word, an object with the pointer stands in.
#[test]
fn a_pointer_to_a_trait_lies_in_anything() {
    #[derive(Trace)]
    struct Names<'gc> {
        first: GcDyn<'gc, dyn Name + 'gc>,
        cell: GcCell<'gc, GcDyn<'gc, dyn Name + 'gc>>,
        once: GcOnce<GcDyn<'gc, dyn Name + 'gc>>,
        slice: Gc<'gc, [GcDyn<'gc, dyn Name + 'gc>]>,
    }
    let heap = Heap::new();
    let (root, weak): (Root<Names<'static>>, WeakRoot<String>) = heap.mutate(|mu| {
        let text = |text: &str| mu.alloc(text.repeat(10));
        let first = unsize!(text("1") => dyn Name);
        let names = mu.alloc(Names {
            first,
            cell: GcCell::new(mu.alloc(unsize!(text("2") => dyn Name))),
            once: GcOnce::new(),
            slice: mu.alloc_slice_copy(&[unsize!(text("3") => dyn Name), unsize!(text("4") => dyn Name)]),
        });
        let last = text("5");
        assert!(names.once.set(mu, unsize!(last => dyn Name)).is_ok());
        (mu.root(names), mu.weak_root(last))
    });
    heap.collect();
    churn(&heap, 1000);
    heap.mutate(|mu| {
        let names = root.get(mu);
        let all =
            [names.first, *names.cell.load().unwrap(), names.slice[0], names.slice[1], *names.once.get().unwrap()];
        assert_eq!(all.map(|name| name.name()), ["1", "2", "3", "4", "5"].map(|text| text.repeat(10)));
        assert!(weak.upgrade(mu).is_some());
    });
    drop(root);
    heap.collect();
    heap.mutate(|mu| assert!(weak.upgrade(mu).is_none()));
}

#[derive(Trace)]
#[repr(align(64))]
struct Wide(u8);

/// Writes, reads and pins a header and a slice of these types, at several lengths.
fn check_layout<H, T>(heap: &Heap, header: fn() -> H, element: fn(usize) -> T, is: fn(&H, &[T]) -> bool)
where
    H: for<'gc> linchpin::Allocate<'gc> + Trace + 'static,
    T: for<'gc> linchpin::Allocate<'gc> + Trace + 'static,
{
    for length in [0, 1, 2, 3, 7, 100, 3000, 70_000] {
        let mut pinner = Pinner::new();
        let address = heap.mutate(|mu| {
            // Neighbours of the same kind, which must not be taken for it.
            let all = [(); 3].map(|()| mu.alloc_header_slice(header(), length, element));
            for object in all {
                assert_eq!(object.slice.len(), length);
                assert!(is(&object.header, &object.slice));
                let start = Gc::as_ptr(object).cast::<u8>();
                assert!(start.addr().is_multiple_of(align_of::<H>().max(align_of::<T>())));
            }
            let address = pinner.pin(mu, all[1]);
            assert_eq!(all.map(|object| mu.pin_count(object)), [0, 1, 0]);
            assert!(heap.is_pinned(address.as_ptr().cast::<u8>()));
            address
        });
        heap.collect();
        // SAFETY: it is pinned, and nobody changes it.
        let object = unsafe { address.as_ref() };
        assert!(object.slice.len() == length && is(&object.header, &object.slice));
    }
    heap.verify().unwrap();
}

#[test]
fn headers_and_slices_of_every_layout_keep_to_themselves() {
    let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
    check_layout(
        &heap,
        || 7_u8,
        |index| index as u8,
        |&h, s| h == 7 && s.iter().enumerate().all(|(i, &e)| e == i as u8),
    );
    check_layout(&heap, || 7_u8, |index| index, |&h, s| h == 7 && s.iter().enumerate().all(|(i, &e)| e == i));
    check_layout(
        &heap,
        || 7_u64,
        |index| index as u8,
        |&h, s| h == 7 && s.iter().enumerate().all(|(i, &e)| e == i as u8),
    );
    check_layout(&heap, || (), |_| (), |(), s| s.iter().all(|()| true));
    check_layout(&heap, || [1_u32; 3], |_| (), |h, s| h == &[1; 3] && s.iter().all(|()| true));
    check_layout(
        &heap,
        || Wide(7),
        |index| index as u8,
        |h, s| h.0 == 7 && s.iter().enumerate().all(|(i, &e)| e == i as u8),
    );
    check_layout(
        &heap,
        || 7_u8,
        |index| Wide(index as u8),
        |&h, s| h == 7 && s.iter().enumerate().all(|(i, e)| e.0 == i as u8),
    );
    check_layout(
        &heap,
        || "header".to_owned(),
        |index| index.to_string(),
        |h, s| h == "header" && s.iter().enumerate().all(|(i, e)| *e == i.to_string()),
    );
}

/// Pointers in both, of which those in the slice change one by one.
#[test]
fn header_and_elements_are_traced() {
    type Object<'gc> = HeaderSlice<Gc<'gc, String>, [GcCell<'gc, Counted>]>;
    const LENGTH: usize = 50;
    let heap = Heap::new();
    let ledger = Ledger::new(LENGTH + 1);
    let root: Root<Object<'static>> = heap.mutate(|mu| {
        let header = mu.alloc("header".repeat(10));
        let object = mu.alloc_header_slice(header, LENGTH, |entry| GcCell::new(mu.alloc(ledger.counted(entry))));
        mu.root(object)
    });
    heap.collect();
    churn(&heap, 1000);
    ledger.assert_none();
    heap.mutate(|mu| {
        let object = root.get(mu);
        assert_eq!(*object.header, "header".repeat(10));
        assert!(object.slice.iter().enumerate().all(|(entry, cell)| cell.load().unwrap().entry() == entry));
        object.slice[7].store(mu, mu.alloc(ledger.counted(LENGTH)));
    });
    heap.collect();
    assert_eq!((ledger.total(), ledger.drops_of(7)), (1, 1));
    heap.verify().unwrap();
    drop(root);
    heap.collect();
    ledger.assert_each_once();
}

/// Panics as it is dropped, after that was booked.
struct Bomb(Counted);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.0.entry().is_multiple_of(2), "a value that panics when it is dropped");
    }
}

// SAFETY: it holds no pointers.
unsafe impl Trace for Bomb {
    type Branded<'b> = Self;
    const NEEDS_TRACE: bool = false;
    fn trace(&self, _: &mut linchpin::Tracer<'_>) {}
}

#[test]
fn header_and_elements_are_dropped_once_whoever_panics() {
    let heap = Heap::new();
    let ledger = Ledger::new(8);
    heap.mutate(|mu| {
        mu.alloc_header_slice(Bomb(ledger.counted(0)), 7, |index| Bomb(ledger.counted(index + 1)));
    });
    heap.collect();
    ledger.assert_each_once();
    assert_eq!(heap.stats().drop_panics, 1, "one object, one panic");
}

/// What is there when `make` panics is an object like any other.
#[test]
fn a_panic_in_an_element_leaves_a_shorter_slice() {
    let heap = Heap::new();
    let ledger = Ledger::new(6);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        heap.mutate(|mu| {
            mu.alloc_header_slice(ledger.counted(0), 10, |index| {
                assert!(index < 5, "the sixth element panics");
                ledger.counted(index + 1)
            });
        });
    }));
    panic.unwrap_err();
    heap.verify().unwrap();
    ledger.assert_none();
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn a_full_region_gives_the_header_up() {
    let heap = Heap::builder().processors(1).region_size(1 << 20).build().expect("a small heap");
    let ledger = Ledger::new(1);
    heap.mutate(|mu| {
        let refused =
            mu.try_alloc_header_slice(ledger.counted(0), 1 << 20, |_| -> u64 { unreachable!("there is no room") });
        assert!(refused.is_err_and(|refused| refused.requested_bytes > 8 << 20));
        ledger.assert_each_once();
        assert!(mu.try_alloc_header_slice((), usize::MAX, |_| 0_u64).is_err());
        assert_eq!(mu.try_alloc_header_slice(7_u8, 3, |index| index).unwrap().slice, [0, 1, 2]);
    });
}

#[test]
fn a_header_slice_has_weak_pointers_and_cleanups() {
    let heap = Heap::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let weak = heap.mutate(|mu| {
        let object = mu.alloc_header_slice(1_u8, 2, |index| index);
        mu.on_collect(object, move |_| sender.send(()).unwrap());
        let weak = mu.weak_root(object);
        assert_eq!(weak.upgrade(mu).unwrap().slice, [0, 1]);
        weak
    });
    heap.collect();
    receiver.recv().unwrap();
    heap.mutate(|mu| assert!(weak.upgrade(mu).is_none()));
}

#[test]
fn strings_are_formatted_into_the_heap() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        assert_eq!(&*mu.alloc_fmt(format_args!("as it is")), "as it is");
        assert_eq!(
            &*mu.alloc_fmt(format_args!("{:>3}|{:?}|{}", 7, "é", "ü".repeat(300))),
            format!("  7|\"é\"|{}", "ü".repeat(300))
        );
        assert!(mu.alloc_fmt(format_args!("{}", "")).is_empty());
    });
}

/// Equal, ordered, hashed and borrowed like what they lead to.
#[test]
fn pointers_stand_for_what_they_lead_to() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        let words = ["b", "a", "c", "a"].map(|word| mu.alloc_str(word));
        let mut sorted = words;
        sorted.sort();
        assert_eq!(sorted.map(|word| word.to_string()), ["a", "a", "b", "c"]);
        assert!(words[0] > words[1] && words[1] == words[3] && !Gc::ptr_eq(words[1], words[3]));
        let hashed: HashMap<_, _> = words.into_iter().zip(0..).collect();
        assert_eq!((hashed.get("a"), hashed.get("x")), (Some(&3), None));
        let ordered: BTreeMap<_, _> = words.into_iter().zip(0..).collect();
        assert_eq!(ordered.get("b"), Some(&0));
        let numbers = mu.alloc_slice_copy(&[1, 2, 3]);
        let mut sum = 0;
        for number in numbers {
            sum += number;
        }
        assert_eq!((sum, numbers.into_iter().max()), (6, Some(&3)));
    });
}
