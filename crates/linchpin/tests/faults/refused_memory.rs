//! Address space that the system refuses. All of a region is reserved when its heap is built, so that is where it fails, and
//! not when the heap grows. What lies beside the region comes from the ordinary allocator, and fails as that does.

use std::mem::forget;

use crate::common::{Triple, churn, is_filled, panic_text};
use crate::process::{Ended, Footprint, allow_address_space, forbid_address_space_beyond, in_own_process};
use linchpin::{BuildError, Gc, Heap, Mutator, OutOfMemory, Pinner, Root, Trace};

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

#[test]
fn a_refused_region_is_an_error() {
    in_own_process("refused_memory::a_refused_region_is_an_error", || {
        forbid_address_space_beyond(256 * MIB);
        let before = Footprint::now();
        let error = Heap::builder().region_size(GIB).build().expect_err("there is no room for it");
        let BuildError::ReserveFailed { bytes, errno } = error else { panic!("another error: {error}") };
        assert!(bytes > GIB, "{bytes} bytes, metadata included");
        assert_eq!(errno, libc::ENOMEM);
        let text = error.to_string();
        assert!(text.contains(&bytes.to_string()) && text.contains(&errno.to_string()), "{text}");
        assert!(text.contains("region_size") && text.contains("ulimit -v"), "no advice: {text}");
        assert_eq!(Footprint::now().mappings, before.mappings);

        // What fits is built, and what did not fit before is when there is room.
        let small = Heap::builder().region_size(16 * MIB).build().expect("there is room for it");
        churn(&small, 1000);
        allow_address_space();
        let large = Heap::builder().region_size(GIB).build().expect("there is room for it now");
        for heap in [small, large] {
            churn(&heap, 1000);
            heap.collect();
            assert_eq!(heap.stats().live_bytes, 0);
        }
    })
    .well();
}

#[test]
fn a_heap_without_room_panics_with_advice() {
    in_own_process("refused_memory::a_heap_without_room_panics_with_advice", || {
        forbid_address_space_beyond(256 * MIB);
        for make in [Heap::new, Heap::default] {
            let text = panic_text(|| drop(make()));
            assert!(text.starts_with("linchpin: no heap could be made: "), "{text}");
            assert!(text.contains("region_size") && text.contains("ulimit -v"), "no advice: {text}");
        }
        let error = Heap::builder().build().expect_err("there is no room for it");
        assert!(matches!(error, BuildError::ReserveFailed { errno: libc::ENOMEM, .. }), "{error}");
        allow_address_space();
        churn(&Heap::new(), 1000);
    })
    .well();
}

#[test]
fn the_default_region_is_what_there_is_room_for() {
    in_own_process("refused_memory::the_default_region_is_what_there_is_room_for", || {
        let roomy = Heap::new().stats().region_bytes;
        let mut last = roomy;
        for room in [64 * GIB, 16 * GIB, 3 * GIB] {
            forbid_address_space_beyond(room);
            let heap = Heap::new();
            let region = heap.stats().region_bytes;
            assert!(region < last, "{region} bytes with {room} bytes of room, {last} with more");
            // The region and its metadata take up at most twice as much as the region; each attempt is half of the last.
            assert!(region * 4 > room, "{region} bytes with {room} bytes of room");
            let root = heap.mutate(|mu| mu.root(mu.alloc(Triple::of(1))));
            churn(&heap, 1000);
            heap.collect();
            heap.mutate(|mu| assert_eq!(*root.get(mu), Triple::of(1)));
            last = region;
            allow_address_space();
        }
        assert_eq!(Heap::new().stats().region_bytes, roomy);
    })
    .well();
}

/// A list of objects of several sizes, all of whose bytes tell their place in it.
#[derive(Trace)]
struct Link<'gc> {
    number: usize,
    bytes: Gc<'gc, [u8]>,
    next: Option<Gc<'gc, Link<'gc>>>,
}

impl<'gc> Link<'gc> {
    /// From a few bytes to two spans.
    fn length_of(number: usize) -> usize {
        if number.is_multiple_of(100) { 100_000 } else { number * 7919 % 8000 }
    }

    fn try_before(mu: &Mutator<'gc>, next: Option<Gc<'gc, Self>>) -> Result<Gc<'gc, Self>, OutOfMemory> {
        let number = next.map_or(0, |next| next.number + 1);
        let (bytes, ()) = mu.try_alloc_bytes_with(Self::length_of(number), |bytes| bytes.fill(number as u8))?;
        mu.try_alloc(Link { number, bytes, next }).map_err(|error| error.reason)
    }
}

/// Puts links in front of the list until there is no room; gives how many bytes they have.
fn fill(heap: &Heap) -> (Root<Link<'static>>, usize) {
    let root = heap.mutate(|mu| mu.root(Link::try_before(mu, None).expect("there is room for one")));
    // In several mutations, so that cycles come between.
    while heap
        .mutate(|mu| (0..100).all(|_| Link::try_before(mu, Some(root.get(mu))).map(|link| root.set(mu, link)).is_ok()))
    {
    }
    let links = heap.mutate(|mu| root.get(mu).number + 1);
    let bytes = (0..links).map(Link::length_of).sum();
    (root, bytes)
}

fn check(heap: &Heap, root: &Root<Link<'static>>) {
    heap.mutate(|mu| {
        let mut next = Some(root.get(mu));
        let mut number = root.get(mu).number;
        while let Some(link) = next {
            assert_eq!((link.number, link.bytes.len()), (number, Link::length_of(number)));
            assert!(is_filled(&link.bytes, number as u8), "the bytes of link {number}");
            next = link.next;
            number = number.wrapping_sub(1);
        }
        assert_eq!(number, usize::MAX, "a link is lost");
    });
}

#[test]
fn a_heap_grows_though_no_more_address_space_is_given() {
    in_own_process("refused_memory::a_heap_grows_though_no_more_address_space_is_given", || {
        const REGION: usize = 64 * MIB;
        let heap = Heap::builder().processors(2).region_size(REGION).build().expect("there is room for it");
        // A few for threads and for what is not in the region.
        forbid_address_space_beyond(8 * MIB);
        Heap::builder().region_size(REGION).build().expect_err("there is no room for another one");
        let before = Footprint::now();
        for _ in 0..2 {
            let (root, bytes) = fill(&heap);
            assert!(bytes > REGION / 2, "{bytes} bytes are not a full region");
            assert!(Footprint::now().resident > before.resident + REGION / 2, "it has not grown");
            check(&heap, &root);
            heap.collect();
            check(&heap, &root);
            drop(root);
            heap.collect();
            assert_eq!(heap.stats().live_bytes, 0);
        }
        assert!(Footprint::now().address_space <= before.address_space + 8 * MIB);
    })
    .well();
}

/// Has the heap ask the ordinary allocator for more and more, until that has none.
fn without_ordinary_memory(test: &str, ask: impl for<'gc> Fn(&Mutator<'gc>, Gc<'gc, u64>)) -> Ended {
    in_own_process(test, || {
        let heap = Heap::builder().processors(1).region_size(MIB).build().expect("1 MiB is allowed");
        heap.mutate(|mu| {
            let object = mu.alloc(1_u64);
            forbid_address_space_beyond(4 * MIB);
            loop {
                ask(mu, object);
            }
        });
    })
}

/// In Rust, a program whose allocator has no memory ends, here as everywhere.
#[test]
fn no_ordinary_memory_for_roots_ends_the_process() {
    let test = "refused_memory::no_ordinary_memory_for_roots_ends_the_process";
    let said = without_ordinary_memory(test, |mu, object| forget(mu.root(object))).by_abort();
    assert!(said.contains("memory allocation of"), "{said}");
}

#[test]
fn no_ordinary_memory_for_pinners_ends_the_process() {
    let test = "refused_memory::no_ordinary_memory_for_pinners_ends_the_process";
    let ended = without_ordinary_memory(test, |mu, object| {
        let mut pinner = Pinner::new();
        pinner.pin(mu, object);
        forget(pinner);
    });
    let said = ended.by_abort();
    assert!(said.contains("memory allocation of"), "{said}");
}

/// The kernel merges mappings that adjoin. To unmap the middle one of three then takes one more entry in its table of mappings,
/// which it refuses when the table is full. Whether it comes to that is the kernel's affair.
#[test]
fn a_region_is_unmapped_or_it_is_told_that_it_is_not() {
    let said = in_own_process("refused_memory::a_region_is_unmapped_or_it_is_told_that_it_is_not", || {
        let mut filler = fill_table_of_mappings();
        // Three that adjoin, and are alike: there is no entry for the part of one whose pages are to be small, either.
        let heaps = [(); 3].map(|()| {
            loop {
                match Heap::builder().processors(1).growth_percent(1000).region_size(GIB).build() {
                    Ok(heap) => {
                        filler.take_one_entry();
                        break heap;
                    }
                    Err(error) => assert!(matches!(error, BuildError::ReserveFailed { .. }), "{error}"),
                }
                filler.free_entries();
            }
        });
        let [_above, middle, _below] = heaps;
        middle.mutate(|mu| {
            for _ in 0..16 {
                mu.alloc_bytes_with(MIB, |bytes| bytes.fill(1));
            }
        });
        let before = Footprint::now();
        drop(middle);
        let after = Footprint::now();
        assert!(after.resident + 8 * MIB < before.resident, "its memory stays: {before:?} {after:?}");
        eprintln!("its addresses went: {}", after.address_space + GIB <= before.address_space);
    })
    .well();
    let told = said.contains("linchpin: the operating system refused to unmap a region");
    let went = said.contains("its addresses went: true");
    assert!(told != went, "either they go or that is told: {said}");
}

/// A mapping whose pages differ from their neighbours, so that each is an entry of its own.
struct Filler {
    start: *mut libc::c_void,
    differing: usize,
}

impl Filler {
    const PAGE: usize = 1 << 16;
    const PAGES: usize = 1 << 17;

    fn protect(&self, page: usize, protection: libc::c_int) -> bool {
        assert!(page < Self::PAGES);
        // SAFETY: the page is part of the mapping, into which nobody looks.
        unsafe { libc::mprotect(self.start.byte_add(page * Self::PAGE), Self::PAGE, protection) == 0 }
    }

    /// If there is one.
    fn take_one_entry(&self) {
        self.protect(Self::PAGES - 1, libc::PROT_READ);
    }

    /// One or two.
    fn free_entries(&mut self) {
        self.differing -= 1;
        assert!(self.protect(2 * self.differing, libc::PROT_NONE), "it needs no entry to be as its neighbours");
    }
}

fn fill_table_of_mappings() -> Filler {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: an anonymous mapping at a place of the kernel's choice overlaps nothing.
    let start =
        unsafe { libc::mmap(std::ptr::null_mut(), Filler::PAGES * Filler::PAGE, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED);
    let mut filler = Filler { start, differing: 0 };
    while filler.protect(2 * filler.differing, libc::PROT_READ) {
        filler.differing += 1;
    }
    filler
}
