//! Shapes of objects: slices of every length and of several element types, objects of no size, of large alignment, and in
//! any mix; all keep their contents over collections and lie where they should.

use std::sync::atomic::{AtomicU64, Ordering};

use linchpin::{Allocate, Gc, GcCell, Heap, Mutator, Object, Root, Trace};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::cases;
use crate::token::{Ledger, Token};

const LONGEST: usize = 70_000;

#[derive(Debug, Clone, Copy)]
enum Element {
    Byte,
    Short,
    Word,
    Wide,
    Nothing,
    Three,
    Token,
    Cell,
    Line,
}

/// Three bytes: not a power of two.
#[derive(Trace, Clone, Copy, PartialEq)]
struct Three([u8; 3]);

#[derive(Trace, Clone, Copy, PartialEq)]
#[repr(align(64))]
struct Line(u64);

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0..=40_usize,
        2 => 0..=2000_usize,
        // Around the largest slot, in elements of several sizes, and around whole spans.
        1 => prop::sample::select(vec![512_usize, 1024, 2048, 4096, 8192, 16384, 32768, 65536])
            .prop_flat_map(|near| near - 10..=near + 10),
        1 => 0..=LONGEST,
    ]
}

fn element() -> impl Strategy<Value = Element> {
    use Element::*;
    prop::sample::select(vec![Byte, Short, Word, Wide, Nothing, Three, Token, Cell, Line])
}

/// Checks a slice, in a mutation, later.
type Check = Box<dyn Fn(&Mutator<'_>)>;

/// A slice kept by a root, of elements that `value` gives and `matches` recognises.
fn slice_of<T>(heap: &Heap, length: usize, value: impl Fn(usize) -> T + 'static) -> Check
where
    T: for<'gc> Allocate<'gc> + for<'gc> Trace<Branded<'gc> = T> + PartialEq + 'static,
{
    let root: Root<[T]> = heap.mutate(|mu| mu.root(mu.alloc_slice_with(length, &value)));
    let address = heap.mutate(|mu| Gc::as_ptr(root.get(mu)).cast::<u8>().addr());
    Box::new(move |mu| {
        let slice = root.get(mu);
        assert_eq!(Gc::as_ptr(slice).cast::<u8>().addr(), address, "a slice has moved");
        assert!(address.is_multiple_of(align_of::<T>()));
        assert_eq!(slice.len(), length);
        assert!(slice.iter().enumerate().all(|(index, element)| *element == value(index)), "a slice has changed");
    })
}

fn tokens(heap: &Heap, ledger: &Ledger, length: usize) -> Check {
    let first = ledger.next_entry();
    let root = heap.mutate(|mu| mu.root(mu.alloc_slice_with(length, |_| ledger.token())));
    Box::new(move |mu| {
        let slice = root.get(mu);
        assert_eq!(slice.len(), length);
        slice.iter().for_each(Token::assert_live);
        assert!(slice.iter().enumerate().all(|(index, token)| token.entry() == first + index));
    })
}

fn cells(heap: &Heap, length: usize) -> Check {
    let root = heap.mutate(|mu| {
        let cells = mu.alloc_slice_with(length, |index| GcCell::new(mu.alloc(index as u64)));
        // The other half is stored afterwards.
        cells.iter().enumerate().step_by(2).for_each(|(index, cell)| cell.store(mu, mu.alloc(!index as u64)));
        mu.root(cells)
    });
    Box::new(move |mu| {
        let slice = root.get(mu);
        assert_eq!(slice.len(), length);
        for (index, cell) in slice.iter().enumerate() {
            let expected = if index % 2 == 0 { !index } else { index } as u64;
            assert_eq!(cell.load().map(|gc| *gc), Some(expected));
        }
    })
}

fn make(heap: &Heap, ledger: &Ledger, element: Element, length: usize, seed: u64) -> Check {
    let word = move |index: usize| seed.wrapping_add(index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    match element {
        Element::Byte => slice_of(heap, length, move |index| (word(index) >> 56) as u8),
        Element::Short => slice_of(heap, length, move |index| (word(index) >> 48) as u16),
        Element::Word => slice_of(heap, length, word),
        Element::Wide => slice_of(heap, length, move |index| u128::from(word(index)) << 60),
        Element::Nothing => slice_of(heap, length, |_| ()),
        Element::Three => {
            slice_of(heap, length, move |index| Three([0, 1, 2].map(|at| (word(index) >> (8 * at)) as u8)))
        }
        Element::Line => slice_of(heap, length / 8, move |index| Line(word(index))),
        Element::Token => tokens(heap, ledger, length / 20),
        Element::Cell => cells(heap, length / 10),
    }
}

proptest! {
    #![proptest_config(cases(24))]

    /// Some slices are let go of between collections; the others keep their contents, and every token is dropped once.
    #[test]
    fn slices_keep_their_contents(rounds in vec(vec((element(), length(), any::<u64>(), any::<bool>()), 1..6), 1..5)) {
        let heap = Heap::builder().processors(2).region_size(1 << 30).build().expect("a heap of one gigabyte");
        let ledger = Ledger::new();
        let mut kept: Vec<Check> = Vec::new();
        for round in rounds {
            for (element, length, seed, keep) in round {
                let check = make(&heap, &ledger, element, length, seed);
                heap.mutate(|mu| check(mu));
                if keep {
                    kept.push(check);
                }
            }
            heap.collect();
            heap.mutate(|mu| kept.iter().for_each(|check| check(mu)));
        }
        drop(kept);
        heap.collect();
        ledger.assert_each_once();
        prop_assert_eq!(heap.stats().live_objects, 0);
    }
}

/// Drops of [`Ghost`]s; only the one test below makes any.
static GHOSTS: AtomicU64 = AtomicU64::new(0);

#[derive(Trace)]
struct Ghost;

impl Drop for Ghost {
    fn drop(&mut self) {
        GHOSTS.fetch_add(1, Ordering::SeqCst);
    }
}

proptest! {
    #![proptest_config(cases(24))]

    /// Values of no size are dropped as often as they were made, alone and in slices.
    #[test]
    fn values_of_no_size_are_dropped_as_often_as_made(slices in vec((0..200_usize, any::<bool>()), 1..40)) {
        let heap = Heap::builder().processors(1).region_size(64 << 20).build().expect("a heap of 64 MB");
        let before = GHOSTS.load(Ordering::SeqCst);
        let dropped = || GHOSTS.load(Ordering::SeqCst) - before;
        let (mut made, mut kept) = (0, 0);
        let mut roots = Vec::new();
        for &(length, keep) in &slices {
            heap.mutate(|mu| {
                let slice = mu.alloc_slice_with(length, |_| Ghost);
                mu.alloc(Ghost);
                if keep {
                    roots.push((mu.root(slice), mu.root(mu.alloc(Ghost))));
                }
            });
            made += length as u64 + 1 + u64::from(keep);
            kept += if keep { length as u64 + 1 } else { 0 };
        }
        heap.collect();
        prop_assert_eq!(dropped(), made - kept);
        drop(roots);
        heap.collect();
        prop_assert_eq!(dropped(), made);
    }
}

macro_rules! aligned {
    ($($name:ident: $align:literal),*) => {
        $(
            #[derive(Trace, Clone, Copy)]
            #[repr(align($align))]
            struct $name(u64);
        )*

        /// Allocates a value, or a slice of two, with the alignment of the `which`th type. Gives the address and a check.
        fn alloc_aligned(mu: &Mutator<'_>, which: usize, slice: bool, word: u64) -> (usize, usize, Check) {
            let mut at = 0;
            $(
                if which == at {
                    return if slice {
                        let gc = mu.alloc_slice_copy(&[$name(word); 2]);
                        let root = mu.root(gc);
                        let right = move |mu: &Mutator<'_>| assert!(root.get(mu).iter().all(|value| value.0 == word));
                        (address(gc), $align, Box::new(right))
                    } else {
                        let gc = mu.alloc($name(word));
                        let root = mu.root(gc);
                        (address(gc), $align, Box::new(move |mu| assert_eq!(root.get(mu).0, word)))
                    };
                }
                at += 1;
            )*
            unreachable!("there are {at} types")
        }
    };
}

aligned!(By16: 16, By32: 32, By64: 64, By128: 128, By512: 512, By1024: 1024, By4096: 4096, By16384: 16384, By65536: 65536);

fn address<T: ?Sized + Object>(gc: Gc<'_, T>) -> usize {
    Gc::as_ptr(gc).cast::<u8>().addr()
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn objects_are_aligned_as_their_types_ask(objects in vec((0..9_usize, any::<bool>(), any::<u64>()), 1..60)) {
        let heap = Heap::builder().processors(1).region_size(64 << 20).build().expect("a heap of 64 MB");
        let mut kept = Vec::new();
        for (which, slice, word) in objects {
            let (address, align, check) = heap.mutate(|mu| alloc_aligned(mu, which, slice, word));
            prop_assert_eq!(address % align, 0);
            kept.push(check);
        }
        heap.collect();
        heap.mutate(|mu| kept.iter().for_each(|check| check(mu)));
    }
}
