//! Assists: a mutation that allocates faster than the markers mark traces a piece itself.
//!
//! How much is for the [pacer](super::pacer) to say; here is how. An assist takes a batch from the queue of grey objects, traces what it is told,
//! and puts back what is left. If there is none, it goes on: nobody waits. But where mutations take the steps of the cycle
//! ([`relay`](super::relay)), and nobody else is at it, it traces what the cycle has pending, as the collector, so that nothing of
//! what follows is about that: no round is under way then, and all answer the next one.
//!
//! It has objects in hand that are grey and in no queue. That is sound because
//!
//! * it takes them in `Mark` only, so that the first closing round waits for it, and finds what it has left in the queue;
//! * and a round during which a mutation has assisted is not the last, be nothing left. For while it traces an object, another mutation,
//!   which has answered already, can take out of that object the only pointer to something white: shaded into a buffer at which
//!   the round does not look again. So to have traced a batch counts as to have pushed one. From the next round on nobody assists.
//!
//! It begins when handshake 2 is through, as the markers do. A tracer must not meet a mutation in `Arm` that has a
//! [`lock`](crate::gc::lock): it would pass by, and nobody would have the lock forget the cycle before last, whose colour is that of the
//! next one.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::mark::Tracer;
use super::mark::sharing::trace_some;
use super::relay::take_steps;
use crate::mutator::Mutator;
use crate::processor::phase::Mode;

/// Bytes that a mutation allocates before it looks whether to assist.
pub(super) const LOOK_AFTER: u64 = 32 << 10;

/// The same where the mark is long.
pub(super) const LOOK_SOON: u64 = LOOK_AFTER / 2;

/// The same where the mark of a cycle that is not small is left to mutations; a run that is found meanwhile has no more than that.
pub(super) const SHORT_LOOK: u64 = 2 << 10;

/// And where it should have ended already: before the collector's thread is to help, which takes a core from one of them for whole time slices.
pub(super) const SHORTEST_LOOK: u64 = SHORT_LOOK / 2;

/// An assist that has taken so long leaves the rest for the next one: each object may have to come from memory.
/// (In tests it is long when they say so.)
const LONG: Duration = if cfg!(test) { Duration::MAX } else { Duration::from_micros(25) };

impl Mutator<'_> {
    /// Assists, if that is due. To be called where a run is used up, before another one is looked for; this is to have no more bytes than it gives.
    #[inline]
    pub(crate) fn assist(&self) -> usize {
        let bytes = self.local().unassisted_bytes();
        if bytes < SHORTEST_LOOK {
            return usize::MAX;
        }
        if self.traces_the_mark() {
            let look = self.short_look();
            if bytes >= look {
                self.assist_shortly(bytes, look);
            }
        } else if bytes >= LOOK_AFTER || bytes >= LOOK_SOON && self.core().pace.is_mark_long() {
            match self.mode() {
                Mode::Mark | Mode::Close => return self.assist_for(bytes),
                // Who answered last may not have got at the cycle.
                Mode::Arm => self.assist_otherwise(),
                Mode::Off if self.core().memory.is_sweep_pending() => self.assist_otherwise(),
                Mode::Off => {}
            }
        }
        usize::MAX
    }

    /// After how many bytes that it has allocated it looks whether to trace, where the mark is left to mutations.
    #[inline]
    pub(super) fn short_look(&self) -> u64 {
        if self.core().pace.is_late() { SHORTEST_LOOK } else { SHORT_LOOK }
    }

    /// A run that is found now is to have no more bytes than so many: while it lasts nothing is traced.
    #[inline]
    pub(crate) fn longest_run(&self) -> usize {
        if self.traces_the_mark() {
            self.short_look() as usize
        } else if matches!(self.mode(), Mode::Mark | Mode::Close)
            && self.core().relay.is_mark_relayed()
            && self.core().pace.is_much_to_trace()
        {
            LOOK_SOON as usize
        } else {
            usize::MAX
        }
    }

    /// Whether a mark runs that is not small, and is left to mutations.
    #[inline]
    pub(super) fn traces_the_mark(&self) -> bool {
        matches!(self.mode(), Mode::Mark | Mode::Close) && self.core().relay.is_mark_left()
    }

    #[cold]
    #[inline(never)]
    fn assist_otherwise(&self) {
        self.local().note_assisted();
        take_steps(self.core(), 0);
    }

    #[cold]
    #[inline(never)]
    fn assist_shortly(&self, bytes: u64, look: u64) {
        self.local().note_assisted();
        if !take_steps(self.core(), bytes) {
            // Another one is at it. (What it has in hand would have to go through the queue: it is for one at a time.)
            self.local().owe(look - look / 4);
        }
        self.safepoint();
    }

    #[cold]
    #[inline(never)]
    fn assist_for(&self, bytes: u64) -> usize {
        let core = self.core();
        let mut most_bytes = usize::MAX;
        self.local().note_assisted();
        if !take_steps(core, bytes) && self.mode() == Mode::Mark {
            let budget = core.pace.assist_for(bytes);
            if budget != 0 {
                let left = self.trace_for_the_collector(budget);
                if left != 0 {
                    let owed = core.pace.worth(bytes, left);
                    self.local().owe(owed);
                    // Else more might come to be owed than is ever traced for.
                    most_bytes = LOOK_AFTER.saturating_sub(owed).max(SHORT_LOOK) as usize;
                }
            }
        }
        // There may be a handshake that the steps have led to.
        self.safepoint();
        most_bytes
    }

    /// Traces so many bytes, if anything is there to trace, and every mutation is in `Mark` by now. In `Mark` only. Gives how many of them are left
    /// for the next time, because they would have taken too long.
    pub(crate) fn trace_for_the_collector(&self, budget: u64) -> u64 {
        self.trace_unless(budget, |time| time >= LONG)
    }

    /// The same, until it has taken long.
    fn trace_unless(&self, budget: u64, is_long: impl Fn(Duration) -> bool) -> u64 {
        let core = self.core();
        if !core.queue.may_assist() {
            return 0;
        }
        let since = Instant::now();
        let mut left = 0;
        let was_long = Cell::new(false);
        let is_to_stop = || {
            was_long.set(is_long(since.elapsed()));
            was_long.get()
        };
        let traced = core.queue.assist(|mut batch| {
            let local = self.local();
            let mut stack = local.take_stack();
            stack.append(&mut batch);
            core.queue.keep(batch);
            let mut tracer = Tracer::with_stack(&core.memory.region, local.colour(), stack);
            let traced = trace_some(&core.queue, &mut tracer, budget, is_to_stop);
            local.keep_stack(tracer.take_grey());
            if was_long.get() || tracer.traced_parts() != 0 {
                left = budget.saturating_sub(traced);
            }
            traced
        });
        if let Some(traced) = traced {
            core.pace.assisted(traced);
            core.memory.longest_wait.note(since);
        }
        left
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::LOOK_AFTER;
    use crate::collector::cycle::Cycle;
    use crate::collector::mark::PART_BYTES;
    use crate::collector::mark::sharing::{ASK_AFTER, MOST_PARTS};
    use crate::collector::protocol_tests::{mutate_in, stay_while};
    use crate::collector::queue::Grey;
    use crate::collector::relay_tests::{NODES, Node, assert_whole, list};
    use crate::collector::workers::Workers;
    use crate::processor::phase::Mode;
    use crate::processor::runs::HeldSpan;
    use crate::sync::{Mutex, Ordering};
    use crate::{Gc, GcCell, GcMutex, Heap, Mutator, Root, Trace, Tracer};

    /// An assist ends with a part of a large slice; the rest of its budget is left for the next one, and not forgiven.
    #[test]
    fn what_an_assist_leaves_is_owed() {
        let heap = Heap::builder().processors(1).growth_percent(100_000).build().unwrap();
        let core = heap.core();
        let root: Root<[GcCell<'static, u64>]> =
            heap.mutate(|mu| mu.root(mu.alloc_slice_with(1 << 20, |_| GcCell::<u64>::null())));
        heap.collect();
        core.pace.set_growth_percent(1);
        let workers = Workers::none();
        let mut cycle = Cycle::begin(core, &workers);
        cycle.take_the_snapshot();
        heap.mutate(|mu| {
            assert_eq!(mu.mode(), Mode::Mark);
            core.queue.push(vec![Grey(root.get(mu).start())]);
            let bytes = 2 * LOOK_AFTER;
            mu.local().note_assisted();
            let most_bytes = mu.assist_for(bytes);
            let traced = core.pace.assists();
            assert_eq!(traced, u64::from(MOST_PARTS) * PART_BYTES as u64);
            // The goal is near: four bytes are due for one, 64 KiB at most.
            let owed = ((64 << 10) - traced) / 4;
            assert_eq!(mu.local().unassisted_bytes(), owed);
            assert_eq!(most_bytes as u64, LOOK_AFTER - owed, "the next one is due soon");
            // The next run is no longer than that.
            mu.local().owe(bytes);
            mu.local().runs.surrender().into_iter().for_each(HeldSpan::give_back);
            // (Of a size for which there are no quarters.)
            mu.alloc([0_u64; 256]);
            let longest = mu.local().runs.held().into_iter().map(|run| run.end - run.cursor).max();
            assert!(longest.is_some_and(|longest| longest < LOOK_AFTER as usize), "{longest:?}");
            assert_eq!(core.pace.assists(), 2 * traced);
            // That it finds nothing is no debt.
            while core.queue.take().is_some() {}
            assert_eq!(mu.assist_for(bytes), usize::MAX);
            assert_eq!((core.pace.assists(), mu.local().unassisted_bytes()), (2 * traced, 0));
        });
        cycle.mark();
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        heap.verify().unwrap();
    }

    /// Has a mutation in `Mark` do `work` where the head of a list is grey, and the goal near; then all that this leaves is marked, and the list whole.
    fn with_a_grey_list(work: impl FnOnce(&Mutator<'_>)) {
        // No cycle but the one by hand.
        let heap = Heap::builder().processors(1).growth_percent(100_000).build().unwrap();
        let core = heap.core();
        let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu)));
        core.pace.set_growth_percent(1);
        let workers = Workers::none();
        let mut cycle = Cycle::begin(core, &workers);
        cycle.take_the_snapshot();
        heap.mutate(|mu| {
            let start = root.get(mu).start();
            // As a marker would have it.
            // SAFETY: the object is in hand.
            unsafe { mu.shade(start) };
            core.queue.push(vec![Grey(start)]);
            work(mu);
        });
        assert!(!core.queue.is_assisted());
        assert!(core.memory.longest_wait.get() > Duration::ZERO);
        cycle.mark();
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        heap.mutate(|mu| assert_whole(mu, &root));
        heap.verify().unwrap();
    }

    /// Where each object has to come from memory an assist stops before its budget is used up, and owes the rest.
    #[test]
    fn an_assist_that_takes_long_is_owed() {
        with_a_grey_list(|mu| {
            let pace = &mu.core().pace;
            let assist = |is_long: bool| {
                let before = pace.assists();
                let left = mu.trace_unless(NODES * 8, |_| is_long);
                (pace.assists() - before, left)
            };
            let (traced, left) = assist(true);
            assert!((ASK_AFTER..2 * ASK_AFTER).contains(&traced), "{traced}");
            assert_eq!(left, NODES * 8 - traced);
            let (traced, left) = assist(false);
            assert!(traced >= NODES * 8 && left == 0, "{traced} of {}, {left} left", NODES * 8);
        });
    }

    /// All marking but that of the last piece is done by a mutation: what it does not come to it puts back, and nothing is lost.
    #[test]
    fn a_mutation_that_allocates_traces_what_is_grey() {
        with_a_grey_list(|mu| {
            let pace = &mu.core().pace;
            let mut spans = 0;
            while pace.assists() < NODES * 8 {
                (0..4096).for_each(|number: u64| _ = mu.alloc(number));
                spans += 1;
                assert!(spans < 1000, "only {} bytes were traced", pace.assists());
            }
        });
    }

    /// A marker of a test comes to it and does what the test has it do.
    struct Gate<'gc> {
        when_traced: Box<dyn Fn() + Send + Sync>,
        cell: GcCell<'gc, Link<'gc>>,
    }

    // SAFETY: its one pointer is reported; the brand is the parameter.
    unsafe impl<'gc> Trace for Gate<'gc> {
        type Branded<'b> = Gate<'b>;
        const NEEDS_TRACE: bool = true;

        fn trace(&self, tracer: &mut Tracer<'_>) {
            (self.when_traced)();
            self.cell.trace(tracer);
        }
    }

    #[derive(Trace)]
    struct Link<'gc> {
        to: Gc<'gc, Arc<()>>,
    }

    /// A mutation assists while the first closing round is under way. Another one, which has answered already, takes the only pointer to
    /// something white out of what is being traced: into a buffer at which the round has looked.
    #[test]
    fn a_round_during_which_a_mutation_assists_is_not_the_last() {
        let heap = Heap::builder().processors(2).growth_percent(100_000).build().unwrap();
        let core = heap.core();
        let alive = Arc::new(());
        let witness = Arc::clone(&alive);
        let (is_traced, traced) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let may_go_on = Mutex::new(may_go_on);
        let when_traced = Box::new(move || {
            is_traced.send(()).unwrap();
            may_go_on.lock().recv().unwrap();
        });
        let gate: Root<Gate<'static>> = heap.mutate(|mu| {
            let link = mu.alloc(Link { to: mu.alloc(witness) });
            mu.root(mu.alloc(Gate { when_traced, cell: GcCell::new(link) }))
        });
        let workers = Workers::none();
        let mut cycle = Cycle::begin(core, &workers);
        cycle.take_the_snapshot();
        // As if a barrier had shaded it: it is in a buffer while the markers run.
        let start = heap.mutate(|mu| {
            let start = gate.get(mu).start();
            core.memory.region.mark(start.addr().get()).store(mu.local().colour(), Ordering::Relaxed);
            Grey(start)
        });
        cycle.mark();
        let root: Root<Link<'static>> = thread::scope(|scope| {
            let (heap, gate) = (&heap, &gate);
            scope.spawn(move || {
                heap.mutate(|mu| {
                    assert_eq!(mu.mode(), Mode::Mark);
                    // The buffer has run full.
                    core.queue.push(vec![start]);
                    mu.trace_for_the_collector(u64::MAX);
                });
            });
            traced.recv().unwrap();
            let other = scope.spawn(move || {
                let root = mutate_in(heap, Mode::Close, |mu| {
                    let link = gate.get(mu).cell.swap(mu, None::<Gc<'_, Link<'_>>>).unwrap();
                    mu.root(link)
                });
                go_on.send(()).unwrap();
                root
            });
            cycle.close();
            other.join().unwrap()
        });
        cycle.switch_off();
        cycle.sweep();
        assert_eq!(Arc::strong_count(&alive), 2, "a value was dropped to which a root leads");
        heap.mutate(|mu| assert_eq!(Arc::strong_count(&root.get(mu).to), 2));
        drop(gate);
        drop(root);
        heap.collect();
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[derive(Trace)]
    struct Locked<'gc> {
        lock: GcMutex<Vec<Gc<'gc, Arc<()>>>>,
    }

    /// A mutation in `Arm` has a lock while another one, in `Mark` already, could assist. If that came to the lock, it would pass by, and
    /// the lock would still remember the cycle before, whose colour is that of the cycle after this one.
    #[test]
    fn a_lock_that_arm_has_is_looked_behind_in_this_cycle_and_the_next() {
        let heap = Heap::builder().processors(2).growth_percent(100_000).build().unwrap();
        let core = heap.core();
        let alive = Arc::new(());
        let witness = Arc::clone(&alive);
        let locked: Root<Locked<'static>> =
            heap.mutate(|mu| mu.root(mu.alloc(Locked { lock: GcMutex::new(vec![mu.alloc(witness)]) })));
        heap.collect();
        let workers = Workers::none();
        let mut cycle = Cycle::begin(core, &workers);
        let (in_off, is_off) = channel();
        let (in_arm, is_arm) = channel();
        let (has_lock, is_locked) = channel();
        let (assisted, has_assisted) = channel();
        thread::scope(|scope| {
            let (heap, locked) = (&heap, &locked);
            scope.spawn(move || {
                heap.mutate(|mu| {
                    in_off.send(()).unwrap();
                    is_arm.recv().unwrap();
                    stay_while(mu, Mode::Off);
                    let guard = locked.get(mu).as_ref().lock.lock(mu);
                    has_lock.send(()).unwrap();
                    has_assisted.recv().unwrap();
                    drop(guard);
                });
            });
            is_off.recv().unwrap();
            scope.spawn(move || {
                mutate_in(heap, Mode::Arm, |mu| _ = mu.root(locked.get(mu)));
                in_arm.send(()).unwrap();
                is_locked.recv().unwrap();
                mutate_in(heap, Mode::Mark, |mu| _ = mu.trace_for_the_collector(u64::MAX));
                assisted.send(()).unwrap();
            });
            cycle.take_the_snapshot();
        });
        cycle.mark();
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        for _ in 0..3 {
            assert_eq!(Arc::strong_count(&alive), 2, "a value was dropped that lies behind a lock");
            heap.collect();
        }
        drop(locked);
        heap.collect();
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
