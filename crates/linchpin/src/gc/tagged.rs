//! Values of one word, some of which are pointers: what a language VM has in its fields and registers.
//!
//! Objects start at multiples of 8, below the middle of the address space, so a pointer to one leaves four bits for a tag: the lowest three and the highest. `#[derive(Tagged)]` packs an enum so; a
//! [`TaggedCell`] is an atomic field that holds such a value, with the barrier for what it leads to.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::{Brand, Gc, Object};
use crate::mutator::Mutator;
use crate::processor::phase::Mode;
use crate::sync::{AtomicPtr, Ordering};
use crate::trace::{Inspector, Trace, Tracer};

/// How many bits of a word are the tag.
const TAG_BITS: u32 = 4;
const TAGS: usize = 1 << TAG_BITS;
/// The highest bit, which has the lowest of the tag, and the lowest three: so one rotation brings the tag together.
const TAG_MASK: usize = (TAGS - 1).rotate_right(1);

/// A value that can be packed into one word, and leads to one object at most.
///
/// Derived for enums of up to 16 variants, each with no field, or one that is a [`Payload`]:
///
/// ```
/// use linchpin::{Gc, Heap, Tagged, TaggedCell, Trace};
///
/// #[derive(Trace, Tagged, Clone, Copy, Debug, PartialEq)]
/// enum Value<'gc> {
///     Nil,
///     Bool(bool),
///     Integer(i32),
///     Text(Gc<'gc, str>),
///     Pair(Gc<'gc, Pair<'gc>>),
/// }
///
/// #[derive(Trace, Debug)]
/// struct Pair<'gc> {
///     first: TaggedCell<'gc, Value<'gc>>,
///     second: TaggedCell<'gc, Value<'gc>>,
/// }
/// # impl PartialEq for Pair<'_> { fn eq(&self, other: &Self) -> bool { std::ptr::eq(self, other) } }
///
/// let heap = Heap::new();
/// heap.mutate(|mu| {
///     let pair = mu.alloc(Pair { first: TaggedCell::new(Value::Integer(-7)), second: TaggedCell::new(Value::Nil) });
///     pair.second.store(mu, Value::Text(mu.alloc_str("seven")));
///     assert_eq!(pair.first.load(), Value::Integer(-7));
///     assert_eq!(pair.second.swap(mu, Value::Pair(pair)), Value::Text(mu.alloc_str("seven")));
/// });
/// assert_eq!(size_of::<Pair<'_>>(), 16);
/// ```
///
/// By hand, for instance for NaN-boxing, it is `unsafe`. An object starts at a multiple of 8, or of its type's alignment if that is more.
///
/// # Safety
/// * `from_word` of what `into_word` gave is the same value.
/// * `target` is the start of the object that the value leads to, as [`Payload::target`] of its pointer gives it; `None` only
///   if it leads to none. What `trace` reports is the same pointer, and no other.
/// * `into_word` keeps the pointer's provenance (`map_addr`).
pub unsafe trait Tagged: Trace + Copy {
    /// The value as a word.
    fn into_word(self) -> *mut u8;

    /// The value that the word stands for.
    ///
    /// # Safety
    /// `into_word` of this type gave the word (under whatever brand), and what it leads to is in hand of the mutation branded like
    /// this type.
    unsafe fn from_word(word: *mut u8) -> Self;

    /// The start of the object it leads to.
    fn target(self) -> Option<NonNull<u8>>;

    // For the derive, which reaches the rest by way of this trait: its name is the one that is known not to be another crate's, since the
    // trait is the one that is implemented.

    #[doc(hidden)]
    #[inline(always)]
    fn __bare(tag: usize) -> *mut u8 {
        ptr::without_provenance_mut((tag % TAGS).rotate_right(1))
    }

    #[doc(hidden)]
    #[inline(always)]
    fn __pack<P: Payload>(payload: P, tag: usize) -> *mut u8 {
        let bits = payload.into_bits();
        debug_assert!(bits.addr() & TAG_MASK == 0 && tag < TAGS);
        bits.map_addr(|address| (address & !TAG_MASK) | (tag % TAGS).rotate_right(1))
    }

    #[doc(hidden)]
    #[inline(always)]
    #[must_use]
    fn __tag(word: *mut u8) -> usize {
        word.addr().rotate_left(1) % TAGS
    }

    /// # Safety
    /// The word was packed with a payload of this type, as for [`from_word`](Self::from_word).
    #[doc(hidden)]
    #[inline(always)]
    unsafe fn __unpack<P: Payload>(word: *mut u8) -> P {
        // SAFETY: the caller's promise.
        unsafe { P::from_bits(word.map_addr(|address| address & !TAG_MASK)) }
    }

    #[doc(hidden)]
    #[inline(always)]
    fn __target<P: Payload>(payload: P) -> Option<NonNull<u8>> {
        payload.target()
    }

    #[doc(hidden)]
    #[inline(always)]
    fn __no_target() -> Option<NonNull<u8>> {
        None
    }

    #[doc(hidden)]
    #[cold]
    fn __no_such_tag() -> ! {
        unreachable!("the tag of a variant")
    }
}

/// What fits into a word beside a tag of four bits: a [`Gc`], perhaps none, or a number of up to 32 bits.
///
/// # Safety
/// * The lowest three bits of the address that `into_bits` gives and the highest are zero, and `from_bits` gives the same value back.
/// * `target` is the start of the object it leads to.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fit into a tagged word",
    label = "neither a `Gc` nor a number of up to 32 bits",
    note = "put it into an object, and a `Gc` to that here"
)]
pub unsafe trait Payload: Copy {
    #[doc(hidden)]
    fn into_bits(self) -> *mut u8;

    /// # Safety
    /// `into_bits` of this type gave the bits (under whatever brand), and what they lead to is in hand of the mutation branded
    /// like this type.
    #[doc(hidden)]
    unsafe fn from_bits(bits: *mut u8) -> Self;

    #[doc(hidden)]
    fn target(self) -> Option<NonNull<u8>> {
        None
    }
}

// SAFETY: an object starts at a multiple of a word of 8 bytes, in the lower half of the address space, which alone is a program's.
unsafe impl<T: ?Sized + Object> Payload for Gc<'_, T> {
    #[inline(always)]
    fn into_bits(self) -> *mut u8 {
        self.start().as_ptr()
    }

    #[inline(always)]
    unsafe fn from_bits(bits: *mut u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Gc::from_start(NonNull::new_unchecked(bits)) }
    }

    #[inline(always)]
    fn target(self) -> Option<NonNull<u8>> {
        Some(self.start())
    }
}

// SAFETY: as above; nothing is null.
unsafe impl<T: ?Sized + Object> Payload for Option<Gc<'_, T>> {
    #[inline(always)]
    fn into_bits(self) -> *mut u8 {
        self.map_or(ptr::null_mut(), |gc| gc.start().as_ptr())
    }

    #[inline(always)]
    unsafe fn from_bits(bits: *mut u8) -> Self {
        // SAFETY: the caller's promise.
        NonNull::new(bits).map(|start| unsafe { Gc::from_start(start) })
    }

    #[inline(always)]
    fn target(self) -> Option<NonNull<u8>> {
        self.map(Gc::start)
    }
}

macro_rules! numbers {
    ($($type:ty: $to:expr, $from:expr;)*) => {$(
        // SAFETY: a number of 32 bits at most, moved out of the tag's way.
        unsafe impl Payload for $type {
            #[inline(always)]
            fn into_bits(self) -> *mut u8 {
                let number: u32 = $to(self);
                ptr::without_provenance_mut((number as usize) << TAG_BITS)
            }

            #[inline(always)]
            unsafe fn from_bits(bits: *mut u8) -> Self {
                $from((bits.addr() >> TAG_BITS) as u32)
            }
        }
    )*};
}

const _: () = assert!(usize::BITS > u32::BITS + TAG_BITS);

numbers! {
    (): |()| 0, |_| ();
    bool: u32::from, |number| number != 0;
    char: u32::from, |number| char::from_u32(number).expect("the number of a `char`");
    u8: u32::from, |number| number as u8;
    i8: |number: i8| number as u8 as u32, |number| number as i8;
    u16: u32::from, |number| number as u16;
    i16: |number: i16| number as u16 as u32, |number| number as i16;
    u32: |number: u32| number, |number| number;
    i32: |number: i32| number as u32, |number| number as i32;
    f32: f32::to_bits, f32::from_bits;
}

/// An atomic field for a value of one word ([`Tagged`]) that threads may change at the same time: what
/// [`GcCell`](crate::GcCell) is for a pointer.
///
/// Loads are `Acquire`, changes are `Release`, and pass the collector's barrier.
pub struct TaggedCell<'gc, V> {
    word: AtomicPtr<u8>,
    brand: Brand<'gc>,
    value: PhantomData<fn(V) -> V>,
}

impl<'gc, V: Tagged + Trace<Branded<'gc> = V>> TaggedCell<'gc, V> {
    /// A cell that holds a value.
    #[inline]
    pub fn new(value: V) -> Self {
        Self { word: AtomicPtr::new(value.into_word()), brand: PhantomData, value: PhantomData }
    }

    /// The value the cell holds.
    #[inline(always)]
    pub fn load(&self) -> V {
        // Acquire: pairs with the release of the change that put it here.
        // SAFETY: loaded from this cell; its brand is that of the mutation that has it in hand.
        unsafe { V::from_word(self.word.load(Ordering::Acquire)) }
    }

    /// Puts a value into the cell.
    #[inline(always)]
    pub fn store(&self, mu: &Mutator<'gc>, value: V) {
        let new = value.into_word();
        if mu.mode() == Mode::Off {
            // Release: pairs with the acquire of who loads it.
            self.word.store(new, Ordering::Release);
        } else {
            self.store_marking(mu, new);
        }
    }

    /// Puts a value into the cell and returns what it held.
    #[inline]
    pub fn swap(&self, mu: &Mutator<'gc>, value: V) -> V {
        let new = value.into_word();
        let old = if mu.mode() == Mode::Off {
            // Acquire and release: pairs with the changes before and the loads after.
            self.word.swap(new, Ordering::AcqRel)
        } else {
            self.swap_marking(mu, new)
        };
        // SAFETY: loaded from this cell.
        unsafe { V::from_word(old) }
    }

    /// Puts `new` into the cell if it holds `current`, the same word; tells what it held either way.
    ///
    /// # Errors
    /// If the cell holds something else: what it holds.
    #[inline]
    pub fn compare_exchange(&self, mu: &Mutator<'gc>, current: V, new: V) -> Result<V, V> {
        let (expected, new) = (current.into_word(), new.into_word());
        let outcome = if mu.mode() == Mode::Off {
            // Acquire and release: pairs with the changes before and the loads after.
            self.word.compare_exchange(expected, new, Ordering::AcqRel, Ordering::Acquire)
        } else {
            // SAFETY: the mutation has both values in hand.
            unsafe { mu.replace_word_marking(&self.word, expected, new, target_of::<V>) }
        };
        // SAFETY: loaded from this cell.
        outcome.map(|_| current).map_err(|held| unsafe { V::from_word(held) })
    }

    /// [`store`](Self::store) while a cycle marks.
    #[cold]
    fn store_marking(&self, mu: &Mutator<'gc>, new: *mut u8) {
        // SAFETY: the mutation has the new value in hand.
        unsafe { mu.store_word_marking(&self.word, new, target_of::<V>) }
    }

    /// [`swap`](Self::swap) while a cycle marks.
    #[cold]
    fn swap_marking(&self, mu: &Mutator<'gc>, new: *mut u8) -> *mut u8 {
        // SAFETY: the mutation has the new value in hand.
        unsafe { mu.swap_word_marking(&self.word, new, target_of::<V>) }
    }
}

/// # Safety
/// As for [`Tagged::from_word`].
#[inline]
unsafe fn target_of<V: Tagged>(word: *mut u8) -> Option<NonNull<u8>> {
    // SAFETY: the caller's promise.
    unsafe { V::from_word(word) }.target()
}

impl<'gc, V: Tagged + Trace<Branded<'gc> = V> + fmt::Debug> fmt::Debug for TaggedCell<'gc, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address only of what it leads to, which may lead back here.
        match self.load().target() {
            Some(target) => f.debug_tuple("TaggedCell").field(&target).finish(),
            None => f.debug_tuple("TaggedCell").field(&self.load()).finish(),
        }
    }
}

impl<'gc, V: Tagged + Trace<Branded<'gc> = V> + Default> Default for TaggedCell<'gc, V> {
    fn default() -> Self {
        Self::new(V::default())
    }
}

// SAFETY: like an atomic `V`.
unsafe impl<V: Send + Sync> Send for TaggedCell<'_, V> {}
// SAFETY: like an atomic `V`.
unsafe impl<V: Send + Sync> Sync for TaggedCell<'_, V> {}

// SAFETY: the pointer of the value, if it has one, is reported; the brands are the parameters.
unsafe impl<'gc, V: Tagged> Trace for TaggedCell<'gc, V>
where
    for<'b> V::Branded<'b>: Tagged,
{
    type Branded<'b> = TaggedCell<'b, V::Branded<'b>>;
    // Whatever its values are: it has a brand.
    const NEEDS_TRACE: bool = true;

    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        // Acquire: as in `load`.
        // SAFETY: loaded from this cell, and what it leads to is not freed while it is traced.
        if let Some(target) = unsafe { target_of::<V>(self.word.load(Ordering::Acquire)) } {
            tracer.visit_root(target);
        }
    }

    /// All that is in it is reported, tag or no tag.
    fn inspect(&self, _: &mut Inspector<'_>) {}
}
