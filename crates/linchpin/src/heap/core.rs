//! What a heap is made of, and how it ends.
//!
//! [`Heap`](crate::Heap) is one owner of the core; the collector's thread, roots and inner pinners are the others. When the `Heap` is
//! dropped, the heap *ends* ([`Core::end`]): what nothing outside holds is dropped. What roots and pins hold stays, and each that is let go of
//! later *settles* the heap again ([`Core::settle_if_ended`], `settle`). With the last owner the region goes.

use crate::builder::Config;
use crate::cleanup::Cleanups;
use crate::collector::decision::Decision;
use crate::collector::pacer::Pace;
use crate::collector::queue::GreyQueue;
use crate::collector::relay::Relay;
use crate::collector::report::{CycleCause, Reports};
use crate::collector::workers::Workers;
use crate::collector::{Control, cycle};
use crate::gc::root_table::RootTable;
use crate::long_mutations::LongMutations;
use crate::memory::size_class::is_odd;
use crate::memory::sweep::Memory;
use crate::panics::{Payload, tell};
use crate::pin::leak::{self, PinLeakCause};
use crate::pin::registry::Registry;
use crate::process::Process;
use crate::processor::Local;
use crate::processor::acquire::Processors;
use crate::processor::thread as this_thread;
use crate::settle::Settling;
use crate::sync::{Arc, AtomicBool, Ordering, Weak};
use crate::verify::Debugging;

/// What a heap is made of; shared by the [`Heap`], its collector's thread, its roots and its inner pinners.
pub(crate) struct Core {
    pub(super) this: Weak<Self>,
    pub(crate) id: u64,
    /// The process that made the heap. A forked child has a copy of the memory, but none of the threads.
    pub(super) process: Process,
    pub(crate) config: Config,
    pub(crate) processors: Processors,
    pub(crate) memory: Memory,
    pub(crate) queue: GreyQueue,
    pub(crate) decision: Decision,
    pub(crate) roots: RootTable,
    pub(crate) pinners: Registry,
    pub(crate) pace: Pace,
    pub(crate) control: Control,
    pub(crate) relay: Relay,
    pub(crate) cleanups: Cleanups,
    pub(crate) long_mutations: LongMutations,
    pub(crate) debug: Arc<Debugging>,
    pub(crate) reports: Reports,
    /// The `Heap` is gone, and the collector's thread with it.
    pub(super) ended: AtomicBool,
    /// After the end: the cycles that free what was let go of.
    pub(super) settling: Settling,
}

impl Core {
    /// False in a child that was forked after the heap was made.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.process == Process::this()
    }

    /// Another owner of the heap's parts. The caller is reached through an owner, so there is one.
    pub(crate) fn shared(&self) -> Arc<Self> {
        self.this.upgrade().expect("a core is only used while somebody owns it")
    }

    /// Runs `f` with a processor of this heap: that of this thread's mutation, or one held for the moment.
    /// `f` runs no user code.
    pub(crate) fn with_processor<R>(&self, f: impl FnOnce(&Local) -> R) -> R {
        if let Some(processor) = this_thread::current_processor(self) {
            // SAFETY: the mutation in progress on this thread holds it.
            return f(unsafe { (*processor).local() });
        }
        let holding = self.processors.hold_for_a_moment(self);
        let outcome = f(holding.local());
        self.processors.release(self, holding);
        outcome
    }

    /// Whether the `Heap` is gone, and its collector with it.
    pub(crate) fn has_ended(&self) -> bool {
        // Acquire: pairs with the release in `end`; no cycle of the collector's thread is on any more.
        self.ended.load(Ordering::Acquire)
    }

    /// After the end of the heap, frees what nothing leads to any more, and runs the cleanups that are due, on this thread. Called
    /// whenever a root or pins were let go of.
    ///
    /// What is freed may let go of further roots and pins (in this very function, from a value's `Drop`), so it goes on
    /// until nothing changes. Cleanups run when that is so, and not in the midst of a sweep.
    pub(crate) fn settle_if_ended(&self) {
        // A mutation of a heap that has ended is part of a cleanup. A cycle would wait for it; who runs the cleanup settles again.
        if !self.has_ended() || this_thread::current_processor(self).is_some() {
            return;
        }
        loop {
            let here = self.settling.settle(|| {
                cycle::run(self, &Workers::none(), CycleCause::End);
                self.control.count_last_cycle();
            });
            // Else who is at it goes on: another thread, or this one, further down its stack.
            if !here || !self.cleanups.run_queued(self) {
                break;
            }
        }
        // Nobody allocates any more, but in a cleanup. (If all is free, the region goes as a whole.)
        if self.memory.units_in_use() != 0 {
            self.memory.return_to(0);
        }
    }

    /// Whether the object at or around `address` is pinned; true for an address outside the region.
    ///
    /// Only the granule that an object starts at has pins. So an address there that is pinned, which is what one mostly asks
    /// about, needs no look at where slots begin; but where they are odd, as the end of another object may lie there.
    #[inline(always)]
    pub(super) fn is_pinned_at(&self, address: usize) -> bool {
        let region = &self.memory.region;
        if !region.contains(address) {
            return true;
        }
        if region.is_pinned(address) && !is_odd(region.span(region.span_at(address)).slot_bytes()) {
            return true;
        }
        self.object_at(address).is_some_and(|start| region.is_pinned(start))
    }

    /// How many pins the object at or around `address` has; 0 for an address outside the region.
    #[cold]
    #[inline(never)]
    pub(super) fn pin_count_around(&self, address: usize) -> u32 {
        self.object_at(address).map_or(0, |start| self.memory.region.pin_count(start))
    }

    /// The start of the object at or around `address`, as the span's slots tell (a free unit's has none, and no pins
    /// either); `None` outside the region.
    #[inline]
    pub(crate) fn object_at(&self, address: usize) -> Option<usize> {
        let region = &self.memory.region;
        if !region.contains(address) {
            return None;
        }
        let unit = region.unit_of(address);
        let back = region.span(unit).back();
        if back != 0 {
            // A span of several units holds one object.
            return Some(region.unit_start(unit - back).addr().get());
        }
        region.slot_at(region.span_at(address), address)
    }

    /// Ends the collector's thread, and then the heap; if this is that thread, it ends the heap itself when it ends. The thread of
    /// cleanups has ended, or this is it.
    pub(crate) fn end_or_leave_it_to_the_collector(&self) -> Result<(), Payload> {
        if self.control.stop(self) { self.end() } else { Ok(()) }
    }

    /// Ends the heap: its collector's thread has ended, no mutation runs or ever will (but in a cleanup).
    ///
    /// A last cycle runs on this thread. Whatever no root or pin from outside holds is dropped in it; the rest stays
    /// until the last root or pinner lets go of the core.
    ///
    /// An error is the panic of the program's leak hook.
    pub(crate) fn end(&self) -> Result<(), Payload> {
        // Release: pairs with the acquire in `settle_if_ended`.
        self.ended.store(true, Ordering::Release);
        // A cached inner pinner owns the core: left alone, it would keep the core for ever. The cycle drops them all, in its
        // handshake to `Off`, and only a mutation puts one into a cache.
        self.settle_if_ended();
        let roots = self.roots.len();
        if roots != 0 {
            tell(format_args!(
                "heap {} was dropped with {roots} roots outstanding; what they lead to stays until they are dropped",
                self.id
            ));
        }
        leak::report_outstanding(self, PinLeakCause::HeapDropped)
    }
}

impl Drop for Core {
    /// Drops what the last roots and pins kept, then gives the region back.
    fn drop(&mut self) {
        if self.memory.units_in_use() != 0 {
            cycle::run(self, &Workers::none(), CycleCause::End);
        }
    }
}
