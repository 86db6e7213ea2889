//! A pin counter: exact for who is ordered with the pins, whoever else pins and unpins meanwhile.

use loom::cell::UnsafeCell;

use super::{explore, spawn};
use crate::pin::counter::{Bias, PinCounter};
use crate::sync::Arc;

const HERE: Bias = Bias::of_processor(0);
const THERE: Bias = Bias::of_processor(1);

/// While one pin is held, no reader ever sees none, though another processor pins and unpins.
#[test]
fn a_held_pin_is_always_seen() {
    for first in [HERE, THERE] {
        explore("a_held_pin_is_always_seen", 4, move || {
            let counter = Arc::new(PinCounter::default());
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
        let counter = Arc::new(PinCounter::default());
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
            let counter = Arc::new(PinCounter::default());
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
        let counter = Arc::new(PinCounter::default());
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

/// What was written before it was pinned.
struct Content(UnsafeCell<u64>);

// SAFETY: loom checks that its accesses are ordered.
unsafe impl Sync for Content {}

/// Who sees a pin, be it the first, a later one of the owner, or somebody else's, sees the object it was made for.
#[test]
fn who_sees_a_pin_sees_the_object() {
    for (earlier, bias) in [(None, HERE), (Some(HERE), HERE), (Some(HERE), THERE)] {
        explore("who_sees_a_pin_sees_the_object", 4, move || {
            let shared = Arc::new((PinCounter::default(), Content(UnsafeCell::new(0))));
            if let Some(earlier) = earlier {
                // Owned already, with nothing pinned.
                shared.0.pin(earlier).unwrap();
                shared.0.unpin(earlier);
            }
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
}
