//! Pins: memory that stays alive and stays put while C code or the kernel has its address.
//!
//! A [`Pinner`] is a set of pins, like Go's `runtime.Pinner`. It is a pointer to an *inner pinner*, which records the
//! pins; each processor caches one inner pinner, so that a new `Pinner` that pins and unpins within a mutation
//! allocates nothing. The design is that of Go's commit "runtime: cache inner pinner on P" (0adcc5ace8), step by step:
//!
//! | step | here |
//! | --- | --- |
//! | a new `Pinner` | is empty, `const`, and allocates nothing |
//! | its first pin | takes the inner pinner cached on the processor, or makes one |
//! | unpin | gives the inner back if the processor's slot is empty; else the `Pinner` keeps it for reuse |
//! | the leak check | belongs to the inner, is set up once when it is made, and tolerates an empty one |
//! | the end of each mark | drops the cached inners (the handshake to `Off`); so does retiring a processor |
//! | unpin | keeps no pin, but the storage of the list up to a bound |
//!
//! **The counters are the truth.** A pin raises the object's counter in the side metadata (and the flag of its span,
//! so that the collector finds it); the list of an inner pinner is only there to undo that. The collector walks
//! the counters of flagged spans, so no pinner registers with it.
//!
//! Unpinning acts as a processor: inside a mutation as that mutation's, outside as one held for a moment. While a
//! cycle marks it shades what it unpins, as every deletion does.

pub(crate) mod counter;
pub(crate) mod inner;
pub(crate) mod leak;
pub(crate) mod registry;
pub(crate) mod stripes;

use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::NonNull;

use crate::gc::{Gc, Object};
use crate::heap::Core;
use crate::memory::PIN_FLAG_RAISED;
use crate::mutator::Mutator;
use crate::processor::phase::Mode;
use crate::processor::thread as this_thread;
use crate::sync::Ordering;
use inner::{Inner, InnerBox, PinRecord};

/// A set of pins; dropping it unpins.
///
/// A pinned object stays alive and stays where it is, whatever else the program drops, until it is unpinned. The
/// address may be kept by C code or the kernel meanwhile, over any number of cycles and on any thread. An object may
/// have any number of pins, from any number of pinners.
///
/// A new `Pinner` costs nothing, and neither does the first pin as a rule: the processor lends it the storage
/// of the last one. Reusing one is fine too. All pins of a `Pinner` are of one heap.
///
/// ```
/// use linchpin::{Heap, Pinner};
///
/// let heap = Heap::new();
/// let mut pinner = Pinner::new();
/// let address = heap.mutate(|mu| pinner.pin(mu, mu.alloc_slice_copy(b"kept for C")));
/// heap.collect();
/// // SAFETY: the slice is pinned, and nobody changes it.
/// assert_eq!(unsafe { address.as_ref() }, b"kept for C");
/// pinner.unpin();
/// ```
///
/// # Leaks
///
/// A `Pinner` with pins that is swept, as part of an unreachable heap object, is a leak: what it pinned was handed to
/// somebody, and nobody will ever unpin it. The heap's leak hook is told (see
/// [`on_pin_leak`](crate::HeapBuilder::on_pin_leak)). Dropping it anywhere else just unpins.
#[derive(Default)]
pub struct Pinner {
    inner: Option<NonNull<Inner>>,
}

// SAFETY: the inner pinner belongs to this pinner alone; unpinning elsewhere acts as a processor of the heap.
unsafe impl Send for Pinner {}
// SAFETY: through a shared reference only `len` and `is_empty` read.
unsafe impl Sync for Pinner {}

impl Pinner {
    /// An empty set of pins. Allocates nothing.
    #[inline(always)]
    #[must_use]
    pub const fn new() -> Self {
        Self { inner: None }
    }

    /// Pins an object and returns the address of its value (of the first element, for a slice).
    ///
    /// The address is good until [`unpin`](Self::unpin), or until the pinner is dropped. It may leave the mutation, so its
    /// type is under the brand `'static`. Who looks through it at pointers in the object must be in a mutation of the heap, and
    /// must not keep any of those pointers: their brand is not one that the compiler would hold back.
    ///
    /// # Writing
    /// A pin keeps memory in place; it gives nobody the right to write there. Objects are shared, so a mutation on any thread
    /// may have a reference to this one, and the compiler counts on it that nothing changes behind a reference. C code, the
    /// kernel and Rust code with the address may write, without atomics, only
    ///
    /// * to plain data: a slice or a value of a type that has neither pointers nor anything to drop, such as `[u8]`. The collector
    ///   makes no reference to it at any time, and the address comes from no reference, so it is good for writing.
    /// * while no mutation holds a reference to that memory, and nobody else reads or writes there. To deref the `Gc` makes a
    ///   reference; to have it, or to pin it, does not. A buffer that the kernel fills is looked at when the kernel is done.
    ///
    /// To an object of any other type nobody may write but through its atomic parts, [`GcCell`](crate::GcCell) included: the
    /// marker makes a reference to the *whole* value to trace it, at any time and on a thread of its own. So does the verifier
    /// (see [`DebugSettings`](crate::DebugSettings) and [`Heap::verify`](crate::Heap::verify)), to whatever has spans of its own:
    /// values with something to drop too, and plain data above 32 KiB or aligned to more than 16 bytes, unless it
    /// is a slice of bytes or of other elements smaller than a word.
    ///
    /// # Panics
    /// If the pinner has pins in another heap, or the object has four million pins already. (It may take more, where many processors pin it.)
    #[inline(always)]
    #[track_caller]
    pub fn pin<'gc, T: ?Sized + Object>(&mut self, mu: &Mutator<'gc>, gc: Gc<'gc, T>) -> NonNull<T::Branded<'static>> {
        let inner = self.inner_of(mu);
        // SAFETY: `gc` is in hand of the mutation, and `inner` belongs to this pinner and is of this heap.
        unsafe { pin_object(inner, mu, gc.start(), T::INFO.name, Location::caller()) };
        // SAFETY: a `Gc` leads to a live object of its type, which is the same under any brand.
        unsafe { <T::Branded<'static> as Object>::at(gc.start()) }
    }

    /// Pins the object that a reference leads into, be it to the whole object, a field or an element, and returns the
    /// address. For a reference to anything outside the heap (a static, a local) it does nothing but that: such
    /// memory is not the collector's. The same goes for a reference to nothing, of size zero; and for memory that an object
    /// *owns* elsewhere, such as a `Vec`'s elements or a `String`'s bytes, which is freed with the object: pin the object
    /// itself for that. Of what is behind a lock it keeps the place; not the contents, which may change, nor what they lead to.
    ///
    /// The address comes from a shared reference, so it is good *for reading only*, whatever the type (but for what may change
    /// behind a reference anyway, such as atomics), and only for as much as the reference covers. Who is to write takes the
    /// address from [`pin`](Self::pin), which says who may.
    ///
    /// # Panics
    /// As [`pin`](Self::pin); or if the object is being dropped by the collector, as in a `Drop` that pins its own value.
    #[track_caller]
    pub fn pin_ref<T: ?Sized>(&mut self, mu: &Mutator<'_>, reference: &T) -> NonNull<T> {
        let target = NonNull::from(reference);
        let core = mu.core();
        // A reference to nothing may point behind the object it came from, at one that nobody has in hand.
        if size_of_val(reference) == 0 {
            return target;
        }
        if let Some(object) = core.object_at(target.addr().get()) {
            let object = core.memory.region.pointer(object);
            let local = mu.local();
            assert!(
                !core.memory.is_being_dropped(object, local.mode(), local.colour()),
                "linchpin: Pinner::pin_ref was asked to pin an object that the collector is dropping; a Drop cannot keep \
                 its own value"
            );
            let inner = self.inner_of(mu);
            // SAFETY: a reference into the region leads into an object that is alive during a mutation: this one, or one that has
            // lent the reference to this thread, and does not end before it gets it back (`visit_pins` tells why that will do).
            // A value that a `Drop` has is refused above. `inner` belongs to this pinner and is of this heap.
            unsafe { pin_object(inner, mu, object, std::any::type_name::<T>, Location::caller()) };
        }
        target
    }

    /// Undoes all pins. The pinner is empty then and can be used again.
    ///
    /// May be called anywhere: inside or outside mutations, on any thread.
    #[inline(always)]
    pub fn unpin(&mut self) {
        let Some(inner) = self.inner else { return };
        // SAFETY: the inner pinner belongs to this pinner.
        let core = unsafe { Inner::core(inner) };
        match this_thread::current_processor(core) {
            Some(processor) => {
                // SAFETY: the mutation in progress on this thread holds the processor.
                let local = unsafe { (*processor).local() };
                // SAFETY: `inner` is this pinner's; `local` is of its heap.
                unsafe { Inner::unpin_all(inner, local) };
                // SAFETY: as above; reading the heap's configuration.
                if unsafe { (*core).config.pinner_cache } && local.pinner_cache_is_empty() {
                    // Only into an empty slot: a program that reuses its pinners keeps their storage with them.
                    self.inner = None;
                    local.cache_inner(inner);
                }
            }
            None => unpin_outside(inner),
        }
    }

    /// How many pins it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        // SAFETY: the inner pinner belongs to this pinner.
        self.inner.map_or(0, |inner| unsafe { Inner::len(inner) })
    }

    /// Whether it holds no pins.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The inner pinner, of the mutation's heap; taken from the processor's cache, or made, if there is none.
    #[inline(always)]
    #[track_caller]
    fn inner_of(&mut self, mu: &Mutator<'_>) -> NonNull<Inner> {
        match self.inner {
            // SAFETY: the inner pinner belongs to this pinner.
            Some(inner) if std::ptr::eq(unsafe { Inner::core(inner) }, mu.core()) => inner,
            Some(inner) => {
                check_empty(inner, mu.core());
                self.inner = None;
                // SAFETY: it was this pinner's, which has just let go of it.
                unsafe { give_up(inner) };
                self.new_inner(mu)
            }
            None => self.new_inner(mu),
        }
    }

    /// The inner pinner of a pinner that has none.
    #[inline(always)]
    fn new_inner(&mut self, mu: &Mutator<'_>) -> NonNull<Inner> {
        let inner = match mu.local().take_cached_inner() {
            Some(inner) => inner,
            None => Inner::create(mu.core()),
        };
        self.inner = Some(inner);
        inner
    }
}

/// A pinner may leave one heap for another when it has no pins.
#[cold]
#[inline(never)]
#[track_caller]
fn check_empty(inner: NonNull<Inner>, core: &Core) {
    // SAFETY: the inner pinner belongs to the calling pinner.
    let (pins, other) = unsafe { (Inner::len(inner), (*Inner::core(inner)).id) };
    assert!(
        pins == 0,
        "linchpin: a Pinner with pins in heap {other} was asked to pin in heap {}; unpin it first, or use one Pinner for \
         each heap",
        core.id
    );
}

/// Frees an inner pinner.
///
/// # Safety
/// As [`InnerBox::from_raw`].
#[cold]
#[inline(never)]
unsafe fn give_up(inner: NonNull<Inner>) {
    // SAFETY: the caller's promise.
    drop(unsafe { InnerBox::from_raw(inner) });
}

/// Pins one object.
///
/// # Safety
/// `inner` belongs to the caller and is of the mutation's heap, where `object` starts an object that the mutation has in
/// hand, or has borrowed from one of another thread that has, and that does not end meanwhile.
#[inline(always)]
unsafe fn pin_object(
    inner: NonNull<Inner>,
    mu: &Mutator<'_>,
    object: NonNull<u8>,
    type_name: fn() -> &'static str,
    location: &'static Location<'static>,
) {
    let core = mu.core();
    let region = &core.memory.region;
    let address = object.addr().get();
    if mu.mode() == Mode::Arm {
        // SAFETY: the caller's promise.
        unsafe { mu.shade(object) };
    }
    // Relaxed: the handshakes order flags and counters with the collector's walk (`take_pin_flags`).
    let flag = region.pin_flag(region.unit_of(address));
    if flag.load(Ordering::Relaxed) != PIN_FLAG_RAISED {
        flag.store(PIN_FLAG_RAISED, Ordering::Relaxed);
    }
    let counter = region.pin_counter(address);
    let Ok(counter) = counter.pin(mu.local().bias(), &region.stripes) else { too_many_pins() };
    let record = PinRecord::new(counter, location);
    // SAFETY: the caller's promise.
    unsafe { Inner::record(inner, core, record, type_name) };
}

#[cold]
#[track_caller]
fn too_many_pins() -> ! {
    panic!(
        "linchpin: an object has more than {} pins already; somebody pins in a loop and never unpins",
        counter::MOST_SHARED_PINS
    )
}

/// Unpins as a processor held for the moment. The inner stays with its pinner: outside a mutation there is no
/// processor whose cache it would warm.
#[cold]
#[inline(never)]
fn unpin_outside(inner: NonNull<Inner>) {
    // SAFETY: the inner pinner belongs to the calling pinner and keeps its heap's core alive.
    let core: &Core = unsafe { &*Inner::core(inner) };
    // SAFETY: `local` is of the inner's heap and held.
    core.with_processor(|local| unsafe { Inner::unpin_all(inner, local) });
    core.settle_if_ended();
}

impl Drop for Pinner {
    #[inline(always)]
    fn drop(&mut self) {
        // Nothing out of line is given the address of a pinner, only its inner: so one that comes and goes within a function
        // can be kept in a register.
        if let Some(inner) = self.inner.take() {
            drop_slow(inner);
        }
    }
}

/// Drops the pinner that this inner belonged to.
#[cold]
#[inline(never)]
fn drop_slow(inner: NonNull<Inner>) {
    let leaked = is_swept_with_pins(inner).then(|| {
        // SAFETY: the inner pinner belongs to the caller; its core is kept for the call of the hook below.
        let core = unsafe { &*Inner::core(inner) }.shared();
        // SAFETY: nobody else uses the inner.
        let report = unsafe { leak::PinLeak::of(inner, leak::PinLeakCause::PinnerSwept) };
        (core, report)
    });
    let mut pinner = ManuallyDrop::new(Pinner { inner: Some(inner) });
    pinner.unpin();
    if let Some(inner) = pinner.inner.take() {
        // SAFETY: it was this pinner's, which has just let go of it.
        drop(unsafe { InnerBox::from_raw(inner) });
    }
    if let Some((core, report)) = leaked {
        leak::tell_of_swept(&core, &report);
    }
}

/// Whether the pinner of this inner has pins and is dropped because the value it is part of was swept.
///
/// A pinner that a value's `Drop` has made and pinned with is dropped during the sweep, too, but its pins were made after the
/// end of the mark. Those of a swept pinner were made before the snapshot that found it unreachable.
fn is_swept_with_pins(inner: NonNull<Inner>) -> bool {
    // SAFETY: the caller's pinner, which is being dropped, owns the inner.
    let (pins, core, first_cycle) = unsafe { (Inner::len(inner), &*Inner::core(inner), Inner::first_cycle(inner)) };
    pins != 0
        && this_thread::sweeping_heap().is_some_and(|heap| heap != core.id || first_cycle != core.memory.marked_cycle())
}

impl fmt::Debug for Pinner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinner").field("pins", &self.len()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Heap;

    #[test]
    fn an_emptied_pinner_keeps_its_storage_up_to_a_bound() {
        let heap = Heap::builder().pinner_cache(false).build().unwrap();
        let mut pinner = Pinner::new();
        let mut kept_after = |pins: usize| {
            heap.mutate(|mu| {
                let object = mu.alloc(0_u64);
                for _ in 0..pins {
                    pinner.pin(mu, object);
                }
                pinner.unpin();
            });
            let inner = pinner.inner.expect("without a cache the inner stays");
            // SAFETY: the inner pinner belongs to the pinner, which nobody uses meanwhile.
            unsafe { inner.as_ref() }.pins.capacity()
        };
        assert!(kept_after(2000) >= 2000, "a batch of the same size allocates nothing");
        assert_eq!(kept_after(100_000), 0, "an outsized batch is not paid for ever after");
    }

    #[test]
    fn a_pinner_shows_how_many_pins_it_has() {
        let heap = Heap::builder().processors(1).build().unwrap();
        let mut pinner = Pinner::new();
        heap.mutate(|mu| {
            pinner.pin(mu, mu.alloc(0_u64));
            pinner.pin(mu, mu.alloc(1_u64));
        });
        assert_eq!(format!("{pinner:?}"), "Pinner { pins: 2 }");
    }
}
