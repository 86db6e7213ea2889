//! Returning memory to the operating system.
//!
//! The pages of free units are kept as far as the next cycle will need them again ([`FreeSpans::end_cycle`] reckons
//! that at the end of each sweep). The rest goes back, the highest addresses first: by the collector's thread when it is idle,
//! in pieces of [`PIECE`] units, between which it rests for [`REST`] times as long as the last one took; at once, and all of it,
//! by [`Heap::return_memory`](crate::Heap::return_memory).
//!
//! With a unit go the pages of its mark bytes and pin counters. They are 0 in a free unit, which is what they read
//! as afterwards, so who looks at them meanwhile (`is_pinned` of any address) notices nothing.
//!
//! A heap that poisons its free memory returns it as well: a unit comes into use with zeros in it then, as one does that was
//! never used, and a write to it in between is found by that; one before it goes, by a look just before.
//!
//! [`FreeSpans::end_cycle`]: super::free_spans::FreeSpans::end_cycle

use std::time::{Duration, Instant};

use super::sweep::Memory;
use super::{SPAN_BYTES, SPAN_GRANULES};

/// How many units are returned at a time, at most: 1 MiB.
const PIECE: usize = 16;
/// So many times as long as it takes to return a piece the collector's thread rests after it: it takes one part in a hundred of a core.
const REST: u32 = 99;
/// The longest rest, whatever has held up the piece.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// What a unit takes up: itself and its mark bytes.
const UNIT_BYTES: usize = SPAN_BYTES + SPAN_GRANULES;

impl Memory {
    /// Returns one piece while more than `keep` units are resident; how many units it had, 0 if the system refuses (it does for
    /// pages that are locked in memory), which it is not asked for again before the next cycle. `None` if nothing is to be returned.
    fn return_piece(&self, keep: usize) -> Option<usize> {
        let piece = self.with_free_spans_mut(|free| free.begin_return(PIECE, keep))?;
        // SAFETY: the units are free, and in no table until `end_return`.
        let (returned, findings) = unsafe {
            let findings = self.check_poison_of_units(piece.clone());
            let returned = self.region.return_units(piece.clone());
            if !returned {
                // It may have taken some of the pages.
                self.poison_again(piece.clone());
            }
            (returned, findings)
        };
        let units = if returned { piece.len() } else { 0 };
        self.with_free_spans_mut(|free| free.end_return(piece, returned));
        // Now, and not before: who is told may allocate, and would wait for these units.
        self.report_all(&findings);
        Some(units)
    }

    /// Returns one piece of what the next cycle will not need, as far as the system takes it; how many units it had, `None` if there
    /// is none.
    pub(crate) fn return_surplus(&self) -> Option<usize> {
        self.return_piece(self.with_free_spans(|free| free.retained()))
    }

    /// Returns memory at once, until no more than `target` bytes are resident, as [`Self::resident_bytes`] reckons them, or nothing
    /// resident is free. How many bytes were returned.
    pub(crate) fn return_to(&self, target: usize) -> usize {
        let fixed = self.with_free_spans(|free| records_bytes(free.top()));
        let keep = target.saturating_sub(fixed) / UNIT_BYTES;
        self.with_free_spans_mut(|free| free.forget_refusals());
        let pieces = std::iter::from_fn(|| self.return_piece(keep));
        pieces.sum::<usize>() * SPAN_BYTES
    }

    /// What the heap takes up of the machine's memory, about: the units in use, the free ones that are resident, their mark
    /// bytes, and the records of all.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.with_free_spans(|free| free.resident_units() * UNIT_BYTES + records_bytes(free.top()))
    }

    /// Bytes of the free units whose pages have been returned.
    pub(crate) fn returned_bytes(&self) -> usize {
        self.with_free_spans(|free| free.returned_units() * SPAN_BYTES)
    }
}

/// The size of the records of so many units.
fn records_bytes(units: usize) -> usize {
    units * size_of::<super::span::Span>()
}

/// Returns memory in the background; the collector's thread has it.
#[derive(Default)]
pub(crate) struct Returner {
    /// When the next piece may be returned.
    next: Option<Instant>,
}

impl Returner {
    /// Returns a piece, if it is time for one; how long to rest before the next call, for ever if there is nothing to return.
    pub(crate) fn step(&mut self, memory: &Memory) -> Option<Duration> {
        self.step_at(Instant::now(), memory)
    }

    fn step_at(&mut self, began: Instant, memory: &Memory) -> Option<Duration> {
        if let Some(next) = self.next
            && began < next
        {
            return Some(next - began);
        }
        memory.return_surplus()?;
        let rest = rest_after(began.elapsed());
        self.next = Some(Instant::now() + rest);
        Some(rest)
    }
}

/// How long to rest after a piece that took so long.
fn rest_after(piece: Duration) -> Duration {
    piece.saturating_mul(REST).min(LONGEST_REST)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::collector::cycle;
    use crate::collector::report::CycleCause;
    use crate::collector::workers::Workers;
    use crate::sync::Mutex;
    use crate::{DebugSettings, FindingKind, Heap};

    fn run_cycle(heap: &Heap) {
        // Not the collector's thread, which would return memory itself.
        cycle::run(heap.core(), &Workers::none(), CycleCause::Asked);
    }

    /// A heap of 32 MiB in use, all of it dead since its last cycle.
    fn shrunk_heap() -> Heap {
        let heap = Heap::builder().processors(1).growth_percent(2000).debug(DebugSettings::new().poison(true));
        let heap = heap.build().unwrap();
        let root = heap.mutate(|mu| mu.root(mu.alloc_slice_copy(&vec![1_u8; 32 << 20])));
        for _ in 0..4 {
            run_cycle(&heap);
        }
        drop(root);
        heap
    }

    #[test]
    fn the_background_returns_what_the_next_cycle_does_not_need() {
        let heap = shrunk_heap();
        let core = heap.core();
        let free = || core.memory.with_free_spans(|free| (free.resident_units(), free.returned_units()));
        let before = free();
        assert_eq!(core.memory.return_surplus(), None, "it is in use");
        run_cycle(&heap);
        assert_eq!(core.memory.return_surplus(), Some(PIECE), "one piece at a time");
        assert_eq!(free(), (before.0 - PIECE, before.1 + PIECE));
        while core.memory.return_surplus().is_some() {}
        let retained = core.memory.with_free_spans(|free| free.retained());
        assert_eq!(free().0, retained, "and no more");
        assert!(retained < 1000);
        assert_eq!(core.memory.returned_bytes(), free().1 * SPAN_BYTES);
        assert!(heap.verify().unwrap().spans < 4);
    }

    #[test]
    fn memory_is_returned_down_to_a_size() {
        let heap = shrunk_heap();
        let memory = &heap.core().memory;
        assert_eq!(memory.return_to(0), 0, "nothing is free");
        run_cycle(&heap);
        memory.return_to(24 << 20);
        let resident = memory.resident_bytes();
        let (units, top) = memory.with_free_spans(|free| (free.resident_units(), free.top()));
        let records = top * size_of::<crate::memory::span::Span>();
        assert_eq!(resident, units * UNIT_BYTES + records);
        assert!(resident <= 24 << 20 && resident > (24 << 20) - UNIT_BYTES, "{resident}");
        assert_eq!(memory.return_to(32 << 20), 0);
        memory.return_to(0);
        let used = memory.units_in_use();
        assert_eq!(memory.with_free_spans(|free| free.resident_units()), used);
    }

    /// Between two pieces there is a rest, and after the last one nothing to wait for.
    #[test]
    fn the_background_rests_after_each_piece() {
        let heap = shrunk_heap();
        let memory = &heap.core().memory;
        let returned = || memory.with_free_spans(|free| free.returned_units());
        let mut returner = Returner::default();
        assert_eq!(returner.step(memory), None, "all is in use");
        let before = returned();
        run_cycle(&heap);
        let began = Instant::now();
        let rest = returner.step(memory).expect("there is more");
        assert_eq!(returned(), before + PIECE);
        let next = returner.next.expect("a rest has an end");
        assert!(rest > Duration::ZERO && next >= began + rest);
        let moment = Duration::from_nanos(1);
        assert_eq!(returner.step_at(next - moment, memory), Some(moment));
        assert_eq!(returned(), before + PIECE, "it rests");
        assert!(returner.step_at(next, memory).is_some());
        assert_eq!(returned(), before + 2 * PIECE);
        memory.return_to(0);
        assert_eq!(returner.step_at(Instant::now() + LONGEST_REST, memory), None);
    }

    #[test]
    fn a_rest_is_a_hundredfold_and_bounded() {
        let rests = [0, 100, 1 << 40].map(|piece| rest_after(Duration::from_micros(piece)));
        assert_eq!(rests, [Duration::ZERO, Duration::from_micros(9900), LONGEST_REST]);
    }

    /// What the pages that go have been written to after they were freed would be lost with them.
    #[test]
    fn a_write_to_a_free_unit_is_noticed_before_it_goes() {
        static TOLD: Mutex<Vec<FindingKind>> = Mutex::new(Vec::new());
        let heap = Heap::builder()
            .debug(DebugSettings::new().poison(true))
            .on_finding(|finding| TOLD.lock().push(finding.kind()))
            .build()
            .unwrap();
        let address = heap.mutate(|mu| mu.alloc_slice_copy(&vec![1_u8; 1 << 20]).as_ptr().addr());
        heap.collect();
        // SAFETY: the unit is free, and nobody else has the heap.
        unsafe { heap.core().memory.region.pointer(address + 100_000).write(3) };
        heap.return_memory();
        assert_eq!(*TOLD.lock(), [FindingKind::WriteAfterFree]);
        heap.mutate(|mu| mu.alloc_slice_copy(&vec![1_u8; 1 << 20]).len());
        assert_eq!(TOLD.lock().len(), 1, "what has come back is poisoned again");
    }

    /// Who is told of such a write may allocate, though nothing is free but what was about to go.
    #[test]
    fn who_is_told_of_a_write_may_allocate() {
        static HEAP: Mutex<Option<std::sync::Weak<Heap>>> = Mutex::new(None);
        static TOLD: Mutex<usize> = Mutex::new(0);
        let heap = Heap::builder()
            .processors(1)
            .region_size(1 << 20)
            .debug(DebugSettings::new().poison(true))
            .on_finding(|_| {
                let heap = HEAP.lock().take().and_then(|heap| heap.upgrade()).expect("it is told of once");
                heap.mutate(|mu| mu.try_alloc_slice_copy(&[1_u8; 600_000]).map(|_| ()).expect("all is free"));
                *TOLD.lock() += 1;
            })
            .build()
            .unwrap();
        let heap = std::sync::Arc::new(heap);
        *HEAP.lock() = Some(std::sync::Arc::downgrade(&heap));
        let address = heap.mutate(|mu| mu.alloc_slice_copy(&[1_u8; 900_000]).as_ptr().addr());
        run_cycle(&heap);
        // SAFETY: the unit is free, and nobody else has the heap.
        unsafe { heap.core().memory.region.pointer(address + 100_000).write(3) };
        heap.core().memory.return_to(0);
        assert_eq!(*TOLD.lock(), 1);
    }

    /// What lies below a page that is locked in memory is returned all the same.
    #[test]
    fn what_the_system_refuses_is_passed_by() {
        let heap = Heap::builder().processors(1).build().unwrap();
        let bytes = vec![1_u8; 4 * PIECE * SPAN_BYTES - SPAN_BYTES / 2];
        let start = heap.mutate(|mu| mu.alloc_slice_copy(&bytes).as_ptr().addr());
        let memory = &heap.core().memory;
        let locked = memory.region.pointer((start + 3 * PIECE * SPAN_BYTES + SPAN_BYTES).next_multiple_of(SPAN_BYTES));
        // SAFETY: the page is part of the region.
        unsafe { rustix::mm::mlock(locked.as_ptr().cast(), 4096) }.expect("a page may be locked");
        run_cycle(&heap);
        assert_eq!(memory.return_to(0), 3 * PIECE * SPAN_BYTES);
        assert_eq!(memory.with_free_spans(|free| free.resident_units()), PIECE);
        // SAFETY: as above.
        unsafe { rustix::mm::munlock(locked.as_ptr().cast(), 4096) }.unwrap();
        assert_eq!(memory.return_to(0), PIECE * SPAN_BYTES, "it is tried again");
    }

    /// The system refuses a piece in which a page is locked; some pages of it are gone all the same.
    #[test]
    fn what_the_system_has_refused_is_poisoned_as_before() {
        static TOLD: Mutex<usize> = Mutex::new(0);
        let heap = Heap::builder()
            .processors(1)
            .debug(DebugSettings::new().poison(true))
            .on_finding(|_| *TOLD.lock() += 1)
            .build()
            .unwrap();
        let bytes = vec![1_u8; PIECE * SPAN_BYTES - SPAN_BYTES / 2];
        let alloc = || heap.mutate(|mu| mu.alloc_slice_copy(&bytes).as_ptr().addr());
        let region = &heap.core().memory.region;
        // Within a unit, so that half of it goes.
        let locked = region.pointer((alloc() + 3 * SPAN_BYTES).next_multiple_of(SPAN_BYTES) + SPAN_BYTES / 2);
        // SAFETY: the page is part of the region.
        unsafe { rustix::mm::mlock(locked.as_ptr().cast(), 4096) }.expect("a page may be locked");
        run_cycle(&heap);
        assert_eq!(heap.core().memory.return_to(0), 0, "it is refused");
        assert_eq!(heap.core().memory.return_surplus(), None, "and not tried again");
        assert_eq!(heap.core().memory.return_to(0), 0, "but when it is asked for");
        alloc();
        assert_eq!(*TOLD.lock(), 0, "nobody has written there");
        // SAFETY: as above.
        unsafe { rustix::mm::munlock(locked.as_ptr().cast(), 4096) }.unwrap();
        run_cycle(&heap);
        assert_ne!(heap.core().memory.return_to(0), 0);
    }
}
