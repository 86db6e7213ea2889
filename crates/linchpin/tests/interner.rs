//! Interning, from outside.

#![cfg(not(loom))]

mod common;

use std::thread;

use common::{Stop, churn};
use linchpin::{Gc, GcCell, Heap, Interner, Root, Trace, Weak, WeakRoot};

#[test]
fn what_is_equal_is_one_object() {
    let heap = Heap::new();
    let symbols: Root<Interner<'static, str>> = heap.mutate(|mu| mu.root(mu.alloc(Interner::<str>::new())));
    let kept: Root<str> = heap.mutate(|mu| {
        let symbols = symbols.get(mu);
        let (one, other) = (symbols.intern(mu, "one"), symbols.intern(mu, "other"));
        assert!(Gc::ptr_eq(one, symbols.intern(mu, &String::from("one"))));
        assert!(!Gc::ptr_eq(one, other) && (&*one, &*other) == ("one", "other"));
        assert!(Gc::ptr_eq(other, symbols.get(mu, "other").unwrap()) && symbols.get(mu, "neither").is_none());
        assert_eq!(symbols.len(mu), 2);
        mu.root(one)
    });
    heap.collect();
    heap.mutate(|mu| {
        let symbols = symbols.get(mu);
        assert!(Gc::ptr_eq(kept.get(mu), symbols.intern(mu, "one")));
        assert!(symbols.get(mu, "other").is_none(), "nothing led to it");
        assert_eq!(&*symbols.intern(mu, "other"), "other");
    });
}

#[test]
fn slices_and_values_are_interned() {
    #[derive(Trace, PartialEq, Eq, Hash)]
    enum Shape<'gc> {
        Empty,
        With(Gc<'gc, str>, u32),
    }
    let heap = Heap::new();
    heap.mutate(|mu| {
        let shapes = mu.alloc(Interner::new());
        let with = |slot| Shape::With(mu.alloc_str("field"), slot);
        let one = shapes.intern_value(mu, with(1));
        assert!(Gc::ptr_eq(one, shapes.intern_value(mu, with(1))));
        assert!(!Gc::ptr_eq(one, shapes.intern_value(mu, with(2))));
        assert!(!Gc::ptr_eq(one, shapes.intern_value(mu, Shape::Empty)));
        assert_eq!(shapes.len(mu), 3);
        let slices = mu.alloc(Interner::<[u16]>::new());
        let one = slices.intern_slice(mu, &[1, 2]);
        assert!(Gc::ptr_eq(one, slices.intern_slice(mu, &[1, 2])));
        assert!(slices.intern_slice(mu, &[]).is_empty());
    });
}

/// The table is rid of what is dead as it grows.
#[test]
fn an_interner_does_not_grow_with_what_is_dead() {
    let heap = Heap::new();
    let symbols: Root<Interner<'static, str>> = heap.mutate(|mu| mu.root(mu.alloc(Interner::<str>::new())));
    for round in 0..50 {
        heap.mutate(|mu| {
            for number in 0..1000 {
                symbols.get(mu).intern(mu, &format!("{round} {number}"));
            }
        });
        heap.collect();
        heap.mutate(|mu| assert!(symbols.get(mu).len(mu) < 5000, "{}", symbols.get(mu).len(mu)));
    }
}

/// Two threads that intern the same texts get the same objects, as cycles go on.
#[test]
fn threads_intern_the_same() {
    #[derive(Trace)]
    struct Shared<'gc> {
        symbols: Interner<'gc, str>,
        slots: Vec<GcCell<'gc, str>>,
    }
    const TEXTS: usize = 200;
    let heap = Heap::builder().processors(3).build().expect("a heap of three processors");
    let shared: Root<Shared<'static>> = heap.mutate(|mu| {
        let slots = (0..TEXTS).map(|_| GcCell::null()).collect();
        mu.root(mu.alloc(Shared { symbols: Interner::new(), slots }))
    });
    let stop = Stop::default();
    thread::scope(|scope| {
        let stopper = stop.on_drop();
        for thread in 0..2_usize {
            let (heap, shared, stop) = (&heap, &shared, &stop);
            scope.spawn(move || {
                let mut number = thread;
                stop.until(|| {
                    heap.mutate(|mu| {
                        let shared = shared.get(mu).as_ref();
                        for _ in 0..50 {
                            number += 7;
                            let text = format!("text {}", number % TEXTS);
                            let object = shared.symbols.intern(mu, &text);
                            assert_eq!(&*object, text);
                            let slot = &shared.slots[number % TEXTS];
                            if number.is_multiple_of(3) {
                                slot.clear(mu);
                            } else if let Err(held) = slot.compare_exchange(mu, None, Some(object)) {
                                // While both are in hand or kept, they are one.
                                assert!(held.is_some_and(|held| Gc::ptr_eq(held, object)));
                            }
                        }
                    });
                });
            });
        }
        for _ in 0..20 {
            heap.collect();
            churn(&heap, 100);
        }
        drop(stopper);
    });
    heap.verify().unwrap();
    let weak: WeakRoot<str> = heap.mutate(|mu| {
        let one: Weak<'_, str> = mu.downgrade(shared.get(mu).symbols.intern(mu, "last"));
        one.root(mu)
    });
    heap.collect();
    heap.mutate(|mu| assert!(weak.upgrade(mu).is_none()));
}

/// What is alive is all counted, and found, when the table has been rid of its dead time and again.
#[test]
fn what_lives_stays_in_the_table() {
    const TEXTS: usize = 3000;
    let heap = Heap::new();
    let symbols: Root<Interner<'static, str>> = heap.mutate(|mu| mu.root(mu.alloc(Interner::<str>::new())));
    let kept: Vec<Root<str>> = heap
        .mutate(|mu| (0..TEXTS).map(|number| mu.root(symbols.get(mu).intern(mu, &format!("kept {number}")))).collect());
    heap.mutate(|mu| assert_eq!(symbols.get(mu).len(mu), TEXTS));
    for round in 0..3 {
        heap.mutate(|mu| {
            (0..TEXTS).for_each(|number| _ = symbols.get(mu).intern(mu, &format!("{round} {number}")));
        });
        heap.collect();
    }
    heap.mutate(|mu| {
        for (number, root) in kept.iter().enumerate() {
            let text = format!("kept {number}");
            assert!(symbols.get(mu).get(mu, &text).is_some_and(|found| Gc::ptr_eq(found, root.get(mu))), "{text}");
            assert!(Gc::ptr_eq(symbols.get(mu).intern(mu, &text), root.get(mu)), "{text}");
        }
    });
}

#[test]
fn a_table_is_empty_until_something_is_interned() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        let numbers = Interner::<u64>::new();
        assert!(numbers.is_empty(mu));
        numbers.intern_value(mu, 7);
        assert!(!numbers.is_empty(mu));
        assert_eq!(format!("{numbers:?}"), "Interner { type: \"u64\", .. }");
    });
}
