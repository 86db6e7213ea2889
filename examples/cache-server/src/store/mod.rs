//! The store: entries by their keys, bounded in number or bytes.
//!
//! All of it lives in a heap. What is in use is kept by the table, and by a list from the newest to the oldest; beyond the limit
//! the oldest goes. Nothing frees it: it is left to the collector, and until that comes it can be had back by a weak pointer.

mod entry;
mod expiry;
mod shard;
#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use linchpin::{BuildError, Heap, OutOfMemory, Root};

use crate::clock::Clock;
use shard::{Shard, Visit};

/// What a store is to be like.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The most entries there may be, if that is limited.
    pub max_entries: Option<usize>,
    /// The most bytes that keys and values may take up, with what goes with them, if that is limited.
    pub max_bytes: Option<usize>,
    /// Parts with a lock and a share of the limits each; the next power of two.
    pub shards: usize,
    /// How many threads may be at work in the heap at once; by default as many as there are cores.
    pub processors: Option<usize>,
    /// By how many percent the heap may grow before a cycle starts.
    pub growth_percent: u32,
    /// The time that expiry goes by.
    pub clock: Clock,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            max_entries: None,
            max_bytes: None,
            shards: 16,
            processors: None,
            growth_percent: 100,
            clock: Clock::system(),
        }
    }
}

/// The limits of each shard.
struct ShardLimits {
    entries: usize,
    bytes: usize,
    /// Places for evicted entries.
    second_chances: usize,
}

/// Entries by their keys.
pub struct Store {
    // Before the heap: roots that outlive their heap keep it mapped.
    shards: Root<[Shard<'static>]>,
    heap: Heap,
    limits: ShardLimits,
    hasher: RandomState,
    clock: Clock,
    figures: Figures,
}

/// When an entry is to expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    /// Not at all.
    Never,
    /// In so many milliseconds.
    In(u64),
}

/// On what condition an entry is to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnlyIf {
    /// If there is one for the key.
    Exists,
    /// If there is none.
    Absent,
}

impl OnlyIf {
    fn exists(self) -> bool {
        self == Self::Exists
    }
}

/// How an entry is to be set.
#[derive(Clone, Copy, Debug)]
pub struct SetOptions {
    /// On what condition, if any.
    pub only_if: Option<OnlyIf>,
    /// When it is to expire.
    pub expires: Expires,
}

impl Default for SetOptions {
    fn default() -> Self {
        Self { only_if: None, expires: Expires::Never }
    }
}

/// Why an entry was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetError {
    /// It is larger than all that a shard may hold.
    TooLarge,
    /// There is no room in the heap's region.
    NoRoom,
    /// The value is to be counted up, and is no number.
    NotANumber,
    /// The number would be too large.
    Overflow,
}

impl From<OutOfMemory> for SetError {
    fn from(_: OutOfMemory) -> Self {
        Self::NoRoom
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "OOM the entry is larger than a shard of this cache may hold",
            Self::NoRoom => "OOM there is no room in the heap's region",
            Self::NotANumber => "ERR value is not an integer or out of range",
            Self::Overflow => "ERR increment or decrement would overflow",
        })
    }
}

impl std::error::Error for SetError {}

/// A number that threads count up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a store has done.
#[derive(Debug, Default)]
pub struct Figures {
    /// Values asked for that were there.
    pub hits: Counter,
    /// Values asked for that were not.
    pub misses: Counter,
    /// Entries that were evicted.
    pub evicted: Counter,
    /// Entries that were evicted and had back before the collector took them.
    pub revived: Counter,
    /// Entries that expired.
    pub expired: Counter,
}

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Entries.
    pub entries: usize,
    /// Bytes that they count for.
    pub bytes: usize,
    /// Items of the expiry indexes; there may be several for one entry, and some for none.
    pub expiry_items: usize,
}

impl Store {
    /// An empty store.
    ///
    /// # Errors
    /// If the heap cannot be made.
    pub fn new(options: &StoreOptions) -> Result<Self, BuildError> {
        let mut builder = Heap::builder().growth_percent(options.growth_percent);
        if let Some(processors) = options.processors {
            builder = builder.processors(processors);
        }
        let heap = builder.build()?;
        let shards = options.shards.clamp(1, 1 << 16).next_power_of_two();
        let share = |limit: Option<usize>| limit.map_or(usize::MAX, |limit| limit.div_ceil(shards).max(1));
        let entries = share(options.max_entries);
        // As many as may be in use; some, if nobody knows how many those are.
        let second_chances =
            if entries == usize::MAX { 1 << 10 } else { entries.clamp(1, 1 << 16).next_power_of_two() };
        let limits = ShardLimits { entries, bytes: share(options.max_bytes), second_chances };
        let shards = heap.mutate(|mu| {
            mu.root(mu.alloc_slice_with(shards, |_| Shard::new(mu, &limits).expect("a new region has room for it")))
        });
        let hasher = RandomState::new();
        Ok(Self { shards, heap, limits, hasher, clock: options.clock.clone(), figures: Figures::default() })
    }

    /// Calls `f` with the value for a key; gives what it returns.
    pub fn get<R>(&self, key: &[u8], f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let result = self.visit(key, |visit, shard, hash| shard.get(visit, hash, key).map(|value| f(&value)));
        let counter = if result.is_some() { &self.figures.hits } else { &self.figures.misses };
        counter.add(1);
        result
    }

    /// Whether there is an entry for a key. That does not count as a use of it.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.visit(key, |visit, shard, hash| shard.expires_at(visit, hash, key)).is_some()
    }

    /// Sets a value; false if the condition was not met.
    ///
    /// # Errors
    /// If the entry is too large, or the region has no room.
    pub fn set(&self, key: &[u8], value: &[u8], options: SetOptions) -> Result<bool, SetError> {
        self.visit(key, |visit, shard, hash| shard.set(visit, hash, key, value, options))
    }

    /// Adds to a number, 0 if there is no entry; gives the sum.
    ///
    /// # Errors
    /// If the value is no number, the sum is none, or as [`set`](Self::set).
    pub fn add(&self, key: &[u8], summand: i64) -> Result<i64, SetError> {
        let sum = |value: Option<&[u8]>| {
            let number = value.map_or(Some(0), number).ok_or(SetError::NotANumber)?;
            let sum = number.checked_add(summand).ok_or(SetError::Overflow)?;
            Ok((sum.to_string().into_bytes(), sum))
        };
        self.visit(key, |visit, shard, hash| shard.update(visit, hash, key, sum))
    }

    /// Removes an entry; whether there was one.
    pub fn remove(&self, key: &[u8]) -> bool {
        self.visit(key, |visit, shard, hash| shard.remove(visit, hash, key))
    }

    /// Has an entry expire; whether there is one. In 0 milliseconds: at once.
    ///
    /// # Errors
    /// If the region has no room.
    pub fn expire(&self, key: &[u8], expires: Expires) -> Result<bool, SetError> {
        Ok(self.visit(key, |visit, shard, hash| shard.expire(visit, hash, key, expires))?)
    }

    /// When an entry expires; `None` if there is none.
    pub fn expires(&self, key: &[u8]) -> Option<Expires> {
        self.visit(key, |visit, shard, hash| {
            let time = shard.expires_at(visit, hash, key)?;
            Some(if time == entry::NEVER { Expires::Never } else { Expires::In(time - visit.now) })
        })
    }

    /// Removes all entries, shard by shard.
    ///
    /// # Errors
    /// If the region has no room.
    pub fn clear(&self) -> Result<(), SetError> {
        for index in 0..self.shard_count() {
            self.visit_shard(index, |visit, shard| shard.clear(visit))?;
        }
        Ok(())
    }

    /// Removes the entries that have expired; how many.
    pub fn expire_due(&self) -> usize {
        let mut count = 0;
        for index in 0..self.shard_count() {
            loop {
                let (expired, more) = self.visit_shard(index, |visit, shard| shard.expire_due(visit));
                count += expired;
                if !more {
                    break;
                }
            }
        }
        count
    }

    /// What the store holds.
    pub fn size(&self) -> Size {
        let mut size = Size::default();
        for index in 0..self.shard_count() {
            let (entries, bytes, expiry_items) = self.visit_shard(index, |visit, shard| shard.size(visit.mu));
            size.entries += entries;
            size.bytes += bytes;
            size.expiry_items += expiry_items;
        }
        size
    }

    /// What the store has done.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// The heap that all of it lives in.
    pub fn heap(&self) -> &Heap {
        &self.heap
    }

    fn shard_count(&self) -> usize {
        self.heap.mutate(|mu| self.shards.get(mu).len())
    }

    /// Calls `f` with the shard of a key, and the key's hash.
    fn visit<R>(&self, key: &[u8], f: impl for<'gc> FnOnce(&Visit<'_, 'gc>, &Shard<'gc>, u64) -> R) -> R {
        let hash = self.hasher.hash_one(key);
        self.heap.mutate(|mu| {
            let shards = self.shards.get(mu);
            // By other bits than those that choose the bucket. The number of shards is a power of two.
            let shard = &shards[(hash >> 40) as usize & (shards.len() - 1)];
            f(&Visit { mu, now: self.clock.now(), limits: &self.limits, figures: &self.figures }, shard, hash)
        })
    }

    fn visit_shard<R>(&self, index: usize, f: impl for<'gc> FnOnce(&Visit<'_, 'gc>, &Shard<'gc>) -> R) -> R {
        let now = self.clock.now();
        self.heap.mutate(|mu| {
            f(&Visit { mu, now, limits: &self.limits, figures: &self.figures }, &self.shards.get(mu)[index])
        })
    }
}

/// A number in digits, with a sign at most: no spaces, no leading zeros.
pub fn number(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}
