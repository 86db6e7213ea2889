//! The barrier: what a mutation does when it changes a pointer while a cycle marks.
//!
//! The old value is shaded *before* it is replaced, and the replacement is a compare-and-swap that begins again if
//! another thread was faster. Both matter, and `linchpin-model` shows how (`ShadeAfterSwap`, `PlainStoreAfterShade`):
//!
//! * Shaded after it was replaced, the value is in nobody's buffer for a moment though nothing leads to it any more. If
//!   a mutation that has answered the closing round already comes across it in that moment, it is shaded into a
//!   buffer that is not looked at again, and the mark ends with something grey.
//! * Replaced by a plain store, the value removed need not be the one that was shaded.

use std::ptr::NonNull;

use crate::mutator::Mutator;
use crate::processor::phase::Mode;
use crate::sync::{AtomicPtr, Ordering, ordering};

impl Mutator<'_> {
    /// Replaces `expected` in a pointer field or a root of this heap, with the barrier; like `compare_exchange`.
    ///
    /// # Safety
    /// A cycle marks, and the mutation has `new` and `expected` in hand (where they are not null): `expected` was
    /// loaded from `field` in this mutation, or is something else it may name.
    pub(crate) unsafe fn replace_marking(
        &self,
        field: &AtomicPtr<u8>,
        expected: *mut u8,
        new: *mut u8,
    ) -> Result<*mut u8, *mut u8> {
        // SAFETY: the caller's promise; a pointer is its own target.
        unsafe { self.replace_word_marking(field, expected, new, as_it_is) }
    }

    /// Puts `new` into a pointer field or a root of this heap, with the barrier; returns what it replaced.
    ///
    /// # Safety
    /// A cycle marks, and the mutation has `new` in hand (if it is not null).
    pub(crate) unsafe fn swap_marking(&self, field: &AtomicPtr<u8>, new: *mut u8) -> *mut u8 {
        // SAFETY: the caller's promise; a pointer is its own target.
        unsafe { self.swap_word_marking(field, new, as_it_is) }
    }

    /// As [`replace_marking`](Self::replace_marking), for a field of words that may have a pointer in them.
    ///
    /// # Safety
    /// A cycle marks, and the mutation has what `new` and `expected` lead to in hand, which `target` tells: the start of an object
    /// of this heap, for each word that the field may hold.
    pub(crate) unsafe fn replace_word_marking(
        &self,
        field: &AtomicPtr<u8>,
        expected: *mut u8,
        new: *mut u8,
        target: unsafe fn(*mut u8) -> Option<NonNull<u8>>,
    ) -> Result<*mut u8, *mut u8> {
        // SAFETY: the caller's promise.
        if let Some(old) = unsafe { target(expected) } {
            // SAFETY: the caller's promise.
            unsafe { self.shade(old) };
        }
        // Acquire and release: pairs with the changes of the field before and the loads after.
        let outcome = field.compare_exchange(expected, new, ordering!(AcqRel, "barrier.replace"), Ordering::Acquire);
        if outcome.is_ok()
            && self.mode() == Mode::Arm
            // SAFETY: the caller's promise.
            && let Some(new) = unsafe { target(new) }
        {
            // SAFETY: the caller's promise.
            unsafe { self.shade(new) };
        }
        outcome
    }

    /// As [`swap_marking`](Self::swap_marking), for a field of words that may have a pointer in them.
    ///
    /// # Safety
    /// A cycle marks, the mutation has in hand what `new` leads to, and `target` is as above.
    pub(crate) unsafe fn swap_word_marking(
        &self,
        field: &AtomicPtr<u8>,
        new: *mut u8,
        target: unsafe fn(*mut u8) -> Option<NonNull<u8>>,
    ) -> *mut u8 {
        // Acquire: pairs with the release of the change that put it there.
        let mut expected = field.load(Ordering::Acquire);
        loop {
            // SAFETY: the caller's promise; what was loaded from a field is in hand.
            match unsafe { self.replace_word_marking(field, expected, new, target) } {
                Ok(old) => return old,
                Err(held) => expected = held,
            }
        }
    }
}

/// The target of a pointer: it itself.
unsafe fn as_it_is(pointer: *mut u8) -> Option<NonNull<u8>> {
    NonNull::new(pointer)
}
