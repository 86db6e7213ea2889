//! A full region is an error, not a catastrophe; and the shapes at the edges of allocation:
//! nothing, zero-sized, over-aligned, large.

#![cfg(not(loom))]

mod common;

use common::{Counted, Ledger, Triple, churn, panic_text};
use linchpin::{Gc, GcCell, Heap, Root, Trace};

const MIB: usize = 1 << 20;

#[derive(Trace)]
struct Link<'gc> {
    number: usize,
    check: [usize; 13],
    next: GcCell<'gc, Link<'gc>>,
}

/// The smallest heap that is allowed, but at least 64 MiB.
fn small_heap() -> Heap {
    Heap::builder().processors(1).region_size(64 * MIB).build().expect("64 MiB are allowed")
}

/// Puts links in front of the root's until the region is full. Gives how many it holds then.
fn fill(heap: &Heap, root: &Root<Link<'static>>) -> usize {
    heap.mutate(|mu| {
        let mut number = root.get(mu).number;
        loop {
            number += 1;
            let link = Link { number, check: [!number; 13], next: GcCell::new(root.get(mu)) };
            match mu.try_alloc(link) {
                Ok(link) => root.set(mu, link),
                Err(refused) => {
                    assert_eq!(refused.value.number, number, "the value comes back");
                    assert_eq!(refused.value.check, [!number; 13]);
                    let before = refused.value.next.load().expect("its pointers, too");
                    assert!(Gc::ptr_eq(before, root.get(mu)));
                    assert!(!refused.reason.to_string().is_empty());
                    return number - 1;
                }
            }
        }
    })
}

/// Walks the whole list and checks every link.
fn check(heap: &Heap, root: &Root<Link<'static>>, links: usize) {
    heap.mutate(|mu| {
        let mut link = root.get(mu);
        for number in (1..=links).rev() {
            assert_eq!(link.number, number);
            assert_eq!(link.check, [!number; 13], "link {number} is corrupt");
            link = link.next.load().expect("the list goes on");
        }
        assert_eq!(link.number, 0);
    });
}

fn first_link(heap: &Heap) -> Root<Link<'static>> {
    heap.mutate(|mu| mu.root(mu.alloc(Link { number: 0, check: [!0; 13], next: GcCell::null() })))
}

#[test]
fn a_full_region_refuses_and_recovers() {
    let heap = small_heap();
    let root = first_link(&heap);
    let links = fill(&heap, &root);
    assert!(links > 64 * MIB / 128 / 2, "only {links} links in 64 MiB");
    check(&heap, &root, links);

    // A cycle in a full heap changes nothing, and nothing fits after it.
    heap.collect();
    check(&heap, &root, links);
    let more = fill(&heap, &root);
    assert!(more - links < links / 10, "{more} links where {links} had filled the heap");
    check(&heap, &root, more);

    drop(root);
    heap.collect();
    assert_eq!(heap.stats().live_bytes, 0);
    let root = first_link(&heap);
    let again = fill(&heap, &root);
    check(&heap, &root, again);
    assert!(again * 10 >= links * 9, "{links} links at first, {again} after a collection");
}

#[test]
fn a_refused_value_is_not_dropped_by_the_heap() {
    let heap = small_heap();
    let root = first_link(&heap);
    fill(&heap, &root);
    let ledger = Ledger::new(100_000);
    let mut refused = None;
    heap.mutate(|mu| {
        // A few may still find room in a span of their own type.
        for entry in 0..100_000 {
            if let Err(error) = mu.try_alloc(ledger.counted(entry)) {
                refused = Some((entry, error.value));
                return;
            }
        }
    });
    let (entry, value) = refused.expect("a full heap refuses");
    assert_eq!(value.entry(), entry);
    heap.collect();
    assert_eq!(ledger.drops_of(entry), 0);
    drop(value);
    assert_eq!(ledger.drops_of(entry), 1);
    assert_eq!(ledger.total(), entry as u64 + 1, "those that had found room were garbage");
}

#[test]
fn alloc_in_a_full_region_says_what_to_do() {
    let heap = small_heap();
    let root = first_link(&heap);
    let links = fill(&heap, &root);
    for _ in 0..2 {
        let text = panic_text(|| {
            heap.mutate(|mu| {
                loop {
                    root.set(mu, mu.alloc(Link { number: 0, check: [!0; 13], next: GcCell::new(root.get(mu)) }));
                }
            });
        });
        assert!(text.contains("region"), "{text}");
        assert!(text.contains("region_size") || text.contains("try_"), "no advice: {text}");
    }
    assert!(links > 0);
    drop(root);
    heap.collect();
    assert_eq!(heap.stats().live_bytes, 0);
    churn(&heap, 1000);
}

#[test]
fn large_objects_that_do_not_fit_are_refused() {
    let heap = small_heap();
    heap.mutate(|mu| {
        let mut called = false;
        assert!(mu.try_alloc_bytes_with(1 << 40, |_| called = true).is_err());
        assert!(mu.try_alloc_bytes_with(isize::MAX as usize, |_| called = true).is_err());
        assert!(mu.try_alloc_bytes_with(usize::MAX, |_| called = true).is_err());
        assert!(
            mu.try_alloc_slice_with(usize::MAX / 4, |_| {
                called = true;
                0_u64
            })
            .is_err()
        );
        assert!(!called, "a refused buffer must not be filled");
    });

    let mut kept: Vec<Root<[u8]>> = Vec::new();
    heap.mutate(|mu| {
        while let Ok((bytes, length)) = mu.try_alloc_bytes_with(4 * MIB, |buffer| {
            buffer.fill(kept.len() as u8);
            buffer.len()
        }) {
            assert_eq!(length, 4 * MIB);
            kept.push(mu.root(bytes));
        }
    });
    assert!((8..=16).contains(&kept.len()), "{} buffers of 4 MiB in 64 MiB", kept.len());
    let fitted = kept.len();
    // Every second one goes; its place can be taken again.
    let mut number = 0;
    kept.retain(|_| {
        number += 1;
        number % 2 == 0
    });
    heap.collect();
    heap.mutate(|mu| {
        while let Ok((bytes, ())) = mu.try_alloc_bytes_with(4 * MIB, |buffer| {
            assert!(buffer.iter().all(|&byte| byte == 0), "a used buffer starts zeroed");
            buffer.fill(0xEE);
        }) {
            kept.push(mu.root(bytes));
        }
        assert_eq!(kept.len(), fitted);
        for root in &kept {
            let bytes = root.get(mu);
            assert!(bytes.iter().all(|&byte| byte == bytes[0]), "two buffers overlap");
        }
    });
}

#[test]
fn slices_may_be_empty() {
    let heap = Heap::new();
    let ledger = Ledger::new(1);
    let roots = heap.mutate(|mu| {
        assert!(mu.alloc_slice_copy::<u64>(&[]).is_empty());
        assert!(mu.try_alloc_slice_copy::<u8>(&[]).expect("nothing always fits").is_empty());
        let (bytes, length) = mu.alloc_bytes_with(0, |buffer| buffer.len());
        assert_eq!((bytes.len(), length), (0, 0));
        let none = mu.alloc_slice_from_iter(std::iter::empty::<Triple>());
        assert_eq!(none.len(), 0);
        let counted = mu.alloc_slice_with(0, |_| ledger.counted(0));
        assert_eq!(counted.len(), 0);
        let units = mu.alloc_slice_with(1000, |_| ());
        assert_eq!(units.len(), 1000);
        (mu.root(none), mu.root(counted), mu.root(units), mu.root(bytes))
    });
    heap.collect();
    churn(&heap, 1000);
    heap.mutate(|mu| {
        assert!(roots.0.get(mu).is_empty());
        assert!(roots.1.get(mu).is_empty());
        assert_eq!(roots.2.get(mu).len(), 1000);
        assert!(roots.3.get(mu).is_empty());
    });
    ledger.assert_none();
    drop(roots);
    heap.collect();
    assert_eq!(heap.stats().roots, 0);
}

#[test]
fn slices_hold_what_they_were_made_of() {
    let heap = Heap::new();
    let copied: Root<[u16]> = heap.mutate(|mu| mu.root(mu.alloc_slice_copy(&[1_u16, 2, 3])));
    let made: Root<[Triple]> = heap.mutate(|mu| mu.root(mu.alloc_slice_with(100, |index| Triple::of(index as i64))));
    let words = "a few words on the heap".split(' ').map(String::from);
    let collected: Root<[String]> = heap.mutate(|mu| mu.root(mu.alloc_slice_from_iter(words)));
    heap.collect();
    churn(&heap, 1000);
    heap.mutate(|mu| {
        assert_eq!(*copied.get(mu), [1, 2, 3]);
        let made = made.get(mu);
        assert!(made.iter().enumerate().all(|(index, triple)| *triple == Triple::of(index as i64)));
        assert_eq!(collected.get(mu).join(" "), "a few words on the heap");
    });
}

#[test]
fn slices_of_pointer_fields_are_traced() {
    let heap = Heap::new();
    let ledger = Ledger::new(3000);
    let root: Root<[GcCell<'static, Counted>]> =
        heap.mutate(|mu| mu.root(mu.alloc_slice_with(3000, |entry| GcCell::new(mu.alloc(ledger.counted(entry))))));
    heap.collect();
    ledger.assert_none();
    heap.mutate(|mu| {
        for (entry, slot) in root.get(mu).iter().enumerate() {
            assert_eq!(slot.load().expect("it was stored").entry(), entry);
            if entry % 2 == 0 {
                slot.store(mu, None);
            }
        }
    });
    heap.collect();
    assert_eq!(ledger.total(), 1500);
    drop(root);
    heap.collect();
    ledger.assert_each_once();
}

/// Defines a type of a given alignment and allocates it among smaller objects.
macro_rules! assert_aligned {
    ($heap:expr, $align:literal) => {{
        #[derive(Trace)]
        #[repr(align($align))]
        struct Aligned {
            number: usize,
        }
        let heap: &Heap = $heap;
        let roots: Vec<Root<Aligned>> = heap.mutate(|mu| {
            (0..200)
                .map(|number| {
                    mu.alloc(1_u8);
                    let object = mu.alloc(Aligned { number });
                    assert_eq!(Gc::as_ptr(object).addr() % $align, 0);
                    // Many lengths, since not every size class is a multiple of every alignment.
                    let slice = mu.alloc_slice_with(number % 40, |number| Aligned { number });
                    assert_eq!(slice.as_ptr().addr() % $align, 0);
                    assert!(slice.iter().enumerate().all(|(index, element)| element.number == index));
                    mu.root(object)
                })
                .collect()
        });
        heap.collect();
        churn(heap, 1000);
        heap.mutate(|mu| {
            for (number, root) in roots.iter().enumerate() {
                assert_eq!(root.get(mu).number, number);
                assert_eq!(Gc::as_ptr(root.get(mu)).addr() % $align, 0);
            }
        });
    }};
}

#[test]
fn alignment_is_kept() {
    let heap = Heap::new();
    assert_aligned!(&heap, 16);
    assert_aligned!(&heap, 64);
    assert_aligned!(&heap, 256);
    assert_aligned!(&heap, 4096);
    heap.collect();
    assert_eq!(heap.stats().roots, 0);
}

#[test]
fn zero_sized_values_are_dropped_too() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static DROPS: AtomicU64 = AtomicU64::new(0);
    #[derive(Trace)]
    struct Empty;
    impl Drop for Empty {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::SeqCst);
        }
    }
    let heap = Heap::new();
    let root = heap.mutate(|mu| {
        for _ in 0..999 {
            mu.alloc(Empty);
        }
        mu.root(mu.alloc(Empty))
    });
    heap.collect();
    assert_eq!(DROPS.load(Ordering::SeqCst), 999);
    drop(root);
    heap.collect();
    assert_eq!(DROPS.load(Ordering::SeqCst), 1000);
}

#[test]
fn objects_of_every_size_keep_their_bytes() {
    let heap = Heap::new();
    let roots: Vec<Root<[u8]>> = heap.mutate(|mu| {
        (0..400).map(|step| mu.root(mu.alloc_slice_with(step * step / 2, |index| (index * 31 + step) as u8))).collect()
    });
    for _ in 0..3 {
        churn(&heap, 5000);
        heap.collect();
    }
    heap.mutate(|mu| {
        for (step, root) in roots.iter().enumerate() {
            let bytes = root.get(mu);
            assert_eq!(bytes.len(), step * step / 2);
            assert!(bytes.iter().enumerate().all(|(index, &byte)| byte == (index * 31 + step) as u8));
        }
    });
}
