//! A part of the store, with a lock of its own.

use linchpin::{Gc, GcMutex, Mutator, OutOfMemory, Trace, WeakCell};

use super::entry::{Entries, Entry, NEVER, cost};
use super::expiry::ExpiryIndex;
use super::{Expires, Figures, SetError, SetOptions, ShardLimits};

/// Entries that are looked at in one mutation when they expire: a long mutation delays the end of a cycle.
const EXPIRE_AT_ONCE: usize = 128;

/// A part of the store.
#[derive(Trace)]
pub(super) struct Shard<'gc> {
    entries: GcMutex<Entries<'gc>>,
    /// Has its own lock, which only those take that set a time, as all that is behind a lock is looked through once a cycle. Who takes
    /// both takes this one last.
    expiry: GcMutex<ExpiryIndex<'gc>>,
    /// The second chance: entries that were evicted, by their hashes, until the collector takes them or another one comes to the
    /// same place. Looked at under the lock of the entries.
    evicted: Gc<'gc, [WeakCell<'gc, Entry<'gc>>]>,
}

/// A visit to a shard, in one mutation.
pub(super) struct Visit<'a, 'gc> {
    pub(super) mu: &'a Mutator<'gc>,
    pub(super) now: u64,
    pub(super) limits: &'a ShardLimits,
    pub(super) figures: &'a Figures,
}

impl<'gc> Shard<'gc> {
    pub(super) fn new(mu: &Mutator<'gc>, limits: &ShardLimits) -> Result<Self, OutOfMemory> {
        Ok(Self {
            entries: GcMutex::new(Entries::new(mu)?),
            expiry: GcMutex::default(),
            evicted: mu.try_alloc_slice_with(limits.second_chances, |_| WeakCell::null())?,
        })
    }

    /// The value for a key, which counts as used now.
    pub(super) fn get(&self, visit: &Visit<'_, 'gc>, hash: u64, key: &[u8]) -> Option<Gc<'gc, [u8]>> {
        let mut entries = self.entries.lock(visit.mu);
        let entry = self.find(visit, &mut entries, hash, key)?;
        entries.touch(visit.mu, entry);
        Some(entry.value())
    }

    /// When the entry for a key expires; `None` if there is none.
    pub(super) fn expires_at(&self, visit: &Visit<'_, 'gc>, hash: u64, key: &[u8]) -> Option<u64> {
        let mut entries = self.entries.lock(visit.mu);
        self.find(visit, &mut entries, hash, key).map(|entry| entry.expires_at())
    }

    pub(super) fn set(
        &self,
        visit: &Visit<'_, 'gc>,
        hash: u64,
        key: &[u8],
        value: &[u8],
        options: SetOptions,
    ) -> Result<bool, SetError> {
        let mu = visit.mu;
        visit.check_cost(key.len(), value.len())?;
        // Before the lock: it takes time.
        let value = mu.try_alloc_slice_copy(value)?;
        let mut entries = self.entries.lock(mu);
        let found = self.find(visit, &mut entries, hash, key);
        if options.only_if.is_some_and(|only_if| only_if.exists() != found.is_some()) {
            return Ok(false);
        }
        let entry = match found {
            Some(entry) => {
                entries.set_value(mu, entry, value);
                entries.touch(mu, entry);
                entry
            }
            None => self.insert(visit, &mut entries, hash, key, value)?,
        };
        self.set_time(visit, entry, options.expires)?;
        self.evict(visit, &mut entries);
        Ok(true)
    }

    /// Changes a value to what `change` makes of it (nothing, if there is none), which keeps the time when it expires.
    pub(super) fn update<R>(
        &self,
        visit: &Visit<'_, 'gc>,
        hash: u64,
        key: &[u8],
        change: impl FnOnce(Option<&[u8]>) -> Result<(Vec<u8>, R), SetError>,
    ) -> Result<R, SetError> {
        let mut entries = self.entries.lock(visit.mu);
        let found = self.find(visit, &mut entries, hash, key);
        let (value, result) = change(found.map(|entry| entry.value()).as_deref())?;
        visit.check_cost(key.len(), value.len())?;
        let value = visit.mu.try_alloc_slice_copy(&value)?;
        match found {
            Some(entry) => {
                entries.set_value(visit.mu, entry, value);
                entries.touch(visit.mu, entry);
            }
            None => _ = self.insert(visit, &mut entries, hash, key, value)?,
        }
        self.evict(visit, &mut entries);
        Ok(result)
    }

    /// Has an entry expire at another time; whether there is one.
    pub(super) fn expire(
        &self,
        visit: &Visit<'_, 'gc>,
        hash: u64,
        key: &[u8],
        expires: Expires,
    ) -> Result<bool, OutOfMemory> {
        let mut entries = self.entries.lock(visit.mu);
        let Some(entry) = self.find(visit, &mut entries, hash, key) else { return Ok(false) };
        if expires == Expires::In(0) {
            entries.remove(visit.mu, entry);
        } else {
            self.set_time(visit, entry, expires)?;
        }
        Ok(true)
    }

    /// Takes an entry out; whether there is one.
    pub(super) fn remove(&self, visit: &Visit<'_, 'gc>, hash: u64, key: &[u8]) -> bool {
        let mut entries = self.entries.lock(visit.mu);
        let found = self.find(visit, &mut entries, hash, key);
        found.map(|entry| entries.remove(visit.mu, entry)).is_some()
    }

    /// Takes everything out.
    pub(super) fn clear(&self, visit: &Visit<'_, 'gc>) -> Result<(), OutOfMemory> {
        let empty = Entries::new(visit.mu)?;
        let mut entries = self.entries.lock(visit.mu);
        *entries = empty;
        self.evicted.iter().for_each(|place| place.clear(visit.mu));
        drop(entries);
        self.expiry.lock(visit.mu).clear();
        Ok(())
    }

    /// Takes out some of what has expired; how many, and whether there may be more.
    pub(super) fn expire_due(&self, visit: &Visit<'_, 'gc>) -> (usize, bool) {
        let (due, more) = self.expiry.lock(visit.mu).take_due(visit.mu, visit.now, EXPIRE_AT_ONCE);
        if due.is_empty() {
            return (0, more);
        }
        let mut entries = self.entries.lock(visit.mu);
        let mut count = 0;
        for entry in due {
            // It may have been taken out, or given another time, since.
            if entry.is_expired(visit.now) && entries.contains(entry) {
                entries.remove(visit.mu, entry);
                count += 1;
            }
        }
        visit.figures.expired.add(count);
        (count, more)
    }

    /// How many entries there are, how many bytes they count for, and how many times are known when some expire.
    pub(super) fn size(&self, mu: &Mutator<'gc>) -> (usize, usize, usize) {
        let entries = self.entries.lock(mu);
        let (count, bytes) = (entries.count(), entries.bytes());
        drop(entries);
        (count, bytes, self.expiry.lock(mu).len())
    }

    /// The entry for a key, unless it has expired. If it was evicted, and the collector has not taken it yet, it is put back.
    fn find(
        &self,
        visit: &Visit<'_, 'gc>,
        entries: &mut Entries<'gc>,
        hash: u64,
        key: &[u8],
    ) -> Option<Gc<'gc, Entry<'gc>>> {
        if let Some(entry) = entries.find(hash, key) {
            if entry.is_expired(visit.now) {
                entries.remove(visit.mu, entry);
                visit.figures.expired.add(1);
                return None;
            }
            return Some(entry);
        }
        let place = self.place_of_evicted(hash);
        let entry = place.upgrade(visit.mu).filter(|entry| entry.is_for(hash, key))?;
        place.clear(visit.mu);
        if entry.is_expired(visit.now) {
            return None;
        }
        // Its item may have been purged meanwhile. Without room for another one there is no second chance.
        if entry.expires_at() != NEVER && self.expiry.lock(visit.mu).add(visit.mu, entry).is_err() {
            return None;
        }
        entries.insert(visit.mu, entry);
        visit.figures.revived.add(1);
        self.evict(visit, entries);
        Some(entry)
    }

    fn insert(
        &self,
        visit: &Visit<'_, 'gc>,
        entries: &mut Entries<'gc>,
        hash: u64,
        key: &[u8],
        value: Gc<'gc, [u8]>,
    ) -> Result<Gc<'gc, Entry<'gc>>, SetError> {
        let mu = visit.mu;
        let key = mu.try_alloc_slice_copy(key)?;
        let entry = mu.try_alloc(Entry::new(hash, key, value)).map_err(|error| error.reason)?;
        entries.insert(mu, entry);
        Ok(entry)
    }

    /// Has an entry that is in use expire. Without room for an item of the index it expires all the same, but only when asked for.
    fn set_time(
        &self,
        visit: &Visit<'_, 'gc>,
        entry: Gc<'gc, Entry<'gc>>,
        expires: Expires,
    ) -> Result<(), OutOfMemory> {
        let Expires::In(milliseconds) = expires else {
            entry.set_expires_at(NEVER);
            return Ok(());
        };
        entry.set_expires_at(visit.now.saturating_add(milliseconds).min(NEVER - 1));
        self.expiry.lock(visit.mu).add(visit.mu, entry)
    }

    /// Takes out what was not used for longest until the rest is within the limits. The newest stays: it is within them by itself.
    fn evict(&self, visit: &Visit<'_, 'gc>, entries: &mut Entries<'gc>) {
        while entries.count() > visit.limits.entries || entries.bytes() > visit.limits.bytes {
            let Some(entry) = entries.oldest() else { return };
            entries.remove(visit.mu, entry);
            visit.figures.evicted.add(1);
            // Without room for the weak pointer there is no second chance.
            let weak = if entry.is_expired(visit.now) { None } else { visit.mu.try_downgrade(entry).ok() };
            self.place_of_evicted(entry.hash).store(visit.mu, weak);
        }
    }

    fn place_of_evicted(&self, hash: u64) -> &'gc WeakCell<'gc, Entry<'gc>> {
        // A power of two.
        &self.evicted.as_ref()[hash as usize & (self.evicted.len() - 1)]
    }
}

impl Visit<'_, '_> {
    fn check_cost(&self, key_bytes: usize, value_bytes: usize) -> Result<(), SetError> {
        if cost(key_bytes, value_bytes) > self.limits.bytes { Err(SetError::TooLarge) } else { Ok(()) }
    }
}
