//! The forgotten field: a `Trace` by hand that misses a pointer, the classic bug of users of such crates (gc-arena #113: found
//! there by a use-after-free under a sanitizer). A heap that verifies itself says which type, at which offset, and what lies
//! behind; and it says nothing of types whose `Trace` is right, the derived ones first of all.

#![cfg(not(loom))]

mod common;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::mem::offset_of;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use common::{Counted, Ledger, Triple};
use linchpin::{
    DebugSettings, FindingKind, Gc, GcCell, GcMutex, GcOnce, GcRwLock, Heap, Object, Opaque, Root, Trace, Tracer,
    Verify, VerifyFinding,
};

/// What lies behind a forgotten field.
#[derive(Trace)]
struct Treasure {
    number: u64,
    name: String,
}

const fn gold(number: u64) -> Treasure {
    Treasure { number, name: String::new() }
}

/// Implements `Trace` so that it reports the named fields of a type and no others.
macro_rules! trace_only {
    ($name:ident: $($field:ident),*) => {
        // SAFETY: none; it forgets a field, which is what is to be found. The test keeps what it forgets alive.
        unsafe impl<'gc> Trace for $name<'gc> {
            type Branded<'b> = $name<'b>;
            const NEEDS_TRACE: bool = true;
            fn trace(&self, tracer: &mut Tracer<'_>) {
                $(self.$field.trace(tracer);)*
                _ = tracer;
            }
        }
    };
}

#[repr(C)]
struct Forgetful<'gc> {
    number: u64,
    told: Gc<'gc, Treasure>,
    forgotten: Gc<'gc, Treasure>,
}
trace_only!(Forgetful: number, told);

#[repr(C)]
struct ForgetsCell<'gc> {
    number: [u64; 3],
    cell: GcCell<'gc, Treasure>,
}
trace_only!(ForgetsCell: number);

#[repr(C)]
enum ForgetsVariant<'gc> {
    Plain(u64),
    Holds(Gc<'gc, Treasure>),
}
// SAFETY: as in `trace_only`.
unsafe impl Trace for ForgetsVariant<'_> {
    type Branded<'b> = ForgetsVariant<'b>;
    const NEEDS_TRACE: bool = true;
    fn trace(&self, _: &mut Tracer<'_>) {}
}

#[repr(C)]
struct ForgetsNested<'gc> {
    number: u64,
    inner: (u64, Option<Gc<'gc, Treasure>>),
}
trace_only!(ForgetsNested: number);

/// A heap that verifies itself in every cycle, and what its hook was told.
struct Watched {
    heap: Heap,
    told: Arc<Mutex<Vec<VerifyFinding>>>,
}

impl Watched {
    fn new(verify: Verify) -> Self {
        let told: Arc<Mutex<Vec<VerifyFinding>>> = Arc::default();
        let sink = Arc::clone(&told);
        let heap = Heap::builder()
            .processors(1)
            .debug(DebugSettings::new().verify(verify))
            .on_finding(move |finding| sink.lock().unwrap().push(finding.clone()))
            .build()
            .unwrap();
        Self { heap, told }
    }

    /// Roots something, runs cycles, and gives what was found: one thing, an unreported pointer.
    #[track_caller]
    fn finds<T: ?Sized + Object>(&self, root: &Root<T>, treasure: &Root<Treasure>) -> String {
        self.heap.collect();
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        assert_eq!(told.len(), 1, "{told:#?}");
        assert_eq!(told[0].kind(), FindingKind::UnreportedPointer);
        let text = told[0].to_string();
        let behind = self.heap.mutate(|mu| Gc::as_ptr(treasure.get(mu)).addr());
        assert!(text.contains(&format!("Treasure at {behind:#x}")), "what is behind it: {text}");
        // A cycle later nothing is new.
        self.heap.collect();
        assert_eq!(self.told.lock().unwrap().len(), 0);
        let report = self.heap.verify().unwrap();
        assert_eq!(report.suspicions.len(), 1, "{report:?}");
        _ = root;
        text
    }

    /// An object that nothing but the forgotten field and its own root lead to.
    fn treasure(&self) -> Root<Treasure> {
        self.heap.mutate(|mu| mu.root(mu.alloc(gold(77))))
    }
}

#[test]
fn a_forgotten_field_is_found() {
    let watched = Watched::new(Verify::On);
    let treasure = watched.treasure();
    let root: Root<Forgetful<'static>> = watched.heap.mutate(|mu| {
        let told = mu.alloc(gold(1));
        mu.root(mu.alloc(Forgetful { number: 3, told, forgotten: treasure.get(mu) }))
    });
    let text = watched.finds(&root, &treasure);
    assert!(text.contains("Forgetful") && text.contains("offset 16 "), "{text}");
    watched.heap.mutate(|mu| {
        let object = root.get(mu);
        assert_eq!((object.number, object.told.number, object.forgotten.number), (3, 1, 77));
    });
}

/// Forgets the only pointer to what it holds.
struct ForgetsAll<'gc> {
    forgotten: Gc<'gc, Counted>,
}
trace_only!(ForgetsAll:);

/// Here nothing else keeps what lies behind it. Without the verifier it is dropped, without a word, while the program can still
/// reach it; with the verifier the hook is told before that.
#[test]
fn a_forgotten_field_is_found_before_anything_is_lost() {
    for (verify, expected) in [(Verify::Strict, vec![(FindingKind::UnreportedPointer, 0)]), (Verify::Off, vec![])] {
        let ledger = Ledger::new(1);
        let told: Arc<Mutex<Vec<(FindingKind, u32)>>> = Arc::default();
        let (sink, drops) = (Arc::clone(&told), ledger.clone());
        let heap = Heap::builder()
            .processors(1)
            .debug(DebugSettings::new().verify(verify))
            .on_finding(move |finding| sink.lock().unwrap().push((finding.kind(), drops.drops_of(0))))
            .build()
            .unwrap();
        let root: Root<ForgetsAll<'static>> =
            heap.mutate(|mu| mu.root(mu.alloc(ForgetsAll { forgotten: mu.alloc(ledger.counted(0)) })));
        heap.mutate(|mu| assert_eq!(root.get(mu).forgotten.entry(), 0));
        heap.collect();
        assert_eq!(*told.lock().unwrap(), expected, "what was found, and how often the object was dropped then");
        assert_eq!(ledger.drops_of(0), 1, "a hook that returns has the heap go on");
        drop(root);
    }
}

/// Says that it can hold no pointers, and has a `Drop`.
#[repr(C)]
struct Denies<'gc> {
    number: u64,
    text: String,
    denied: Gc<'gc, Treasure>,
}
// SAFETY: as in `trace_only`.
unsafe impl Trace for Denies<'_> {
    type Branded<'b> = Denies<'b>;
    const NEEDS_TRACE: bool = false;
    fn trace(&self, _: &mut Tracer<'_>) {}
}

#[test]
fn a_pointer_in_a_type_that_denies_having_any_is_found() {
    let watched = Watched::new(Verify::On);
    let treasure = watched.treasure();
    let root: Root<Denies<'static>> = watched
        .heap
        .mutate(|mu| mu.root(mu.alloc(Denies { number: 1, text: String::from("dropped"), denied: treasure.get(mu) })));
    let text = watched.finds(&root, &treasure);
    let offset = offset_of!(Denies<'static>, denied);
    assert!(text.contains("Denies") && text.contains(&format!("offset {offset} ")), "{text}");
    watched.heap.mutate(|mu| {
        let object = root.get(mu);
        assert_eq!((object.number, &*object.text, object.denied.number), (1, "dropped", 77));
    });
}

/// Says so, too, and has nothing to drop: such types share their spans, where nobody knows which is which, unless the heap
/// verifies itself.
#[repr(C)]
#[derive(Clone, Copy)]
struct Bare<'gc> {
    number: u64,
    denied: Gc<'gc, Treasure>,
}
// SAFETY: as in `trace_only`.
unsafe impl Trace for Bare<'_> {
    type Branded<'b> = Bare<'b>;
    const NEEDS_TRACE: bool = false;
    fn trace(&self, _: &mut Tracer<'_>) {}
}

#[test]
fn a_pointer_in_a_type_that_is_neither_traced_nor_dropped_is_found() {
    let watched = Watched::new(Verify::On);
    let treasure = watched.treasure();
    // Another one of its size, whose words are none of anybody's business.
    let _plain = watched.heap.mutate(|mu| mu.root(mu.alloc([Gc::as_ptr(treasure.get(mu)).addr(); 2])));
    let root: Root<Bare<'static>> =
        watched.heap.mutate(|mu| mu.root(mu.alloc(Bare { number: 1, denied: treasure.get(mu) })));
    let text = watched.finds(&root, &treasure);
    assert!(text.contains("Bare") && text.contains("offset 8 "), "{text}");
    watched.heap.mutate(|mu| assert_eq!((root.get(mu).number, root.get(mu).denied.number), (1, 77)));
}

#[test]
fn a_pointer_in_a_slice_of_a_type_that_is_neither_traced_nor_dropped_is_found() {
    let watched = Watched::new(Verify::On);
    let treasure = watched.treasure();
    let root: Root<[Bare<'static>]> =
        watched.heap.mutate(|mu| mu.root(mu.alloc_slice_copy(&[Bare { number: 1, denied: treasure.get(mu) }; 3])));
    let text = watched.finds(&root, &treasure);
    assert!(text.contains("Bare") && text.contains("element 0") && text.contains("offset 8 "), "{text}");
}

#[test]
fn a_forgotten_cell_is_found() {
    let watched = Watched::new(Verify::On);
    let treasure = watched.treasure();
    let root: Root<ForgetsCell<'static>> = watched.heap.mutate(|mu| {
        let object = mu.alloc(ForgetsCell { number: [1; 3], cell: GcCell::null() });
        object.cell.store(mu, treasure.get(mu));
        mu.root(object)
    });
    let text = watched.finds(&root, &treasure);
    assert!(text.contains("ForgetsCell") && text.contains("offset 24 "), "{text}");
    watched.heap.mutate(|mu| assert_eq!(root.get(mu).number, [1; 3]));
}

#[test]
fn a_forgotten_variant_is_found() {
    let watched = Watched::new(Verify::On);
    let treasure = watched.treasure();
    let roots: [Root<ForgetsVariant<'static>>; 2] = watched.heap.mutate(|mu| {
        let variants = [ForgetsVariant::Plain(5), ForgetsVariant::Holds(treasure.get(mu))];
        variants.map(|variant| mu.root(mu.alloc(variant)))
    });
    let text = watched.finds(&roots[1], &treasure);
    // Behind the tag, where the alignment of a pointer has the union of the variants begin.
    assert!(text.contains("ForgetsVariant") && text.contains("offset 8 "), "{text}");
    watched.heap.mutate(|mu| {
        let is_plain = roots.each_ref().map(|root| match *root.get(mu) {
            ForgetsVariant::Plain(number) => number == 5,
            ForgetsVariant::Holds(held) => held.number != 77,
        });
        assert_eq!(is_plain, [true, false]);
    });
}

#[test]
fn a_forgotten_tuple_in_a_struct_is_found() {
    let watched = Watched::new(Verify::On);
    let treasure = watched.treasure();
    let root: Root<ForgetsNested<'static>> =
        watched.heap.mutate(|mu| mu.root(mu.alloc(ForgetsNested { number: 1, inner: (2, Some(treasure.get(mu))) })));
    let text = watched.finds(&root, &treasure);
    let offset = offset_of!(ForgetsNested<'static>, inner.1);
    assert!(text.contains("ForgetsNested") && text.contains(&format!("offset {offset} ")), "{text}");
    watched.heap.mutate(|mu| {
        let object = root.get(mu);
        assert_eq!((object.number, object.inner.0, object.inner.1.map(|held| held.number)), (1, 2, Some(77)));
    });
}

#[test]
fn a_field_forgotten_in_the_elements_of_a_slice_is_found() {
    let watched = Watched::new(Verify::On);
    let treasure = watched.treasure();
    let root: Root<[Forgetful<'static>]> = watched.heap.mutate(|mu| {
        let told = mu.alloc(gold(1));
        mu.root(mu.alloc_slice_with(5, |index| {
            let forgotten = if index == 3 { treasure.get(mu) } else { told };
            Forgetful { number: 3, told, forgotten }
        }))
    });
    let text = watched.finds(&root, &treasure);
    assert!(text.contains("Forgetful") && text.contains("element 3") && text.contains("offset 16 "), "{text}");
}

#[test]
fn a_field_forgotten_inside_a_derived_type_is_found() {
    #[derive(Trace)]
    struct Outer<'gc> {
        fine: Gc<'gc, Treasure>,
        held: Vec<Forgetful<'gc>>,
    }
    let watched = Watched::new(Verify::On);
    let treasure = watched.treasure();
    let root: Root<Outer<'static>> = watched.heap.mutate(|mu| {
        let told = mu.alloc(gold(1));
        let held = vec![Forgetful { number: 3, told, forgotten: treasure.get(mu) }];
        mu.root(mu.alloc(Outer { fine: told, held }))
    });
    let text = watched.finds(&root, &treasure);
    assert!(text.contains("Outer") && text.contains("owns elsewhere"), "{text}");
    watched.heap.mutate(|mu| assert_eq!(root.get(mu).fine.number as usize, root.get(mu).held.len()));
}

/// What lies behind locks is looked at, too, if nothing moves and nobody has them.
#[test]
fn a_field_forgotten_behind_a_lock_is_found() {
    #[derive(Trace)]
    struct Locks<'gc> {
        mutex: GcMutex<Forgetful<'gc>>,
        read: GcRwLock<Forgetful<'gc>>,
        written: GcRwLock<Forgetful<'gc>>,
        once: GcOnce<Forgetful<'gc>>,
    }
    let heap = Heap::new();
    let treasure: Root<Treasure> = heap.mutate(|mu| mu.root(mu.alloc(gold(77))));
    let root: Root<Locks<'static>> = heap.mutate(|mu| {
        let forgetful = || Forgetful { number: 3, told: mu.alloc(gold(1)), forgotten: treasure.get(mu) };
        let once = GcOnce::new();
        assert!(once.set(mu, forgetful()).is_ok());
        let (read, written) = (GcRwLock::new(forgetful()), GcRwLock::new(forgetful()));
        mu.root(mu.alloc(Locks { mutex: GcMutex::new(forgetful()), read, written, once }))
    });
    let suspicions = || heap.verify().unwrap().suspicions.len();
    assert_eq!(suspicions(), 4);
    heap.mutate(|mu| std::mem::forget(root.get(mu).as_ref().mutex.lock(mu)));
    assert_eq!(suspicions(), 3);
    heap.mutate(|mu| std::mem::forget(root.get(mu).as_ref().read.read(mu)));
    assert_eq!(suspicions(), 3, "nobody writes");
    heap.mutate(|mu| std::mem::forget(root.get(mu).as_ref().written.write(mu)));
    assert_eq!(suspicions(), 2);
    heap.mutate(|mu| assert_eq!(root.get(mu).once.get().map(|held| held.forgotten.number), Some(77)));
}

/// An integer that happens to be an object's address: in a derived type it is known to be none.
#[test]
fn an_address_kept_as_a_number_in_a_derived_type_is_no_suspicion() {
    #[derive(Trace)]
    struct Keeps {
        address: usize,
    }
    #[derive(Trace)]
    struct Keeper<'gc> {
        keeps: Keeps,
        own: Gc<'gc, Treasure>,
    }
    let watched = Watched::new(Verify::On);
    let treasure = watched.treasure();
    let root: Root<Keeper<'static>> = watched.heap.mutate(|mu| {
        let address = Gc::as_ptr(treasure.get(mu)).addr();
        mu.root(mu.alloc(Keeper { keeps: Keeps { address }, own: mu.alloc(gold(2)) }))
    });
    watched.heap.collect();
    let report = watched.heap.verify().unwrap();
    assert_eq!(report.suspicions.len(), 0, "{report:?}");
    assert!(watched.told.lock().unwrap().is_empty());
    watched.heap.mutate(|mu| assert!(root.get(mu).keeps.address != Gc::as_ptr(root.get(mu).own).addr()));
}

#[derive(Trace)]
enum Shape<'gc> {
    Nothing,
    One(Gc<'gc, Treasure>),
    Many { small: u8, held: Vec<Option<Gc<'gc, Treasure>>>, cell: GcCell<'gc, Treasure> },
    Deep(Box<Shape<'gc>>),
    Large([u64; 20], Gc<'gc, Treasure>),
}

#[derive(Trace)]
struct Generic<'gc, T: Trace> {
    first: T,
    small: u8,
    second: Option<T>,
    links: [GcCell<'gc, Treasure>; 3],
    named: HashMap<u64, T>,
    sorted: BTreeMap<u8, Gc<'gc, Treasure>>,
    queue: VecDeque<Gc<'gc, Treasure>>,
    other: Opaque<AtomicUsize>,
    pair: (u16, Gc<'gc, Treasure>, u16),
}

/// The derive never raises the alarm, whatever the shape, with the strictest setting, whatever was in the memory before.
#[test]
fn the_derive_never_triggers_it() {
    let watched = Watched::new(Verify::Strict);
    let heap = &watched.heap;
    let roots: Vec<Root<Treasure>> = (0..8).map(|_| watched.treasure()).collect();
    let mut kept: Vec<Root<Generic<'static, Shape<'static>>>> = Vec::new();
    let mut slices: Vec<Root<[Shape<'static>]>> = Vec::new();
    for round in 0..6_usize {
        heap.mutate(|mu| {
            let held = |number: usize| roots[number % roots.len()].get(mu);
            let shape = |number: usize| match number % 5 {
                0 => Shape::Nothing,
                1 => Shape::One(held(number)),
                2 => Shape::Many {
                    small: 9,
                    held: (0..number % 7).map(|each| (each % 2 == 0).then(|| held(each))).collect(),
                    cell: GcCell::new(held(number)),
                },
                3 => Shape::Deep(Box::new(Shape::One(held(number)))),
                _ => Shape::Large([round as u64; 20], held(number)),
            };
            for number in 0..40 {
                let object = mu.alloc(Generic {
                    first: shape(number),
                    small: 1,
                    second: (number % 3 == 0).then(|| shape(number + 1)),
                    links: std::array::from_fn(|each| GcCell::new(held(each + number))),
                    named: (0..5).map(|each| (each as u64, shape(each + number))).collect(),
                    sorted: (0..5).map(|each| (each, held(number))).collect(),
                    queue: (0..number % 9).map(held).collect(),
                    other: Opaque(AtomicUsize::new(Gc::as_ptr(held(number)).addr())),
                    pair: (1, held(number), 2),
                });
                if number % 4 == round % 4 {
                    kept.push(mu.root(object));
                }
                if number % 10 == 0 {
                    slices.push(mu.root(mu.alloc_slice_with(number % 13, shape)));
                }
                mu.alloc(Triple::of(number as i64));
            }
        });
        heap.collect();
        // The next round comes to lie where pointers were.
        let middle = kept.len() / 2;
        kept.drain(..middle);
        let report = heap.verify().unwrap();
        assert!(report.suspicions.is_empty() && report.objects > 10, "{report:?}");
    }
    assert!(watched.told.lock().unwrap().is_empty(), "{:#?}", watched.told);
    heap.mutate(|mu| {
        for object in kept.iter().map(|root| root.get(mu)) {
            assert!(object.pair.1.number == 77 && object.small == 1 && object.links[0].load().is_some());
            assert!(object.sorted.len() == 5 && object.named.len() == 5 && object.queue.len() < 9);
            assert!(object.other.load(std::sync::atomic::Ordering::Relaxed) != 0);
            let shapes = object.named.values().chain([&object.first]).chain(&object.second);
            for shape in shapes.chain(slices.iter().flat_map(|root| root.get(mu).as_ref())) {
                match shape {
                    Shape::Nothing => {}
                    Shape::One(held) | Shape::Large(_, held) => assert_eq!(held.number, 77),
                    Shape::Many { small, held, cell } => {
                        assert!(*small == 9 && held.len() < 7 && cell.load().is_some());
                    }
                    Shape::Deep(inner) => assert!(matches!(**inner, Shape::One(_))),
                }
            }
            if let Shape::Large(numbers, _) = &object.first {
                assert!(numbers[0] < 6);
            }
        }
    });
}
