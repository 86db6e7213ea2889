//! Weak maps: values that live as long as their keys.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::table::{AddressHasher, give_room_back, part_of};
use crate::collector::ephemerons::{DeadValues, EphemeronTable};
use crate::collector::mark::Tracer;
use crate::gc::{Brand, Gc, Object, slice};
use crate::mutator::Mutator;
use crate::panics::{caught, contained};
use crate::processor::phase::Mode;
use crate::sync::{Arc, AtomicBool, Mutex, MutexGuard, Ordering};
use crate::trace::{Allocate, Inspector, Trace};

/// Parts with a lock each: threads seldom meet, and the collector keeps nobody waiting for long.
pub(super) const PARTS: usize = if cfg!(loom) { 1 } else { 8 };

/// A part with no more room than this keeps it.
const KEPT_ROOM: usize = 32;

/// A map from objects to values that keeps a value as long as something else keeps its key: a table of *ephemerons*.
///
/// The key is the object, not what is in it. The value may lead to its key, or to other keys, without keeping them. When a
/// cycle has found a key to be dead, the entry is removed, and the value dropped. Threads share it.
///
/// A map is part of an object, like a field.
///
/// ```
/// use linchpin::{Gc, Heap, Root, Trace, WeakMap};
///
/// #[derive(Trace)]
/// struct Registry<'gc> {
///     names: WeakMap<'gc, u64, Gc<'gc, str>>,
/// }
///
/// let heap = Heap::new();
/// let (registry, number): (Root<Registry<'static>>, Root<u64>) = heap.mutate(|mu| {
///     let registry = mu.alloc(Registry { names: WeakMap::new(mu) });
///     let number = mu.alloc(7);
///     registry.names.insert(mu, number, mu.alloc_str("seven"));
///     (mu.root(registry), mu.root(number))
/// });
/// heap.collect();
/// heap.mutate(|mu| assert_eq!(&*registry.get(mu).names.get(mu, number.get(mu)).unwrap(), "seven"));
/// drop(number);
/// heap.collect();
/// heap.mutate(|mu| assert!(registry.get(mu).names.is_empty()));
/// ```
///
/// # Cost
///
/// An entry is looked up under the lock of a part of the map. At the end of each mark the collector looks at each entry, and at what
/// only values lead to, on one thread: in time proportional to that, however values and keys lead to each other.
///
/// A value's `Clone` runs under that lock: it must not use the map.
pub struct WeakMap<'gc, K: ?Sized, V> {
    table: Arc<Table<V>>,
    brand: Brand<'gc>,
    keys: PhantomData<fn(NonNull<K>) -> NonNull<K>>,
}

struct Table<V> {
    number: u64,
    /// Something has come to it in this cycle.
    reached: AtomicBool,
    parts: [Mutex<Part<V>>; PARTS],
}

type Part<V> = HashMap<usize, Entry<V>, BuildHasherDefault<AddressHasher>>;

struct Entry<V> {
    key: NonNull<u8>,
    value: V,
}

// SAFETY: the key is the start of an object, which any thread may have; it is like a `Gc`.
unsafe impl<V: Send> Send for Entry<V> {}

impl<V> Table<V> {
    fn part(&self, key: usize) -> MutexGuard<'_, Part<V>> {
        self.parts[part_of(key, PARTS)].lock()
    }
}

impl<V> Drop for Table<V> {
    /// Drops each value. If some panic, the first of the panics goes on when all are dropped; to drop a table of the standard library
    /// would end the process at the second, and leak its memory at the first.
    fn drop(&mut self) {
        let parts = self.parts.iter().map(|part| std::mem::take(&mut *part.lock()));
        let values: Vec<V> = parts.flatten().map(|(_, entry)| entry.value).collect();
        let outcomes = values.into_iter().map(|value| caught(|| drop(value)));
        slice::resume_first(outcomes.fold(Ok(()), slice::first_of), Ok(()));
    }
}

impl<'gc, K: ?Sized + Object, V: Allocate<'gc>> WeakMap<'gc, K, V> {
    /// An empty map.
    #[must_use]
    pub fn new(mu: &Mutator<'gc>) -> Self {
        let decision = &mu.core().decision;
        decision.note_weak();
        let ephemerons = &decision.ephemerons;
        let number = ephemerons.new_number();
        let parts = std::array::from_fn(|_| Mutex::new(Part::default()));
        let table = Arc::new(Table { number, reached: AtomicBool::new(false), parts });
        // SAFETY: the map is branded by this heap, and so are its values, which hold no other borrowed data (`Allocate`). It is part
        // of an object, or a local of a mutation, which both go before the heap does.
        unsafe { ephemerons.add(number, &table) };
        Self { table, brand: PhantomData, keys: PhantomData }
    }

    /// Makes `value` the value of `key`; gives the one it had.
    pub fn insert(&self, mu: &Mutator<'gc>, key: Gc<'gc, K>, value: V) -> Option<V> {
        let (key, address) = start_of(key);
        before_insert(mu, key, &value);
        let mut part = self.table.part(address);
        if let Some(entry) = part.get(&address) {
            before_remove(mu, &entry.value);
        }
        part.insert(address, Entry { key, value }).map(|entry| entry.value)
    }

    /// The value of a key.
    pub fn get(&self, mu: &Mutator<'gc>, key: Gc<'gc, K>) -> Option<V>
    where
        V: Clone,
    {
        let (_, address) = start_of(key);
        let part = self.table.part(address);
        let entry = part.get(&address)?;
        mu.take_contents_in_hand(&entry.value);
        Some(entry.value.clone())
    }

    /// The value of a key; if it has none, the one that `make` makes.
    ///
    /// `make` is called without the lock. If another thread was faster meanwhile, its value is the one.
    pub fn get_or_insert_with(&self, mu: &Mutator<'gc>, key: Gc<'gc, K>, make: impl FnOnce() -> V) -> V
    where
        V: Clone,
    {
        if let Some(value) = self.get(mu, key) {
            return value;
        }
        let value = make();
        // The program's code, in which the processor's mode may change: so before it is asked for.
        let kept = value.clone();
        let (key, address) = start_of(key);
        before_insert(mu, key, &kept);
        let mut part = self.table.part(address);
        if let Some(entry) = part.get(&address) {
            mu.take_contents_in_hand(&entry.value);
            return entry.value.clone();
        }
        part.insert(address, Entry { key, value: kept });
        value
    }

    /// Removes a key; gives its value.
    pub fn remove(&self, mu: &Mutator<'gc>, key: Gc<'gc, K>) -> Option<V> {
        let (_, address) = start_of(key);
        let mut part = self.table.part(address);
        before_remove(mu, &part.get(&address)?.value);
        part.remove(&address).map(|entry| entry.value)
    }

    /// Removes all entries.
    pub fn clear(&self, mu: &Mutator<'gc>) {
        for part in &self.table.parts {
            let mut part = part.lock();
            part.values().for_each(|entry| before_remove(mu, &entry.value));
            let entries = std::mem::take(&mut *part);
            // Values are dropped without the lock.
            drop(part);
            drop(entries);
        }
    }

    /// The entries whose keys are still there, in no order. What other threads change meanwhile may be among them or not.
    #[must_use]
    pub fn entries(&self, mu: &Mutator<'gc>) -> Vec<(Gc<'gc, K>, V)>
    where
        V: Clone,
    {
        let mut entries = Vec::new();
        for part in &self.table.parts {
            for Entry { key, value } in part.lock().values() {
                // SAFETY: an entry is removed when its key is decided to be dead.
                if unsafe { mu.take_in_hand(*key) } {
                    mu.take_contents_in_hand(value);
                    // SAFETY: it lives, and keys are `K`s.
                    entries.push((unsafe { Gc::from_start(*key) }, value.clone()));
                }
            }
        }
        entries
    }
}

impl<'gc, K: ?Sized + Object, V> WeakMap<'gc, K, V> {
    /// Whether a key has a value.
    #[must_use]
    pub fn contains_key(&self, key: Gc<'gc, K>) -> bool {
        let (_, address) = start_of(key);
        self.table.part(address).contains_key(&address)
    }
}

impl<K: ?Sized, V> WeakMap<'_, K, V> {
    /// How many entries there are. Those whose keys are dead count until a cycle has found that out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.parts.iter().map(|part| part.lock().len()).sum()
    }

    /// Whether there are no entries; see [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn start_of<K: ?Sized + Object>(key: Gc<'_, K>) -> (NonNull<u8>, usize) {
    (key.start(), key.start().addr().get())
}

/// What a mutation owes for an entry that it is about to put into a map.
///
/// In `Arm` the map may be one that another mutation, in `Mark` already, has made. Such a map is black, and in this cycle neither traced nor
/// looked at when entries are removed: so its keys must live, though the map is not what keeps them.
fn before_insert<V: Trace>(mu: &Mutator<'_>, key: NonNull<u8>, value: &V) {
    if mu.mode() != Mode::Arm {
        return;
    }
    // SAFETY: the caller has the key as a `Gc`, in hand.
    unsafe { mu.shade(key) };
    if V::NEEDS_TRACE {
        mu.local().shade_contents(mu.core(), value);
    }
}

/// What a mutation owes for a value that it is about to take out of a map: it deletes it, and takes it in hand, which in `Mark`
/// and `Close` is the same.
fn before_remove<V: Trace>(mu: &Mutator<'_>, value: &V) {
    if V::NEEDS_TRACE && mu.mode() == Mode::Arm {
        mu.local().shade_contents(mu.core(), value);
    } else {
        mu.take_contents_in_hand(value);
    }
}

impl<V: Trace + Send> EphemeronTable for Table<V> {
    fn is_reached(&self) -> bool {
        // Relaxed: see `WeakMap::trace`.
        self.reached.load(Ordering::Relaxed)
    }

    fn end_cycle(&self) {
        self.reached.store(false, Ordering::Relaxed);
    }

    fn trace_values(&self, tracer: &mut Tracer<'_>, unmarked: &mut dyn FnMut(usize)) {
        if !V::NEEDS_TRACE {
            return;
        }
        for part in &self.parts {
            for (&key, entry) in &*part.lock() {
                if tracer.is_marked(key) {
                    entry.value.trace(tracer);
                } else {
                    unmarked(key);
                }
            }
        }
    }

    fn trace_value_of(&self, key: usize, tracer: &mut Tracer<'_>) {
        if let Some(entry) = self.part(key).get(&key) {
            entry.value.trace(tracer);
        }
    }

    fn remove_dead(&self, lives: &dyn Fn(usize) -> bool) -> Option<Box<dyn DeadValues>> {
        let mut dead = Vec::new();
        for part in &self.parts {
            let mut part = part.lock();
            dead.extend(part.extract_if(|&key, _| !lives(key)).map(|(_, entry)| entry.value));
            give_room_back(&mut part, KEPT_ROOM);
        }
        if dead.is_empty() {
            return None;
        }
        let dead: Box<dyn DeadValues + '_> = Box::new(dead);
        // SAFETY: what is not `'static` about the values are brands, and they are dropped before the heap is (`Ephemerons::add`).
        Some(unsafe { std::mem::transmute::<Box<dyn DeadValues + '_>, Box<dyn DeadValues>>(dead) })
    }
}

impl<V: Send> DeadValues for Vec<V> {
    fn drop_each(self: Box<Self>) -> u64 {
        self.into_iter().map(|value| u64::from(contained(|| drop(value)))).sum()
    }
}

// SAFETY: it gives shared access to keys, and values, on any thread, and drops values on the collector's.
unsafe impl<K: ?Sized + Send + Sync, V: Send + Sync> Send for WeakMap<'_, K, V> {}
// SAFETY: as above.
unsafe impl<K: ?Sized + Send + Sync, V: Send + Sync> Sync for WeakMap<'_, K, V> {}

// SAFETY: the values whose keys live are traced by the pass over ephemerons, to which the map is made known here. (The keys are
// left out, which is what a weak map is for.)
unsafe impl<'gc, K: ?Sized + Object, V: Trace> Trace for WeakMap<'gc, K, V> {
    type Branded<'b> = WeakMap<'b, K::Branded<'b>, V::Branded<'b>>;
    const NEEDS_TRACE: bool = true;

    fn trace(&self, tracer: &mut Tracer<'_>) {
        if tracer.is_inspecting() {
            // For the verifier: dead keys have been removed, so what is there leads to what lives.
            for part in &self.table.parts {
                for entry in part.lock().values() {
                    tracer.visit_start(entry.key, true);
                    entry.value.trace(tracer);
                }
            }
            return;
        }
        // Relaxed: who asks whether it is reached has all tracers behind it, by way of the queue and the handshakes.
        if !self.table.reached.swap(true, Ordering::Relaxed) {
            tracer.note_weak_map(self.table.number);
        }
    }

    // Of what is in it, which changes, `report_external` may tell.
    const OWNS_MEMORY: bool = true;

    fn owned_bytes(&self) -> usize {
        size_of::<Table<V>>()
    }

    /// Nothing in it is kept as a word.
    fn inspect(&self, _: &mut Inspector<'_>) {}
}

impl<K: ?Sized, V> fmt::Debug for WeakMap<'_, K, V> {
    /// Does not show the entries, which may lead back here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakMap").field("len", &self.len()).finish_non_exhaustive()
    }
}
