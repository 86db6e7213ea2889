use std::sync::Barrier;
use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;
use crate::collector::cycle::{self, Cycle};
use crate::collector::report::CycleCause;
use crate::collector::workers::Workers;
use crate::{Gc, Heap, Mutator, Pinner, Root};

const A: Bias = Bias::of_processor(0);
const B: Bias = Bias::of_processor(1);
/// Two that have no stripe to themselves.
const MANY: [Bias; 2] = [Bias::of_processor(LAST), Bias::of_processor(1023)];

/// Neighbours in a table, as the pin counters of a region are.
fn counters() -> Vec<PinCounter> {
    (0..10 * PLACES).map(|_| PinCounter::default()).collect()
}

/// Another counter that would have the same place.
fn rival<'a>(counters: &'a [PinCounter], of: &PinCounter) -> &'a PinCounter {
    let place = number_of_place(address_of(of));
    let mut rivals = counters.iter().filter(|other| number_of_place(address_of(other)) == place);
    rivals.find(|other| !std::ptr::eq(*other, of)).expect("ten times as many as there are places")
}

fn undo(made: NonNull<PinCounter>, bias: Bias) {
    // SAFETY: a counter of the test, or a stripe of it.
    unsafe { made.as_ref() }.unpin(bias);
}

#[test]
fn each_processor_counts_in_its_stripe() {
    let (counter, stripes) = (PinCounter::default(), Stripes::default());
    let before = counter.pin(A, &stripes).unwrap();
    stripes.stripe(&counter);
    let made = [B, MANY[0], MANY[1], B].map(|bias| counter.pin(bias, &stripes).unwrap());
    assert_eq!(made[0], made[3], "its own");
    assert_eq!(made[1], made[2], "that of all others");
    assert!(made[0] != made[1] && !made.contains(&NonNull::from(&counter)));
    assert_eq!(before, NonNull::from(&counter));
    // SAFETY: it is a stripe of this counter.
    let last = unsafe { made[1].as_ref() };
    assert_eq!((last.count_here(), last.shared_count()), (2, 2), "nobody has it alone");
    for made in made {
        // SAFETY: it was given by `pin`, and counts a pin.
        assert_eq!(unsafe { Stripe::striped(made) }, NonNull::from(&counter));
    }
    assert_eq!((counter.count(&stripes), counter.count_here()), (5, 1));
    // Undone by whom it may be.
    for (left, (made, bias)) in
        [(4, (made[0], A)), (3, (made[1], MANY[1])), (2, (before, B)), (1, (made[2], Bias::NONE))]
    {
        undo(made, bias);
        assert_eq!(counter.count(&stripes), left);
        assert!(counter.is_pinned(&stripes));
    }
    undo(made[3], B);
    assert!(!counter.is_pinned(&stripes) && counter.count(&stripes) == 0);
}

/// The owner of the local half stays there; it has a stripe only when that is full.
#[test]
fn the_owner_counts_in_its_half() {
    let (counter, stripes) = (PinCounter::default(), Stripes::default());
    let here = NonNull::from(&counter);
    let pin = |bias| counter.pin(bias, &stripes).unwrap();
    assert_eq!(pin(A), here);
    stripes.stripe(&counter);
    let there = pin(B);
    assert_eq!((pin(A), pin(B)), (here, there));
    assert_ne!(here, there);
    assert_eq!((counter.count(&stripes), counter.count_here()), (4, 2));
    let most = (1 << 21) - 1;
    (2..most).for_each(|_| assert_eq!(pin(A), here));
    let elsewhere = pin(A);
    assert!(![here, there].contains(&elsewhere));
    assert_eq!((counter.count(&stripes), counter.count_here()), (most + 3, most));
}

/// A striped counter that nobody owns yet stays so: who pins first has a stripe, too.
#[test]
fn nobody_becomes_the_owner_of_what_is_striped() {
    let (counter, stripes) = (PinCounter::default(), Stripes::default());
    stripes.stripe(&counter);
    assert_ne!(counter.pin(A, &stripes).unwrap(), NonNull::from(&counter));
    assert_eq!((counter.count(&stripes), counter.count_here()), (1, 0));
}

#[test]
fn who_is_pinned_elsewhere_again_and_again_is_striped() {
    let (counter, stripes) = (PinCounter::default(), Stripes::default());
    let pins = |bias: Bias, times: u64| {
        for _ in 0..times {
            undo(counter.pin(bias, &stripes).unwrap(), bias);
        }
        counter.is_striped()
    };
    assert!(!pins(A, 100_000), "its owner may pin as it likes");
    assert!(!pins(B, 100), "once or twice is nothing");
    assert!(pins(B, 32 * ENOUGH));
    assert!(!counter.is_pinned(&stripes));
}

/// Two objects that may have the same place, and are pinned by turns, note one another away; one alone is striped.
#[test]
fn those_pinned_by_turns_are_not_striped() {
    let (counters, stripes) = (counters(), Stripes::default());
    let first = &counters[0];
    let both = [first, rival(&counters, first)];
    both.iter().for_each(|counter| _ = counter.pin(A, &stripes).unwrap());
    // A pin and unpin has two versions, so each is noted once in 32 of them.
    let pin_often = |counter: &PinCounter| (0..32).for_each(|_| undo(counter.pin(B, &stripes).unwrap(), B));
    for _ in 0..10 * ENOUGH {
        both.iter().for_each(|counter| pin_often(counter));
    }
    assert!(both.iter().all(|counter| !counter.is_striped()));
    (0..ENOUGH).for_each(|_| pin_often(first));
    assert!(first.is_striped());
}

#[test]
fn a_place_is_had_by_one() {
    let (counters, stripes) = (counters(), Stripes::default());
    let first = &counters[0];
    let second = rival(&counters, first);
    stripes.stripe(first);
    stripes.stripe(second);
    assert!(first.is_striped() && !second.is_striped());
    let made = [first, second].map(|counter| {
        counter.pin(A, &stripes).unwrap();
        counter.pin(B, &stripes).unwrap()
    });
    assert!(made[0] != NonNull::from(first) && made[1] == NonNull::from(second));
    assert_eq!([first, second].map(|counter| counter.count(&stripes)), [2, 2]);
}

/// The next one begins with nothing, and readers of it find its own stripes in use only.
#[test]
fn a_place_is_given_back_by_the_dead() {
    let (counters, stripes) = (counters(), Stripes::default());
    let first = &counters[0];
    stripes.stripe(first);
    for bias in [A, B, MANY[0]] {
        // Undone on another processor: the halves of its stripe only cancel out.
        undo(first.pin(bias, &stripes).unwrap(), Bias::NONE);
    }
    stripes.take_back(first);
    assert!(!first.is_striped() && !first.is_touched(), "the place is free, so it does not lead there");
    first.reset(&stripes);
    assert!(!first.is_striped() && !first.is_touched());
    let second = rival(&counters, first);
    stripes.stripe(second);
    assert!(second.is_striped() && !second.is_pinned(&stripes));
    let (place, used) = stripes.place_of(second);
    assert_eq!(place.used.load(Ordering::Relaxed), 0);
    assert!(used.iter().all(|stripe| !stripe.counter.is_touched()));
    let made = second.pin(B, &stripes).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { Stripe::striped(made) }, NonNull::from(second));
    assert_eq!((second.count(&stripes), first.count(&stripes)), (1, 0));
}

/// A stripe of its own takes as many as a local half, and then what a shared one takes.
#[test]
fn a_stripe_overflows_into_its_shared_half() {
    let (counter, stripes) = (PinCounter::default(), Stripes::default());
    stripes.stripe(&counter);
    let many = (1 << 21) + 10;
    let made: Vec<_> = (0..many).map(|_| counter.pin(A, &stripes).unwrap()).collect();
    assert_eq!(counter.count(&stripes), many);
    made.into_iter().for_each(|made| undo(made, A));
    assert_eq!(counter.count(&stripes), 0);
}

/// One pin is there at every moment, but on a processor and another by turns; and one comes and goes. Readers see it, whatever they are overtaken by.
#[test]
fn a_pin_that_goes_about_is_always_seen() {
    let (counter, stripes, done) = (PinCounter::default(), Stripes::default(), AtomicBool::new(false));
    let all_there = Barrier::new(3);
    stripes.stripe(&counter);
    let mut made = (counter.pin(A, &stripes).unwrap(), A);
    thread::scope(|scope| {
        for index in [70, 71, 2] {
            let (counter, stripes, done) = (&counter, &stripes, &done);
            scope.spawn(move || {
                let bias = Bias::of_processor(index);
                while !done.load(Ordering::Relaxed) {
                    undo(counter.pin(bias, stripes).unwrap(), bias);
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                all_there.wait();
                while !done.load(Ordering::Relaxed) {
                    assert!(counter.is_pinned(&stripes));
                    assert!(counter.count(&stripes) >= 1);
                }
            });
        }
        all_there.wait();
        for turn in 0..200_000_usize {
            let bias = [A, B, MANY[0], MANY[1]][turn % 4];
            let next = (counter.pin(bias, &stripes).unwrap(), bias);
            undo(made.0, made.1);
            made = next;
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(counter.count(&stripes), 1);
    undo(made.0, made.1);
    assert!(!counter.is_pinned(&stripes));
}

/// By way of pinners: an object that other processors pin, too, becomes striped; it is kept by any of the pins, found by walk, barrier and verifier; and
/// with it goes its place.
#[test]
fn what_threads_pin_is_kept_and_then_freed() {
    let heap = Heap::builder().processors(3).build().unwrap();
    let core = heap.core();
    let region = &core.memory.region;
    let root: Root<u64> = heap.mutate(|mu| mu.root(mu.alloc(7_u64)));
    let address = heap.mutate(|mu| Gc::as_ptr(root.get(mu)).addr());
    let pin = |mu: &Mutator<'_>| {
        let mut pinner = Pinner::new();
        pinner.pin(mu, root.get(mu));
        pinner
    };
    // Mutations at the same time have processors of their own.
    let mut pinners = heap.mutate(|mu| {
        let mut pinners = vec![pin(mu)];
        thread::scope(|scope| {
            let other = || {
                heap.mutate(|mu| {
                    (0..32 * ENOUGH).for_each(|_| drop(pin(mu)));
                    assert!(region.pin_counter(address).is_striped());
                    vec![pin(mu), thread::scope(|scope| scope.spawn(|| heap.mutate(pin)).join().unwrap())]
                })
            };
            pinners.extend(scope.spawn(other).join().unwrap());
        });
        pinners.push(pin(mu));
        pinners
    });
    let made_here = region.pin_counter(address).count_here();
    assert_eq!((heap.mutate(|mu| mu.pin_count(root.get(mu))), made_here), (4, 2));
    drop(root);
    let none = Workers::none();
    while pinners.len() > 1 {
        cycle::run(core, &none, CycleCause::Asked);
        heap.verify().unwrap();
        assert_ne!(region.mark(address).load(Ordering::Relaxed), 0, "it is pinned");
        assert_eq!(heap.pin_count(std::ptr::without_provenance::<u64>(address)) as usize, pinners.len());
        drop(pinners.remove(0));
    }
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    drop(pinners);
    cycle.mark();
    cycle.close();
    cycle.switch_off();
    cycle.sweep();
    assert_ne!(region.mark(address).load(Ordering::Relaxed), 0, "it was pinned at the snapshot, and shaded");
    cycle::run(core, &none, CycleCause::Asked);
    assert_eq!(region.mark(address).load(Ordering::Relaxed), 0, "it is freed");
    let counter = region.pin_counter(address);
    assert!(!counter.is_striped() && !counter.is_touched());
    assert_eq!(*region.stripes.place_for(counter).taken_by.lock(), 0);
}
