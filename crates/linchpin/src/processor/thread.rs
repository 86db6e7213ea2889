//! What a thread remembers: the mutations it is in, and the processor it had last.
//!
//! The thread-local is const-initialised and has no destructor, so it can be used at any time of a thread's life,
//! in destructors of other thread-locals too.

use std::cell::Cell;
use std::ptr;

use super::Processor;
use crate::heap::Core;
use crate::panics::tell;
use crate::sync::const_thread_local;

/// One mutation in progress on this thread; on the stack of the call to `mutate`.
pub(crate) struct Frame {
    pub(crate) core: *const Core,
    pub(crate) processor: *const Processor,
    /// The one around it, or null. (No part of a frame changes, so the compiler need not read it anew behind every store.)
    previous: *const Frame,
}

struct ThreadState {
    /// The innermost mutation in progress.
    innermost: Cell<*const Frame>,
    /// The heap of the processor this thread had last, by its never reused number (0: none).
    last_heap: Cell<u64>,
    last_processor: Cell<*const Processor>,
    /// The heap whose collector this thread is.
    collector_of: Cell<u64>,
    /// The heap whose cleanups this thread runs.
    cleaner_of: Cell<u64>,
    /// The heap whose sweep drops values on this thread (0: none), and the innermost mutation at that time.
    sweeping: Cell<u64>,
    sweeping_within: Cell<*const Frame>,
}

const_thread_local! {
    static THREAD: ThreadState = ThreadState {
        innermost: Cell::new(ptr::null()),
        last_heap: Cell::new(0),
        last_processor: Cell::new(ptr::null()),
        collector_of: Cell::new(0),
        cleaner_of: Cell::new(0),
        sweeping: Cell::new(0),
        sweeping_within: Cell::new(ptr::null()),
    };
}

impl Frame {
    /// A frame inside the mutation that is the innermost now.
    #[inline(always)]
    pub(crate) fn new(core: &Core, processor: &Processor) -> Self {
        Self { core, processor, previous: THREAD.with(|thread| thread.innermost.get()) }
    }

    /// Makes this the innermost mutation.
    ///
    /// # Safety
    /// The frame stays where it is and alive until [`Frame::leave`], and no other was entered or left since it was made.
    #[inline(always)]
    pub(crate) unsafe fn enter(&self) {
        THREAD.with(|thread| thread.innermost.set(self));
    }

    /// Ends what `enter` began.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        THREAD.with(|thread| {
            if !ptr::eq(thread.innermost.get(), self) {
                ended_out_of_order();
            }
            thread.innermost.set(self.previous);
        });
    }
}

/// Only a second stack on the thread lets a mutation end before one begun inside it: a coroutine suspended in `mutate`. The
/// inner one may be using the outer one's processor, which would be given back under its hands.
#[cold]
#[inline(never)]
fn ended_out_of_order() -> ! {
    tell(format_args!(
        "a mutation ended before another one that this thread began inside it; a coroutine must not be suspended inside \
         Heap::mutate while its thread begins or ends other mutations; aborting"
    ));
    std::process::abort();
}

/// The processor this thread had last, if it was of the heap `id`.
#[inline(always)]
pub(crate) fn last_processor(id: u64) -> Option<*const Processor> {
    THREAD.with(|thread| (thread.last_heap.get() == id).then(|| thread.last_processor.get()))
}

/// Remembers the processor this thread has.
pub(crate) fn remember_processor(id: u64, processor: &Processor) {
    THREAD.with(|thread| {
        thread.last_heap.set(id);
        thread.last_processor.set(processor);
    });
}

/// The processor of this thread's innermost mutation of `core`, if it is in one.
#[inline(always)]
pub(crate) fn current_processor(core: *const Core) -> Option<*const Processor> {
    THREAD.with(|thread| {
        let mut frame = thread.innermost.get();
        loop {
            if frame.is_null() {
                return None;
            }
            // SAFETY: a frame in the list is on the stack of a call to `mutate` further down this thread's
            // stack, which has not returned yet (`Frame::enter`).
            let here = unsafe { &*frame };
            if ptr::eq(here.core, core) {
                return Some(here.processor);
            }
            frame = here.previous;
        }
    })
}

/// Declares this thread the collector of the heap `id`, or (0) of none.
pub(crate) fn set_collector_of(id: u64) {
    THREAD.with(|thread| thread.collector_of.set(id));
}

/// Whether this thread is the collector of the heap `id`.
pub(crate) fn is_collector_of(id: u64) -> bool {
    THREAD.with(|thread| thread.collector_of.get() == id)
}

/// Declares this thread that of the cleanups of the heap `id`, or (0) of none.
pub(crate) fn set_cleaner_of(id: u64) {
    THREAD.with(|thread| thread.cleaner_of.set(id));
}

/// Whether this thread is that of the cleanups of the heap `id`.
pub(crate) fn is_cleaner_of(id: u64) -> bool {
    THREAD.with(|thread| thread.cleaner_of.get() == id)
}

/// While it lives, values dropped on this thread count as dropped by a sweep.
pub(crate) struct Sweeping {
    was: u64,
    was_within: *const Frame,
}

impl Sweeping {
    pub(crate) fn begin(heap: u64) -> Self {
        THREAD.with(|thread| Self {
            was: thread.sweeping.replace(heap),
            was_within: thread.sweeping_within.replace(thread.innermost.get()),
        })
    }
}

impl Drop for Sweeping {
    fn drop(&mut self) {
        THREAD.with(|thread| {
            thread.sweeping.set(self.was);
            thread.sweeping_within.set(self.was_within);
        });
    }
}

/// Whether this thread runs the sweep of the heap.
pub(crate) fn is_sweeping(heap: u64) -> bool {
    THREAD.with(|thread| thread.sweeping.get() == heap)
}

/// The heap by whose sweep a value that is dropped here and now is dropped; `None` if it is not, or by a mutation that such
/// a value's own `Drop` has begun.
pub(crate) fn sweeping_heap() -> Option<u64> {
    THREAD.with(|thread| {
        let heap = thread.sweeping.get();
        (heap != 0 && ptr::eq(thread.innermost.get(), thread.sweeping_within.get())).then_some(heap)
    })
}
