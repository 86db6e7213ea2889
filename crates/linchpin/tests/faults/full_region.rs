//! A region without room, on every way to allocate: each refuses, each gives back what it was given, and each works when there is
//! room again.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;

use crate::common::{Counted, Ledger, Triple, assert_nothing_live, is_filled, panic_text};
use linchpin::{Gc, GcCell, Heap, Mutator, OutOfMemory, Pinner, Root, Trace};

const SPAN: usize = 1 << 16;
const SPANS: usize = 16;

/// The smallest region there is.
fn smallest_heap() -> Heap {
    Heap::builder().processors(1).region_size(SPANS * SPAN).build().expect("1 MiB is allowed")
}

/// An object that takes a whole span.
fn span_object<'gc>(mu: &Mutator<'gc>) -> Result<Gc<'gc, [u8]>, OutOfMemory> {
    mu.try_alloc_bytes_with(SPAN - 64, |bytes| bytes.fill(7)).map(|(bytes, ())| bytes)
}

/// Takes every span, so that there is no room for an object of any type.
fn fill(heap: &Heap) -> Vec<Root<[u8]>> {
    let roots: Vec<_> =
        heap.mutate(|mu| std::iter::from_fn(|| span_object(mu).ok()).map(|object| mu.root(object)).collect());
    assert_eq!(roots.len(), SPANS);
    roots
}

#[derive(Trace)]
#[repr(align(4096))]
struct Aligned(u8);

#[derive(Trace)]
struct Huge([u64; 20_000]);

#[derive(Trace)]
struct Empty;

#[derive(Trace)]
struct Node<'gc> {
    next: GcCell<'gc, Node<'gc>>,
}

/// Tries to allocate in one way.
type Way = for<'gc> fn(&Mutator<'gc>) -> Result<(), OutOfMemory>;

/// Allocates in one way, or panics.
type PanickingWay = for<'gc> fn(&Mutator<'gc>);

/// Every way that returns an error.
const TRIED: [(&str, Way); 12] = [
    ("plain", |mu| refused(mu.try_alloc(Triple::of(1)))),
    ("with a drop", |mu| refused(mu.try_alloc(String::from("a string")))),
    ("with pointers", |mu| refused(mu.try_alloc(Node { next: GcCell::null() }))),
    ("over-aligned", |mu| refused(mu.try_alloc(Aligned(1)))),
    ("zero-sized", |mu| refused(mu.try_alloc(Empty))),
    ("large", |mu| refused(mu.try_alloc(Huge([1; 20_000])))),
    ("copied slice", |mu| mu.try_alloc_slice_copy(&[1_u16, 2, 3]).map(|_| ())),
    ("empty slice", |mu| mu.try_alloc_slice_copy::<u64>(&[]).map(|_| ())),
    ("made slice", |mu| mu.try_alloc_slice_with(9, |index| index.to_string()).map(|_| ())),
    ("large slice", |mu| mu.try_alloc_slice_with(9000, |index| index).map(|_| ())),
    ("over-aligned slice", |mu| mu.try_alloc_slice_with(2, |_| Aligned(2)).map(|_| ())),
    ("bytes", |mu| mu.try_alloc_bytes_with(100, |bytes| bytes.fill(1)).map(|_| ())),
];

/// Every way that panics instead.
const TOLD: [(&str, PanickingWay); 12] = [
    ("plain", |mu| _ = mu.alloc(Triple::of(1))),
    ("with a drop", |mu| _ = mu.alloc(String::from("a string"))),
    ("with pointers", |mu| _ = mu.alloc(Node { next: GcCell::null() })),
    ("over-aligned", |mu| _ = mu.alloc(Aligned(1))),
    ("zero-sized", |mu| _ = mu.alloc(Empty)),
    ("large", |mu| _ = mu.alloc(Huge([1; 20_000]))),
    ("copied slice", |mu| _ = mu.alloc_slice_copy(&[1_u16, 2, 3])),
    ("made slice", |mu| _ = mu.alloc_slice_with(9, |index| index.to_string())),
    ("large slice", |mu| _ = mu.alloc_slice_with(9000, |index| index)),
    ("from an iterator", |mu| _ = mu.alloc_slice_from_iter((0..9).map(|index| index.to_string()))),
    ("string", |mu| _ = mu.alloc_str("a string")),
    ("bytes", |mu| _ = mu.alloc_bytes_with(100, |bytes| bytes.fill(1))),
];

fn refused<T>(outcome: Result<Gc<'_, T>, linchpin::AllocError<T>>) -> Result<(), OutOfMemory> {
    outcome.map(|_| ()).map_err(|error| error.reason)
}

#[track_caller]
fn assert_every_way_is_refused(heap: &Heap) {
    for (name, way) in TRIED {
        let error = heap.mutate(way).expect_err(name);
        assert_eq!(error.region_bytes, SPANS * SPAN, "{name}");
        let text = error.to_string();
        assert!(text.contains(&error.requested_bytes.to_string()) && text.contains("region_size"), "{name}: {text}");
    }
    for (name, way) in TOLD {
        let text = panic_text(|| heap.mutate(way));
        assert!(text.starts_with("linchpin: the heap's region of 1048576 bytes has no room"), "{name}: {text}");
    }
}

/// Each way in a heap that is empty before.
#[track_caller]
fn assert_every_way_works(heap: &Heap) {
    for (name, way) in TRIED {
        assert!(heap.mutate(way).is_ok(), "{name}");
        heap.collect();
        assert_nothing_live(heap);
    }
    for (_, way) in TOLD {
        heap.mutate(way);
        heap.collect();
        assert_nothing_live(heap);
    }
}

#[test]
fn every_way_to_allocate_is_refused_and_works_again() {
    let heap = smallest_heap();
    for _ in 0..2 {
        let roots = fill(&heap);
        assert_every_way_is_refused(&heap);
        heap.collect();
        assert_every_way_is_refused(&heap);
        heap.mutate(|mu| assert!(roots.iter().all(|root| root.get(mu).iter().all(|&byte| byte == 7))));
        drop(roots);
        heap.collect();
        assert_every_way_works(&heap);
    }
}

#[test]
fn memory_held_by_pins_is_no_room() {
    let heap = smallest_heap();
    let mut pinner = Pinner::new();
    heap.mutate(|mu| {
        let mut pinned = 0;
        while let Ok(object) = span_object(mu) {
            pinner.pin(mu, object);
            pinned += 1;
        }
        assert_eq!(pinned, SPANS);
    });
    for _ in 0..2 {
        assert_every_way_is_refused(&heap);
        heap.collect();
    }
    pinner.unpin();
    heap.collect();
    assert_every_way_works(&heap);
}

#[test]
fn roots_and_pins_take_no_room() {
    let heap = smallest_heap();
    let roots = fill(&heap);
    let mut pinner = Pinner::new();
    let more: Vec<Root<[u8]>> = heap.mutate(|mu| {
        for root in &roots {
            for _ in 0..1000 {
                pinner.pin(mu, root.get(mu));
            }
        }
        roots.iter().cycle().take(10_000).map(|root| mu.root(root.get(mu))).collect()
    });
    let clones = more.clone();
    let first = heap.mutate(|mu| {
        roots[0].set(mu, roots[1].get(mu));
        mu.pin_count(roots[1].get(mu))
    });
    assert_eq!((heap.stats().roots, pinner.len(), first), (SPANS + 20_000, SPANS * 1000, 1000));
    assert_every_way_is_refused(&heap);
    drop((roots, more, clones, pinner));
    heap.collect();
    assert_every_way_works(&heap);
}

#[test]
fn what_is_refused_comes_back_or_is_dropped_once() {
    let heap = smallest_heap();
    let roots = fill(&heap);
    let ledger = Ledger::new(42);
    heap.mutate(|mu| {
        let error = mu.try_alloc(ledger.counted(0)).err().expect("the region is full");
        ledger.assert_none();
        assert_eq!(error.value.entry(), 0);
        // It may be tried again, and again.
        let again = mu.try_alloc(error.value).err().expect("the region is full");
        let nested = heap.mutate(|inner| inner.try_alloc(again.value).err().expect("the region is full").value.entry());
        assert_eq!((nested, ledger.drops_of(0)), (0, 1));
    });
    panic_text(|| heap.mutate(|mu| _ = mu.alloc(ledger.counted(1))));
    assert_eq!(ledger.drops_of(1), 1);
    panic_text(|| heap.mutate(|mu| _ = mu.alloc_slice_from_iter((2..42).map(|entry| ledger.counted(entry)))));
    ledger.assert_each_once();
    drop(roots);
    heap.collect();
    assert_nothing_live(&heap);
}

/// What a `Drop` does in a sweep of a full region is refused as anything is; the sweep does not wait for itself.
#[test]
fn a_drop_in_a_full_region_is_refused_and_the_sweep_goes_on() {
    static GIVEN_BACK: AtomicU64 = AtomicU64::new(0);
    static PANICKED: AtomicU64 = AtomicU64::new(0);
    const VALUES: usize = 2000;
    #[derive(Trace)]
    struct Greedy {
        heap: Weak<Heap>,
        counted: Counted,
    }
    impl Drop for Greedy {
        fn drop(&mut self) {
            let Some(heap) = self.heap.upgrade() else { return };
            heap.mutate(|mu| {
                if let Err(error) = mu.try_alloc(Huge([3; 20_000])) {
                    assert!(error.value.0.iter().all(|&word| word == 3));
                    GIVEN_BACK.fetch_add(1, Ordering::SeqCst);
                }
                if self.counted.entry().is_multiple_of(100) {
                    PANICKED.fetch_add(1, Ordering::SeqCst);
                    mu.alloc_slice_with(SPAN, |_| 1_u8);
                    PANICKED.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    }
    let heap = Arc::new(smallest_heap());
    let ledger = Ledger::new(VALUES);
    // A root in the last span keeps it in use until the sweep is over.
    let roots = heap.mutate(|mu| {
        for entry in 0..VALUES {
            mu.alloc(Greedy { heap: Arc::downgrade(&heap), counted: ledger.counted(entry) });
        }
        let roots: Vec<Root<[u8]>> =
            std::iter::from_fn(|| span_object(mu).ok()).map(|object| mu.root(object)).collect();
        roots
    });
    heap.collect();
    ledger.assert_each_once();
    assert_eq!(GIVEN_BACK.load(Ordering::SeqCst), VALUES as u64);
    assert_eq!(PANICKED.load(Ordering::SeqCst), VALUES as u64 / 100);
    assert_eq!(heap.stats().drop_panics, VALUES as u64 / 100);
    drop(roots);
    heap.collect();
    assert_every_way_works(&heap);
}

#[derive(Trace)]
struct Link<'gc> {
    counted: Counted,
    bytes: Gc<'gc, [u8]>,
    next: Option<Gc<'gc, Link<'gc>>>,
}

/// The values of all threads together, and how many of them were given out.
struct Values {
    ledger: Ledger,
    given: AtomicUsize,
}

impl Values {
    const ENTRIES: usize = 1 << 20;

    fn next(&self) -> Counted {
        self.ledger.counted(self.given.fetch_add(1, Ordering::Relaxed))
    }
}

/// One of the threads that share a full region, and what it keeps there.
struct Tenant<'a> {
    heap: &'a Heap,
    values: &'a Values,
    /// Tells this thread's bytes from those of the others.
    number: usize,
    list: Option<Root<Link<'static>>>,
    slices: Vec<Root<[Counted]>>,
    pinner: Pinner,
    pinned: Vec<(NonNull<[u8]>, u8)>,
}

impl<'a> Tenant<'a> {
    fn new(heap: &'a Heap, values: &'a Values, number: usize) -> Self {
        Self { heap, values, number, list: None, slices: Vec::new(), pinner: Pinner::new(), pinned: Vec::new() }
    }

    /// Takes one more object or two, of a size and kind that goes by the step.
    fn step(&mut self, step: usize) -> Result<(), OutOfMemory> {
        let heap = self.heap;
        let length = step.wrapping_mul(997 + self.number) % 9000;
        let fill = (step + self.number) as u8;
        heap.mutate(|mu| match step % 4 {
            0 => {
                let (bytes, ()) = mu.try_alloc_bytes_with(length, |bytes| bytes.fill(fill))?;
                let next = self.list.as_ref().map(|root| root.get(mu));
                let counted = self.values.next();
                let entry = counted.entry();
                match mu.try_alloc(Link { counted, bytes, next }) {
                    Ok(link) => {
                        self.list = Some(mu.root(link));
                        Ok(())
                    }
                    Err(error) => {
                        assert_eq!(error.value.counted.entry(), entry);
                        Err(error.reason)
                    }
                }
            }
            1 => {
                let slice = mu.try_alloc_slice_with(length % 50, |_| self.values.next())?;
                self.slices.push(mu.root(slice));
                Ok(())
            }
            2 => {
                // Now and then a large object of two spans.
                let length = if step % 256 == 2 { SPAN + length } else { length };
                let (bytes, ()) = mu.try_alloc_bytes_with(length, |bytes| bytes.fill(fill))?;
                self.pinned.push((self.pinner.pin(mu, bytes), fill));
                Ok(())
            }
            // Garbage.
            _ => {
                mu.try_alloc_slice_copy(&[1_u16; 100])?;
                refused(mu.try_alloc(self.values.next()))
            }
        })
    }

    fn check(&self) {
        self.heap.mutate(|mu| {
            let mut link = self.list.as_ref().map(|root| root.get(mu));
            while let Some(Link { counted, bytes, next }) = link.map(Gc::as_ref) {
                assert_eq!(self.values.ledger.drops_of(counted.entry()), 0);
                assert!(bytes.first().is_none_or(|&first| is_filled(bytes, first)), "{}", bytes.len());
                link = *next;
            }
            for counted in self.slices.iter().flat_map(|slice| slice.get(mu).as_ref()) {
                assert_eq!(self.values.ledger.drops_of(counted.entry()), 0);
            }
            for &(bytes, fill) in &self.pinned {
                // SAFETY: the bytes are pinned, and nobody writes to them.
                assert!(is_filled(unsafe { bytes.as_ref() }, fill));
            }
        });
    }

    /// Lets go of a part of what it has, another one each time.
    fn let_go(&mut self, round: usize) {
        match round % 3 {
            0 => self.list = None,
            1 => self.slices.clear(),
            _ => {
                self.pinned.clear();
                self.pinner.unpin();
            }
        }
    }
}

/// Whoever is refused lets go of something, which the others may get.
#[test]
fn several_threads_in_a_full_region() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 9;
    let heap = Heap::builder().processors(THREADS).region_size(2 * SPANS * SPAN).build().expect("2 MiB are allowed");
    let values = Values { ledger: Ledger::new(Values::ENTRIES), given: AtomicUsize::new(0) };
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (heap, values) = (&heap, &values);
            scope.spawn(move || {
                let mut tenant = Tenant::new(heap, values, number);
                let mut steps = number..;
                for round in number..number + ROUNDS {
                    let refusal =
                        steps.by_ref().find_map(|step| tenant.step(step).err()).expect("the region is full once");
                    assert_eq!(refusal.region_bytes, 2 * SPANS * SPAN);
                    tenant.check();
                    if round % 4 == 0 {
                        tenant.heap.verify().expect("nothing is wrong");
                    }
                    tenant.let_go(round);
                    if round % 2 == 0 {
                        tenant.heap.collect();
                    }
                    tenant.check();
                }
            });
        }
    });
    heap.collect();
    let given = values.given.load(Ordering::SeqCst);
    assert_eq!(values.ledger.total(), given as u64);
    (given..Values::ENTRIES).for_each(|entry| drop(values.ledger.counted(entry)));
    values.ledger.assert_each_once();
    assert_nothing_live(&heap);
    assert_eq!(heap.verify().expect("nothing is wrong").objects, 0);
}
