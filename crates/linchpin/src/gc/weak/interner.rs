//! Interning: one object for all that is equal.

#[cfg(all(test, not(loom)))]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash};

use smallvec::SmallVec;

use super::Weak;
use super::table::AddressHasher;
use crate::collector::mark::Tracer;
use crate::gc::lock::{GcMutex, GcMutexGuard};
use crate::gc::{Gc, Object};
use crate::mutator::Mutator;
use crate::trace::{Allocate, Trace};

/// Parts with a lock each: threads seldom meet.
const PARTS: usize = if cfg!(loom) { 1 } else { 16 };

/// A part is rid of its dead when it has twice as many as were alive last time, and so many more.
const DEAD_AT_LEAST: usize = 32;

/// A table of values, each of which is there once: whoever interns an equal one gets the same object. It does not keep them.
///
/// So equal strings, symbols or shapes can be told by their address ([`Gc::ptr_eq`]). Threads share it. A value that nothing leads to
/// any more is collected, and interned anew when it comes again.
///
/// Values are compared under a lock of a part of the table: their `Eq` must not use it.
///
/// ```
/// use linchpin::{Gc, Heap, Interner, Trace};
///
/// #[derive(Trace)]
/// struct Machine<'gc> {
///     symbols: Interner<'gc, str>,
/// }
///
/// let heap = Heap::new();
/// heap.mutate(|mu| {
///     let machine = mu.alloc(Machine { symbols: Interner::new() });
///     let [one, other] = [(); 2].map(|()| machine.symbols.intern(mu, "lambda"));
///     assert!(Gc::ptr_eq(one, other));
///     assert!(machine.symbols.get(mu, "define").is_none());
/// });
/// ```
pub struct Interner<'gc, T: ?Sized> {
    parts: [GcMutex<Part<'gc, T>>; PARTS],
    hasher: RandomState,
}

/// Weak pointers to values by their hashes.
struct Part<'gc, T: ?Sized> {
    by_hash: HashMap<usize, Bucket<'gc, T>, BuildHasherDefault<AddressHasher>>,
    len: usize,
    /// It is rid of the dead when it has so many.
    full_at: usize,
}

type Bucket<'gc, T> = SmallVec<[Weak<'gc, T>; 1]>;

impl<T: ?Sized> Default for Part<'_, T> {
    fn default() -> Self {
        Self { by_hash: HashMap::default(), len: 0, full_at: DEAD_AT_LEAST }
    }
}

impl<'gc, T: ?Sized + Object + Eq + Hash> Part<'gc, T> {
    fn find(&self, mu: &Mutator<'gc>, hash: usize, value: &T) -> Option<Gc<'gc, T>> {
        self.by_hash.get(&hash)?.iter().filter_map(|weak| weak.upgrade(mu)).find(|found| **found == *value)
    }

    fn insert(&mut self, hash: usize, weak: Weak<'gc, T>) {
        if self.len >= self.full_at {
            self.remove_dead();
        }
        self.by_hash.entry(hash).or_default().push(weak);
        self.len += 1;
    }

    fn remove_dead(&mut self) {
        self.len = 0;
        self.by_hash.retain(|_, bucket| {
            bucket.retain(|weak| !weak.is_cleared());
            self.len += bucket.len();
            !bucket.is_empty()
        });
        self.full_at = self.len * 2 + DEAD_AT_LEAST;
        self.by_hash.shrink_to(self.full_at);
    }
}

impl<'gc, T: ?Sized + Object> Interner<'gc, T> {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self { parts: std::array::from_fn(|_| GcMutex::default()), hasher: RandomState::new() }
    }
}

impl<'gc, T> Interner<'gc, T>
where
    T: ?Sized + Object<Branded<'gc> = T> + Eq + Hash,
{
    /// The object that is equal to `value`, if there is one.
    pub fn get(&self, mu: &Mutator<'gc>, value: &T) -> Option<Gc<'gc, T>> {
        let (part, hash) = self.part_of(mu, value);
        part.find(mu, hash, value)
    }

    fn part_of<'a>(&'a self, mu: &'a Mutator<'gc>, value: &T) -> (GcMutexGuard<'a, 'gc, Part<'gc, T>>, usize) {
        // The part's own table spreads the hash again, and goes by other bits.
        let hash = self.hasher.hash_one(value) as usize;
        (self.parts[hash % PARTS].lock(mu), hash)
    }

    /// The object that is equal to `value`; or else the one that `make` makes of it.
    fn get_or_make<V>(
        &self,
        mu: &Mutator<'gc>,
        value: V,
        borrow: impl Fn(&V) -> &T,
        make: impl FnOnce(V) -> Gc<'gc, T>,
    ) -> Gc<'gc, T> {
        if let Some(found) = self.get(mu, borrow(&value)) {
            return found;
        }
        // Not under the lock: to allocate may take a while, and may run the program's code.
        let made = make(value);
        let weak = mu.downgrade(made);
        let (mut part, hash) = self.part_of(mu, &made);
        if let Some(found) = part.find(mu, hash, &made) {
            return found;
        }
        part.insert(hash, weak);
        made
    }

    /// How many values there are; those that are dead count until the table is rid of them.
    pub fn len(&self, mu: &Mutator<'gc>) -> usize {
        self.parts.iter().map(|part| part.lock(mu).len).sum()
    }

    /// Whether there are no values; see [`len`](Self::len).
    pub fn is_empty(&self, mu: &Mutator<'gc>) -> bool {
        self.len(mu) == 0
    }
}

impl<'gc> Interner<'gc, str> {
    /// The one object for this text, which is made if there is none.
    ///
    /// # Panics
    /// As [`Mutator::alloc`].
    pub fn intern(&self, mu: &Mutator<'gc>, text: &str) -> Gc<'gc, str> {
        self.get_or_make(mu, text, |text| text, |text| mu.alloc_str(text))
    }
}

impl<'gc, T: Allocate<'gc> + Copy + Eq + Hash> Interner<'gc, [T]> {
    /// The one object for these elements, which is made if there is none.
    ///
    /// # Panics
    /// As [`Mutator::alloc`].
    pub fn intern_slice(&self, mu: &Mutator<'gc>, elements: &[T]) -> Gc<'gc, [T]> {
        self.get_or_make(mu, elements, |elements| elements, |elements| mu.alloc_slice_copy(elements))
    }
}

impl<'gc, T: Allocate<'gc> + Eq + Hash> Interner<'gc, T> {
    /// The one object for this value, which is made of it if there is none.
    ///
    /// # Panics
    /// As [`Mutator::alloc`].
    pub fn intern_value(&self, mu: &Mutator<'gc>, value: T) -> Gc<'gc, T> {
        self.get_or_make(mu, value, |value| value, |value| mu.alloc(value))
    }
}

impl<T: ?Sized + Object> Default for Interner<'_, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: ?Sized> fmt::Debug for Interner<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interner").field("type", &std::any::type_name::<T>()).finish_non_exhaustive()
    }
}

// SAFETY: each weak pointer is reported; the brand is the parameter.
unsafe impl<'gc, T: ?Sized + Object> Trace for Part<'gc, T> {
    type Branded<'b> = Part<'b, T::Branded<'b>>;
    const NEEDS_TRACE: bool = true;

    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.by_hash.values().flatten().for_each(|weak| weak.trace(tracer));
    }
}

// SAFETY: each part is traced; the brand is the parameter.
unsafe impl<'gc, T: ?Sized + Object> Trace for Interner<'gc, T> {
    type Branded<'b> = Interner<'b, T::Branded<'b>>;
    const NEEDS_TRACE: bool = true;

    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.parts.iter().for_each(|part| part.trace(tracer));
    }
}
