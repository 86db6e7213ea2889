//! Classes: which spans hold the objects of one type and slot size.
//!
//! A class is a Rust type with one slot size, or, for types with neither pointers nor `Drop`, a slot size
//! alone (the type as well in a heap that verifies itself). It lists the spans it owns that no processor holds, by what is known of them:
//!
//! | list | in it |
//! | --- | --- |
//! | `unswept` | spans that may hold the dead of the last cycle; filled when a mark has ended |
//! | `available` | swept spans with a free slot |
//! | `full` | swept spans in which nothing may be free, large objects among them |
//!
//! A span leaves its list when a processor takes it to allocate, or the sweeper to sweep, and is then theirs
//! alone. A span whose `swept_cycle` is not the current one counts as unswept in whatever list it is
//! ([`Class::gather_unswept`] moves it); that is what keeps a span from being missed that was given back just
//! as a mark ended.

use std::collections::HashMap;
use std::ptr::NonNull;

use super::region::Region;
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering, RwLock, ordering};
use crate::trace::TypeInfo;

/// The spans of one type and slot size.
pub(crate) struct Class {
    info: &'static TypeInfo,
    slot_bytes: usize,
    lists: Mutex<Lists>,
}

#[derive(Default)]
struct Lists {
    unswept: Vec<u32>,
    available: Vec<u32>,
    full: Vec<u32>,
}

/// The spans of a class that no processor holds.
pub(crate) struct Listed {
    pub(crate) unswept: Vec<u32>,
    swept: Vec<u32>,
}

impl Listed {
    /// All of them.
    pub(crate) fn all(self) -> impl Iterator<Item = usize> {
        self.unswept.into_iter().chain(self.swept).map(|unit| unit as usize)
    }
}

/// What a class had for a processor that asked for a span.
pub(crate) enum Supply {
    /// A swept span with a free slot.
    Swept(usize),
    /// A span to sweep first; it counts as being swept until [`Classes::swept_one`].
    Unswept(usize),
}

impl Class {
    /// The type of the objects; for classes shared by types, an anonymous one of plain bytes.
    pub(crate) fn info(&self) -> &'static TypeInfo {
        self.info
    }

    /// The distance between objects in bytes.
    pub(crate) fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    /// A span with room; one that still has to be swept only if `sweeping` allows it and no value in it
    /// could need dropping (values are never dropped inside an allocation).
    ///
    /// `cycle` is the last cycle whose mark has ended, as the asking processor knows it; with `stale`, a span that was not
    /// swept of its dead will do.
    pub(crate) fn take(
        &self,
        region: &Region,
        classes: &Classes,
        cycle: u64,
        sweeping: bool,
        stale: bool,
    ) -> Option<Supply> {
        let lists = &mut *self.lists.lock();
        // A stale span here was given back around the end of a mark and waits for `gather_unswept`.
        if let Some(position) =
            lists.available.iter().rposition(|&unit| stale || region.span(unit as usize).swept_cycle() == cycle)
        {
            return Some(Supply::Swept(lists.available.swap_remove(position) as usize));
        }
        if sweeping
            && self.info.drop.is_none()
            && let Some(unit) = lists.unswept.pop()
        {
            classes.being_swept.fetch_add(1, Ordering::Relaxed);
            return Some(Supply::Unswept(unit as usize));
        }
        None
    }

    /// Takes back a span that a processor held or the sweeper has swept.
    pub(crate) fn give_back(&self, unit: usize, may_have_room: bool) {
        let lists = &mut *self.lists.lock();
        let list = if may_have_room { &mut lists.available } else { &mut lists.full };
        list.push(unit as u32);
    }

    /// Moves every span that was not swept of the dead of `cycle` to the unswept ones.
    pub(crate) fn gather_unswept(&self, region: &Region, cycle: u64) {
        let lists = &mut *self.lists.lock();
        let unswept = &mut lists.unswept;
        for list in [&mut lists.available, &mut lists.full] {
            list.retain(|&unit| {
                let swept = region.span(unit as usize).swept_cycle() == cycle;
                if !swept {
                    unswept.push(unit);
                }
                swept
            });
        }
    }

    /// What is in the lists at the moment, for the verifier.
    pub(crate) fn listed(&self) -> Listed {
        let lists = self.lists.lock();
        Listed { unswept: lists.unswept.clone(), swept: [&lists.available[..], &lists.full].concat() }
    }

    /// A span to sweep, if there is one; it counts as being swept until [`Classes::swept_one`].
    pub(crate) fn take_unswept(&self, classes: &Classes) -> Option<usize> {
        // The count rises before the lock is let go: who finds the list empty then finds the count risen.
        let mut lists = self.lists.lock();
        let unit = lists.unswept.pop()?;
        classes.being_swept.fetch_add(1, Ordering::Relaxed);
        Some(unit as usize)
    }
}

/// All classes of a heap.
pub(crate) struct Classes {
    by_key: RwLock<HashMap<(usize, usize), Arc<Class>>>,
    /// Spans taken from an `unswept` list whose sweep has not ended.
    being_swept: AtomicUsize,
}

impl Classes {
    pub(crate) fn new() -> Self {
        Self { by_key: RwLock::new(HashMap::new()), being_swept: AtomicUsize::new(0) }
    }

    /// The class of a type and slot size, made when first asked for. Good as long as the heap is.
    pub(crate) fn class(&self, info: &'static TypeInfo, slot_bytes: usize) -> &Class {
        let key = (std::ptr::from_ref(info).addr(), slot_bytes);
        if let Some(class) = self.by_key.read().get(&key) {
            return Self::for_as_long_as_the_heap(class);
        }
        let mut by_key = self.by_key.write();
        let class = by_key
            .entry(key)
            .or_insert_with(|| Arc::new(Class { info, slot_bytes, lists: Mutex::new(Lists::default()) }));
        Self::for_as_long_as_the_heap(class)
    }

    /// Every class there is at the moment.
    pub(crate) fn all(&self) -> Vec<&Class> {
        self.by_key.read().values().map(|class| Self::for_as_long_as_the_heap(class)).collect()
    }

    fn for_as_long_as_the_heap<'a>(class: &Class) -> &'a Class {
        // SAFETY: classes are in `Arc`s and never removed, so their addresses hold until the table is dropped;
        // the callers above return them with the lifetime of the table.
        unsafe { NonNull::from(class).as_ref() }
    }

    /// Notes the end of the sweep of one span that came from an unswept list.
    pub(crate) fn swept_one(&self) {
        // Release: pairs with the acquire in `sweeps_in_flight`, so that a new cycle, which starts only
        // when none is in flight, sees every byte they wrote.
        self.being_swept.fetch_sub(1, ordering!(Release, "sweep.one"));
    }

    /// How many spans are being swept at the moment.
    pub(crate) fn sweeps_in_flight(&self) -> usize {
        self.being_swept.load(ordering!(Acquire, "sweep.in_flight"))
    }
}
