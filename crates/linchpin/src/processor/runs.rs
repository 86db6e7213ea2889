//! Allocation runs: where a processor's next object of a type goes.
//!
//! A processor holds, for each class it allocates in, one span, and in it a *run*: adjacent free slots. An
//! allocation takes the next slot of the run; when the run is used up the mark bytes after it tell where the
//! next one is, and when the span is used up another span is taken.
//!
//! Runs sit in a small direct-mapped table, indexed by the address of the type's `TypeInfo`. Where two have the same place, one of
//! them is *displaced*: it lies in a map, and is allocated from there, until it takes another span; then it has the place, and the other one is displaced.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ptr::NonNull;

use super::phase::Mode;
use crate::memory::class::Class;
use crate::memory::prefetch::prefetch;
use crate::memory::size_class::is_odd;
use crate::memory::sweep::{Memory, Taken};
use crate::sync::{Ordering, RefCell, StaticAtomicPtr};
use crate::trace::TypeInfo;

const TABLE: usize = 256;

/// An allocation asks for the line so many bytes behind the new object, where one of the next will be: else each store to a
/// new object waits for memory that is in no cache. (Measured: 256 less, from 768 on the same; as much for an instruction that asks for
/// the line to be written.)
const AHEAD: usize = 1024;

/// Of larger objects it asks for nothing: that would be one line of many.
const MOST_FETCHED: usize = 256;

/// One processor's place in one span: the free slots from `cursor` to `end`, and how far it has looked.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    /// The type, null in an empty place of the table.
    info: *const TypeInfo,
    slot_bytes: usize,
    /// The next free slot.
    cursor: *mut u8,
    /// The end of the run; `cursor == end` when it is used up.
    end: *mut u8,
    /// Where the run began, to count what was allocated in it.
    begin: *mut u8,
    /// The end of the span's slots: beyond `end` nobody has looked yet.
    limit: *mut u8,
    /// The class the span belongs to; null while the run has no span.
    class: *const Class,
    unit: u32,
    /// No slot of the span has been given out yet from `end` on.
    is_fresh: bool,
}

impl Run {
    const EMPTY: Self = Self {
        info: std::ptr::null(),
        slot_bytes: 0,
        cursor: std::ptr::null_mut(),
        end: std::ptr::null_mut(),
        begin: std::ptr::null_mut(),
        limit: std::ptr::null_mut(),
        class: std::ptr::null(),
        unit: 0,
        is_fresh: false,
    };

    /// The next slot, of a run that is not used up.
    #[inline(always)]
    fn take(&mut self) -> Option<NonNull<u8>> {
        let slot = self.cursor;
        self.cursor = slot.wrapping_add(self.slot_bytes);
        NonNull::new(slot)
    }

    fn allocated(&self) -> Allocated {
        let bytes = self.cursor.addr() - self.begin.addr();
        let objects = bytes.checked_div(self.slot_bytes).unwrap_or(0);
        Allocated { bytes: bytes as u64, objects: objects as u64 }
    }
}

/// A count of allocations.
#[derive(Clone, Copy, Default)]
pub(crate) struct Allocated {
    pub(crate) bytes: u64,
    pub(crate) objects: u64,
}

impl Allocated {
    pub(crate) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.objects += other.objects;
    }
}

/// A span a processor held and gives up.
pub(crate) struct HeldSpan {
    class: NonNull<Class>,
    unit: usize,
    may_have_room: bool,
}

// SAFETY: the class is shared (`Class` is `Sync`) and lives as long as the heap; the unit is a number.
unsafe impl Send for HeldSpan {}

impl HeldSpan {
    /// Puts the span back where processors and the sweeper find it.
    pub(crate) fn give_back(self) {
        // SAFETY: classes live as long as the heap, which the caller is part of.
        unsafe { self.class.as_ref() }.give_back(self.unit, self.may_have_room);
    }
}

/// A run as the verifier sees it.
pub(crate) struct HeldRun<'a> {
    pub(crate) class: &'a Class,
    pub(crate) unit: usize,
    pub(crate) cursor: usize,
    pub(crate) end: usize,
}

/// A processor's runs. Touched only by who holds the processor.
#[repr(C)]
pub(crate) struct Runs {
    table: [Cell<Run>; TABLE],
    /// Those that are not in the table, by type and slot size; in the order of the keys, which is the same in every run of a
    /// program, as the order is in which spans are given back.
    more: RefCell<BTreeMap<(usize, usize), Run>>,
    /// Allocations in runs that are no longer in use.
    finished: Cell<Allocated>,
}

impl Runs {
    pub(crate) fn new() -> Self {
        Self {
            table: [const { Cell::new(Run::EMPTY) }; TABLE],
            more: RefCell::new(BTreeMap::new()),
            finished: Cell::new(Allocated::default()),
        }
    }

    #[inline(always)]
    fn place(&self, info: &'static TypeInfo, slot_bytes: usize) -> &Cell<Run> {
        // By the address alone: constants that lie side by side, as most do, have places of their own then. (A mix with higher bits had two hundred types
        // displace one another, or not, by where the program was loaded.)
        let address = std::ptr::from_ref(info).addr();
        &self.table[((address >> 6) ^ (slot_bytes >> 4)) % TABLE]
    }

    /// The fast path: the next slot of the run for this type and slot size, if there is one in the table; its *end* is
    /// returned. With `one_size` the caller knows that the type comes in one slot size only.
    #[inline(always)]
    pub(crate) fn next(&self, info: &'static TypeInfo, slot_bytes: usize, one_size: bool) -> Option<NonNull<u8>> {
        let place = self.place(info, slot_bytes).as_ptr();
        // SAFETY: `place` points into `self.table`; only the processor's holder, who is here, touches it, and
        // no reference to the run is handed out anywhere.
        unsafe {
            if std::ptr::eq((*place).info, info)
                && (one_size || (*place).slot_bytes == slot_bytes)
                && (*place).cursor != (*place).end
            {
                debug_assert_eq!((*place).slot_bytes, slot_bytes);
                let cursor = &raw mut (*place).cursor;
                let end = (*cursor).wrapping_add(slot_bytes);
                if cfg!(target_arch = "x86_64") && one_size && is_odd(slot_bytes) {
                    advance_in_memory(cursor, slot_bytes);
                } else {
                    *cursor = end;
                }
                if one_size && slot_bytes <= MOST_FETCHED {
                    prefetch(end.wrapping_add(AHEAD));
                }
                // A run's cursor lies in the region, which is not at address zero.
                return Some(NonNull::new_unchecked(end));
            }
        }
        None
    }

    /// The next slot of a displaced run, if there is one.
    pub(crate) fn next_displaced(&self, info: &'static TypeInfo, slot_bytes: usize) -> Option<NonNull<u8>> {
        let mut more = self.more.borrow_mut();
        let run = more.get_mut(&(std::ptr::from_ref(info).addr(), slot_bytes))?;
        if run.cursor == run.end {
            return None;
        }
        run.take()
    }

    /// The slow path: finds the next run, in the span at hand or another one. With `install` the run goes into
    /// the table for the fast path, if its place is free, or it has another span than before: one that is displaced does not come back for each short run that it finds. A run is no longer
    /// than `most_bytes`, but has one slot at least. `None` if the region is full.
    #[cold]
    pub(crate) fn next_slow(
        &self,
        memory: &Memory,
        info: &'static TypeInfo,
        slot_bytes: usize,
        install: bool,
        mode: Mode,
        most_bytes: usize,
    ) -> Option<NonNull<u8>> {
        let key = (std::ptr::from_ref(info).addr(), slot_bytes);
        let place = self.place(info, slot_bytes);
        let at_hand = place.get();
        let mut run = if std::ptr::eq(at_hand.info, info) && at_hand.slot_bytes == slot_bytes {
            place.set(Run::EMPTY);
            at_hand
        } else {
            self.more.borrow_mut().remove(&key).unwrap_or(Run { info, slot_bytes, ..Run::EMPTY })
        };
        let before = (run.class, run.unit);
        let slot = self.advance(memory, &mut run, mode, most_bytes);
        if install && (place.get().info.is_null() || (run.class, run.unit) != before) {
            let displaced = place.replace(run);
            if !displaced.info.is_null() {
                self.keep(displaced);
            }
        } else {
            self.keep(run);
        }
        slot
    }

    /// Puts a run beside the table.
    ///
    /// There may be one of its kind already: a finding hook that is told in the midst of `next_slow` may allocate, with this
    /// very processor, and does not find the run that is in hand there. The older one is given up; overwritten, its span
    /// would be in no place, and never swept again.
    fn keep(&self, run: Run) {
        let older = self.more.borrow_mut().insert((run.info.addr(), run.slot_bytes), run);
        if let Some(mut older) = older {
            self.finish(&mut older);
            if let Some(span) = held_span(&older) {
                span.give_back();
            }
        }
    }

    fn advance(&self, memory: &Memory, run: &mut Run, mode: Mode, most_bytes: usize) -> Option<NonNull<u8>> {
        while run.cursor == run.end {
            self.finish(run);
            if run.class.is_null() || !find_run(memory, run, most_bytes) {
                self.next_span(memory, run, mode)?;
            }
        }
        run.take()
    }

    /// Counts what was allocated in the run so far.
    fn finish(&self, run: &mut Run) {
        let mut finished = self.finished.get();
        finished.add(run.allocated());
        self.finished.set(finished);
        run.begin = run.cursor;
    }

    /// Gives the used-up span back and takes another one.
    fn next_span(&self, memory: &Memory, run: &mut Run, mode: Mode) -> Option<()> {
        if let Some(span) = held_span(run) {
            span.give_back();
        }
        // SAFETY: a run's `info` is made from a `&'static TypeInfo` in `next_slow`.
        let info: &'static TypeInfo = unsafe { &*run.info };
        // SAFETY: classes live as long as the heap, which the processor is part of.
        let class = unsafe { run.class.as_ref() }.unwrap_or_else(|| memory.classes.class(info, run.slot_bytes));
        *run = Run { info, slot_bytes: run.slot_bytes, ..Run::EMPTY };
        let Taken { unit, fresh } = memory.take_span(class, mode)?;
        let start = memory.region.first_slot(unit, run.slot_bytes).as_ptr();
        run.class = class;
        run.unit = unit as u32;
        run.is_fresh = fresh;
        run.limit = start.wrapping_add(memory.region.span(unit).slots() * run.slot_bytes);
        run.begin = start;
        run.cursor = start;
        run.end = start;
        Some(())
    }

    /// Takes all runs out, for a handshake that returns them.
    pub(crate) fn surrender(&self) -> Vec<HeldSpan> {
        let mut spans = Vec::new();
        let mut give = |mut run: Run| {
            self.finish(&mut run);
            spans.extend(held_span(&run));
        };
        for place in &self.table {
            give(place.replace(Run::EMPTY));
        }
        for run in self.more.take().into_values() {
            give(run);
        }
        spans
    }

    /// The runs that have a span, for the verifier.
    pub(crate) fn held(&self) -> Vec<HeldRun<'_>> {
        let more = self.more.borrow();
        let runs = self.table.iter().map(Cell::get).chain(more.values().copied());
        runs.filter_map(|run| {
            // SAFETY: classes live as long as the heap, which the processor is part of.
            let class = unsafe { run.class.as_ref() }?;
            Some(HeldRun { class, unit: run.unit as usize, cursor: run.cursor.addr(), end: run.end.addr() })
        })
        .collect()
    }

    /// Moves the cursor of the run in a span by so many bytes, for the verifier's tests.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn move_cursor(&self, unit: usize, by: isize) {
        let is_there = |place: &&Cell<Run>| !place.get().class.is_null() && place.get().unit as usize == unit;
        let place = self.table.iter().find(is_there).expect("the table has a run in that span");
        let run = place.get();
        place.set(Run { cursor: run.cursor.wrapping_offset(by), ..run });
    }

    /// What was allocated in runs since the processor was made.
    pub(crate) fn allocated(&self) -> Allocated {
        let mut allocated = self.finished.get();
        for place in &self.table {
            allocated.add(place.get().allocated());
        }
        for run in self.more.borrow().values() {
            allocated.add(run.allocated());
        }
        allocated
    }

    /// What was allocated in runs that are finished.
    pub(crate) fn finished(&self) -> Allocated {
        self.finished.get()
    }

    /// Counts an object that was not allocated in a run.
    pub(crate) fn count_large(&self, bytes: usize) {
        let mut finished = self.finished.get();
        finished.add(Allocated { bytes: bytes as u64, objects: 1 });
        self.finished.set(finished);
    }
}

/// Adds so many bytes to a cursor where it lies. Where slots are odd the mark byte is found from where the object begins, so that the end would be in a register
/// for nothing but to be stored. At present the compiler merges no atomic load with another one, and makes one instruction of this load and store, where there is
/// one; nobody else touches the cursor, so that they need not be ordered.
///
/// # Safety
/// It is a cursor of a run of the processor that this thread holds.
#[inline(always)]
unsafe fn advance_in_memory(cursor: *mut *mut u8, bytes: usize) {
    // SAFETY: it is valid and aligned as a field of a run. By the caller's promise no other thread touches it meanwhile; plain accesses come before or
    // after by program order, and those of other holders by the state word.
    let cursor = unsafe { StaticAtomicPtr::from_ptr(cursor) };
    // Relaxed: see above.
    cursor.store(cursor.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
}

fn held_span(run: &Run) -> Option<HeldSpan> {
    let class = NonNull::new(run.class.cast_mut())?;
    Some(HeldSpan { class, unit: run.unit as usize, may_have_room: run.cursor != run.limit })
}

/// Looks for the next free slots in the span, from the end of the last run on; no more than so many bytes hold, but one at least.
///
/// A slot that looks free must be, and what its last value's drop did must be over, though mark bytes are loaded relaxed. Whoever wrote its mark byte, or dropped
/// that value, comes before:
///
/// * another processor that allocated here, or the collector's thread that swept it: it gave the span back, and this one took
///   it, under the lock of the class's lists;
/// * this processor, if it took the span unswept and swept it: by program order;
/// * an earlier holder of this processor, who took the span: by the state word's release and acquire;
/// * whoever had the unit as part of another span: by the lock of the free units, or, if the span is a quarter, by that of the free quarters.
///
/// Nobody else writes from 0 to a colour, or back, in a span that this processor holds: markers and barriers change the bytes of
/// objects only, from one colour to the other.
fn find_run(memory: &Memory, run: &mut Run, most_bytes: usize) -> bool {
    let (cursor, mut end) = if run.is_fresh {
        // Without a look at its mark bytes: to read memory that was never written has the system map a page of zeroes, and the first store there
        // has to be told to all cores.
        (run.end, run.limit)
    } else {
        let from = run.end.addr();
        let free = memory.region.free_slots(from, run.limit.addr(), run.slot_bytes);
        (run.end.wrapping_add(free.start - from), run.end.wrapping_add(free.end - from))
    };
    if end.addr() - cursor.addr() > most_bytes {
        end = cursor.wrapping_add((most_bytes / run.slot_bytes).max(1) * run.slot_bytes);
    }
    debug_assert!((end.addr() - cursor.addr()).is_multiple_of(run.slot_bytes));
    run.begin = cursor;
    run.cursor = cursor;
    run.end = end;
    cursor != end
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::memory::QUARTER_BYTES;
    use crate::sync::Ordering;
    use crate::{Gc, Heap, Mutator};

    type Value = [u64; 2];

    const SLOT_BYTES: usize = size_of::<Value>();
    const SLOTS: usize = QUARTER_BYTES / SLOT_BYTES;

    const APART: usize = TABLE * 64 / align_of::<TypeInfo>();

    /// So many that the runs of the first and of the last have one place in the table.
    static CONSTANTS: [TypeInfo; APART + 1] = [const { TypeInfo::of::<Value>() }; APART + 1];
    const RIVALS: [&TypeInfo; 2] = [&CONSTANTS[0], &CONSTANTS[APART]];

    /// How a slot was come by.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum By {
        Table,
        Displaced,
        Search,
    }

    /// Allocates as a mutator does.
    fn alloc(mu: &Mutator<'_>, info: &'static TypeInfo) -> (usize, By) {
        let (runs, memory) = (&mu.local().runs, &mu.core().memory);
        let (slot, by) = if let Some(end) = runs.next(info, SLOT_BYTES, true) {
            (end.addr().get() - SLOT_BYTES, By::Table)
        } else if let Some(start) = runs.next_displaced(info, SLOT_BYTES) {
            (start.addr().get(), By::Displaced)
        } else {
            let start =
                runs.next_slow(memory, info, SLOT_BYTES, true, mu.local().mode(), usize::MAX).expect("there is room");
            (start.addr().get(), By::Search)
        };
        memory.region.mark(slot).store(mu.local().birth_colour(), Ordering::Relaxed);
        (slot, by)
    }

    /// Runs that are to be short, in a span that is fresh and in one that is not: none has more slots than it may, or one, and no slot is left out, or
    /// given out that is in use.
    #[test]
    fn runs_are_no_longer_than_they_may_be() {
        for (most_bytes, slots) in [(7 * SLOT_BYTES + 1, 7), (1, 1), (usize::MAX, SLOTS)] {
            let heap = Heap::builder().processors(1).growth_percent(100_000).build().unwrap();
            let (core, info) = (heap.core(), RIVALS[0]);
            let take = |mu: &Mutator<'_>, most: usize| -> Vec<usize> {
                let runs = &mu.local().runs;
                let mut taken: Vec<usize> = Vec::new();
                while taken.len() < most {
                    let mode = mu.local().mode();
                    let start = runs.next_slow(&core.memory, info, SLOT_BYTES, true, mode, most_bytes).unwrap();
                    let rest = std::iter::from_fn(|| runs.next(info, SLOT_BYTES, true));
                    let rest: Vec<usize> = rest.map(|end| end.addr().get() - SLOT_BYTES).collect();
                    assert!(rest.len() < slots, "a run of {} slots", rest.len() + 1);
                    taken.extend([start.addr().get()].into_iter().chain(rest));
                }
                taken
            };
            let (fresh, root) = heap.mutate(|mu| {
                let fresh = take(mu, SLOTS);
                // The others have no colour, so that they are free again when the span is swept.
                let slot = core.memory.region.pointer(fresh[10]);
                core.memory.region.mark(fresh[10]).store(mu.local().birth_colour(), Ordering::Relaxed);
                // SAFETY: a slot that nobody else has, of the size of the type, whose alignment is less than a granule's.
                let value: Gc<'_, Value> = unsafe {
                    slot.cast::<Value>().write([7; 2]);
                    Gc::from_start(slot)
                };
                (fresh, mu.root(value))
            });
            assert!(fresh.windows(2).all(|pair| pair[1] == pair[0] + SLOT_BYTES), "some were left out");
            heap.collect();
            let free: Vec<usize> = fresh.iter().copied().filter(|&slot| slot != fresh[10]).collect();
            heap.mutate(|mu| {
                assert_eq!(take(mu, SLOTS - 1), free);
                assert_eq!(*root.get(mu), [7; 2]);
            });
        }
    }

    #[test]
    fn a_displaced_run_goes_on_where_it_is_and_has_the_place_with_its_next_span() {
        let heap = Heap::builder().processors(1).growth_percent(100_000).build().unwrap();
        let [one, other] = RIVALS;
        heap.mutate(|mu| {
            let runs = &mu.local().runs;
            assert!(std::ptr::eq(runs.place(one, SLOT_BYTES), runs.place(other, SLOT_BYTES)));
            let before = runs.allocated().objects;
            let mut slots = HashSet::new();
            let mut alloc = |info| {
                let (slot, by) = alloc(mu, info);
                assert!(slots.insert(slot), "a slot is given once");
                (mu.core().memory.region.span_at(slot), by)
            };
            let (unit, by) = alloc(one);
            assert_eq!(by, By::Search);
            let (other_unit, by) = alloc(other);
            assert_eq!(by, By::Search);
            assert_ne!(unit, other_unit);
            for _ in 1..SLOTS {
                assert_eq!(alloc(one), (unit, By::Displaced));
            }
            for _ in 1..100 {
                assert_eq!(alloc(other), (other_unit, By::Table));
            }
            let (next_unit, by) = alloc(one);
            assert_eq!(by, By::Search);
            assert!(![unit, other_unit].contains(&next_unit));
            for _ in 0..100 {
                assert_eq!(alloc(one), (next_unit, By::Table));
                assert_eq!(alloc(other), (other_unit, By::Displaced));
            }
            assert_eq!(runs.held().len(), 2);
            assert_eq!(runs.allocated().objects - before, slots.len() as u64);
        });
        heap.verify().unwrap();
        heap.collect();
        assert_eq!(heap.verify().unwrap().objects, 0);
    }

    /// One that finds a short run in its span stays where it is.
    #[test]
    fn a_displaced_run_does_not_come_back_for_what_is_left_of_its_span() {
        let heap = Heap::builder().processors(1).growth_percent(100_000).build().unwrap();
        let [one, other] = RIVALS;
        heap.mutate(|mu| {
            let region = &mu.core().memory.region;
            // Not all, or the span would be given back as full.
            let slots: Vec<_> = (1..SLOTS).map(|_| alloc(mu, one).0).collect();
            // As if all but every tenth had been freed, and the span taken again.
            for (_, &slot) in slots.iter().enumerate().filter(|(index, _)| index % 10 != 0) {
                region.mark(slot).store(0, Ordering::Relaxed);
                mu.core().memory.swept.freed_objects.fetch_add(1, Ordering::Relaxed);
            }
            mu.local().runs.surrender().into_iter().for_each(HeldSpan::give_back);
            let first = alloc(mu, one);
            assert_eq!(first, (slots[1], By::Search), "the first that is free");
            assert_eq!(alloc(mu, other).1, By::Search);
            for &slot in &slots[2..10] {
                assert_eq!(alloc(mu, one), (slot, By::Displaced));
            }
            assert_eq!(alloc(mu, one), (slots[11], By::Search));
            assert_eq!(alloc(mu, one), (slots[12], By::Displaced));
            assert_eq!(alloc(mu, other).1, By::Table);
        });
        heap.verify().unwrap();
    }
}
