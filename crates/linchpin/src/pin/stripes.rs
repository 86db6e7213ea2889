//! Stripes: where pins of an object are counted that many processors pin.
//!
//! The shared half of a [`PinCounter`] is one word for everybody but the owner of the other half. Where two cores pin the
//! same object, the line of that word goes to and fro between them, and a pin and unpin takes several times as long as one alone.
//! Caches count such things by the thread, and so is it done here, but only for objects that ask for it.
//!
//! Every so often who changes a shared half notes the object; one that is noted again and again is *striped*: it
//! is given a *place*, with a counter for each processor, a *stripe*, which has a cache line to itself. From then on each
//! processor counts its pins of the object in its own stripe, by plain loads and stores. The owner goes on in its half,
//! so that its pin is the same short way for every object (to send it elsewhere, too, it would have to look, or somebody to
//! change its half beside it). Whoever has not seen the stripes yet goes on in the shared half. A pin is undone on the counter it was made on, so each of
//! them counts pins of its own, and never less than none; the object's pins are the sum. The place is given back when
//! the object is dead.
//!
//! A place is found by the address of the counter, as there is one that it may have. If that is taken, all stays as it is: places are few, and an object keeps
//! its place until it is dead, pinned or not. Nor is it asked whether cores really contend: an object that one other processor pins all the time gets a
//! place as well, and is pinned by plain stores from then on.
//!
//! **Exactness.** Counters cannot be read at one instant. But each that counts any pins settles the question whether there are some.
//! If none does, one after another, nobody may have pinned the object meanwhile: so a stripe has a version, which rises when its
//! processor has made a pin there, before anything that comes of that. If the versions are, after the last counter was looked at, what they were before the
//! first, each stripe that was found to count none stayed so; if not, there was a pin, at some moment of that time.
//! The number of pins is known likewise, if neither the versions nor the sum has changed: without a pin it only falls.
//!
//! The idea is that of striped counters in general (`LongAdder` of `java.util.concurrent`); that of growing a counter which is
//! contended, of scalable non-zero indicators (Ellen, Lev, Luchangco, Moir, PODC 2007).

#[cfg(all(test, not(loom)))]
mod tests;

use std::ptr::NonNull;

use super::counter::{Bias, PinCounter, TooManyPins};
use crate::sync::{
    AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, CachePadded, Mutex, OnceLock, Ordering, ordering, reordered,
};

/// How many counters may be striped at a time.
const PLACES: usize = if cfg!(loom) { 1 } else { 64 };
/// Stripes of a place. Processors with higher numbers share the last one, by atomic adds, as they do the shared half of what is not striped.
const STRIPES: usize = if cfg!(loom) { 3 } else { 64 };
const LAST: usize = STRIPES - 1;
/// A counter that is noted so often in a row is striped.
const ENOUGH: u64 = if cfg!(loom) { u64::MAX } else { 8 };
/// Of what is kept of a noted counter, the bits that count.
const NOTED_BITS: u32 = 16;
/// Who wants the number of pins looks so often, while others pin and unpin all the time.
const LOOKS: u32 = if cfg!(loom) { 2 } else { 100 };

/// The places of a heap.
#[derive(Default)]
pub(crate) struct Stripes {
    places: OnceLock<Box<[CachePadded<Place>]>>,
}

/// What one striped counter has at a time.
struct Place {
    /// The address of the counter that was noted last among those that may have this place, and how often in a row.
    noted: AtomicU64,
    /// The address of the counter that has it; 0 if none has.
    taken_by: Mutex<usize>,
    stripes: OnceLock<Box<[CachePadded<Stripe>]>>,
    /// Stripes from here on were never used by the counter that has the place.
    used: AtomicUsize,
}

/// The pins of one processor.
#[repr(C)]
pub(crate) struct Stripe {
    /// First, so that who has the address of that has the address of the stripe.
    counter: PinCounter,
    /// How many pins its processor has made here; or its processors, in the last one.
    version: AtomicU32,
    /// The counter of the object.
    of: AtomicPtr<PinCounter>,
}

/// The stripes of a place, added up.
#[derive(PartialEq, Eq)]
struct Sum {
    count: u64,
    /// The sum of the versions: as none of them falls, it is the same only if each is (or a stripe has had 2^32 pins meanwhile).
    versions: u64,
    used: usize,
}

impl Stripe {
    fn new() -> Self {
        Self { counter: PinCounter::default(), version: AtomicU32::new(0), of: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// The counter of the object whose pins this one counts.
    ///
    /// # Safety
    /// `counter` was given by [`Stripes::pin`] of a heap that exists, and counts a pin.
    pub(crate) unsafe fn striped(counter: NonNull<PinCounter>) -> NonNull<PinCounter> {
        // SAFETY: it is the first part of a stripe, of which it may name the rest, as it was made from that; places stay while the heap exists.
        let stripe = unsafe { counter.cast::<Self>().as_ref() };
        // Relaxed: who has the pin has the object, and so is ordered with who has striped it.
        NonNull::new(stripe.of.load(Ordering::Relaxed)).expect("a stripe that counts is of a counter")
    }
}

impl Stripes {
    /// The place that a counter may have.
    fn place_for(&self, counter: &PinCounter) -> &Place {
        let place = || Place {
            noted: AtomicU64::new(0),
            taken_by: Mutex::new(0),
            stripes: OnceLock::new(),
            used: AtomicUsize::new(0),
        };
        let places = self.places.get_or_init(|| (0..PLACES).map(|_| CachePadded::new(place())).collect());
        &places[number_of_place(address_of(counter))]
    }

    /// The place that a striped counter has, and its stripes.
    #[inline]
    fn place_of(&self, counter: &PinCounter) -> (&Place, &[CachePadded<Stripe>]) {
        let place = self.places.get().map(|places| &places[number_of_place(address_of(counter))]);
        let stripes = place.and_then(|place| Some((&**place, &**place.stripes.get()?)));
        stripes.expect("what is striped has a place")
    }

    /// Notes that others than its owner pin the object of this counter, which may be what makes it striped. The caller has pinned it.
    #[cold]
    pub(super) fn note(&self, counter: &PinCounter) {
        let place = self.place_for(counter);
        let address = address_of(counter) as u64;
        // Relaxed, both: a hint. Two that note at the same time may count one.
        let noted = place.noted.load(Ordering::Relaxed);
        let is_same = noted >> NOTED_BITS == address;
        let times = if is_same { (noted & ((1 << NOTED_BITS) - 1)) + 1 } else { 1 };
        if times < ENOUGH {
            place.noted.store(address << NOTED_BITS | times, Ordering::Relaxed);
        } else {
            place.noted.store(0, Ordering::Relaxed);
            self.stripe(counter);
        }
    }

    /// Makes a counter striped, unless another one has the place. The caller keeps the object alive.
    pub(crate) fn stripe(&self, counter: &PinCounter) {
        let place = self.place_for(counter);
        let mut taken_by = place.taken_by.lock();
        if *taken_by != 0 {
            return;
        }
        *taken_by = address_of(counter);
        let make = || (0..STRIPES).map(|_| CachePadded::new(Stripe::new())).collect();
        for stripe in place.stripes.get_or_init(make) {
            // Relaxed: ordered by `set_striped`.
            stripe.of.store(NonNull::from(counter).as_ptr(), Ordering::Relaxed);
        }
        counter.set_striped();
    }

    /// Takes the place away from a striped counter, whose object is dead, and resets it.
    #[cold]
    pub(super) fn take_back(&self, counter: &PinCounter) {
        let (place, stripes) = self.place_of(counter);
        let mut taken_by = place.taken_by.lock();
        debug_assert_eq!(*taken_by, address_of(counter), "who is striped has the place");
        // Relaxed: nobody counts here. Who does next has seen that by `set_striped`, which comes after this lock.
        for stripe in &stripes[..place.used.load(Ordering::Relaxed)] {
            stripe.counter.reset_here();
            stripe.version.store(0, Ordering::Relaxed);
        }
        place.used.store(0, Ordering::Relaxed);
        // Before anybody else has the place: who asks for pins by the address of the dead is not to find those of others there, unless it has
        // been on its way since before.
        counter.reset_here();
        *taken_by = 0;
    }

    /// Counts a pin of the object of a striped counter, as the holder of the processor with this bias; gives the counter on which it is to be
    /// undone.
    pub(super) fn pin(&self, counter: &PinCounter, bias: Bias) -> Result<NonNull<PinCounter>, TooManyPins> {
        let (place, stripes) = self.place_of(counter);
        let number = bias.processor().min(LAST);
        let stripe = &*stripes[number];
        // Acquire: pairs with the release below, where others have this stripe, too: whoever does not raise `used`, as they have, sees it raised.
        let version = stripe.version.load(ordering!(Acquire, "stripe.in_use"));
        if version == 0 {
            // Relaxed: who sees anything that comes after this pin sees this, too, as the version is released.
            place.used.fetch_max(number + 1, Ordering::Relaxed);
        }
        // Release, both: pair with the acquires in `sum`. Who sees that there was a pin sees the object it was made for.
        if number == LAST {
            stripe.counter.pin_shared()?;
            stripe.version.fetch_add(1, ordering!(Release, "stripe.shared_version"));
        } else {
            stripe.counter.pin_own(bias)?;
            stripe.version.store(version.wrapping_add(1), ordering!(Release, "stripe.version"));
        }
        Ok(NonNull::from(stripe).cast())
    }

    /// Whether the object of a striped counter has any pins.
    pub(super) fn is_pinned(&self, counter: &PinCounter) -> bool {
        loop {
            let Some(before) = self.sum(counter) else { return true };
            if before.count != 0 || counter.is_pinned_here() {
                return true;
            }
            if reordered!("stripe.once") {
                return false;
            }
            match self.sum(counter) {
                // A processor has its first pin, or is about to.
                Some(after) if after.used != before.used => {}
                // If not, there was a pin meanwhile.
                after => return after != Some(before),
            }
        }
    }

    /// How many pins the object of a striped counter has. (While others pin and unpin all the time, it may be a number that it never had.)
    pub(super) fn count(&self, counter: &PinCounter) -> u32 {
        let mut last = 1;
        for _ in 0..LOOKS {
            let before = self.sum(counter);
            let here = counter.count_here();
            if let Some(after) = self.sum(counter) {
                last = u64::from(here).saturating_add(after.count).try_into().unwrap_or(u32::MAX);
                if before == Some(after) {
                    return last;
                }
            }
        }
        // There was a pin whenever it looked.
        last.max(1)
    }

    /// Whether a striped counter has its place, and its stripes lead to it. For the verifier, while nobody pins.
    pub(crate) fn has_place(&self, counter: &PinCounter) -> bool {
        let (place, stripes) = self.place_of(counter);
        let leads_here = |stripe: &Stripe| std::ptr::eq(stripe.of.load(Ordering::Relaxed), counter);
        *place.taken_by.lock() == address_of(counter) && stripes.iter().all(|stripe| leads_here(stripe))
    }

    /// How many places are taken, and how many stripes that are not in use count something, or did. For the verifier, while nobody pins.
    pub(crate) fn taken_and_left_over(&self) -> (usize, usize) {
        let (mut taken, mut left_over) = (0, 0);
        for place in self.places.get().into_iter().flatten() {
            let is_taken = *place.taken_by.lock() != 0;
            let used = if is_taken { place.used.load(Ordering::Relaxed) } else { 0 };
            let unused = place.stripes.get().into_iter().flatten().skip(used);
            taken += usize::from(is_taken);
            left_over += unused.filter(|stripe| stripe.counter.is_touched()).count();
        }
        (taken, left_over)
    }

    /// Adds up the stripes of a striped counter; `None` if there was a pin meanwhile.
    fn sum(&self, counter: &PinCounter) -> Option<Sum> {
        let (place, stripes) = self.place_of(counter);
        // Acquire: keeps this load before those below.
        let used = place.used.load(Ordering::Acquire);
        let mut sum = Sum { count: 0, versions: 0, used };
        for stripe in &stripes[..used] {
            // Acquire: keeps this load before the count's.
            let version = stripe.version.load(Ordering::Acquire);
            sum.count += u64::from(stripe.counter.count_here());
            // Acquire: pairs with the releases in `pin`. (The count was loaded by acquires.)
            if stripe.version.load(ordering!(Acquire, "stripe.look")) != version {
                return None;
            }
            sum.versions += u64::from(version);
        }
        Some(sum)
    }
}

fn address_of(counter: &PinCounter) -> usize {
    std::ptr::from_ref(counter).addr()
}

/// By Fibonacci hashing, as the counters of a class lie at equal distances.
fn number_of_place(address: usize) -> usize {
    let mixed = (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    if PLACES == 1 { 0 } else { (mixed >> (64 - PLACES.trailing_zeros())) as usize }
}
