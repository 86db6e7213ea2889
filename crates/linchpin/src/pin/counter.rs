//! The pin counter of an object: exact, and without a read-modify-write where one processor does the pinning.
//!
//! A pin costs what its counter costs, and an atomic add takes longer than all the rest together. Most objects are
//! pinned and unpinned on one processor, so a counter is *biased*: it has two halves, and its value is their sum.
//!
//! * The **local** half belongs to the processor that pinned first since the slot was allocated (its *owner*). Only
//!   its holder changes it, by plain loads and stores; the processor's state word orders one holder after another.
//! * The **shared** half is changed by everybody else with an atomic add, below zero too: a pin made on the owner and
//!   undone elsewhere counts one up here and one down there.
//!
//! An object that many processors pin is *striped*: each but the owner counts its pins in a counter of its own
//! ([`stripes`](super::stripes)), and the shared half is left to who has not seen that yet.
//!
//! Nobody takes a counter away from its owner while the object lives; the sweeper, which owns a dead slot alone,
//! resets both halves.
//!
//! **Orderings.** Every change is a release, and readers acquire. So who sees a pin sees the object it was made for (the
//! collector's walk needs that for an object that was born and pinned while it marks), and who sees one of two changes that
//! are ordered sees the earlier one too.
//!
//! **Exactness.** The halves cannot be loaded at one instant, so a reader loads the shared half before and after the
//! local one, and again if it has changed; then the sum is the count at the instant of the local load. The
//! shared half carries the low bits of a version, so that a change there and back is noticed, unless the reader is
//! overtaken by an exact multiple of 256 of them. The collector does not depend on that: a pin that it overlooks
//! because it moved between halves during the walk was undone, and shaded, in the meantime.

use super::stripes::Stripes;
use crate::sync::{AtomicU32, Ordering, ordering};
use std::ptr::NonNull;

/// Bits of the local half that count; the owner stands above them.
const LOCAL_BITS: u32 = 21;
/// Bits of the shared half that count, as a signed number; the version stands above them.
const SHARED_BITS: u32 = 24;
const SHARED_MASK: u32 = (1 << SHARED_BITS) - 1;
const ONE_VERSION: u32 = 1 << SHARED_BITS;

/// The most pins of one object that the shared half takes; half of its range, so that threads that race to
/// exceed it cannot overflow it before they notice.
pub(crate) const MOST_SHARED_PINS: u32 = (1 << (SHARED_BITS - 2)) - MOST_RACING;
/// More threads do not race to exceed it.
const MOST_RACING: u32 = 1 << 16;
/// In a shared half: pins are counted in stripes.
const STRIPED: u32 = 1 << (SHARED_BITS - 1);
/// So many versions of a shared half pass between two that are noted.
const NOTE_EVERY: u32 = 64;
/// The most pins of one object that the local half takes; further ones go to the shared half.
const MOST_LOCAL_PINS: u32 = (1 << LOCAL_BITS) - 1;

/// What a processor adds to a local half that it owns: its number, above the counting bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bias(u32);

impl Bias {
    /// The bias of a numbered processor.
    pub(crate) const fn of_processor(index: usize) -> Self {
        assert!(index < (1 << (32 - LOCAL_BITS)) - 2, "more processors than owners fit a counter");
        Self((index as u32 + 1) << LOCAL_BITS)
    }

    /// The bias of the spare processor, which never pins and owns nothing.
    pub(crate) const NONE: Self = Self(u32::MAX << LOCAL_BITS);

    /// The number of the processor.
    pub(super) fn processor(self) -> usize {
        (self.0 >> LOCAL_BITS) as usize - 1
    }
}

/// See the module head. All-zero memory is a counter of 0 without an owner.
#[derive(Default)]
pub(crate) struct PinCounter {
    local: AtomicU32,
    shared: AtomicU32,
}

impl std::fmt::Debug for PinCounter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (local, shared) = (self.local.load(Ordering::Relaxed), self.shared.load(Ordering::Relaxed));
        write!(f, "{} (local {:#x}, shared {:#x})", self.count_here(), local, shared)
    }
}

/// The object has too many pins for its counter.
#[derive(Debug)]
pub(crate) struct TooManyPins;

impl PinCounter {
    /// Counts a pin, as the holder of the processor with this bias; gives the counter on which it is to be undone.
    #[inline(always)]
    pub(crate) fn pin(&self, bias: Bias, stripes: &Stripes) -> Result<NonNull<Self>, TooManyPins> {
        // Relaxed: only the processor's holder changes a half that it owns; for anybody else's any value will do.
        let local = self.local.load(Ordering::Relaxed);
        if local.wrapping_sub(bias.0) < MOST_LOCAL_PINS {
            self.local.store(local + 1, ordering!(Release, "pin.local"));
            return Ok(NonNull::from(self));
        }
        self.pin_slow(bias, stripes)
    }

    #[cold]
    #[inline(never)]
    fn pin_slow(&self, bias: Bias, stripes: &Stripes) -> Result<NonNull<Self>, TooManyPins> {
        if self.is_striped() {
            return stripes.pin(self, bias);
        }
        // A look first, since a compare-and-swap costs the same when it fails.
        if self.local.load(Ordering::Relaxed) == 0
            && self.local.compare_exchange(0, bias.0 + 1, ordering!(Release, "pin.first"), Ordering::Relaxed).is_ok()
        {
            return Ok(NonNull::from(self));
        }
        if self.pin_shared()? {
            stripes.note(self);
        }
        Ok(NonNull::from(self))
    }

    /// Counts a pin in the shared half. True if it is time to [note](Stripes::note) it.
    pub(super) fn pin_shared(&self) -> Result<bool, TooManyPins> {
        let before = self.shared.fetch_add(ONE_VERSION.wrapping_add(1), ordering!(Release, "pin.shared"));
        if signed(before) >= MOST_SHARED_PINS as i32 {
            self.unpin_shared();
            return Err(TooManyPins);
        }
        // Two of so many: where pins and unpins take turns, pins have every other version.
        Ok((before >> SHARED_BITS) % NOTE_EVERY >= NOTE_EVERY - 2)
    }

    /// Counts a pin, as the holder of the processor with this bias, the only one to use the local half.
    pub(super) fn pin_own(&self, bias: Bias) -> Result<(), TooManyPins> {
        // Relaxed: as in `pin`.
        let local = self.local.load(Ordering::Relaxed);
        let owned = if local == 0 { bias.0 } else { local };
        if owned.wrapping_sub(bias.0) < MOST_LOCAL_PINS {
            self.local.store(owned + 1, ordering!(Release, "pin.own"));
            return Ok(());
        }
        self.pin_shared().map(|_| ())
    }

    /// Undoes a pin that was made here, as the holder of the processor with this bias.
    #[inline(always)]
    pub(crate) fn unpin(&self, bias: Bias) {
        let local = self.local.load(Ordering::Relaxed);
        // A local half of ours that counts one at least.
        if local.wrapping_sub(bias.0).wrapping_sub(1) < MOST_LOCAL_PINS {
            self.local.store(local - 1, ordering!(Release, "unpin.local"));
        } else {
            self.unpin_shared();
        }
    }

    #[cold]
    fn unpin_shared(&self) {
        // One version up, one pin down.
        self.shared.fetch_add(ONE_VERSION.wrapping_sub(1), ordering!(Release, "unpin.shared"));
    }

    /// Whether pins are counted in stripes as well.
    pub(crate) fn is_striped(&self) -> bool {
        // Acquire: pairs with the release in `set_striped`, for who goes on to the stripes.
        is_striped(self.shared.load(ordering!(Acquire, "pin.striped")))
    }

    /// Has whoever sees it pin in a stripe from now on. (Once more, and it is not striped any more, which the verifier's tests need.)
    pub(crate) fn set_striped(&self) {
        // Release: pairs with the acquires of who finds it striped.
        self.shared.fetch_xor(STRIPED, ordering!(Release, "pin.stripe"));
    }

    /// The count of the shared half.
    #[cfg(all(test, not(loom)))]
    pub(super) fn shared_count(&self) -> i32 {
        signed(self.shared.load(Ordering::Relaxed))
    }

    /// How many pins the object has.
    #[inline(always)]
    pub(crate) fn count(&self, stripes: &Stripes) -> u32 {
        let here = self.count_here();
        // Asked for later: if it is not striped now, it was not when that was counted.
        if self.is_striped() { stripes.count(self) } else { here }
    }

    /// How many pins this counter counts.
    #[inline(always)]
    pub(super) fn count_here(&self) -> u32 {
        // Halves loaded at one instant never sum up to less than nothing; a reader overtaken by 256 changes may see that.
        self.sum().max(0) as u32
    }

    /// Whether the object has any pins.
    #[inline(always)]
    pub(crate) fn is_pinned(&self, stripes: &Stripes) -> bool {
        // Acquire: as in `sum`.
        let shared = self.shared.load(ordering!(Acquire, "pin.look_shared"));
        let local = self.local.load(ordering!(Acquire, "pin.look_local"));
        if shared | self.shared.load(Ordering::Relaxed) == 0 {
            // Nobody but the owner counts here, or the others' changes cancel out, a multiple of 256 of them (so that the
            // version is 0 again, too). Either way, if none came between the two loads of this half, the local one is the
            // count; a reader overtaken by 256 changes may err, as the module head says.
            return local & MOST_LOCAL_PINS != 0;
        }
        self.is_pinned_slow(stripes)
    }

    #[cold]
    #[inline(never)]
    fn is_pinned_slow(&self, stripes: &Stripes) -> bool {
        // Asked in this order: if it is not striped when this counts none, this is all there is.
        self.is_pinned_here() || (self.is_striped() && stripes.is_pinned(self))
    }

    /// Whether this counter counts any pins.
    pub(super) fn is_pinned_here(&self) -> bool {
        self.sum_again() > 0
    }

    #[inline(always)]
    fn sum(&self) -> i32 {
        // Acquire, on the first two: pairs with the releases of the changes, and keeps the three loads in their order.
        let shared = self.shared.load(ordering!(Acquire, "pin.sum_shared"));
        let local = self.local.load(ordering!(Acquire, "pin.sum_local"));
        if self.shared.load(Ordering::Relaxed) == shared {
            return (local & MOST_LOCAL_PINS) as i32 + signed(shared);
        }
        self.sum_again()
    }

    #[cold]
    #[inline(never)]
    fn sum_again(&self) -> i32 {
        loop {
            let shared = self.shared.load(ordering!(Acquire, "pin.sum_shared"));
            let local = self.local.load(ordering!(Acquire, "pin.sum_local"));
            if self.shared.load(Ordering::Relaxed) == shared {
                return (local & MOST_LOCAL_PINS) as i32 + signed(shared);
            }
        }
    }

    /// Whether it has an owner or a count in either half.
    pub(crate) fn is_touched(&self) -> bool {
        // Acquire: pairs with the releases of the changes, for the verifier.
        self.local.load(Ordering::Acquire) != 0 || self.shared.load(Ordering::Acquire) != 0
    }

    /// Forgets the owner, and the stripes. For the sweeper, which owns the dead slot; its count is 0.
    pub(crate) fn reset(&self, stripes: &Stripes) {
        debug_assert_eq!(self.count(stripes), 0, "what is swept is not pinned");
        if self.is_striped() {
            stripes.take_back(self);
        } else {
            self.reset_here();
        }
    }

    /// Forgets the owner.
    pub(super) fn reset_here(&self) {
        self.local.store(0, Ordering::Relaxed);
        self.shared.store(0, Ordering::Relaxed);
    }
}

/// Whether a shared half says that there are stripes.
///
/// The count stays in the middle half of its range, with room to spare for threads that race; [`STRIPED`] takes it to the outer one.
#[inline(always)]
fn is_striped(shared: u32) -> bool {
    shared.wrapping_add(STRIPED >> 1) & STRIPED != 0
}

/// The signed count in a shared half, striped or not.
#[inline(always)]
fn signed(shared: u32) -> i32 {
    let count = if is_striped(shared) { shared ^ STRIPED } else { shared };
    ((count & SHARED_MASK) << (32 - SHARED_BITS)) as i32 >> (32 - SHARED_BITS)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    const A: Bias = Bias::of_processor(0);
    const B: Bias = Bias::of_processor(1023);

    #[test]
    fn pins_of_one_processor_stay_in_the_local_half() {
        let counter = PinCounter::default();
        for count in 1..=1000 {
            counter.pin(A, &Stripes::default()).unwrap();
            assert_eq!(counter.count_here(), count);
        }
        assert_eq!(counter.shared.load(Ordering::Relaxed), 0);
        for count in (0..1000).rev() {
            counter.unpin(A);
            assert_eq!(counter.count_here(), count);
        }
        assert_eq!(counter.shared.load(Ordering::Relaxed), 0);
        assert!(counter.is_touched(), "it has an owner, who pins without a look at others");
        counter.reset(&Stripes::default());
    }

    #[test]
    fn pins_may_be_undone_on_any_processor() {
        for order in [[A, B, B, A], [A, A, B, B], [B, A, A, Bias::NONE], [A, B, Bias::NONE, Bias::NONE]] {
            let counter = PinCounter::default();
            counter.pin(order[0], &Stripes::default()).unwrap();
            counter.pin(order[1], &Stripes::default()).unwrap();
            assert_eq!(counter.count_here(), 2);
            counter.unpin(order[2]);
            assert_eq!(counter.count_here(), 1);
            counter.unpin(order[3]);
            assert_eq!(counter.count_here(), 0);
            counter.pin(B, &Stripes::default()).unwrap();
            assert_eq!(counter.count_here(), 1, "after halves that cancel out");
        }
    }

    /// The count and the owner share a word; owners whose numbers are neighbours are told apart whatever the count.
    #[test]
    fn neighbours_are_told_apart() {
        let (owner, below) = (Bias::of_processor(5), Bias::of_processor(4));
        let counter = PinCounter::default();
        counter.pin(owner, &Stripes::default()).unwrap();
        counter.unpin(owner);
        // The owner has none now.
        counter.pin(below, &Stripes::default()).unwrap();
        assert_eq!(counter.count_here(), 1);
        counter.unpin(below);
        assert_eq!(counter.count_here(), 0);
        assert_eq!(counter.local.load(Ordering::Relaxed), owner.0, "the local half is the owner's");
    }

    /// A reader would not notice a pin that comes and goes between two looks at the shared half, were it not for the version.
    #[test]
    fn a_change_there_and_back_leaves_a_trace() {
        let counter = PinCounter::default();
        counter.pin(A, &Stripes::default()).unwrap();
        let shared = || counter.shared.load(Ordering::Relaxed);
        let mut seen = vec![shared()];
        for _ in 0..3 {
            counter.pin(B, &Stripes::default()).unwrap();
            counter.unpin(B);
            assert_eq!(counter.count_here(), 1);
            assert!(!seen.contains(&shared()));
            seen.push(shared());
        }
    }

    #[test]
    fn a_counter_shows_its_count_and_its_halves() {
        let counter = PinCounter::default();
        counter.pin(A, &Stripes::default()).unwrap();
        counter.pin(B, &Stripes::default()).unwrap();
        assert_eq!(format!("{counter:?}"), "2 (local 0x200001, shared 0x1000001)");
    }

    /// `Pinner::pin` names the number.
    #[test]
    fn an_object_takes_four_million_pins() {
        assert!((4_000_000..5_000_000).contains(&MOST_SHARED_PINS));
    }

    /// Whatever is in the halves, both ways to ask agree.
    #[test]
    fn pinned_is_what_has_a_count() {
        for steps in [[A, A], [A, B], [B, A], [B, B]] {
            let counter = PinCounter::default();
            assert!(!counter.is_pinned(&Stripes::default()) && !counter.is_touched());
            counter.pin(A, &Stripes::default()).unwrap();
            assert!(counter.is_pinned(&Stripes::default()) && counter.is_touched());
            counter.pin(steps[0], &Stripes::default()).unwrap();
            assert!(counter.is_pinned(&Stripes::default()));
            counter.unpin(steps[1]);
            assert!(counter.is_pinned(&Stripes::default()) && counter.count_here() == 1);
            counter.unpin(B);
            assert!(!counter.is_pinned(&Stripes::default()) && counter.count_here() == 0);
            assert!(counter.is_touched(), "it has an owner");
            counter.reset(&Stripes::default());
            assert!(!counter.is_touched());
        }
    }

    #[test]
    fn the_local_half_overflows_into_the_shared_one() {
        let counter = PinCounter::default();
        for _ in 0..MOST_LOCAL_PINS + 10 {
            counter.pin(A, &Stripes::default()).unwrap();
        }
        assert_eq!(counter.count_here(), MOST_LOCAL_PINS + 10);
        for _ in 0..MOST_LOCAL_PINS + 10 {
            counter.unpin(A);
        }
        assert_eq!(counter.count_here(), 0);
    }

    #[test]
    fn too_many_shared_pins_are_refused_and_not_counted() {
        let counter = PinCounter::default();
        counter.pin(A, &Stripes::default()).unwrap();
        counter.shared.store(MOST_SHARED_PINS, Ordering::Relaxed);
        counter.pin(B, &Stripes::default()).unwrap_err();
        assert_eq!(counter.count_here(), MOST_SHARED_PINS + 1);
        counter.unpin(B);
        counter.pin(B, &Stripes::default()).unwrap();
    }

    #[test]
    fn threads_that_pin_and_unpin_at_once_lose_nothing() {
        let counter = PinCounter::default();
        let held = AtomicBool::new(false);
        counter.pin(A, &Stripes::default()).unwrap();
        std::thread::scope(|scope| {
            for index in 0..4 {
                let (counter, held) = (&counter, &held);
                scope.spawn(move || {
                    for _ in 0..100_000 {
                        counter.pin(Bias::of_processor(index), &Stripes::default()).unwrap();
                        held.store(counter.count_here() > 1, Ordering::Relaxed);
                        assert!(counter.count_here() >= 2, "the first pin and ours");
                        counter.unpin(Bias::of_processor(index));
                    }
                });
            }
        });
        assert!(held.load(Ordering::Relaxed));
        assert_eq!(counter.count_here(), 1);
    }
}
