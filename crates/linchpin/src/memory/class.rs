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

use std::collections::BTreeMap;
use std::ptr::NonNull;

use super::quarters::{LEAST_UNITS, MOST_QUARTERS, MOST_SLOT_BYTES, QUARTERS, SMALL_SHARE, quarter_of};
use super::region::Region;
use crate::sync::{Arc, AtomicUsize, Mutex, MutexGuard, Ordering, RwLock, ordering, reordered};
use crate::trace::TypeInfo;

/// How many spans with room are looked at for one that is not stale.
const LOOK: usize = 8;

/// The spans of one type and slot size.
pub(crate) struct Class {
    info: &'static TypeInfo,
    slot_bytes: usize,
    lists: Mutex<Lists>,
    /// What its spans come to, in quarters.
    quarters: AtomicUsize,
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

    /// Whether its next span is to be a quarter of a unit, in a heap that has so many units in use. (To ask for that takes a lock.)
    pub(crate) fn wants_quarter(&self, units_in_use: impl FnOnce() -> usize) -> bool {
        // Relaxed, wherever it is touched: a figure.
        let own = self.quarters.load(Ordering::Relaxed);
        !cfg!(loom)
            && self.fits_quarter()
            && own < MOST_QUARTERS
            && own < units_in_use().max(LEAST_UNITS) * QUARTERS / SMALL_SHARE
    }

    /// Whether a quarter has room for some objects.
    pub(crate) fn fits_quarter(&self) -> bool {
        (1..=MOST_SLOT_BYTES).contains(&self.slot_bytes)
    }

    /// A span of small objects has become one of its own.
    pub(crate) fn note_opened(&self, span: usize) {
        self.quarters.fetch_add(quarters_in(span), Ordering::Relaxed);
    }

    /// A span is to be free.
    pub(crate) fn note_closed(&self, span: usize) {
        if self.slot_bytes != 0 {
            self.quarters.fetch_sub(quarters_in(span), Ordering::Relaxed);
        }
    }

    /// A span with room; one that still has to be swept only if `sweeping` allows it and no value in it
    /// could need dropping (values are never dropped inside an allocation).
    ///
    /// `cycle` is the last cycle whose mark has ended, as the asking processor knows it; with `stale`, a span that was not
    /// swept of its dead will do. Where a mark has just ended, the stale ones may be many, and everybody else waits: so only the
    /// last [`LOOK`] are looked at unless `thorough`, for who finds no room otherwise.
    pub(crate) fn take(
        &self,
        region: &Region,
        classes: &Classes,
        cycle: u64,
        sweeping: bool,
        stale: bool,
        thorough: bool,
    ) -> Option<Supply> {
        let mut lists = self.lists.lock();
        // A stale span here was given back around the end of a mark and waits for `gather_unswept`.
        let passed_over = if thorough { 0 } else { lists.available.len().saturating_sub(LOOK) };
        if let Some(position) = lists.available[passed_over..]
            .iter()
            .rposition(|&unit| stale || region.span(unit as usize).swept_cycle() == cycle)
        {
            return Some(Supply::Swept(lists.available.swap_remove(passed_over + position) as usize));
        }
        if sweeping && self.info.drop.is_none() {
            return take_unswept(lists, classes).map(Supply::Unswept);
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

    /// Whether there is a span to sweep.
    pub(crate) fn has_unswept(&self) -> bool {
        !self.lists.lock().unswept.is_empty()
    }

    /// A span to sweep, if there is one; it counts as being swept until [`Classes::swept_one`].
    pub(crate) fn take_unswept(&self, classes: &Classes) -> Option<usize> {
        take_unswept(self.lists.lock(), classes)
    }
}

/// What a small span comes to. (Of large ones nobody asks.)
fn quarters_in(span: usize) -> usize {
    if quarter_of(span).is_some() { 1 } else { QUARTERS }
}

/// Takes a span to sweep out of the lists, and lets go of them.
fn take_unswept(mut lists: MutexGuard<'_, Lists>, classes: &Classes) -> Option<usize> {
    let unit = lists.unswept.pop()?;
    if reordered!("sweep.count") {
        drop(lists);
        classes.being_swept.fetch_add(1, Ordering::Relaxed);
    } else {
        // The count rises before the lock is let go: who finds the list empty then finds the count risen. Relaxed: the lock
        // orders it for `sweep_all` and `sweep_some`, the ones who ask, which find the list empty under it first.
        classes.being_swept.fetch_add(1, Ordering::Relaxed);
        drop(lists);
    }
    Some(unit as usize)
}

/// All classes of a heap.
pub(crate) struct Classes {
    /// By the address of the type and the slot size; in an order that is the same in every run of a program, so that what a
    /// sweep meets first is.
    by_key: RwLock<BTreeMap<(usize, usize), Arc<Class>>>,
    /// Spans taken from an `unswept` list whose sweep has not ended.
    being_swept: AtomicUsize,
}

impl Classes {
    pub(crate) fn new() -> Self {
        Self { by_key: RwLock::new(BTreeMap::new()), being_swept: AtomicUsize::new(0) }
    }

    /// The class of a type and slot size, made when first asked for. Good as long as the heap is.
    pub(crate) fn class(&self, info: &'static TypeInfo, slot_bytes: usize) -> &Class {
        let key = (std::ptr::from_ref(info).addr(), slot_bytes);
        if let Some(class) = self.by_key.read().get(&key) {
            return Self::for_as_long_as_the_heap(class);
        }
        let mut by_key = self.by_key.write();
        let class = by_key.entry(key).or_insert_with(|| {
            Arc::new(Class { info, slot_bytes, lists: Mutex::new(Lists::default()), quarters: AtomicUsize::new(0) })
        });
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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::ptr;
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::gc::Object;
    use crate::{Gc, GcCell, Heap, Mutator, Root, Trace};

    /// The lock is not held for as long as it takes to look at all spans; but no room is overlooked where there is no other.
    #[test]
    fn a_span_behind_many_stale_ones_is_found_by_who_is_thorough() {
        let region = Region::reserve(64 * crate::memory::SPAN_BYTES).unwrap();
        let classes = Classes::new();
        let class = classes.class(<Node<'_> as Object>::INFO, 32);
        for unit in 0..=LOOK {
            region.span(unit).open(class, 32, 2048, 1, if unit == 0 { 5 } else { 4 });
            class.give_back(unit, true);
        }
        let take = |stale, thorough| match class.take(&region, &classes, 5, false, stale, thorough) {
            Some(Supply::Swept(unit)) => Some(unit),
            _ => None,
        };
        assert_eq!(take(false, false), None);
        assert_eq!(take(true, false), Some(LOOK));
        assert_eq!(take(false, true), Some(0));
        assert_eq!(take(false, true), None);
    }

    struct Counted(Arc<AtomicU32>);

    // SAFETY: it holds no pointer.
    unsafe impl Trace for Counted {
        type Branded<'b> = Self;
        const NEEDS_TRACE: bool = false;
        fn trace(&self, _: &mut crate::Tracer<'_>) {}
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[derive(Trace)]
    struct Node<'gc> {
        counted: Counted,
        next: GcCell<'gc, Node<'gc>>,
    }

    /// The constant of one type, as it is if the linker has kept two of it.
    static TWICE: [TypeInfo; 2] = [TypeInfo::of::<Node<'static>>(), TypeInfo::of::<Node<'static>>()];

    /// Allocates as code does that knows the type by the constant `info`.
    fn alloc<'gc>(mu: &Mutator<'gc>, info: &'static TypeInfo, node: Node<'gc>) -> Gc<'gc, Node<'gc>> {
        let local = mu.local();
        let memory = &mu.core().memory;
        let slot_bytes = size_of::<Node<'_>>().next_multiple_of(crate::memory::GRANULE);
        let start = local
            .runs
            .next(info, slot_bytes, true)
            .and_then(|end| NonNull::new(end.as_ptr().wrapping_sub(slot_bytes)))
            .or_else(|| local.runs.next_slow(memory, info, slot_bytes, true, local.mode(), usize::MAX))
            .expect("there is room");
        memory.region.mark(start.addr().get()).store(local.birth_colour(), Ordering::Relaxed);
        // SAFETY: a fresh slot of the size of the type, whose alignment is less than a granule's.
        unsafe {
            start.cast().write(node);
            Gc::from_start(start)
        }
    }

    #[test]
    fn a_type_whose_constant_is_there_twice_has_two_classes_and_no_harm() {
        const NODES: usize = 3000;
        let heap = Heap::builder().processors(1).build().unwrap();
        let drops: Vec<Arc<AtomicU32>> = (0..2 * NODES).map(|_| Arc::default()).collect();
        let dropped = || drops.iter().map(|count| count.load(Ordering::SeqCst)).collect::<Vec<_>>();
        // A list that goes to and fro between the two; and as many objects that nothing leads to.
        let root: Root<Node<'static>> = heap.mutate(|mu| {
            let mut list = None;
            for (index, count) in drops.iter().enumerate() {
                let node = Node { counted: Counted(Arc::clone(count)), next: GcCell::null() };
                let is_in_list = index % 4 < 2;
                let node = alloc(mu, &TWICE[index % 2], node);
                if is_in_list {
                    node.next.store(mu, list);
                    list = Some(node);
                }
            }
            mu.root(list.expect("there are some"))
        });
        let classes = heap.core().memory.classes.all();
        let of_constant = |info| classes.iter().filter(|class| ptr::eq(class.info(), info)).count();
        assert_eq!(
            [of_constant(&TWICE[0]), of_constant(&TWICE[1]), of_constant(<Node<'_> as Object>::INFO)],
            [1, 1, 0]
        );
        let garbage: Vec<u32> = (0..2 * NODES).map(|index| u32::from(index % 4 >= 2)).collect();
        for _ in 0..3 {
            heap.collect();
            assert_eq!(dropped(), garbage);
            assert_eq!(heap.verify().unwrap().objects, NODES as u64);
        }
        let length = heap.mutate(|mu| std::iter::successors(Some(root.get(mu)), |node| node.next.load()).count());
        assert_eq!(length, NODES);
        drop(root);
        heap.collect();
        assert_eq!(dropped(), vec![1; 2 * NODES]);
        assert_eq!(heap.verify().unwrap().objects, 0);
    }
}
