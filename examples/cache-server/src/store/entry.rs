//! An entry, and the table and recency list of a shard.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use linchpin::{Gc, GcCell, Mutator, OutOfMemory, Trace};

/// What an entry takes up beside its key and value, about: itself, their headers, its share of the table.
pub(super) const OVERHEAD: usize = 128;
/// Buckets of an empty table.
const LEAST_BUCKETS: usize = 16;
/// When an entry expires that never does.
pub(super) const NEVER: u64 = u64::MAX;

/// What is stored for a key. All its changing parts are changed under the lock of its shard.
#[derive(Trace)]
pub(super) struct Entry<'gc> {
    pub(super) hash: u64,
    pub(super) key: Gc<'gc, [u8]>,
    value: GcCell<'gc, [u8]>,
    expires_at: AtomicU64,
    /// The number of its item in the expiry index; the others mean nothing.
    expiry_item: AtomicU32,
    /// It is among the entries of its shard.
    is_in_use: AtomicBool,
    /// The next entry of the same bucket.
    chain: GcCell<'gc, Entry<'gc>>,
    newer: GcCell<'gc, Entry<'gc>>,
    older: GcCell<'gc, Entry<'gc>>,
}

impl<'gc> Entry<'gc> {
    pub(super) fn new(hash: u64, key: Gc<'gc, [u8]>, value: Gc<'gc, [u8]>) -> Self {
        Self {
            hash,
            key,
            value: GcCell::new(value),
            expires_at: AtomicU64::new(NEVER),
            expiry_item: AtomicU32::new(0),
            is_in_use: AtomicBool::new(false),
            chain: GcCell::null(),
            newer: GcCell::null(),
            older: GcCell::null(),
        }
    }

    pub(super) fn value(&self) -> Gc<'gc, [u8]> {
        self.value.load().expect("an entry always has a value")
    }

    pub(super) fn expires_at(&self) -> u64 {
        self.expires_at.load(Ordering::Relaxed)
    }

    pub(super) fn set_expires_at(&self, time: u64) {
        self.expires_at.store(time, Ordering::Relaxed);
    }

    pub(super) fn set_expiry_item(&self, number: u32) {
        self.expiry_item.store(number, Ordering::Relaxed);
    }

    /// Whether the item of the expiry index with this time and number means anything.
    pub(super) fn is_of_item(&self, time: u64, number: u32) -> bool {
        self.is_in_use.load(Ordering::Relaxed)
            && self.expires_at() == time
            && self.expiry_item.load(Ordering::Relaxed) == number
    }

    pub(super) fn is_expired(&self, now: u64) -> bool {
        self.expires_at() <= now
    }

    pub(super) fn is_for(&self, hash: u64, key: &[u8]) -> bool {
        self.hash == hash && *self.key == *key
    }

    /// The bytes it counts for.
    pub(super) fn cost(&self) -> usize {
        cost(self.key.len(), self.value().len())
    }
}

pub(super) fn cost(key_bytes: usize, value_bytes: usize) -> usize {
    OVERHEAD + key_bytes + value_bytes
}

/// The entries of a shard, by their keys and by when they were used last.
///
/// This is what is behind the shard's lock, and it is a handful of words, whatever the number of entries: table, chains and list are
/// objects and pointer fields, each change of which passes the collector's barrier by itself. (A `HashMap` here would be looked
/// through as a whole by the first to take the lock in each cycle.)
///
/// The list leads both ways by plain pointers. An entry that is taken out has its own cleared, and nothing leads to it then.
#[derive(Trace)]
pub(super) struct Entries<'gc> {
    buckets: Gc<'gc, [GcCell<'gc, Entry<'gc>>]>,
    newest: Option<Gc<'gc, Entry<'gc>>>,
    oldest: Option<Gc<'gc, Entry<'gc>>>,
    count: usize,
    bytes: usize,
}

impl<'gc> Entries<'gc> {
    pub(super) fn new(mu: &Mutator<'gc>) -> Result<Self, OutOfMemory> {
        let buckets = mu.try_alloc_slice_with(LEAST_BUCKETS, |_| GcCell::null())?;
        Ok(Self { buckets, newest: None, oldest: None, count: 0, bytes: 0 })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The entry that has not been used for longest.
    pub(super) fn oldest(&self) -> Option<Gc<'gc, Entry<'gc>>> {
        self.oldest
    }

    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Gc<'gc, Entry<'gc>>> {
        let mut next = self.bucket(hash).load();
        while let Some(entry) = next {
            if entry.is_for(hash, key) {
                return Some(entry);
            }
            next = entry.chain.load();
        }
        None
    }

    /// Whether this very entry is among them, not another one for its key.
    pub(super) fn contains(&self, entry: Gc<'gc, Entry<'gc>>) -> bool {
        self.find(entry.hash, &entry.key).is_some_and(|found| Gc::ptr_eq(found, entry))
    }

    /// Puts an entry in whose key has none, as the newest.
    pub(super) fn insert(&mut self, mu: &Mutator<'gc>, entry: Gc<'gc, Entry<'gc>>) {
        if self.count == self.buckets.len() {
            self.grow(mu);
        }
        let bucket = self.bucket(entry.hash);
        entry.chain.store(mu, bucket.load());
        bucket.store(mu, entry);
        self.put_newest(mu, entry);
        entry.is_in_use.store(true, Ordering::Relaxed);
        self.count += 1;
        self.bytes += entry.cost();
    }

    /// Takes out an entry that is among them.
    pub(super) fn remove(&mut self, mu: &Mutator<'gc>, entry: Gc<'gc, Entry<'gc>>) {
        let mut place = self.bucket(entry.hash);
        while let Some(found) = place.load() {
            if Gc::ptr_eq(found, entry) {
                break;
            }
            place = &found.as_ref().chain;
        }
        place.store(mu, entry.chain.load());
        entry.chain.clear(mu);
        self.take_from_list(mu, entry);
        entry.is_in_use.store(false, Ordering::Relaxed);
        self.count -= 1;
        self.bytes -= entry.cost();
    }

    /// Makes an entry the newest.
    pub(super) fn touch(&mut self, mu: &Mutator<'gc>, entry: Gc<'gc, Entry<'gc>>) {
        if !self.newest.is_some_and(|newest| Gc::ptr_eq(newest, entry)) {
            self.take_from_list(mu, entry);
            self.put_newest(mu, entry);
        }
    }

    /// Gives an entry that is among them another value. The old one is garbage then.
    pub(super) fn set_value(&mut self, mu: &Mutator<'gc>, entry: Gc<'gc, Entry<'gc>>, value: Gc<'gc, [u8]>) {
        self.bytes -= entry.cost();
        entry.value.store(mu, value);
        self.bytes += entry.cost();
    }

    fn bucket(&self, hash: u64) -> &'gc GcCell<'gc, Entry<'gc>> {
        // A power of two.
        &self.buckets.as_ref()[hash as usize & (self.buckets.len() - 1)]
    }

    fn put_newest(&mut self, mu: &Mutator<'gc>, entry: Gc<'gc, Entry<'gc>>) {
        entry.older.store(mu, self.newest);
        match self.newest {
            Some(newest) => newest.newer.store(mu, entry),
            None => self.oldest = Some(entry),
        }
        self.newest = Some(entry);
    }

    fn take_from_list(&mut self, mu: &Mutator<'gc>, entry: Gc<'gc, Entry<'gc>>) {
        let (newer, older) = (entry.newer.load(), entry.older.load());
        match newer {
            Some(newer) => newer.older.store(mu, older),
            None => self.newest = older,
        }
        match older {
            Some(older) => older.newer.store(mu, newer),
            None => self.oldest = newer,
        }
        entry.newer.clear(mu);
        entry.older.clear(mu);
    }

    /// Twice as many buckets; or as many as before, if there is no room for more.
    fn grow(&mut self, mu: &Mutator<'gc>) {
        let Ok(buckets) = mu.try_alloc_slice_with(2 * self.buckets.len(), |_| GcCell::null()) else { return };
        self.buckets = buckets;
        let mut next = self.oldest;
        while let Some(entry) = next {
            let bucket = self.bucket(entry.hash);
            entry.chain.store(mu, bucket.load());
            bucket.store(mu, entry);
            next = entry.newer.load();
        }
    }
}
