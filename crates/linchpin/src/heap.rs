//! The heap: making one, mutating it, asking it for cycles and figures.

mod core;

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{Location, resume_unwind};

use crate::builder::{Config, HeapBuilder, check_growth, check_memory_limit};
use crate::cleanup::Cleanups;
use crate::collector::Control;
use crate::collector::decision::Decision;
use crate::collector::pacer::Pace;
use crate::collector::queue::GreyQueue;
use crate::collector::relay::Relay;
use crate::collector::report::Reports;
use crate::error::BuildError;
use crate::gc::root_table::RootTable;
use crate::long_mutations::LongMutations;
use crate::memory::region::Region;
use crate::memory::sweep::Memory;
use crate::mutator::Mutator;
use crate::pin::registry::Registry;
use crate::process::Process;
use crate::processor::Holding;
use crate::processor::acquire::Processors;
use crate::processor::thread as this_thread;
use crate::settle::Settling;
use crate::stats::HeapStats;
use crate::sync::{Arc, AtomicBool, Ordering, StaticAtomicU64, Weak, thread};
use crate::verify::Debugging;
use crate::verify::findings::{FindingHook, Findings};
use crate::verify::poison::Poison;
use crate::verify::settings::Verify;

pub(crate) use core::Core;

/// The number of the next heap; a number is never used again.
static NEXT_ID: StaticAtomicU64 = StaticAtomicU64::new(1);

/// A garbage-collected heap that many threads share and whose collector never stops them.
///
/// Make one with [`Heap::new`] or [`Heap::builder`], share it by reference or `Arc`, and work on it in
/// [`mutate`](Self::mutate).
///
/// Dropping the heap ends its collector and drops every value in it. Roots and pins that are still there keep what they
/// lead to, and the region with it, until the last of them is gone; the heap says so when it is dropped (pins by the
/// hook of [`HeapBuilder::on_pin_leak`]). So in a struct with a heap and roots in it, let the roots come first: fields are dropped in that
/// order.
///
/// To drop it is to wait until a cycle in progress is through, and a last one, `Drop`s of values included; so a thread must not
/// drop it while it has what one of these `Drop`s waits for. A lock is such a thing, and so is a processor of another heap:
/// heap A dropped inside a mutation of heap B that holds B's only processor waits for ever if a `Drop` that A's collector
/// runs meanwhile mutates B.
///
/// # Fork
///
/// A heap belongs to the process that made it. A child forked from it has a copy of the heap's memory but none of its
/// threads, and that copy may be in the middle of anything: other threads' mutations and a cycle stand still in it for ever.
/// All that the child may do is read what it had in hand, and what is pinned, until it execs or exits. In particular
///
/// * dropping the `Heap` there does nothing, and [`collect`](Self::collect) panics;
/// * to mutate, and to drop a [`Root`](crate::Root) or a [`Pinner`](crate::Pinner) with pins, may wait for ever for one of
///   the parent's threads; leave with `_exit` rather than by returning through the parent's frames;
/// * a heap that the child makes itself is one like any other.
///
/// The parent notices nothing.
pub struct Heap {
    core: Arc<Core>,
}

impl Heap {
    /// A heap with the defaults of [`Heap::builder`].
    ///
    /// # Panics
    /// If the operating system refuses to reserve address space, or the environment variable `LINCHPIN` holds a setting that is
    /// unknown or has a bad value; [`HeapBuilder::build`] returns that as an error.
    #[must_use]
    pub fn new() -> Self {
        match Self::builder().build() {
            Ok(heap) => heap,
            Err(error) => panic!("linchpin: no heap could be made: {error}"),
        }
    }

    /// Starts to describe a heap.
    pub fn builder() -> HeapBuilder {
        HeapBuilder::new()
    }

    pub(crate) fn from_parts(
        config: Config,
        pace: Pace,
        processors: usize,
        region: Region,
        finding_hook: Option<FindingHook>,
        long_mutations: LongMutations,
    ) -> Self {
        // Relaxed: that it is one atomic makes each number another; it orders nothing.
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let settings = config.debug;
        let debug = Arc::new(Debugging::new(Findings::new(finding_hook, settings.verify), settings.seed));
        let poison = settings.poison.then(|| Poison { debug: Arc::clone(&debug), heap: id });
        let slow_sweeps = settings.verify != Verify::Off || settings.poison;
        let core = Arc::new_cyclic(|this| Core {
            this: Weak::clone(this),
            id,
            process: Process::this(),
            pace,
            config,
            processors: Processors::new(processors),
            memory: Memory::new(id, region, poison, slow_sweeps),
            queue: GreyQueue::new(),
            decision: Decision::default(),
            roots: RootTable::default(),
            pinners: Registry::default(),
            control: Control::default(),
            relay: Relay::default(),
            cleanups: Cleanups::default(),
            long_mutations,
            debug,
            reports: Reports::new(),
            ended: AtomicBool::new(false),
            settling: Settling::default(),
        });
        Self { core }
    }

    /// Runs `f` as a mutation: with the right to allocate, load, store, root and pin.
    ///
    /// A mutation holds a *processor*. As many run at once as the heap has processors; a thread that finds none free
    /// waits for one. It is taken with one compare-and-swap when the thread's last one is still idle, and given back
    /// on return and on unwinding. A call inside a mutation of the same heap uses that mutation's processor.
    ///
    /// A thread that waits in `f` for another thread must not wait for one that needs a processor of this heap and may find none:
    /// it would wait for ever. The collector's thread of another heap is one such if the `Drop`s it runs mutate this heap, so
    /// neither [`collect`](Self::collect) that other heap in `f` nor drop it.
    ///
    /// The collector never waits inside a mutation, and no mutation for a cycle (for a moment at most: where the region is full, and to
    /// change what is behind a lock that a marker looks at); a long mutation delays
    /// the end of a cycle, so memory is not freed meanwhile.
    ///
    /// ```
    /// # let heap = linchpin::Heap::new();
    /// let length = heap.mutate(|mu| mu.alloc_str("hello").len());
    /// assert_eq!(length, 5);
    /// ```
    #[inline]
    #[track_caller]
    pub fn mutate<R>(&self, f: impl for<'gc> FnOnce(&Mutator<'gc>) -> R) -> R {
        let core = &*self.core;
        let entered = core.processors.enter(core);
        if !entered.nested {
            entered.processor.note_caller(Location::caller());
        }
        let mutator = Mutator::new(core, entered.processor);
        // SAFETY: `mutator` was made just now and is not moved any more, and the guard below leaves the frame before it goes away.
        unsafe { mutator.frame().enter() };
        let _leave = Leave { core, mutator: &mutator, nested: entered.nested };
        f(&mutator)
    }

    /// Runs a whole cycle and returns when everything that was unreachable when it began is swept and dropped.
    ///
    /// (In a cleanup of a heap that has ended or is ending, it may return before that.)
    ///
    /// # Panics
    /// Inside a mutation of this heap, or in a `Drop` that the collector runs: the cycle would wait for its own
    /// caller. Also if the collector's thread cannot be started, and in a forked child. (That a `Drop` collects another
    /// heap, one of whose `Drop`s collects this one, is not noticed: both wait for ever.)
    pub fn collect(&self) {
        assert!(
            this_thread::current_processor(&*self.core).is_none(),
            "linchpin: Heap::collect was called inside a mutation of the same heap, which the cycle would have to \
             wait for; call it after `mutate` has returned"
        );
        assert!(
            !this_thread::is_collector_of(self.core.id),
            "linchpin: Heap::collect was called by a Drop that the collector runs; the cycle would wait for itself"
        );
        assert!(
            self.core.is_of_this_process(),
            "linchpin: Heap::collect was called in a forked child, where the heap's threads do not exist; make a heap of its \
             own there, or exec"
        );
        // Only a cleanup has the heap then.
        if self.core.has_ended() {
            return self.core.settle_if_ended();
        }
        self.core.control.collect(&self.core);
    }

    /// Runs a whole cycle, and returns the memory that is free then to the operating system at once, all of it.
    ///
    /// Without this the heap keeps as much as its next cycle will need again, and returns what is more in the background, in small
    /// pieces, at the cost of about a hundredth of a core. Memory that was returned costs a page fault a page when it is used again. What
    /// processors have for their next allocations stays, and so does a span in which anything lives.
    ///
    /// ```
    /// # let heap = linchpin::Heap::new();
    /// heap.mutate(|mu| mu.alloc_slice_copy(&vec![1_u8; 8 << 20]).len());
    /// heap.return_memory();
    /// assert!(heap.stats().returned_bytes >= 8 << 20);
    /// ```
    ///
    /// # Panics
    /// As [`collect`](Self::collect) does.
    pub fn return_memory(&self) {
        self.collect();
        self.core.memory.return_to(0);
    }

    /// What the heap has done and holds. Allocations of a mutation that is running are counted as far as its
    /// processor has reported them.
    #[must_use]
    pub fn stats(&self) -> HeapStats {
        HeapStats::of(&self.core)
    }

    /// How many mutations may run at once.
    #[must_use]
    pub fn processors(&self) -> usize {
        self.core.processors.limit()
    }

    /// The growth target, in percent; see [`HeapBuilder::growth_percent`].
    #[must_use]
    pub fn growth_percent(&self) -> u32 {
        self.core.pace.growth_percent()
    }

    /// Changes the growth target, from now on; see [`HeapBuilder::growth_percent`].
    ///
    /// # Errors
    /// [`BuildError::ZeroGrowth`] or [`BuildError::GrowthTooLarge`].
    pub fn set_growth_percent(&self, percent: u32) -> Result<(), BuildError> {
        check_growth(percent)?;
        self.core.pace.set_growth_percent(percent);
        Ok(())
    }

    /// The memory limit, in bytes; see [`HeapBuilder::memory_limit`].
    #[must_use]
    pub fn memory_limit(&self) -> Option<usize> {
        self.core.pace.memory_limit()
    }

    /// Changes the memory limit, from now on; `None` for no limit. See [`HeapBuilder::memory_limit`].
    ///
    /// # Errors
    /// [`BuildError::MemoryLimitTooSmall`].
    pub fn set_memory_limit(&self, bytes: Option<usize>) -> Result<(), BuildError> {
        check_memory_limit(bytes)?;
        self.core.pace.set_memory_limit(bytes);
        Ok(())
    }

    /// Changes how many mutations may run at once. Those that run go on; a processor that is retired gives back its
    /// spans and drops its cached inner pinner, at once or when its mutation has ended.
    ///
    /// # Errors
    /// [`BuildError::ZeroProcessors`] or [`BuildError::TooManyProcessors`].
    pub fn set_processors(&self, count: usize) -> Result<(), BuildError> {
        self.core.processors.resize(&self.core, count)
    }

    /// Whether the object at `address`, or around it, is pinned. An address outside the heap counts as pinned: the
    /// collector never touches what is there. Of an object that the program cannot reach any more the answer tells nothing.
    #[inline(always)]
    #[must_use]
    pub fn is_pinned<T: ?Sized>(&self, address: *const T) -> bool {
        self.core.is_pinned_at(address.addr())
    }

    /// How many pins the object at `address`, or around it, has; 0 for an address outside the heap. See [`Mutator::pin_count`] for how exact that is.
    #[must_use]
    pub fn pin_count<T: ?Sized>(&self, address: *const T) -> u32 {
        self.core.pin_count_around(address.addr())
    }

    /// Whether `address` lies in the heap's region.
    #[must_use]
    pub fn contains<T: ?Sized>(&self, address: *const T) -> bool {
        self.core.memory.region.contains(address.addr())
    }

    /// What the heap is made of.
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// The heap's number, which no other heap of the process has or will have.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.core.id
    }
}

/// Ends a mutation, on return and on unwinding.
struct Leave<'a, 'gc> {
    core: &'a Core,
    mutator: &'a Mutator<'gc>,
    nested: bool,
}

impl Drop for Leave<'_, '_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.mutator.frame().leave();
        if !self.nested {
            // SAFETY: `enter` took the processor for this mutation, which ends here.
            let holding = unsafe { Holding::of(self.mutator.processor()) };
            self.core.processors.release(self.core, holding);
        }
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        if !self.core.is_of_this_process() {
            // To end it is to wait for threads that are the parent's, as the heap is.
            std::mem::forget(Arc::clone(&self.core));
            return;
        }
        // In a mutation of its own, or on that thread: then a cleanup drops the heap, and it ends when that has run.
        if this_thread::current_processor(&*self.core).is_some() || this_thread::is_cleaner_of(self.core.id) {
            return self.core.cleanups.end_heap_on_exit();
        }
        // The thread of cleanups first: one may be waiting for a cycle. But the collector's thread, if that is what drops the heap,
        // must go on to end it.
        if !this_thread::is_collector_of(self.core.id) {
            self.core.cleanups.stop();
        }
        if let Err(payload) = self.core.end_or_leave_it_to_the_collector()
            && !thread::panicking()
        {
            resume_unwind(payload);
        }
    }
}

/// A heap lent to a cleanup: it does not end when this goes away.
pub(crate) struct Lent(ManuallyDrop<Heap>);

impl Lent {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self(ManuallyDrop::new(Heap { core }))
    }
}

impl Deref for Lent {
    type Target = Heap;

    fn deref(&self) -> &Heap {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: the heap, of which this is all there is, is not dropped itself, nor used any more.
        unsafe { std::ptr::drop_in_place(&raw mut self.0.core) }
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap")
            .field("id", &self.core.id)
            .field("processors", &self.processors())
            .field("region_bytes", &self.core.memory.region.bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Gc, Pinner};

    /// A processor's cached inner pinner owns the core.
    #[test]
    fn a_cached_inner_pinner_does_not_outlive_its_heap() {
        for processors_at_the_end in [2, 1] {
            let heap = Heap::builder().processors(2).build().unwrap();
            heap.mutate(|mu| {
                // Two mutations at once leave something in the caches of both processors.
                std::thread::scope(|scope| {
                    scope.spawn(|| heap.mutate(|other| _ = Pinner::new().pin(other, other.alloc(0_u64))));
                });
                _ = Pinner::new().pin(mu, mu.alloc(1_u64));
            });
            let stats = heap.stats();
            assert_eq!((stats.pinners_created, stats.pinners_freed), (2, 0));
            heap.set_processors(processors_at_the_end).unwrap();
            let core = Arc::downgrade(&heap.core);
            drop(heap);
            assert!(core.upgrade().is_none());
        }
    }

    /// A counter that kept its owner would make every pin of the next object there, made on another processor, take the
    /// slow way; nothing else would tell.
    #[test]
    fn the_pin_counter_of_a_swept_object_has_no_owner() {
        let heap = Heap::builder().processors(2).build().unwrap();
        // Two neighbours: one dies, one keeps the span in use. Each has been pinned on two processors.
        let (kept, [live, dead]) = heap.mutate(|mu| {
            let pair = [0_u64, 1].map(|value| mu.alloc(value));
            let roots = pair.map(|object| mu.root(object));
            let mut here = Pinner::new();
            let mut there = Pinner::new();
            for object in pair {
                here.pin(mu, object);
            }
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    heap.mutate(|other| {
                        for root in &roots {
                            there.pin(other, root.get(other));
                        }
                    });
                });
            });
            // Undone here, though not made here.
            there.unpin();
            let [kept, _] = roots;
            (kept, pair.map(|object| Gc::as_ptr(object).addr()))
        });
        let region = &heap.core.memory.region;
        assert!(region.pin_counter(dead).is_touched());
        heap.collect();
        assert!(!region.pin_counter(dead).is_touched(), "its slot is free");
        assert!(region.pin_counter(live).is_touched(), "its owner may be counting at any time");
        assert_eq!((region.pin_count(live), region.pin_count(dead)), (0, 0));
        drop(kept);
    }
}
