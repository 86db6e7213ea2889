//! Long computations: mutations that delay a cycle, and the means to delay it less.
//!
//! A cycle waits until each mutation under way has ended: once if they allocate, else up to four times. Nobody else waits meanwhile, but nothing is freed. So
//! a long computation does well to be many short mutations: [`Heap::run`] makes it so, and [`Mutator::wants_yield`] tells
//! when it matters. Who does not is told of: the collector notes who entered a mutation that it waits for.

use std::fmt;
use std::ops::ControlFlow;
use std::panic::Location;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::gc::{Gc, Object, Root};
use crate::heap::{Core, Heap};
use crate::mutator::Mutator;
use crate::panics::{contained, tell};
use crate::processor::phase::{Phase, Status};
use crate::sync::{Arc, AtomicU64, Ordering};

/// A mutation that has kept a cycle waiting for longer than was set; see
/// [`HeapBuilder::on_long_mutation`](crate::HeapBuilder::on_long_mutation).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LongMutation {
    /// The number of the heap ([`Heap::id`]).
    pub heap: u64,
    /// Where the mutation began: the call to [`Heap::mutate`].
    pub caller: &'static Location<'static>,
    /// For how long the cycle has waited so far.
    pub delayed: Duration,
}

impl fmt::Display for LongMutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { heap, caller, delayed } = self;
        write!(
            f,
            "the mutation of heap {heap} that began at {caller} has delayed a cycle for {delayed:?}, and goes on; nothing is \
             freed meanwhile (Heap::run and Mutator::wants_yield are for long computations)"
        )
    }
}

/// Told of a long mutation.
pub(crate) type LongMutationHook = Arc<dyn Fn(&LongMutation) + Send + Sync>;

/// What a heap tells of long mutations, and its figures.
#[derive(Default)]
pub(crate) struct LongMutations {
    pub(crate) limit: Option<Duration>,
    pub(crate) hook: Option<LongMutationHook>,
    /// How many were told of.
    count: AtomicU64,
    /// The longest wait of a handshake, in nanoseconds.
    longest: AtomicU64,
}

impl LongMutations {
    /// How many were told of, and the longest wait of a handshake.
    pub(crate) fn figures(&self) -> (u64, Duration) {
        // Relaxed: figures.
        (self.count.load(Ordering::Relaxed), Duration::from_nanos(self.longest.load(Ordering::Relaxed)))
    }

    /// Notes how long mutations have kept a handshake waiting.
    pub(crate) fn note_delay(&self, delay: Duration) {
        let nanoseconds = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        // Relaxed: a figure.
        self.longest.fetch_max(nanoseconds, Ordering::Relaxed);
    }

    fn tell(&self, core: &Core, caller: &'static Location<'static>, delayed: Duration) {
        // Relaxed: a figure.
        self.count.fetch_add(1, Ordering::Relaxed);
        let long = LongMutation { heap: core.id, caller, delayed };
        match &self.hook {
            Some(hook) => _ = contained(|| hook(&long)),
            None => tell(format_args!("{long}")),
        }
    }
}

/// A handshake in progress, as far as it waits for mutations.
pub(crate) struct Wait<'a> {
    core: &'a Core,
    phase: Phase,
    since: Instant,
    /// Processors whose mutations were told of.
    told: SmallVec<[usize; 4]>,
}

impl<'a> Wait<'a> {
    /// Some mutation is in the way.
    pub(crate) fn begin(core: &'a Core, phase: Phase) -> Self {
        Self { core, phase, since: Instant::now(), told: SmallVec::new() }
    }

    /// Tells of each mutation that has been in the way for too long, once.
    pub(crate) fn look(&mut self) {
        let long_mutations = &self.core.long_mutations;
        let Some(limit) = long_mutations.limit else { return };
        let delayed = self.since.elapsed();
        if delayed < limit {
            return;
        }
        for processor in self.core.processors.all() {
            let state = processor.state();
            let in_the_way = state.status() == Status::Running && state.phase().number() < self.phase.number();
            if in_the_way
                && !self.told.contains(&processor.index())
                && let Some(caller) = processor.caller()
            {
                self.told.push(processor.index());
                long_mutations.tell(self.core, caller, delayed);
            }
        }
    }
}

impl Mutator<'_> {
    /// Whether ending this mutation, be it to begin another one at once, would help: a cycle waits for it, or a thread for a
    /// processor. Two loads.
    ///
    /// ```
    /// # let heap = linchpin::Heap::new();
    /// # let todo = vec![1_u64; 100];
    /// let mut todo = todo.into_iter();
    /// let mut sum = 0;
    /// while todo.len() > 0 {
    ///     heap.mutate(|mu| {
    ///         for number in todo.by_ref() {
    ///             sum += *mu.alloc(number);
    ///             if mu.wants_yield() {
    ///                 break;
    ///             }
    ///         }
    ///     });
    /// }
    /// assert_eq!(sum, 100);
    /// ```
    #[inline]
    #[must_use]
    pub fn wants_yield(&self) -> bool {
        let processors = &self.core().processors;
        processors.has_moved_on(self.local().phase()) || processors.waiting.any()
    }
}

impl Heap {
    /// Runs a long computation as steps, between which cycles may move on and other threads get processors.
    ///
    /// `step` is called over and over with what the root leads to, until it breaks. As long as nothing waits, the steps are
    /// parts of one mutation, and cost a call each; else that is ended, and another one begun. So what a step has in hand it
    /// leaves in the state, from which the next one takes it, under that mutation's brand.
    ///
    /// Inside a mutation of this heap it is part of that, and cycles wait.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use linchpin::{Gc, GcCell, Heap, Root, Trace};
    ///
    /// #[derive(Trace)]
    /// struct List<'gc> {
    ///     value: u64,
    ///     next: Option<Gc<'gc, List<'gc>>>,
    /// }
    ///
    /// #[derive(Trace)]
    /// struct Machine<'gc> {
    ///     list: GcCell<'gc, List<'gc>>,
    ///     made: AtomicU64,
    /// }
    ///
    /// let heap = Heap::new();
    /// let machine: Root<Machine<'static>> =
    ///     heap.mutate(|mu| mu.root(mu.alloc(Machine { list: GcCell::null(), made: AtomicU64::new(0) })));
    /// let last = heap.run(&machine, |mu, machine| {
    ///     let value = machine.made.fetch_add(1, Ordering::Relaxed);
    ///     let list = mu.alloc(List { value, next: machine.list.load() });
    ///     machine.list.store(mu, list);
    ///     if value < 10_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(list.value) }
    /// });
    /// assert_eq!(last, 10_000);
    /// ```
    ///
    /// # Panics
    /// If the root is one of another heap. A panic in `step` is passed on.
    #[track_caller]
    pub fn run<S, R>(
        &self,
        state: &Root<S>,
        mut step: impl for<'gc> FnMut(&Mutator<'gc>, Gc<'gc, S::Branded<'gc>>) -> ControlFlow<R>,
    ) -> R
    where
        S: ?Sized + Object + 'static,
    {
        loop {
            let outcome = self.mutate(|mu| {
                let state = state.get(mu);
                loop {
                    if let ControlFlow::Break(outcome) = step(mu, state) {
                        return Some(outcome);
                    }
                    if mu.wants_yield() {
                        return None;
                    }
                }
            });
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }
}
