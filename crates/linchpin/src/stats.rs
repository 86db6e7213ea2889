//! Figures of a heap.

use std::time::Duration;

use crate::collector::report::CycleReport;
use crate::heap::Core;
use crate::memory::SPAN_BYTES;
use crate::processor::phase::Status;
use crate::processor::runs::Allocated;
use crate::sync::Ordering;

/// What a heap has done and holds; see [`Heap::stats`](crate::Heap::stats).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeapStats {
    /// Cycles that have ended.
    pub cycles: u64,
    /// Bytes allocated since the heap was made, in whole slots.
    pub allocated_bytes: u64,
    /// Objects allocated since the heap was made.
    pub allocated_objects: u64,
    /// Objects freed since the heap was made.
    pub freed_objects: u64,
    /// Values that sweeps have dropped since the heap was made.
    pub dropped_values: u64,
    /// Values whose `Drop` panicked in a sweep.
    pub drop_panics: u64,
    /// Bytes that lived when the last mark ended, in whole slots.
    pub live_bytes: u64,
    /// Objects that lived when the last mark ended.
    pub live_objects: u64,
    /// Bytes outside the heap that objects owned when they were allocated, and that were reported
    /// ([`Mutator::report_external`](crate::Mutator::report_external)), since the heap was made.
    pub external_bytes: u64,
    /// Bytes outside the heap that were owned by what lived through the last mark.
    pub live_external_bytes: u64,
    /// The size of the region, in bytes.
    pub region_bytes: usize,
    /// Units of 64 KiB that are in use.
    pub spans_in_use: usize,
    /// Bytes of the units that are in use.
    pub span_bytes: usize,
    /// Bytes of free units whose memory has been returned to the operating system and not been used again since
    /// ([`Heap::return_memory`](crate::Heap::return_memory)).
    pub returned_bytes: usize,
    /// What the heap takes up of the machine's memory, about: units in use, free ones that were not returned, and metadata (without pin
    /// counters, and without what the collector keeps outside the region). A unit in use counts whole, though the pages of a new one
    /// come with its objects.
    pub resident_bytes: usize,
    /// Roots there are.
    pub roots: usize,
    /// Inner pinners made since the heap was made.
    pub pinners_created: u64,
    /// Inner pinners freed since the heap was made.
    pub pinners_freed: u64,
    /// Processors: how many mutations may run at once.
    pub processors: usize,
    /// Threads that mark in the background: a quarter of the processors when the first cycle starts (fewer if the system
    /// refuses some). While processors are not in use, more do: [`CycleReport::markers`](crate::CycleReport::markers) counts these, too.
    pub mark_workers: usize,
    /// Cycles after which the heap verified itself ([`DebugSettings::verify`](crate::DebugSettings::verify)).
    pub verifications: u64,
    /// Objects checked in them and in [`Heap::verify`](crate::Heap::verify), each as often as it was.
    pub verified_objects: u64,
    /// Cleanups ([`Mutator::on_collect`](crate::Mutator::on_collect)) that have run, those that panicked included.
    pub cleanups_run: u64,
    /// Cleanups that panicked.
    pub cleanup_panics: u64,
    /// Mutations that delayed a cycle for longer than [`HeapBuilder::long_mutation_limit`](crate::HeapBuilder::long_mutation_limit).
    pub long_mutations: u64,
    /// The longest that a cycle has waited for mutations to end, at a time.
    pub longest_delay: Duration,
    /// The longest that a mutation was held up on behalf of the collector: by an assist, by a sweep that it did for want of room, by
    /// the search for room in a full region, by an answer to a handshake.
    pub longest_wait: Duration,
    /// Bytes that mutations have traced in assists since the heap was made.
    pub assisted_bytes: u64,
    /// The growth target, in percent.
    pub growth_percent: u32,
    /// The memory limit, in bytes.
    pub memory_limit: Option<usize>,
    /// Bytes in the heap and owned outside it, as far as they count as live or were allocated since.
    pub size_bytes: u64,
    /// The size by which the mark is to have ended, of this cycle or, if none runs, of the next one; or to begin, where mutations mark a small heap.
    pub goal_bytes: u64,
    /// What the last cycle has done.
    pub last_cycle: Option<CycleReport>,
    /// How often a thread found no free processor and had to wait.
    pub waits: u64,
}

impl HeapStats {
    pub(crate) fn of(core: &Core) -> Self {
        let mut allocated = Allocated::default();
        for processor in core.processors.all() {
            allocated.add(allocated_by(core, processor));
        }
        let swept = &core.memory.swept;
        let (pinners_created, pinners_freed) = core.pinners.figures();
        let (long_mutations, longest_delay) = core.long_mutations.figures();
        let (cleanups_run, cleanup_panics) = core.cleanups.figures();
        let processors = core.processors.limit();
        let spans_in_use = core.memory.units_in_use();
        let (size_bytes, goal_bytes) = core.pace.size_and_goal();
        Self {
            cycles: core.control.cycles(),
            allocated_bytes: allocated.bytes,
            allocated_objects: allocated.objects,
            freed_objects: swept.freed_objects.load(Ordering::Relaxed),
            dropped_values: swept.dropped_values.load(Ordering::Relaxed),
            drop_panics: swept.drop_panics.load(Ordering::Relaxed),
            live_bytes: core.pace.live(),
            live_objects: swept.live_objects.load(Ordering::Relaxed) as u64,
            external_bytes: core.pace.outside(),
            live_external_bytes: core.pace.live_outside(),
            region_bytes: core.memory.region.bytes(),
            spans_in_use,
            span_bytes: spans_in_use * SPAN_BYTES,
            returned_bytes: core.memory.returned_bytes(),
            resident_bytes: core.memory.resident_bytes(),
            roots: core.roots.len(),
            pinners_created,
            pinners_freed,
            processors,
            mark_workers: core.control.markers(processors),
            verifications: core.debug.verifications.load(Ordering::Relaxed),
            verified_objects: core.debug.objects.load(Ordering::Relaxed),
            cleanups_run,
            cleanup_panics,
            long_mutations,
            longest_delay,
            longest_wait: core.memory.longest_wait.get(),
            assisted_bytes: core.pace.assists(),
            growth_percent: core.pace.growth_percent(),
            memory_limit: core.pace.memory_limit(),
            size_bytes,
            goal_bytes,
            last_cycle: core.reports.last(),
            waits: core.processors.waiting.waits(),
        }
    }
}

/// What was allocated on a processor: exactly if it is idle or this thread's own, else as of the last time it was.
fn allocated_by(core: &Core, processor: &crate::processor::Processor) -> Allocated {
    let mine =
        crate::processor::thread::current_processor(core).is_some_and(|current| std::ptr::eq(current, processor));
    if mine {
        // SAFETY: the mutation in progress on this thread holds it.
        return processor.publish_allocated(unsafe { processor.local() });
    }
    // As a mutation would, since giving it back may hand it to a thread that waits for one.
    match processor.try_take(Status::Running) {
        Some(holding) => {
            let allocated = processor.publish_allocated(holding.local());
            core.processors.release(core, holding);
            allocated
        }
        None => processor.published_allocated(),
    }
}
