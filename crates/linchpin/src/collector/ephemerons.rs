//! Ephemerons: what is reachable through a key, as long as that is reachable otherwise.
//!
//! A weak map does not keep its keys; it keeps the value of a key that something else keeps, and the value may lead to further
//! keys, its own included. So that cannot be decided by tracing alone. When a closing round has brought nothing
//! ([`end_round`](super::steps::Steps)), the collector's thread looks at every entry of the maps that were reached, once: if the key
//! is marked, it traces the value; if not, it notes whose key the object is. Then, as it marks on, it looks up each object
//! that it marks among the keys noted. So a pass takes time in proportion to the entries and to what it marks, however long the
//! chains are from value to key; and if it has marked anything, there is another round, and another pass.
//!
//! A pass that has marked nothing proves that each marked key's value is marked, and the decision follows, unless anything was
//! shaded, and no further map reached, meanwhile. For mutations, to look up the value of a key is to upgrade a weak pointer: it goes by the rules of
//! [`decision`](super::decision). Without that a mutation in `Close` could get hold of something white that nothing but an
//! ephemeron leads to, and its barrier would come too late.
//!
//! Then the entries of dead keys are removed; what they held is dropped with the values that are swept.

use std::collections::{BTreeMap, HashMap};

use smallvec::SmallVec;

use super::mark::Tracer;
use super::queue::GreyQueue;
use crate::memory::region::Region;
use crate::panics::contained;
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
    /// What is dropped with the sweep, since that may run the program's code.
    dead: Mutex<Dead>,
}

/// In the order of their numbers, so that a cycle does the same in every run of a program.
#[derive(Default)]
struct Tables {
    last_number: u64,
    by_number: BTreeMap<u64, Weak<dyn EphemeronTable>>,
    /// When there are so many, those are looked for that are gone.
    full_at: usize,
}

#[derive(Default)]
struct Dead {
    /// What dead keys led to.
    values: Vec<Box<dyn DeadValues>>,
    /// Maps that this cycle has looked at: a mutation may have let go of them meanwhile.
    tables: BTreeMap<u64, Arc<dyn EphemeronTable>>,
}

/// Maps that are gone are looked for when there are so many more than were there last time.
const GONE_AT_LEAST: usize = 64;

impl Tables {
    fn remove_gone(&mut self) {
        self.by_number.retain(|_, table| table.strong_count() > 0);
        self.full_at = self.by_number.len() * 2 + GONE_AT_LEAST;
    }
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
        let mut tables = self.tables.lock();
        if tables.by_number.len() >= tables.full_at {
            tables.remove_gone();
        }
        tables.by_number.insert(number, weak);
    }

    /// How many maps there are, dead ones included until they are looked for.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn len(&self) -> usize {
        self.tables.lock().by_number.len()
    }

    /// How many maps count as reached.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn reached(&self) -> usize {
        self.tables.lock().by_number.values().filter_map(Weak::upgrade).filter(|table| table.is_reached()).count()
    }

    /// Maps that are there, which stay so until the sweep.
    fn held(&self, choose: impl Fn(&dyn EphemeronTable) -> bool) -> Vec<Arc<dyn EphemeronTable>> {
        // All are kept for the moment, so that none of them is dropped here, whatever a mutation lets go of.
        let all: Vec<_> = {
            let tables = self.tables.lock();
            tables.by_number.iter().filter_map(|(&number, table)| Some((number, table.upgrade()?))).collect()
        };
        let chosen = all.iter().map(|(_, table)| table).filter(|table| choose(&***table)).cloned().collect();
        self.dead.lock().tables.extend(all);
        chosen
    }

    fn get(&self, number: u64) -> Option<Arc<dyn EphemeronTable>> {
        let table = self.tables.lock().by_number.get(&number).and_then(Weak::upgrade)?;
        self.dead.lock().tables.insert(number, Arc::clone(&table));
        Some(table)
    }

    /// One pass: traces the values of keys that are marked, in maps that were reached, and what they lead to. Whether there was
    /// anything to trace. What it passes by is noted in the queue.
    pub(crate) fn trace(&self, queue: &GreyQueue, tracer: &mut Tracer<'_>) -> bool {
        // What other tracers have come to is reached, too, and found here.
        tracer.take_weak_maps();
        let mut reached = self.held(|table| table.is_reached());
        if reached.is_empty() {
            return false;
        }
        tracer.keep_all(true);
        tracer.take_passed_by();
        let mut unmarked: HashMap<usize, SmallVec<[usize; 1]>> = HashMap::new();
        let (mut looked_at, mut traced) = (0, false);
        loop {
            while let Some(table) = reached.get(looked_at) {
                table.trace_values(tracer, &mut |key| unmarked.entry(key).or_default().push(looked_at));
                looked_at += 1;
                // A map may be part of a value: then nothing is marked, and the map is reached all the same.
                reached.extend(tracer.take_weak_maps().into_iter().filter_map(|number| self.get(number)));
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
        // A lock that is part of a value is passed by only if a guard of it was forgotten, and again in each pass: nobody can have
        // taken it there. One in an object that was traced may be somebody's, as everywhere.
        if tracer.take_passed_by() && traced {
            queue.note_passed_by();
        }
        traced
    }

    /// Removes entries of dead keys. After the decision, and before the handshake to `Off`.
    pub(crate) fn clear_dead(&self, region: &Region, black: u8) {
        // Relaxed: all marks came before the decision, which has been taken on this thread.
        let lives = |address: usize| region.mark(address).load(Ordering::Relaxed) == black;
        for table in self.held(|_| true) {
            // One that was not reached goes away itself; or it is new, and has keys that live: what is in hand in `Mark` does, and who
            // inserts in `Arm` shades.
            if table.is_reached()
                && let Some(values) = table.remove_dead(&lives)
            {
                self.dead.lock().values.push(values);
            }
        }
    }

    /// From now on no map is reached. After the handshake to `Off`: until then a mutation in `Close` may come to one behind a lock.
    pub(crate) fn end_cycle(&self) {
        self.held(|_| true).iter().for_each(|table| table.end_cycle());
    }

    /// Drops what dead keys led to, and maps that nobody has any more; with the sweep, as it may run the program's code. Gives how many
    /// of these drops have panicked.
    pub(crate) fn drop_dead(&self) -> u64 {
        let Dead { values, tables } = std::mem::take(&mut *self.dead.lock());
        let panics = values.into_iter().map(DeadValues::drop_each).sum::<u64>()
            + tables.into_values().map(|table| u64::from(contained(|| drop(table)))).sum::<u64>();
        self.tables.lock().remove_gone();
        panics
    }
}
