//! The barrier: what a mutation does when it changes a pointer while a cycle marks.
//!
//! The old value is shaded *before* it is replaced. In `Arm` the replacement is a compare-and-swap that begins again if another
//! thread was faster, and the new value is shaded, too. `linchpin-model` shows why (`ShadeAfterSwap`, `PlainStoreInArm`):
//!
//! * Shaded after it was replaced, the value is in nobody's buffer for a moment though nothing leads to it any more. If
//!   a mutation that has answered the closing round already comes across it in that moment, it is shaded into a
//!   buffer that is not looked at again, and the mark ends with something grey.
//! * Replaced by a plain store in `Arm`, the value removed need not be the one that was shaded: a mutation still in `Off` may have put
//!   another one there meanwhile, unshaded, and one in `Mark` already may have loaded it from there.
//!
//! In `Mark` and `Close` a plain store does. By then every mutation has a barrier, so whoever is the first to replace what a field held in
//! the snapshot has loaded just that, and shaded it. What others have put there since does not rest on the field: a mutation in `Mark` has no
//! insertion barrier, so whatever it has in hand is safe without it (it is in the snapshot, in a place from which nobody removes it without a shade; or
//! born black; or was shaded as it was looked up); and one in `Arm` shades what it puts somewhere, before handshake 2 is through.
//!
//! In an object whose type has no pointers there is nothing to trace. So to shade it in `Arm` and `Mark` is to make it black, as markers do, and it
//! is not noted. In `Close` it is, as it may be the key of a weak map, over which a pass may have gone already, and closing rounds go by what was noted. (The
//! model finds that it need not be, `LeafNotNotedInClose`: how anybody came to something white by then puts the end off by itself. It costs nothing.)

use std::ptr::NonNull;

use crate::mutator::Mutator;
use crate::processor::phase::Mode;
use crate::sync::{AtomicPtr, Ordering, ordering};

impl Mutator<'_> {
    /// Puts `new` into a pointer field of this heap, with the barrier.
    ///
    /// # Safety
    /// A cycle marks, and the mutation has `new` in hand (if it is not null).
    #[inline(never)]
    pub(crate) unsafe fn store_marking(&self, field: &AtomicPtr<u8>, new: *mut u8) {
        // SAFETY: the caller's promise; a pointer is its own target.
        unsafe { self.store_word_marking(field, new, as_it_is) }
    }

    /// As [`store_marking`](Self::store_marking), for a field of pointers to objects in which there is nothing to trace.
    ///
    /// # Safety
    /// As there, and the types of these objects have no pointers.
    #[inline(never)]
    pub(crate) unsafe fn store_leaf_marking(&self, field: &AtomicPtr<u8>, new: *mut u8) {
        if self.mode() == Mode::Close {
            // SAFETY: the caller's promise.
            return unsafe { self.store_marking(field, new) };
        }
        let blacken = |leaf| _ = self.local().blacken(self.core(), leaf);
        // SAFETY: the caller's promise; a pointer is its own target.
        unsafe { self.store_shading(field, new, as_it_is, blacken) }
    }

    /// As [`store_marking`](Self::store_marking), for a field of words that may have a pointer in them.
    ///
    /// # Safety
    /// As there, of what `new` leads to, and `target` is as for [`replace_word_marking`](Self::replace_word_marking).
    #[inline]
    pub(crate) unsafe fn store_word_marking(&self, field: &AtomicPtr<u8>, new: *mut u8, target: Target) {
        // SAFETY: the mutation holds the processor, and has in hand what the barrier shades.
        let shade = |object| unsafe { self.local().shade(self.core(), object) };
        // SAFETY: the caller's promise.
        unsafe { self.store_shading(field, new, target, shade) }
    }

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
        target: Target,
    ) -> Result<*mut u8, *mut u8> {
        // SAFETY: the mutation has in hand what the barrier shades.
        let shade = |object| unsafe { self.shade(object) };
        // SAFETY: the caller's promise.
        unsafe { self.replace_shading(field, expected, new, target, shade) }
    }

    /// As [`swap_marking`](Self::swap_marking), for a field of words that may have a pointer in them.
    ///
    /// # Safety
    /// A cycle marks, the mutation has in hand what `new` leads to, and `target` is as above.
    pub(crate) unsafe fn swap_word_marking(&self, field: &AtomicPtr<u8>, new: *mut u8, target: Target) -> *mut u8 {
        // Acquire: pairs with the release of the change that put it there.
        let expected = field.load(Ordering::Acquire);
        // SAFETY: the mutation has in hand what the barrier shades.
        let shade = |object| unsafe { self.shade(object) };
        // SAFETY: the caller's promise; what was loaded from a field is in hand.
        unsafe { self.swap_shading(field, expected, new, target, shade) }
    }

    /// Puts `new` into a field, with the barrier, which shades by `shade`.
    ///
    /// # Safety
    /// A cycle marks, the mutation has in hand what `new` leads to, `target` is as above, and `shade` sees to it that what it is given is
    /// traced if there is anything to trace in it.
    #[inline(always)]
    unsafe fn store_shading(&self, field: &AtomicPtr<u8>, new: *mut u8, target: Target, shade: impl Fn(NonNull<u8>)) {
        // Acquire: pairs with the release of the change that put it there. That it reads nothing older in `Mark` than the last store by a
        // mutation in `Off` follows from the handshake: the answer to it is a release, which the collector has acquired before it
        // changed the phase, which this processor has acquired since.
        let old = field.load(Ordering::Acquire);
        if self.mode() == Mode::Arm {
            // SAFETY: the caller's promise; what was loaded from a field is in hand.
            unsafe { self.swap_shading(field, old, new, target, shade) };
            return;
        }
        // SAFETY: as above.
        if let Some(old) = unsafe { target(old) } {
            shade(old);
        }
        // Release: pairs with the acquire of who loads it.
        field.store(new, ordering!(Release, "barrier.store"));
    }

    /// Replaces what a field holds, `expected` if nobody was faster, with the barrier, which shades by `shade`; returns what it replaced.
    ///
    /// # Safety
    /// As for [`store_shading`](Self::store_shading), and `expected` is in hand as `new` is.
    #[cold]
    unsafe fn swap_shading(
        &self,
        field: &AtomicPtr<u8>,
        mut expected: *mut u8,
        new: *mut u8,
        target: Target,
        shade: impl Fn(NonNull<u8>),
    ) -> *mut u8 {
        loop {
            // SAFETY: the caller's promise; what was loaded from a field is in hand.
            match unsafe { self.replace_shading(field, expected, new, target, &shade) } {
                Ok(old) => return old,
                Err(held) => expected = held,
            }
        }
    }

    /// Replaces `expected` in a field, with the barrier, which shades by `shade`.
    ///
    /// # Safety
    /// As for [`store_shading`](Self::store_shading), and `expected` is in hand as `new` is.
    #[inline(always)]
    unsafe fn replace_shading(
        &self,
        field: &AtomicPtr<u8>,
        expected: *mut u8,
        new: *mut u8,
        target: Target,
        shade: impl Fn(NonNull<u8>),
    ) -> Result<*mut u8, *mut u8> {
        // SAFETY: the caller's promise.
        if let Some(old) = unsafe { target(expected) } {
            shade(old);
        }
        // Acquire and release: pairs with the changes of the field before and the loads after.
        let outcome = field.compare_exchange(expected, new, ordering!(AcqRel, "barrier.replace"), Ordering::Acquire);
        if outcome.is_ok()
            && self.mode() == Mode::Arm
            // SAFETY: the caller's promise.
            && let Some(new) = unsafe { target(new) }
        {
            shade(new);
        }
        outcome
    }
}

/// What a word of a field leads to; for words that the field may hold only.
type Target = unsafe fn(*mut u8) -> Option<NonNull<u8>>;

/// The target of a pointer: it itself.
unsafe fn as_it_is(pointer: *mut u8) -> Option<NonNull<u8>> {
    NonNull::new(pointer)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::ptr::NonNull;

    use crate::collector::cycle::Cycle;
    use crate::collector::handshake::handshake;
    use crate::collector::workers::Workers;
    use crate::processor::phase::{Mode, colour_of_cycle};
    use crate::sync::Ordering;
    use crate::{Gc, GcCell, Heap, Mutator, Root, Trace};

    #[derive(Trace)]
    struct Fields<'gc> {
        leaf: GcCell<'gc, u64>,
        traced: GcCell<'gc, Fields<'gc>>,
    }

    fn fields<'gc>(mu: &Mutator<'gc>, leaf: u64) -> Gc<'gc, Fields<'gc>> {
        mu.alloc(Fields { leaf: GcCell::new(mu.alloc(leaf)), traced: GcCell::null() })
    }

    /// What became of an object that was shaded, or not.
    #[derive(PartialEq, Debug)]
    enum Shade {
        None,
        Black,
        BlackAndNoted,
    }

    /// Has a mutation in `mode` store what is in the fields of one object, leaf and other, into those of another one; what becomes of what
    /// was there, and of what was stored.
    fn store_in(mode: Mode) -> [[Shade; 2]; 2] {
        let heap = Heap::builder().processors(1).build().unwrap();
        let core = heap.core();
        let full = |leaf| {
            heap.mutate(|mu| {
                let full = fields(mu, leaf);
                full.traced.store(mu, fields(mu, leaf + 1));
                mu.root(full)
            })
        };
        let roots: [Root<Fields<'static>>; 2] = [full(1), full(3)];
        let workers = Workers::none();
        let mut cycle = Cycle::begin(core, &workers);
        let black = colour_of_cycle(core.memory.marked_cycle() + 1);
        // The handshakes alone: nothing is marked meanwhile.
        for each in [Mode::Arm, Mode::Mark, Mode::Close] {
            handshake(core, each, black);
            if each == mode {
                break;
            }
        }
        let outcome = heap.mutate(|mu| {
            assert_eq!(mu.mode(), mode);
            let [to, from] = roots.each_ref().map(|root| root.get(mu));
            let before = [to, from].map(|fields| {
                [fields.leaf.load().map(Gc::start), fields.traced.load().map(Gc::start)].map(Option::unwrap)
            });
            to.leaf.store(mu, from.leaf.load());
            to.traced.store(mu, from.traced.load());
            let noted = mu.local().noted();
            before.map(|both| {
                both.map(|object: NonNull<u8>| {
                    let mark = core.memory.region.mark(object.addr().get()).load(Ordering::Relaxed);
                    match (mark == black, noted.contains(&object)) {
                        (false, false) => Shade::None,
                        (true, false) => Shade::Black,
                        (true, true) => Shade::BlackAndNoted,
                        (false, true) => panic!("white, and noted"),
                    }
                })
            })
        });
        cycle.take_the_snapshot();
        cycle.mark();
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        heap.mutate(|mu| {
            let leaves = roots.each_ref().map(|root| {
                let fields = root.get(mu);
                [*fields.leaf.load().unwrap(), *fields.traced.load().unwrap().leaf.load().unwrap()]
            });
            assert_eq!(leaves, [[3, 4]; 2]);
        });
        outcome
    }

    #[test]
    fn a_store_shades_what_its_mode_asks_for() {
        use Shade::{Black, BlackAndNoted, None};
        assert_eq!(store_in(Mode::Arm), [[Black, BlackAndNoted], [Black, BlackAndNoted]], "old and new");
        assert_eq!(store_in(Mode::Mark), [[Black, BlackAndNoted], [None, None]], "old");
        assert_eq!(
            store_in(Mode::Close),
            [[BlackAndNoted, BlackAndNoted], [None, None]],
            "old, and a leaf puts off the decision"
        );
    }
}
