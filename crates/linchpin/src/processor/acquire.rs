//! The processors of a heap: taking one, giving it back, having more or fewer.

use super::phase::{Phase, Status};
use super::safepoint::MOST_ANSWERS;
use super::thread;
use super::waiting::Waiting;
use super::{Holding, Processor};
use crate::collector::relay::take_steps;
use crate::error::BuildError;
use crate::heap::Core;
use crate::sync::{AtomicU64, AtomicUsize, Backoff, Mutex, MutexGuard, OnceLock, Ordering};

/// The most processors a heap can have.
pub(crate) const MAX_PROCESSORS: usize = if cfg!(loom) { 2 } else { 1024 };

/// All processors of a heap, and the phase they are to be in.
pub(crate) struct Processors {
    /// Made when first wanted, never unmade before the heap is.
    slots: Box<[OnceLock<Box<Processor>>]>,
    spare: Processor,
    /// How many of the slots may run mutations.
    limit: AtomicUsize,
    /// The phase that processors adopt. Changed under `phase_lock`.
    phase: AtomicU64,
    phase_lock: Mutex<()>,
    pub(crate) waiting: Waiting,
    /// Where the next new thread starts to look, so that threads spread.
    next_start: AtomicUsize,
}

/// Checks a number of processors.
pub(crate) fn check_count(count: usize) -> Result<(), BuildError> {
    if count == 0 {
        return Err(BuildError::ZeroProcessors);
    }
    if count > MAX_PROCESSORS {
        return Err(BuildError::TooManyProcessors { requested: count, max: MAX_PROCESSORS });
    }
    Ok(())
}

impl Processors {
    pub(crate) fn new(count: usize) -> Self {
        let processors = Self {
            slots: (0..MAX_PROCESSORS).map(|_| OnceLock::new()).collect(),
            spare: Processor::new(Processor::SPARE, Phase::FIRST),
            limit: AtomicUsize::new(count),
            phase: AtomicU64::new(Phase::FIRST.to_bits()),
            phase_lock: Mutex::new(()),
            waiting: Waiting::default(),
            next_start: AtomicUsize::new(0),
        };
        processors.make(count, Phase::FIRST);
        processors
    }

    fn make(&self, count: usize, phase: Phase) {
        for (index, slot) in self.slots[..count].iter().enumerate() {
            slot.get_or_init(|| Box::new(Processor::new(index, phase)));
        }
    }

    /// How many mutations may run at once.
    pub(crate) fn limit(&self) -> usize {
        // Relaxed: an old limit does no harm. Who acts on it by retiring looks again under the phase lock (`retire`); a processor
        // that was taken beyond it, or left alone below it, is a matter of the next look; and slots are made for good, so that
        // one below any limit ever read is there or is passed over.
        self.limit.load(Ordering::Relaxed)
    }

    /// The phase that processors are to be in.
    #[inline(always)]
    pub(crate) fn phase(&self) -> Phase {
        // Acquire: pairs with the release in `change_phase`; who adopts a phase sees what it stands for.
        Phase::from_bits(self.phase.load(Ordering::Acquire))
    }

    /// Whether processors are to be in another phase than this.
    #[inline(always)]
    pub(crate) fn has_moved_on(&self, from: Phase) -> bool {
        // Relaxed: a hint, to end a mutation sooner.
        self.phase.load(Ordering::Relaxed) != from.to_bits()
    }

    /// Asks for a new phase, made of the old one; returns it.
    pub(crate) fn change_phase(&self, next: impl FnOnce(Phase) -> Phase) -> Phase {
        let _guard = self.phase_lock.lock();
        let phase = next(self.phase());
        // Release: pairs with the acquire in `phase`.
        self.phase.store(phase.to_bits(), Ordering::Release);
        phase
    }

    /// Every processor that was ever made, the spare last.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Processor> {
        self.slots.iter().map_while(|slot| slot.get().map(|processor| &**processor)).chain(std::iter::once(&self.spare))
    }

    /// Changes how many mutations may run at once. Processors that are retired are emptied: idle ones now, others
    /// when their mutation has ended and they are next looked at.
    pub(crate) fn resize(&self, core: &Core, count: usize) -> Result<(), BuildError> {
        check_count(count)?;
        {
            // One resize at a time, and no handshake begins in the middle of it.
            let _guard = self.phase_lock.lock();
            let phase = self.phase().repeated();
            self.make(count, phase);
            for processor in self.slots[..count].iter().flat_map(OnceLock::get) {
                if processor.state().status() == Status::Retired {
                    processor.revive(phase);
                }
            }
            // Relaxed: as in `limit`. The one look that must see it, in `retire`, is made under the lock.
            self.limit.store(count, Ordering::Relaxed);
            // The new number makes every thread leave the fast path once, where it sees the new limit.
            // Release: pairs with the acquire in `phase`.
            self.phase.store(phase.to_bits(), Ordering::Release);
        }
        for processor in self.all() {
            if self.must_retire(processor)
                && let Some(holding) = processor.try_take(Status::Held)
            {
                self.retire(core, holding);
            }
        }
        Ok(())
    }

    /// Keeps processors from being made, revived and retired, and the phase from changing, for a moment; for the verifier.
    pub(crate) fn keep_as_they_are(&self) -> MutexGuard<'_, ()> {
        self.phase_lock.lock()
    }

    /// Whether the processor is beyond the limit.
    pub(crate) fn must_retire(&self, processor: &Processor) -> bool {
        processor.index() != Processor::SPARE && processor.index() >= self.limit()
    }

    /// Empties a processor beyond the limit and retires it; if the limit has been raised since, it stays in use.
    pub(crate) fn retire(&self, core: &Core, holding: Holding<'_>) {
        holding.empty(core);
        let _guard = self.phase_lock.lock();
        if self.must_retire(holding.processor()) {
            holding.retire();
        }
    }

    /// Takes a processor for a mutation: the thread's last one if it is idle still.
    #[inline(always)]
    pub(crate) fn enter<'a>(&'a self, core: &'a Core) -> Entered<'a> {
        if let Some(last) = thread::last_processor(core.id) {
            // SAFETY: heap numbers are never reused, so the processor is one of this heap, which lives.
            let processor = unsafe { &*last };
            // Relaxed: an outdated phase makes the compare-and-swap fail, or the processor has not answered yet.
            if processor.try_run_in(Phase::from_bits(self.phase.load(Ordering::Relaxed))) {
                return Entered { processor, nested: false };
            }
        }
        self.enter_slow(core)
    }

    #[cold]
    #[inline(never)]
    fn enter_slow<'a>(&'a self, core: &'a Core) -> Entered<'a> {
        if let Some(current) = thread::current_processor(core) {
            // SAFETY: the mutation in progress holds it, further down this thread's stack.
            return Entered { processor: unsafe { &*current }, nested: true };
        }
        // The collector holds a processor for some dozen instructions; that is not worth going to sleep for.
        let backoff = Backoff::new();
        let holding = loop {
            if let Some(holding) = self.take_any(core) {
                break holding;
            }
            if backoff.is_completed() {
                break self.waiting.wait_for(|| self.take_any(core));
            }
            backoff.snooze();
        };
        for _ in 0..MOST_ANSWERS {
            if !holding.answer_running(core, self.phase()) {
                break;
            }
            // That may have been the last answer.
            take_steps(core, 0);
        }
        // With `move_mutations` a thread remembers none, and so looks for one each time.
        if !core.config.debug.move_mutations {
            thread::remember_processor(core.id, holding.processor());
        }
        Entered { processor: holding.keep(), nested: false }
    }

    /// Takes an idle processor, the thread's last one first, without answering a handshake.
    fn take_any(&self, core: &Core) -> Option<Holding<'_>> {
        let limit = self.limit();
        let start = match thread::last_processor(core.id) {
            // SAFETY: heap numbers are never reused, so the processor is one of this heap, which lives.
            Some(last) => unsafe { &*last }.index(),
            None if core.config.debug.move_mutations => core.debug.dice.below(limit as u64) as usize,
            // Relaxed: where to begin is a matter of luck, and orders nothing.
            None => self.next_start.fetch_add(1, Ordering::Relaxed),
        };
        for offset in 0..limit {
            let slot = &self.slots[start.wrapping_add(offset) % limit];
            let Some(holding) = slot.get().and_then(|processor| processor.try_take(Status::Running)) else {
                continue;
            };
            if self.must_retire(holding.processor()) {
                self.retire(core, holding);
                continue;
            }
            return Some(holding);
        }
        None
    }

    /// Takes a processor for a moment, outside any mutation: an idle one, else the spare. Others use the spare for
    /// a moment only, too, so the wait for it is short.
    pub(crate) fn hold_for_a_moment<'a>(&'a self, core: &Core) -> Holding<'a> {
        let holding = self.take_any(core).unwrap_or_else(|| {
            let backoff = Backoff::new();
            loop {
                if let Some(holding) = self.spare.try_take(Status::Running) {
                    return holding;
                }
                backoff.snooze();
            }
        });
        holding.processor().note_no_caller();
        holding.answer_running(core, self.phase());
        holding
    }

    /// Gives a processor back.
    #[inline(always)]
    pub(crate) fn release(&self, core: &Core, holding: Holding<'_>) {
        if self.waiting.any() {
            self.release_to_waiting(core, holding);
        } else {
            drop(holding);
            // A thread that began to wait since the look above looks again by itself.
        }
    }

    #[cold]
    #[inline(never)]
    fn release_to_waiting(&self, core: &Core, holding: Holding<'_>) {
        if holding.processor().index() == Processor::SPARE {
            drop(holding);
        } else if self.must_retire(holding.processor()) {
            self.retire(core, holding);
        } else {
            self.waiting.pass_on(holding);
        }
    }
}

/// A processor taken for a mutation.
pub(crate) struct Entered<'a> {
    pub(crate) processor: &'a Processor,
    /// It belongs to a mutation further down the stack.
    pub(crate) nested: bool,
}
