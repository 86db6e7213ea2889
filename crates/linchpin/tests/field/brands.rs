//! Brands: what keeps a pointer in its mutation and apart from other heaps' pointers. Most of it is the compiler's to
//! refuse: `tests/ui` has the programs.
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use linchpin::{Gc, GcCell, Heap, Object, Opaque, Pinner, Root, Trace};

use crate::common::{Counted, Ledger, churn, panic_text};

fn small_heap() -> Heap {
    Heap::builder().processors(1).region_size(1 << 20).on_pin_leak(|_| ()).build().expect("a small heap")
}

/// gc-arena #32: a handle knew its heap by an address, which a later heap could have. Here heaps come and go at the same
/// addresses, and handles of those that are gone are used in each.
#[test]
fn a_handle_of_a_heap_that_is_gone_is_refused_by_its_successors() {
    let mut ids = HashSet::new();
    let mut addresses = HashSet::new();
    let mut reused = 0;
    let mut orphans: Vec<(Root<u64>, Pinner)> = Vec::new();
    for round in 0..3000_u64 {
        let heap = small_heap();
        assert!(ids.insert(heap.id()), "heap {} is there twice", heap.id());
        let (address, root) = heap.mutate(|mu| {
            let object = mu.alloc(round);
            (Gc::as_ptr(object).addr(), mu.root(object))
        });
        reused += u32::from(!addresses.insert(address));
        if round % 300 == 0 {
            let mut pinner = Pinner::new();
            heap.mutate(|mu| _ = pinner.pin(mu, mu.alloc(round)));
            orphans.push((root, pinner));
            continue;
        }
        drop(root);
        if round % 100 != 50 {
            continue;
        }
        for (root, pinner) in &mut orphans {
            let text = panic_text(|| heap.mutate(|mu| _ = root.get(mu)));
            assert!(text.contains("a root of heap") && text.contains(&heap.id().to_string()), "{text}");
            let text = panic_text(|| heap.mutate(|mu| root.set(mu, mu.alloc(0))));
            assert!(text.contains("a root of heap"), "{text}");
            let text = panic_text(|| heap.mutate(|mu| _ = pinner.pin(mu, mu.alloc(0_u64))));
            assert!(text.contains("a Pinner with pins in heap"), "{text}");
            assert_eq!(pinner.len(), 1);
        }
        heap.collect();
        assert_eq!(heap.stats().roots, 0, "nothing of the refused attempts is left");
    }
    assert!(reused > 0, "no two heaps were at one address: the test has shown nothing");
}

/// The same, for a pinner without pins: it holds storage of a heap that is gone, and simply changes over.
#[test]
fn an_empty_pinner_of_a_heap_that_is_gone_changes_over() {
    let mut pinner = Pinner::new();
    for _ in 0..500 {
        let heap = small_heap();
        heap.mutate(|mu| {
            let object = mu.alloc(1_u64);
            pinner.pin(mu, object);
            assert_eq!(mu.pin_count(object), 1);
        });
        heap.collect();
        assert_eq!(heap.stats().live_objects, 1);
        pinner.unpin();
        heap.collect();
        assert_eq!(heap.stats().live_objects, 0);
    }
}

/// Brands the compiler was talked into unifying (generativity #15, #16), and re-branding that lost the lifetime (rune #26).
/// Here the brand is the lifetime of a closure's parameter, and these equations between types are all there is of
/// re-branding: `Branded` changes nothing but the brand, and to do so twice is to do the latter.
#[test]
fn rebranding_changes_the_brand_and_nothing_else() {
    #[derive(Trace)]
    struct Pair<'gc, T: Trace> {
        content: T,
        held: Gc<'gc, [Option<T>]>,
    }
    fn same<T: ?Sized>(_: fn(&T), _: fn(&T)) {}
    fn check<'a: 'a, 'b: 'b, T: ?Sized + Object>() {
        same::<<T::Branded<'a> as Object>::Branded<'b>>(|_| (), |_: &T::Branded<'b>| ());
    }
    type Deep<'gc> = Pair<'gc, Option<Gc<'gc, Pair<'gc, GcCell<'gc, str>>>>>;
    fn check_deep<'a: 'a, 'b: 'b>() {
        check::<'a, 'b, Deep<'a>>();
        same::<<Deep<'a> as Object>::Branded<'b>>(|_| (), |_: &Deep<'b>| ());
        same::<<[Deep<'a>] as Object>::Branded<'b>>(|_| (), |_: &[Deep<'b>]| ());
    }
    check_deep();
    let heap = Heap::new();
    let root: Root<Deep<'static>> = heap.mutate(|mu| {
        let text = GcCell::new(mu.alloc_str("text"));
        let inner = mu.alloc(Pair { content: text, held: mu.alloc_slice_with(1, |_| Some(GcCell::null())) });
        mu.root(mu.alloc(Pair { content: Some(inner), held: mu.alloc_slice_with(2, |_| Some(None)) }))
    });
    heap.collect();
    heap.mutate(|mu| {
        let outer = root.get(mu);
        assert_eq!(outer.held.len(), 2);
        let inner = outer.content.expect("it was stored");
        assert_eq!(inner.content.load().map(|text| text.len()), Some(4));
        assert!(inner.held[0].as_ref().is_some_and(|cell| cell.load().is_none()));
    });
}

/// A type can be named, and a cell made, under the brand `'static`, and go wherever `'static` data goes; but nothing can be
/// stored in it (`ui/store_into_static_cell.rs`).
#[test]
fn what_has_the_brand_static_holds_no_pointer() {
    #[derive(Trace)]
    struct Hiding {
        opaque: Opaque<GcCell<'static, u64>>,
        once: OnceLock<Option<Gc<'static, u64>>>,
    }
    static CELL: GcCell<'static, u64> = GcCell::null();
    const { assert!(!<Hiding as Trace>::NEEDS_TRACE) };
    let heap = Heap::new();
    let root: Root<Hiding> = heap.mutate(|mu| {
        let hiding = mu.alloc(Hiding { opaque: Opaque(GcCell::null()), once: OnceLock::new() });
        assert!(hiding.once.set(None).is_ok());
        CELL.load().is_none().then(|| mu.root(hiding)).expect("a cell of brand 'static is empty")
    });
    heap.collect();
    heap.mutate(|mu| assert!(root.get(mu).opaque.load().is_none()));
}

/// gc-arena #63: `&'static T` was taken for proof that `T: 'static`, which the compiler does not always ask for. Today's compiler
/// refuses such a type by itself, bound or no bound, so `ui/static_reference_to_gc.rs` would not notice if ours were gone. This
/// does: whatever is never traced, whatever its parameters, bounds each of them in words.
#[test]
fn what_is_never_traced_bounds_its_parameters() {
    let source = include_str!("../../src/trace/impls.rs");
    let mut bounded = Vec::new();
    for implementation in source.split("unsafe impl<").skip(1) {
        let (header, body) = implementation.split_once(" {").expect("an implementation has a body");
        let body = body.split_once("\n\n").map_or(body, |(body, _)| body);
        let (parameters, of) = header.split_once("> Trace for ").expect("all of them are of `Trace`");
        // Phantom data holds nothing at all.
        if body.contains("NEEDS_TRACE: bool = false;") && !of.ends_with("PhantomData<T>") {
            for parameter in parameters.split(", ") {
                let (_, bounds) = parameter.split_once(": ").unwrap_or((parameter, ""));
                let is_static = bounds.split(" + ").any(|bound| bound == "'static");
                assert!(is_static, "`{parameter}` of `{of}` may hold a pointer that nobody traces");
            }
            bounded.push(of);
        }
    }
    assert_eq!(bounded, ["$type<T>", "Root<T>", "&'static T"]);
}

/// A future that lets go once before it ends.
struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Pointers may be held across an `await`, since the future cannot be polled after its mutation
/// (`ui/future_leaves_mutation.rs`); cycles may be asked for meanwhile.
#[test]
fn a_future_holds_pointers_within_its_mutation() {
    let heap = Heap::builder().processors(2).build().expect("a heap of two processors");
    let ledger = Ledger::new(1);
    heap.mutate(|mu| {
        let mut future = pin!(async {
            let counted: Gc<'_, Counted> = mu.alloc(ledger.counted(0));
            for _ in 0..10 {
                Pause(false).await;
                assert_eq!(ledger.drops_of(0), 0);
            }
            counted.entry()
        });
        let mut context = Context::from_waker(Waker::noop());
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(entry) => break assert_eq!(entry, 0),
                Poll::Pending => std::thread::scope(|scope| {
                    scope.spawn(|| churn(&heap, 2000));
                }),
            }
        }
    });
    heap.collect();
    ledger.assert_each_once();
}
