//! The inner pinner: the list of pins behind a `Pinner`, which outlives it in a processor's cache.
//!
//! It is made by the first pin that finds no cached one, registered for the leak check once, and then belongs to one
//! `Pinner` or one processor's cache at a time. It is handled by raw pointer, because the heap's
//! [`Registry`](super::registry::Registry) has its address too, for the report at the end of the heap.

use std::panic::Location;
use std::ptr::NonNull;

use super::counter::{Bias, PinCounter};
use crate::heap::Core;
use crate::processor::Local;
use crate::processor::phase::Mode;
use crate::sync::Arc;

/// An emptied list keeps its room if it had no more records than this.
const KEEP_RECORDS: usize = 4096;

/// One pin.
pub(crate) struct PinRecord {
    counter: NonNull<PinCounter>,
    /// Where it was made, for the leak report.
    pub(super) location: &'static Location<'static>,
}

impl PinRecord {
    #[inline(always)]
    pub(super) fn new(counter: NonNull<PinCounter>, location: &'static Location<'static>) -> Self {
        Self { counter, location }
    }

    /// Undoes the pin that it stands for; `bias` is that of a processor which this thread holds.
    #[inline(always)]
    fn undo(&self, bias: Bias) {
        // SAFETY: the counter is part of the metadata of a region that whoever has the record keeps mapped, or of a stripe of that.
        let counter = unsafe { self.counter.as_ref() };
        debug_assert_ne!(counter.count_here(), 0, "a record stands for one pin");
        counter.unpin(bias);
    }
}

/// See the module head.
pub(crate) struct Inner {
    core: Arc<Core>,
    pub(super) pins: Vec<PinRecord>,
    /// The type of the first pin, and the last cycle whose mark had ended when it was made.
    pub(super) first_type: fn() -> &'static str,
    pub(super) first_cycle: u64,
    /// The position in the registry; touched only under its lock.
    pub(super) position: usize,
}

impl Inner {
    /// Makes an empty one and registers it.
    #[cold]
    #[inline(never)]
    pub(super) fn create(core: &Core) -> NonNull<Self> {
        let inner = Box::new(Self {
            core: core.shared(),
            pins: Vec::new(),
            first_type: || "nothing",
            first_cycle: 0,
            position: 0,
        });
        let inner = NonNull::from(Box::leak(inner));
        core.pinners.add(inner);
        inner
    }

    /// The heap.
    ///
    /// # Safety
    /// `this` is alive and belongs to the caller; the pointer is good as long as it is.
    #[inline(always)]
    pub(super) unsafe fn core(this: NonNull<Self>) -> *const Core {
        // SAFETY: the caller's promise.
        Arc::as_ptr(unsafe { &(*this.as_ptr()).core })
    }

    /// The last cycle whose mark had ended when the first pin was made.
    ///
    /// # Safety
    /// `this` is alive and belongs to the caller.
    pub(super) unsafe fn first_cycle(this: NonNull<Self>) -> u64 {
        // SAFETY: the caller's promise.
        unsafe { (*this.as_ptr()).first_cycle }
    }

    /// How many pins it records.
    ///
    /// # Safety
    /// `this` is alive and belongs to the caller.
    pub(super) unsafe fn len(this: NonNull<Self>) -> usize {
        // SAFETY: the caller's promise.
        unsafe { &(*this.as_ptr()).pins }.len()
    }

    /// The counters of the objects it pins, one for each pin, for the verifier.
    ///
    /// # Safety
    /// `this` is alive, and nobody uses it meanwhile.
    pub(crate) unsafe fn counters<'a>(this: NonNull<Self>) -> impl Iterator<Item = NonNull<PinCounter>> + 'a {
        // SAFETY: the caller's promise; fields only, as in `record`.
        unsafe { &(*this.as_ptr()).pins }.iter().map(|pin| pin.counter)
    }

    /// Has every record name this counter, for the verifier's tests.
    ///
    /// # Safety
    /// `this` is alive, and nobody uses it meanwhile.
    #[cfg(all(test, not(loom)))]
    pub(crate) unsafe fn set_counters(this: NonNull<Self>, counter: &PinCounter) {
        // SAFETY: the caller's promise; fields only, as in `record`.
        for pin in unsafe { &mut (*this.as_ptr()).pins } {
            pin.counter = NonNull::from(counter);
        }
    }

    /// Records a pin.
    ///
    /// # Safety
    /// `this` is alive and belongs to the caller; `core` is its heap.
    #[inline(always)]
    pub(super) unsafe fn record(this: NonNull<Self>, core: &Core, record: PinRecord, type_name: fn() -> &'static str) {
        // Fields only, never the whole: `position` is not the owner's.
        // SAFETY: the caller's promise; the references end with this function.
        let (pins, first_type, first_cycle) = unsafe {
            let this = this.as_ptr();
            (&mut (*this).pins, &mut (*this).first_type, &mut (*this).first_cycle)
        };
        let count = pins.len();
        if count == 0 {
            *first_type = type_name;
            *first_cycle = core.memory.marked_cycle();
        }
        if count == pins.capacity() {
            grow(pins);
        }
        // SAFETY: there is room for one more. (Not `push`, which would read length and capacity once more after the above.)
        unsafe {
            pins.as_mut_ptr().add(count).write(record);
            pins.set_len(count + 1);
        }
    }

    /// Undoes every pin and forgets it.
    ///
    /// # Safety
    /// `this` is alive and belongs to the caller; `local` is that of a processor of its heap which this thread
    /// holds.
    #[inline(always)]
    pub(super) unsafe fn unpin_all(this: NonNull<Self>, local: &Local) {
        // Fields only, as in `record`.
        // SAFETY: the caller's promise; the references end with this function.
        let (core, pins) = unsafe { (&(*this.as_ptr()).core, &mut (*this.as_ptr()).pins) };
        if local.mode() != Mode::Off {
            shade_all(core, pins, local);
        }
        let bias = local.bias();
        let mut is_outsized = false;
        match &**pins {
            // Most pinners have one.
            [pin] => pin.undo(bias),
            all => {
                all.iter().for_each(|pin| pin.undo(bias));
                is_outsized = all.len() > KEEP_RECORDS;
            }
        }
        // Records hold nothing to drop.
        // SAFETY: a length of 0 is always valid.
        unsafe { pins.set_len(0) };
        if is_outsized {
            give_up(pins);
        }
    }
}

/// Makes room for more records.
#[cold]
#[inline(never)]
fn grow(pins: &mut Vec<PinRecord>) {
    pins.reserve(1);
}

/// Gives an outsized list back.
#[cold]
#[inline(never)]
fn give_up(pins: &mut Vec<PinRecord>) {
    *pins = Vec::new();
}

/// The deletion barrier of every pin, before any is undone.
#[cold]
fn shade_all(core: &Core, pins: &[PinRecord], local: &Local) {
    for pin in pins {
        // SAFETY: the pin was made in this heap, and is there.
        let object = unsafe { core.memory.region.object_of_counter(pin.counter) };
        // SAFETY: an object starts there, which its pin keeps alive.
        unsafe { local.shade(core, object) };
    }
}

/// An inner pinner that belongs to nobody else: freed and unregistered when dropped.
pub(crate) struct InnerBox(NonNull<Inner>);

impl InnerBox {
    /// # Safety
    /// `inner` was made by [`Inner::create`], is empty, and the caller hands it over for good.
    pub(crate) unsafe fn from_raw(inner: NonNull<Inner>) -> Self {
        Self(inner)
    }
}

// SAFETY: it belongs to nobody else, and its parts may go to any thread.
unsafe impl Send for InnerBox {}

impl Drop for InnerBox {
    fn drop(&mut self) {
        // SAFETY: it belongs to nobody else, and owns the core until the end of this function.
        unsafe { &*Inner::core(self.0) }.pinners.remove(self.0);
        // SAFETY: it was made by `Box::leak`, and the registry has let go of it.
        let inner = unsafe { Box::from_raw(self.0.as_ptr()) };
        debug_assert!(inner.pins.is_empty(), "pins are undone before their record goes away");
    }
}
