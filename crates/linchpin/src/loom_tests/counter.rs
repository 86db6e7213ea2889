//! A pin counter: exact for who is ordered with the pins, whoever else pins and unpins meanwhile.

use loom::cell::UnsafeCell;

use super::{explore, spawn};
use std::ptr::NonNull;

use crate::pin::counter::{Bias, PinCounter, TooManyPins};
use crate::pin::stripes::Stripes;
use crate::sync::Arc;

const HERE: Bias = Bias::of_processor(0);
const THERE: Bias = Bias::of_processor(1);
/// Processors that have no stripe to themselves: there are three here.
const MANY: Bias = Bias::of_processor(2);
const ALSO_MANY: Bias = Bias::of_processor(3);

/// The pin counter of an object, with what it needs to be striped.
#[derive(Default)]
struct Counter {
    counter: PinCounter,
    stripes: Stripes,
}

/// The counter on which a pin is to be undone. It goes to another thread as part of a pinner does.
struct Made(NonNull<PinCounter>);

// SAFETY: counters may be used on any thread.
unsafe impl Send for Made {}

impl Counter {
    /// One that is striped.
    fn striped() -> Self {
        let counter = Self::default();
        counter.stripe();
        counter
    }

    fn stripe(&self) {
        self.stripes.stripe(&self.counter);
    }

    fn pin(&self, bias: Bias) -> Result<Made, TooManyPins> {
        self.counter.pin(bias, &self.stripes).map(Made)
    }

    /// Undoes a pin that was made before it was striped.
    fn unpin(&self, bias: Bias) {
        self.counter.unpin(bias);
    }

    fn undo(&self, made: &Made, bias: Bias) {
        // SAFETY: it is this counter, or one of its stripes.
        unsafe { made.0.as_ref() }.unpin(bias);
    }

    fn is_pinned(&self) -> bool {
        self.counter.is_pinned(&self.stripes)
    }

    fn count(&self) -> u32 {
        self.counter.count(&self.stripes)
    }
}

/// While one pin is held, no reader ever sees none, though another processor pins and unpins.
#[test]
fn a_held_pin_is_always_seen() {
    for first in [HERE, THERE] {
        explore("a_held_pin_is_always_seen", 4, move || {
            let counter = Arc::new(Counter::default());
            counter.pin(first).unwrap();
            let other = {
                let counter = Arc::clone(&counter);
                spawn(move || {
                    counter.pin(THERE).unwrap();
                    counter.unpin(THERE);
                })
            };
            for _ in 0..2 {
                assert!(counter.is_pinned());
                assert!((1..=2).contains(&counter.count()));
            }
            other.join().unwrap();
            assert_eq!(counter.count(), 1);
            counter.unpin(first);
            assert!(!counter.is_pinned());
        });
    }
}

/// A pin that moves to another processor's half while somebody looks is never overlooked.
#[test]
fn a_pin_that_changes_halves_is_seen() {
    explore("a_pin_that_changes_halves_is_seen", 4, || {
        let counter = Arc::new(Counter::default());
        counter.pin(HERE).unwrap();
        let other = {
            let counter = Arc::clone(&counter);
            spawn(move || {
                // One pin is there at every moment: first in the local half, then in the shared one.
                counter.pin(THERE).unwrap();
                counter.unpin(HERE);
            })
        };
        assert!(counter.is_pinned());
        assert!((1..=2).contains(&counter.count()));
        other.join().unwrap();
        assert_eq!(counter.count(), 1);
    });
}

/// The same the other way: from the shared half to that of the owner. Also where the shared half comes back to 0 in it, version
/// and all, which is what a reader takes for "never used".
#[test]
fn a_pin_that_comes_back_to_its_owner_is_seen() {
    for earlier in [0, 127] {
        explore("a_pin_that_comes_back_to_its_owner_is_seen", 4, move || {
            let counter = Arc::new(Counter::default());
            counter.pin(HERE).unwrap();
            counter.unpin(HERE);
            // Two versions each; the pin and the unpin below make it 256.
            for _ in 0..earlier {
                counter.pin(THERE).unwrap();
                counter.unpin(THERE);
            }
            counter.pin(THERE).unwrap();
            let other = {
                let counter = Arc::clone(&counter);
                spawn(move || {
                    counter.pin(HERE).unwrap();
                    counter.unpin(THERE);
                })
            };
            assert!(counter.is_pinned());
            other.join().unwrap();
            assert_eq!(counter.count(), 1);
        });
    }
}

/// Two processors that pin first at the same time: one becomes the owner, both are counted.
#[test]
fn two_first_pins_are_both_counted() {
    explore("two_first_pins_are_both_counted", 4, || {
        let counter = Arc::new(Counter::default());
        let other = {
            let counter = Arc::clone(&counter);
            spawn(move || counter.pin(THERE).unwrap())
        };
        counter.pin(HERE).unwrap();
        other.join().unwrap();
        assert_eq!(counter.count(), 2);
        counter.unpin(THERE);
        counter.unpin(HERE);
        assert_eq!(counter.count(), 0);
    });
}

/// A pin that moves from one stripe to another, or from a stripe to the shared half that is used after all, is never overlooked; whichever processor
/// counts there.
#[test]
fn a_pin_that_changes_stripes_is_seen() {
    // Of the last stripe many make use.
    for (first, second) in [(HERE, THERE), (THERE, HERE), (HERE, MANY), (MANY, HERE), (MANY, ALSO_MANY)] {
        explore("a_pin_that_changes_stripes_is_seen", 4, move || {
            let counter = Arc::new(Counter::striped());
            let made = counter.pin(first).unwrap();
            let other = {
                let counter = Arc::clone(&counter);
                spawn(move || {
                    let again = counter.pin(second).unwrap();
                    counter.undo(&made, first);
                    again
                })
            };
            assert!(counter.is_pinned());
            let again = other.join().unwrap();
            assert_eq!(counter.count(), 1);
            counter.undo(&again, first);
            assert!(!counter.is_pinned());
            assert_eq!(counter.count(), 0);
        });
    }
}

/// The same where it comes back: a reader that finds the first stripe empty, then the second, must not be content with that.
#[test]
fn a_pin_that_goes_to_and_fro_is_seen() {
    explore("a_pin_that_goes_to_and_fro_is_seen", 3, || {
        let counter = Arc::new(Counter::striped());
        let made = counter.pin(HERE).unwrap();
        let other = {
            let counter = Arc::clone(&counter);
            spawn(move || {
                let there = counter.pin(THERE).unwrap();
                counter.undo(&made, HERE);
                let _here = counter.pin(HERE).unwrap();
                counter.undo(&there, THERE);
            })
        };
        assert!(counter.is_pinned());
        other.join().unwrap();
        assert_eq!(counter.count(), 1);
    });
}

/// While a counter becomes striped its pins stay counted: those made before, on both halves, and those of who has not seen it yet.
#[test]
fn what_becomes_striped_loses_no_pin() {
    explore("what_becomes_striped_loses_no_pin", 4, || {
        let counter = Arc::new(Counter::default());
        counter.pin(HERE).unwrap();
        let owner = {
            let counter = Arc::clone(&counter);
            spawn(move || {
                let second = counter.pin(HERE).unwrap();
                counter.undo(&second, HERE);
                let _third = counter.pin(HERE).unwrap();
            })
        };
        let made = counter.pin(THERE).unwrap();
        counter.stripe();
        let again = counter.pin(THERE).unwrap();
        assert!(counter.is_pinned());
        counter.undo(&made, THERE);
        counter.undo(&again, THERE);
        assert!(counter.is_pinned());
        owner.join().unwrap();
        assert_eq!(counter.count(), 2);
    });
}

/// A processor whose pin would be the first makes it while another one stripes the counter.
#[test]
fn a_first_pin_and_a_striped_one_are_both_counted() {
    explore("a_first_pin_and_a_striped_one_are_both_counted", 4, || {
        let counter = Arc::new(Counter::default());
        let other = {
            let counter = Arc::clone(&counter);
            spawn(move || {
                let made = counter.pin(THERE).unwrap();
                counter.undo(&made, THERE);
                let _again = counter.pin(THERE).unwrap();
            })
        };
        counter.stripe();
        counter.pin(HERE).unwrap();
        other.join().unwrap();
        assert_eq!(counter.count(), 2);
    });
}

/// Whoever pins in the last stripe sees his own pin, and so does who was handed it, though another processor brings the stripe into use.
#[test]
fn a_pin_in_the_last_stripe_is_seen() {
    explore("a_pin_in_the_last_stripe_is_seen", 3, || {
        let counter = Arc::new(Counter::striped());
        let made = counter.pin(HERE).unwrap();
        let first = {
            let counter = Arc::clone(&counter);
            spawn(move || {
                let _kept = counter.pin(MANY).unwrap();
            })
        };
        let _again = counter.pin(ALSO_MANY).unwrap();
        counter.undo(&made, HERE);
        assert!(counter.is_pinned());
        assert!(counter.count() >= 1);
        first.join().unwrap();
        assert_eq!(counter.count(), 2);
    });
}

/// What was written before it was pinned.
struct Content(UnsafeCell<u64>);

// SAFETY: loom checks that its accesses are ordered.
unsafe impl Sync for Content {}

/// Who sees a pin that is made with `bias` sees the object it was made for.
fn assert_seen_with_the_object(test: &'static str, bias: Bias, make: fn() -> Counter) {
    explore(test, 4, move || {
        let shared = Arc::new((make(), Content(UnsafeCell::new(0))));
        let other = {
            let shared = Arc::clone(&shared);
            spawn(move || {
                // SAFETY: as above.
                shared.1.0.with_mut(|content| unsafe { *content = 7 });
                shared.0.pin(bias).unwrap();
            })
        };
        if shared.0.is_pinned() {
            // SAFETY: as above.
            assert_eq!(shared.1.0.with(|content| unsafe { *content }), 7);
        }
        other.join().unwrap();
    });
}

/// Be it the first pin, a later one of the owner, or somebody else's.
#[test]
fn who_sees_a_pin_sees_the_object() {
    let owned = || {
        let counter = Counter::default();
        counter.pin(HERE).unwrap();
        counter.unpin(HERE);
        counter
    };
    for (make, bias) in [(Counter::default as fn() -> Counter, HERE), (owned, HERE), (owned, THERE)] {
        assert_seen_with_the_object("who_sees_a_pin_sees_the_object", bias, make);
    }
}

/// A pin in a stripe of one's own, or in one of many.
#[test]
fn who_sees_a_pin_in_a_stripe_sees_the_object() {
    for bias in [THERE, MANY] {
        assert_seen_with_the_object("who_sees_a_pin_in_a_stripe_sees_the_object", bias, Counter::striped);
    }
}
