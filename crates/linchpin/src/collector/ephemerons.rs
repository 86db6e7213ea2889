//! Ephemerons: what is reachable through a key, as long as that is reachable otherwise.
//!
//! A weak map does not keep its keys; it keeps the value of a key that something else keeps, and the value may lead to further
//! keys, its own included. So that cannot be decided by tracing alone. When a closing round has brought nothing
//! ([`close`](super::cycle::Cycle::close)), the collector's thread looks at every entry of the maps that were reached, once: if the key
//! is marked, it traces the value; if not, it notes whose key the object is. Then, as it marks on, it looks up each object
//! that it marks among the keys noted. So a pass takes time in proportion to the entries and to what it marks, however long the
//! chains are from value to key; and if it has marked anything, there is another round, and another pass.
//!
//! A pass that has marked nothing proves that each marked key's value is marked, and the decision follows, unless anything was
//! shaded meanwhile. For mutations, to look up the value of a key is to upgrade a weak pointer: it goes by the rules of
//! [`decision`](super::decision). Without that a mutation in `Close` could get hold of something white that nothing but an
//! ephemeron leads to, and its barrier would come too late.
//!
//! Then the entries of dead keys are removed; what they held is dropped with the values that are swept.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::mark::Tracer;
use crate::memory::region::Region;
use crate::sync::{Arc, Mutex, Ordering, Weak};

/// What a weak map is to the collector.
pub(crate) trait EphemeronTable: Send + Sync {
    /// Whether anything has come to the map in this cycle.
    fn is_reached(&self) -> bool;

    /// From now on, nothing has.
    fn end_cycle(&self);

    /// Traces the values of keys that are marked, and tells of the other keys.
    fn trace_values(&self, tracer: &mut Tracer<'_>, unmarked: &mut dyn FnMut(usize));

    /// Traces the value of a key that has been marked since; if it still has one.
    fn trace_value_of(&self, key: usize, tracer: &mut Tracer<'_>);

    /// Removes the entries of keys that do not live; gives the values, if there are any.
    fn remove_dead(&self, lives: &dyn Fn(usize) -> bool) -> Option<Box<dyn DeadValues>>;
}

/// Values to be dropped.
pub(crate) trait DeadValues: Send {
    /// Drops each; gives how many of these drops have panicked.
    fn drop_each(self: Box<Self>) -> u64;
}

/// The weak maps of a heap.
#[derive(Default)]
pub(crate) struct Ephemerons {
    tables: Mutex<Tables>,
    /// What dead keys led to, until the sweep.
    dead: Mutex<Vec<Box<dyn DeadValues>>>,
}

#[derive(Default)]
struct Tables {
    last_number: u64,
    by_number: HashMap<u64, Weak<dyn EphemeronTable>>,
}

impl Ephemerons {
    /// The number of a new map.
    pub(crate) fn new_number(&self) -> u64 {
        let mut tables = self.tables.lock();
        tables.last_number += 1;
        tables.last_number
    }

    /// Adds a new map, with its number.
    ///
    /// # Safety
    /// The map, and its values, are dropped while the heap exists; what is not `'static` about its type are brands of this heap.
    pub(crate) unsafe fn add<'t, T: EphemeronTable>(&self, number: u64, table: &'t Arc<T>) {
        let shared: Arc<dyn EphemeronTable + 't> = Arc::<T>::clone(table);
        let weak = Arc::downgrade(&shared);
        // SAFETY: nothing but the lifetime of the brand is changed, by the caller's promise.
        let weak = unsafe { std::mem::transmute::<Weak<dyn EphemeronTable + 't>, Weak<dyn EphemeronTable>>(weak) };
        self.tables.lock().by_number.insert(number, weak);
    }

    /// How many maps there are, dead ones included until a cycle has found that out.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn len(&self) -> usize {
        self.tables.lock().by_number.len()
    }

    fn get(&self, number: u64) -> Option<Arc<dyn EphemeronTable>> {
        self.tables.lock().by_number.get(&number).and_then(Weak::upgrade)
    }

    /// Every map that is there.
    fn all(&self) -> Vec<Arc<dyn EphemeronTable>> {
        self.tables.lock().by_number.values().filter_map(Weak::upgrade).collect()
    }

    /// One pass: traces the values of keys that are marked, in maps that were reached, and what they lead to. Whether there was
    /// anything to trace.
    pub(crate) fn trace(&self, tracer: &mut Tracer<'_>) -> bool {
        // What other tracers have come to is reached, too, and found here.
        let mut reached: Vec<_> = self.all().into_iter().filter(|table| table.is_reached()).collect();
        tracer.take_weak_maps();
        if reached.is_empty() {
            return false;
        }
        tracer.keep_all(true);
        let mut unmarked: HashMap<usize, SmallVec<[usize; 1]>> = HashMap::new();
        let (mut looked_at, mut traced) = (0, false);
        loop {
            while let Some(table) = reached.get(looked_at) {
                table.trace_values(tracer, &mut |key| unmarked.entry(key).or_default().push(looked_at));
                looked_at += 1;
            }
            let Some(grey) = tracer.pop() else { break };
            traced = true;
            let key = grey.0.addr().get();
            for index in unmarked.remove(&key).unwrap_or_default() {
                reached[index].trace_value_of(key, tracer);
            }
            tracer.scan(grey);
            reached.extend(tracer.take_weak_maps().into_iter().filter_map(|number| self.get(number)));
        }
        tracer.keep_all(false);
        // Behind a lock in a value: whoever has it may not have shaded everything yet.
        traced | tracer.take_passed_by()
    }

    /// Removes entries of dead keys. After the decision, and before the handshake to `Off`.
    pub(crate) fn clear_dead(&self, region: &Region, black: u8) {
        // Relaxed: all marks came before the decision, which has been taken on this thread.
        let lives = |address: usize| region.mark(address).load(Ordering::Relaxed) == black;
        let mut dead = Vec::new();
        for table in self.all() {
            // One that was not reached goes away itself; or it is new, and has keys that live.
            if table.is_reached() {
                dead.extend(table.remove_dead(&lives));
            }
            table.end_cycle();
        }
        self.tables.lock().by_number.retain(|_, table| table.strong_count() > 0);
        self.dead.lock().append(&mut dead);
    }

    /// Drops what dead keys led to; with the sweep, as it may run the program's code. Gives how many of these drops have panicked.
    pub(crate) fn drop_dead(&self) -> u64 {
        let dead = std::mem::take(&mut *self.dead.lock());
        dead.into_iter().map(DeadValues::drop_each).sum()
    }
}
