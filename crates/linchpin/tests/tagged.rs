//! Values of one word, and the fields that hold them.

#![cfg(not(loom))]

mod common;

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{Counted, Ledger, Stop, churn};
use linchpin::{Gc, Heap, Payload, Root, Tagged, TaggedCell, Trace};

/// All that fits, in as many variants as there may be.
#[derive(Trace, Tagged, Clone, Copy, Debug, PartialEq)]
enum Value<'gc> {
    Nil,
    Unit(()),
    Bool(bool),
    Char(char),
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32 { number: i32 },
    F32(f32),
    Text(Gc<'gc, str>),
    Numbers(Gc<'gc, [u64]>),
    Maybe(Option<Gc<'gc, u64>>),
    Counted(Gc<'gc, Number>),
    Last,
}

#[derive(Trace, Debug, PartialEq)]
struct Number(u64);

#[derive(Trace, Tagged, Clone, Copy, PartialEq, Debug)]
enum Plain {
    Zero,
    Number(u32),
}

#[derive(Trace, Tagged, Clone, Copy)]
enum Generic<T> {
    None,
    Some(T),
}

/// Packs and unpacks, and fails unless that is the same.
fn check<'gc, V: Tagged + Trace<Branded<'gc> = V> + PartialEq + Debug>(value: V, leads_somewhere: bool) {
    // SAFETY: of the same type and mutation.
    let again = unsafe { V::from_word(value.into_word()) };
    assert_eq!(again, value);
    assert_eq!(value.target().is_some(), leads_somewhere, "{value:?}");
    let cell = TaggedCell::new(value);
    assert_eq!(cell.load(), value);
}

#[test]
fn every_value_keeps_itself() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        for value in [Value::Nil, Value::Last, Value::Unit(()), Value::Bool(true), Value::Bool(false)] {
            check(value, false);
        }
        for char in ['\0', 'a', 'é', char::MAX] {
            check(Value::Char(char), false);
        }
        for number in [i32::MIN, -1, 0, 1, i32::MAX] {
            check(Value::I32 { number }, false);
            check(Value::U32(number as u32), false);
            check(Value::I16(number as i16), false);
            check(Value::U16(number as u16), false);
            check(Value::I8(number as i8), false);
            check(Value::U8(number as u8), false);
            check(Plain::Number(number as u32), false);
        }
        for number in [0.0, -0.0, 1.5, f32::MIN, f32::INFINITY] {
            check(Value::F32(number), false);
        }
        assert!(matches!(TaggedCell::new(Value::F32(f32::NAN)).load(), Value::F32(number) if number.is_nan()));
        check(Value::Text(mu.alloc_str("text")), true);
        check(Value::Numbers(mu.alloc_slice_copy(&[1, 2])), true);
        check(Value::Maybe(Some(mu.alloc(7))), true);
        check(Value::Maybe(None), false);
        check(Value::Counted(mu.alloc(Number(7))), true);
        check(Plain::Zero, false);
    });
    assert_eq!(size_of::<TaggedCell<'_, Value<'_>>>(), size_of::<usize>());
    // It has a brand, whether its values have or not; and a trait may lead from there to a pointer (`soundness`).
    const { assert!(TaggedCell::<'static, Plain>::NEEDS_TRACE && TaggedCell::<'static, Value<'static>>::NEEDS_TRACE) };
}

/// Whatever the tag, the pointer in a field is followed; what is replaced is let go of.
#[test]
fn what_a_field_leads_to_is_kept() {
    #[derive(Trace, Tagged, Clone, Copy)]
    enum Held<'gc> {
        Nothing,
        First(Gc<'gc, Counted>),
        Second(Option<Gc<'gc, Counted>>),
        Number(u32),
    }
    type Fields<'gc> = [TaggedCell<'gc, Held<'gc>>; 4];
    let heap = Heap::new();
    let ledger = Ledger::new(4);
    let root: Root<Fields<'static>> = heap.mutate(|mu| {
        let counted = |entry| mu.alloc(ledger.counted(entry));
        let values = [Held::First(counted(0)), Held::Second(Some(counted(1))), Held::Number(7), Held::Nothing];
        mu.root(mu.alloc(values.map(TaggedCell::new)))
    });
    heap.collect();
    churn(&heap, 1000);
    ledger.assert_none();
    heap.verify().unwrap();
    heap.mutate(|mu| {
        let fields = root.get(mu);
        assert!(matches!(fields[0].load(), Held::First(held) if held.entry() == 0));
        assert!(matches!(fields[1].load(), Held::Second(Some(held)) if held.entry() == 1));
        assert!(matches!(fields[2].swap(mu, fields[0].load()), Held::Number(7)));
        fields[0].store(mu, Held::Nothing);
        fields[1].store(mu, Held::Second(None));
        fields[3].store(mu, Held::First(mu.alloc(ledger.counted(2))));
    });
    heap.collect();
    assert_eq!([0, 1, 2].map(|entry| ledger.drops_of(entry)), [0, 1, 0]);
    heap.mutate(|mu| {
        let fields = root.get(mu);
        let (held, nothing) = (fields[2].load(), fields[0].load());
        assert!(fields[2].compare_exchange(mu, nothing, held).is_err_and(|held| matches!(held, Held::First(_))));
        assert!(fields[2].compare_exchange(mu, held, Held::First(mu.alloc(ledger.counted(3)))).is_ok());
    });
    heap.collect();
    assert_eq!(ledger.drops_of(0), 1);
    drop(root);
    heap.collect();
    ledger.assert_each_once();
}

/// A value without a pointer is shown; of one with a pointer the address only, as what it leads to may lead back.
#[test]
fn a_field_shows_its_value_but_follows_no_pointer() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        assert_eq!(format!("{:?}", TaggedCell::new(Value::I32 { number: -7 })), "TaggedCell(I32 { number: -7 })");
        let text = mu.alloc_str("text");
        let start = Value::Text(text).target().expect("it has a pointer");
        assert_eq!(format!("{:?}", TaggedCell::new(Value::Text(text))), format!("TaggedCell({start:?})"));
    });
}

/// A type parameter that holds pointers, or does not.
#[test]
fn generic_values_are_tagged() {
    let heap = Heap::new();
    let root: Root<TaggedCell<'static, Generic<Gc<'static, String>>>> = heap.mutate(|mu| {
        let some = Generic::Some(mu.alloc("some".repeat(10)));
        mu.root(mu.alloc(TaggedCell::new(some)))
    });
    heap.collect();
    churn(&heap, 1000);
    heap.mutate(|mu| {
        assert!(matches!(root.get(mu).load(), Generic::Some(text) if *text == "some".repeat(10)));
        root.get(mu).store(mu, Generic::None);
        assert!(matches!(TaggedCell::new(Generic::Some(7_u8)).load(), Generic::Some(7)));
    });
    fn is_payload<T: Payload>(_: T) {}
    is_payload(7_u32);
}

/// Threads move the only pointer to an object from field to field, while cycles go on.
#[test]
fn what_threads_move_is_not_lost() {
    const FIELDS: usize = 64;
    #[derive(Trace)]
    struct Fields<'gc> {
        values: Vec<TaggedCell<'gc, Value<'gc>>>,
    }
    let heap = Heap::builder().processors(3).build().expect("a heap of three processors");
    let fields: Root<Fields<'static>> = heap.mutate(|mu| {
        let values =
            (0..FIELDS as u64).map(|number| TaggedCell::new(Value::Counted(mu.alloc(Number(number))))).collect();
        mu.root(mu.alloc(Fields { values }))
    });
    let moved = AtomicBool::new(false);
    let stop = Stop::default();
    thread::scope(|scope| {
        let stopper = stop.on_drop();
        for thread in 0..2_u64 {
            let (heap, fields, stop, moved) = (&heap, &fields, &stop, &moved);
            scope.spawn(move || {
                let mut number = thread;
                stop.until(|| {
                    heap.mutate(|mu| {
                        let values = &fields.get(mu).as_ref().values;
                        for _ in 0..50 {
                            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                            let (from, to) = ((number >> 20) as usize % FIELDS, (number >> 40) as usize % FIELDS);
                            // In hand only, for a moment; then put where there is none.
                            let held = values[from].swap(mu, Value::Nil);
                            if held == Value::Nil {
                                continue;
                            }
                            let mut to = to;
                            while values[to].compare_exchange(mu, Value::Nil, held).is_err() {
                                to = (to + 1) % FIELDS;
                            }
                            moved.store(true, Ordering::Relaxed);
                        }
                    });
                });
            });
        }
        let mut cycles = 0;
        while cycles < 6 || !moved.load(Ordering::Relaxed) {
            heap.collect();
            churn(&heap, 100);
            cycles += 1;
        }
        drop(stopper);
    });
    heap.verify().unwrap();
    heap.mutate(|mu| {
        let mut numbers: Vec<u64> = fields
            .get(mu)
            .values
            .iter()
            .map(|cell| match cell.load() {
                Value::Counted(number) => number.0,
                other => panic!("{other:?}"),
            })
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, Vec::from_iter(0..FIELDS as u64), "each once");
    });
}

/// Each tag there is, with objects that begin in the middle of 16 bytes.
#[derive(Trace, Tagged, Clone, Copy, Debug, PartialEq)]
enum Tag<'gc> {
    T0(Gc<'gc, Three>),
    T1(Gc<'gc, Three>),
    T2(Gc<'gc, Three>),
    T3(Gc<'gc, Three>),
    T4(Gc<'gc, Three>),
    T5(Gc<'gc, Three>),
    T6(Gc<'gc, Three>),
    T7(Gc<'gc, Three>),
    T8(Gc<'gc, Three>),
    T9(Gc<'gc, Three>),
    T10(Gc<'gc, Three>),
    T11(Gc<'gc, Three>),
    T12(Gc<'gc, Three>),
    T13(Gc<'gc, Three>),
    T14(Gc<'gc, Three>),
    T15(Gc<'gc, Three>),
}

#[derive(Trace, Debug, PartialEq)]
struct Three(usize, usize, usize);

impl<'gc> Tag<'gc> {
    /// The variants, in order.
    const ALL: [fn(Gc<'gc, Three>) -> Self; 16] = [
        Self::T0,
        Self::T1,
        Self::T2,
        Self::T3,
        Self::T4,
        Self::T5,
        Self::T6,
        Self::T7,
        Self::T8,
        Self::T9,
        Self::T10,
        Self::T11,
        Self::T12,
        Self::T13,
        Self::T14,
        Self::T15,
    ];
}

/// 1 for one that begins in the middle of 16 bytes, else 0.
fn object_middle(value: Tag<'_>) -> usize {
    value.target().unwrap().addr().get() % 16 / 8
}

/// They are all different words, and survive in a cell.
#[test]
fn a_pointer_to_three_words_leaves_room_for_every_tag() {
    let heap = Heap::new();
    let root = heap.mutate(|mu| {
        let make = |number: usize| Tag::ALL[number % 16](mu.alloc(Three(number, 1, 2)));
        mu.root(mu.alloc_slice_with(64, |number| TaggedCell::new(make(number))))
    });
    heap.collect();
    heap.mutate(|mu| {
        let mut middles = 0;
        for (number, cell) in root.get(mu).iter().enumerate() {
            let value = cell.load();
            let object = mu.alloc(Three(number, 1, 2));
            assert_eq!(value, Tag::ALL[number % 16](object), "as far as what it leads to is the same");
            middles += object_middle(value);
            let words: Vec<usize> = Tag::ALL
                .iter()
                .map(|tag| {
                    check(tag(object), true);
                    tag(object).into_word().addr()
                })
                .collect();
            assert!((1..16).all(|tag| !words[..tag].contains(&words[tag])), "{words:x?}");
        }
        assert!((24..40).contains(&middles), "{middles} of 64 that begin in the middle");
    });
    heap.verify().unwrap();
}
