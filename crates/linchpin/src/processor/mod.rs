//! Processors: what a thread must hold to mutate (the P of Go's scheduler).
//!
//! A processor carries the allocation runs, the barrier buffer, the pinner cache and the mode. A thread holds one
//! for the length of a mutation: it takes an idle one by a compare-and-swap on the [state word](phase::State)
//! and gives it back by a store. It remembers the processor it had last and asks for that one first, so a
//! processor stays with a thread as long as nobody else needs it; but it belongs to nobody between mutations, and
//! a thread may end without a word.
//!
//! A handshake asks each processor to adopt a new phase. Its thread does so when it next enters, or in the midst of a mutation where
//! that allocates, if it may ([`safepoint`]); for an idle processor the collector does, holding it for a few dozen instructions.
//! See [`Processor::answer`].
//!
//! Beside the numbered processors a heap has one *spare*, which runs no mutation. It is for the moments in which
//! something outside any mutation must act as one (a root or a pin is dropped) and no other is free.

pub(crate) mod acquire;
pub(crate) mod phase;
pub(crate) mod runs;
pub(crate) mod safepoint;
#[cfg(all(test, not(loom)))]
mod safepoint_tests;
#[cfg(all(test, not(loom)))]
mod tests;
pub(crate) mod thread;
pub(crate) mod waiting;

use std::panic::Location;
use std::ptr::NonNull;

use crate::collector::AbortOnUnwind;
use crate::collector::mark::Tracer;
use crate::collector::queue::Grey;
use crate::heap::Core;
use crate::pin::counter::Bias;
use crate::pin::inner::{Inner, InnerBox};
use crate::sync::{AtomicU64, Cell, Ordering, RefCell, StaticAtomicPtr, ordering, reordered};
use crate::trace::Trace;
use phase::{Mode, Phase, State, Status};
use runs::{Allocated, HeldSpan, Runs};

/// How many entries a barrier buffer holds before it is handed over in mid-mutation.
const BARRIER_BUFFER: usize = 1024;

/// A stack with room for more entries is not kept.
const MOST_STACK: usize = 8192;

/// So many bytes outside the heap, and the pacer is told of them before the next run is finished.
const TELL_OF_OUTSIDE: u64 = 64 << 10;

/// See the module head.
///
/// The table of runs comes first, so that an allocation finds its place in it by an offset from the processor's address.
#[repr(C, align(128))]
pub(crate) struct Processor {
    local: Local,
    state: AtomicU64,
    /// The number; [`Processor::SPARE`] for the spare.
    index: usize,
    /// What `publish_allocated` last found: bytes and objects.
    published: [AtomicU64; 2],
    /// Where the mutation began that has it, or had it last. (One of the standard library's under loom, too: it orders nothing.)
    caller: StaticAtomicPtr<Location<'static>>,
}

// SAFETY: `local` is touched only by who holds the processor (status `Running` or `Held`), which is one thread at
// a time; the state word's acquire and release order one holder after another.
unsafe impl Sync for Processor {}
// SAFETY: nothing in `local` is tied to a thread; see above.
unsafe impl Send for Processor {}

/// What only the holder touches.
#[repr(C)]
pub(crate) struct Local {
    pub(crate) runs: Runs,
    phase: Cell<Phase>,
    /// The mode of `phase`, for the barriers.
    mode: Cell<Mode>,
    /// The colour of `phase`, for barriers.
    colour: Cell<u8>,
    /// The colour of new objects.
    birth_colour: Cell<u8>,
    /// How this processor counts pins.
    bias: Bias,
    /// The cached inner pinner.
    pinner_cache: Cell<Option<NonNull<Inner>>>,
    /// Grey objects: shaded, not yet handed over.
    barrier_buffer: RefCell<Vec<Grey>>,
    /// The stack of the last tracer that assisted, with nothing on it.
    stack: RefCell<Vec<Grey>>,
    /// While this is not 0, the mutation answers no handshake; see [`safepoint`].
    busy: Cell<u32>,
    /// Bytes allocated that the pacer has been told of.
    reported_bytes: Cell<u64>,
    /// Bytes outside the heap that the pacer was not told of yet: what new objects own, and what was reported.
    owned_bytes: Cell<u64>,
    external_bytes: Cell<u64>,
    /// Bytes allocated in finished runs when this processor last looked whether to assist, or entered `Mark`.
    assisted_at: Cell<u64>,
    /// With `collect_every`: allocations since this processor last asked for a cycle.
    uncollected: Cell<u64>,
}

impl Processor {
    /// The number of the spare.
    pub(crate) const SPARE: usize = usize::MAX;

    pub(crate) fn new(index: usize, phase: Phase) -> Self {
        let processor = Self {
            state: AtomicU64::new(State::new(phase, Status::Idle).to_bits()),
            index,
            published: [AtomicU64::new(0), AtomicU64::new(0)],
            caller: StaticAtomicPtr::new(std::ptr::null_mut()),
            local: Local {
                phase: Cell::new(phase),
                mode: Cell::new(phase.mode()),
                colour: Cell::new(phase.colour()),
                birth_colour: Cell::new(phase.birth_colour()),
                bias: if index == Self::SPARE { Bias::NONE } else { Bias::of_processor(index) },
                pinner_cache: Cell::new(None),
                runs: Runs::new(),
                barrier_buffer: RefCell::new(Vec::new()),
                stack: RefCell::new(Vec::new()),
                busy: Cell::new(0),
                reported_bytes: Cell::new(0),
                owned_bytes: Cell::new(0),
                external_bytes: Cell::new(0),
                assisted_at: Cell::new(0),
                uncollected: Cell::new(0),
            },
        };
        processor.local.adopt(phase);
        processor
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn state(&self) -> State {
        // Acquire: pairs with every release store of the state word, so that who sees a phase answered sees
        // what was handed over for it.
        State::from_bits(self.state.load(ordering!(Acquire, "processor.state")))
    }

    /// Takes the processor if it is idle in exactly `phase`: the fast path of entering a mutation.
    #[inline(always)]
    pub(crate) fn try_run_in(&self, phase: Phase) -> bool {
        // Acquire: pairs with the release of whoever held the processor last. Relaxed on failure: nothing is known of it then.
        self.state
            .compare_exchange(
                State::new(phase, Status::Idle).to_bits(),
                State::new(phase, Status::Running).to_bits(),
                ordering!(Acquire, "processor.enter"),
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Takes the processor if it is idle, in whatever phase.
    pub(crate) fn try_take(&self, status: Status) -> Option<Holding<'_>> {
        // Relaxed: a guess, which the compare-and-swap checks.
        let state = State::from_bits(self.state.load(Ordering::Relaxed));
        if state.status() != Status::Idle {
            return None;
        }
        // Acquire: pairs with the release of whoever held the processor last. Relaxed on failure: somebody else has it, or has
        // had it, and nothing is known of that.
        self.state
            .compare_exchange(
                state.to_bits(),
                state.with(status).to_bits(),
                ordering!(Acquire, "processor.take"),
                Ordering::Relaxed,
            )
            .is_ok()
            .then(|| Holding { processor: self })
    }

    /// Holds the processor of a heap that has ended, which nobody keeps for longer than a moment any more; `None` if it is
    /// retired.
    pub(crate) fn hold(&self) -> Option<Holding<'_>> {
        loop {
            if let Some(holding) = self.try_take(Status::Held) {
                return Some(holding);
            }
            if self.state().status() == Status::Retired {
                return None;
            }
            crate::sync::thread::yield_now();
        }
    }

    /// Notes where a mutation begins that has it from now on.
    #[inline(always)]
    pub(crate) fn note_caller(&self, caller: &'static Location<'static>) {
        // Relaxed: for a report, by which nothing else is passed on.
        self.caller.store(std::ptr::from_ref(caller).cast_mut(), Ordering::Relaxed);
    }

    /// Notes that it is held for a moment, by no mutation.
    pub(crate) fn note_no_caller(&self) {
        // Relaxed: as in `note_caller`.
        self.caller.store(std::ptr::null_mut(), Ordering::Relaxed);
    }

    /// Where the mutation began that has it, or had it last.
    pub(crate) fn caller(&self) -> Option<&'static Location<'static>> {
        // SAFETY: what is there is null, or was a reference of that lifetime (`note_caller`).
        unsafe { self.caller.load(Ordering::Relaxed).as_ref() }
    }

    /// What only the holder may touch.
    ///
    /// # Safety
    /// The calling thread holds the processor for as long as it uses the reference.
    #[inline(always)]
    pub(crate) unsafe fn local(&self) -> &Local {
        &self.local
    }

    /// Counts what was allocated here, for anybody to read. Called by the holder only.
    pub(crate) fn publish_allocated(&self, local: &Local) -> Allocated {
        let allocated = local.runs.allocated();
        // Relaxed: figures, which order nothing.
        self.published[0].store(allocated.bytes, Ordering::Relaxed);
        self.published[1].store(allocated.objects, Ordering::Relaxed);
        allocated
    }

    /// What was last counted here.
    pub(crate) fn published_allocated(&self) -> Allocated {
        // Relaxed: figures, which need not be of the same moment.
        Allocated {
            bytes: self.published[0].load(Ordering::Relaxed),
            objects: self.published[1].load(Ordering::Relaxed),
        }
    }

    /// Makes a retired processor idle again, in `phase`. The caller holds the phase lock.
    pub(crate) fn revive(&self, phase: Phase) {
        debug_assert_eq!(self.state().status(), Status::Retired);
        // Nobody can hold a retired processor, and only `revive`, under the lock, ends that state.
        self.local.adopt(phase);
        // Release: pairs with the acquire of whoever takes it next.
        self.state.store(State::new(phase, Status::Idle).to_bits(), Ordering::Release);
    }
}

/// The evidence that this thread holds a processor.
///
/// It ends by one of the methods that store a new state; a holding that is dropped makes the processor idle.
pub(crate) struct Holding<'a> {
    processor: &'a Processor,
}

impl<'a> Holding<'a> {
    /// The evidence for a processor that the caller has just taken, or took and kept by [`Holding::keep`].
    ///
    /// # Safety
    /// The calling thread holds `processor`, and no other `Holding` stands for it.
    #[inline(always)]
    pub(crate) unsafe fn of(processor: &'a Processor) -> Self {
        Self { processor }
    }

    #[inline(always)]
    pub(crate) fn processor(&self) -> &'a Processor {
        self.processor
    }

    #[inline(always)]
    pub(crate) fn local(&self) -> &Local {
        &self.processor.local
    }

    /// Keeps the processor beyond this evidence; the holder gives it back by way of [`Holding::of`].
    #[inline(always)]
    pub(crate) fn keep(self) -> &'a Processor {
        let processor = self.processor;
        std::mem::forget(self);
        processor
    }

    /// Adopts `phase`, as its own thread: hands over what the handshake asks for and stays in the mutation. False if it had.
    pub(crate) fn answer_running(&self, core: &Core, phase: Phase) -> bool {
        // A processor made by a resize may be ahead of a phase that was read before.
        if phase.number() <= self.local().phase.get().number() {
            return false;
        }
        core.delay_handshake();
        let surrendered = self.processor.answer(phase);
        let state = State::new(phase, Status::Running);
        if reordered!("processor.hand_over") {
            self.processor.state.store(state.to_bits(), Ordering::Release);
        }
        surrendered.hand_over(core);
        core.delay_handshake();
        // Release: pairs with the acquire by which the collector sees the phase answered.
        self.processor.state.store(state.to_bits(), ordering!(Release, "processor.answer"));
        true
    }

    /// Adopts `phase`, as the collector, and lets the processor go before the rest is done.
    pub(crate) fn answer_held(self, core: &Core, phase: Phase) {
        let surrendered = self.processor.answer(phase);
        drop(self);
        core.delay_handshake();
        surrendered.hand_over(core);
    }

    /// Gives back everything the processor keeps.
    pub(crate) fn empty(&self, core: &Core) {
        self.local().empty().hand_over(core);
        self.processor.publish_allocated(self.local());
    }

    /// Retires the processor, which has been emptied: nobody takes it until it is revived. The caller holds the phase
    /// lock.
    pub(super) fn retire(self) {
        let processor = self.keep();
        let phase = processor.local.phase.get();
        // Release: pairs with the acquire in `state`, for the collector that skips it and for `revive`.
        processor.state.store(State::new(phase, Status::Retired).to_bits(), Ordering::Release);
    }
}

impl Drop for Holding<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        debug_assert!(
            matches!(self.processor.state().status(), Status::Running | Status::Held),
            "a processor is given back by who holds it"
        );
        let phase = self.processor.local.phase.get();
        // Release: pairs with the acquire of whoever takes the processor next.
        let state = State::new(phase, Status::Idle);
        self.processor.state.store(state.to_bits(), ordering!(Release, "processor.give_back"));
    }
}

/// What a processor gave up in answer to a handshake.
#[must_use]
struct Surrendered {
    grey: Vec<Grey>,
    spans: Vec<HeldSpan>,
    pinner: Option<InnerBox>,
}

impl Surrendered {
    fn hand_over(self, core: &Core) {
        core.queue.push(self.grey);
        for span in self.spans {
            span.give_back();
        }
        drop(self.pinner);
    }
}

impl Processor {
    /// Adopts `phase`. Called by the holder only.
    ///
    /// In every handshake the barrier buffer goes to the collector. On entering `Off` the runs go back to their
    /// classes, so that their spans can be swept, and the cached inner pinner is dropped.
    fn answer(&self, phase: Phase) -> Surrendered {
        let was = self.local.mode.get();
        self.local.adopt(phase);
        if phase.mode() == Mode::Off && was != Mode::Off {
            return self.local.empty();
        }
        Surrendered { grey: self.local.barrier_buffer.take(), spans: Vec::new(), pinner: None }
    }
}

impl Local {
    fn adopt(&self, phase: Phase) {
        self.phase.set(phase);
        self.mode.set(phase.mode());
        self.colour.set(phase.colour());
        self.birth_colour.set(phase.birth_colour());
        if phase.mode() == Mode::Mark {
            self.note_assisted();
        }
    }

    /// Takes out everything the processor keeps.
    fn empty(&self) -> Surrendered {
        let spans = self.runs.surrender();
        Surrendered {
            grey: self.barrier_buffer.take(),
            spans,
            // SAFETY: what lies in the cache is an inner pinner that belongs to nobody else.
            pinner: self.pinner_cache.take().map(|inner| unsafe { InnerBox::from_raw(inner) }),
        }
    }

    #[inline(always)]
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    #[inline(always)]
    pub(crate) fn mode(&self) -> Mode {
        self.mode.get()
    }

    #[inline(always)]
    pub(crate) fn colour(&self) -> u8 {
        self.colour.get()
    }

    #[inline(always)]
    pub(crate) fn birth_colour(&self) -> u8 {
        self.birth_colour.get()
    }

    #[inline(always)]
    pub(crate) fn bias(&self) -> Bias {
        self.bias
    }

    /// Takes the cached inner pinner.
    #[inline(always)]
    pub(crate) fn take_cached_inner(&self) -> Option<NonNull<Inner>> {
        self.pinner_cache.take()
    }

    /// Whether the pinner cache is empty.
    #[inline(always)]
    pub(crate) fn pinner_cache_is_empty(&self) -> bool {
        self.pinner_cache.get().is_none()
    }

    /// Puts an inner pinner that belongs to nobody else into the empty cache.
    #[inline(always)]
    pub(crate) fn cache_inner(&self, inner: NonNull<Inner>) {
        debug_assert!(self.pinner_cache_is_empty());
        self.pinner_cache.set(Some(inner));
    }

    /// Shades `object`: unless it is black already, it becomes so and is noted for tracing.
    ///
    /// # Safety
    /// `object` is the start of an object in the region of `core`, which this processor belongs to, and the
    /// mutation (or momentary holder) has it in hand.
    #[inline]
    pub(crate) unsafe fn shade(&self, core: &Core, object: NonNull<u8>) {
        if self.blacken(core, object) {
            self.note_one(core, object);
        }
    }

    #[inline(never)]
    fn note_one(&self, core: &Core, object: NonNull<u8>) {
        self.note_grey(core, std::iter::once(Grey(object)));
    }

    /// Makes an object of the region black, which the mutation (or momentary holder) has in hand; whether it was white.
    #[inline(always)]
    pub(crate) fn blacken(&self, core: &Core, object: NonNull<u8>) -> bool {
        debug_assert_ne!(self.mode.get(), Mode::Off);
        let mark = core.memory.region.mark(object.addr().get());
        let black = self.colour.get();
        // Relaxed: a mark byte orders nothing; two that both find it white both trace the object, which is
        // harmless. The buffer itself is handed over with release and acquire.
        let was_white = mark.load(Ordering::Relaxed) != black;
        if was_white {
            mark.store(black, Ordering::Relaxed);
        }
        was_white
    }

    /// Shades everything that a value leads to.
    #[cold]
    pub(crate) fn shade_contents<T: Trace>(&self, core: &Core, contents: &T) {
        debug_assert_ne!(self.mode.get(), Mode::Off);
        // What is marked when `trace` panics would never be traced.
        let abort = AbortOnUnwind;
        let mut tracer = Tracer::shading(&core.memory.region, self.colour.get(), self.mode.get());
        contents.trace(&mut tracer);
        self.note_grey(core, tracer.take_grey());
        abort.disarm();
    }

    /// Keeps grey objects for the next handshake, or hands them over if there are many.
    fn note_grey(&self, core: &Core, grey: impl IntoIterator<Item = Grey>) {
        let mut buffer = self.barrier_buffer.borrow_mut();
        if buffer.capacity() == 0 {
            *buffer = core.queue.empty_batch();
        }
        buffer.extend(grey);
        if buffer.len() >= BARRIER_BUFFER {
            core.queue.push(std::mem::take(&mut *buffer));
        }
    }

    /// A stack for a tracer that assists, with nothing on it, and what room the last one needed.
    pub(crate) fn take_stack(&self) -> Vec<Grey> {
        self.stack.take()
    }

    /// Keeps its room for the next one, unless that is much.
    pub(crate) fn keep_stack(&self, stack: Vec<Grey>) {
        debug_assert!(stack.is_empty(), "what is on it would be lost");
        if stack.capacity() <= MOST_STACK {
            *self.stack.borrow_mut() = stack;
        }
    }

    /// What was noted since the last hand-over.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn noted(&self) -> Vec<NonNull<u8>> {
        self.barrier_buffer.borrow().iter().map(|&Grey(object)| object).collect()
    }

    /// Bytes allocated since `note_assisted`, as far as runs are finished, and what is owed.
    #[inline]
    pub(crate) fn unassisted_bytes(&self) -> u64 {
        self.runs.finished().bytes - self.assisted_at.get()
    }

    /// Sets that to 0.
    pub(crate) fn note_assisted(&self) {
        self.assisted_at.set(self.runs.finished().bytes);
    }

    /// Of what it was before, so many bytes have not been assisted for.
    pub(crate) fn owe(&self, bytes: u64) {
        self.assisted_at.set(self.assisted_at.get() - bytes);
    }

    /// Counts an allocation; true after every so many.
    pub(crate) fn is_time_to_collect(&self, every: u64) -> bool {
        let count = self.uncollected.get() + 1;
        self.uncollected.set(if count >= every { 0 } else { count });
        count >= every
    }

    /// Counts bytes outside the heap that a new object owns, or (not `owned`) that were reported; true if the pacer should be told.
    #[inline(always)]
    pub(crate) fn note_outside(&self, bytes: usize, owned: bool) -> bool {
        let count = if owned { &self.owned_bytes } else { &self.external_bytes };
        let total = count.get().saturating_add(bytes as u64);
        count.set(total);
        total >= TELL_OF_OUTSIDE
    }

    /// Bytes outside the heap since the pacer was last told, which it is by calling this: what new objects own, and what was reported.
    pub(crate) fn untold_outside(&self) -> Option<(u64, u64)> {
        (self.owned_bytes.get() | self.external_bytes.get() != 0)
            .then(|| (self.owned_bytes.take(), self.external_bytes.take()))
    }

    /// Bytes allocated since the pacer was last told, as far as runs are finished; the pacer is told by calling
    /// this.
    pub(crate) fn unreported_bytes(&self) -> u64 {
        let finished = self.runs.finished().bytes;
        finished - self.reported_bytes.replace(finished)
    }
}
