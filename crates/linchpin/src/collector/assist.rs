//! Assists: a mutation that allocates faster than the markers mark traces a piece itself.
//!
//! How much is for the [pacer](super::pacer) to say; here is how. An assist takes a batch from the queue of grey objects, traces what it is told,
//! and puts back what is left. If there is none, it goes on: nobody waits.
//!
//! It has objects in hand that are grey and in no queue. That is sound because it takes them in `Mark` only: before the decision that
//! nothing is grey any more there is a closing round, which the processor answers after the assist, with what was left in
//! the queue by then; and a processor in `Close` has taken nothing since.

use std::time::Instant;

use super::mark::Tracer;
use super::mark::sharing::trace_some;
use crate::mutator::Mutator;
use crate::processor::phase::Mode;

/// Bytes that a mutation allocates before it looks whether to assist.
pub(super) const LOOK_AFTER: u64 = 32 << 10;

impl Mutator<'_> {
    /// Assists, if that is due. To be called where a run is used up, before another one is looked for.
    #[inline]
    pub(crate) fn assist(&self) {
        if self.mode() == Mode::Mark {
            let bytes = self.local().unassisted_bytes();
            if bytes >= LOOK_AFTER {
                self.assist_for(bytes);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn assist_for(&self, bytes: u64) {
        let core = self.core();
        self.local().note_assisted();
        let budget = core.pace.assist_for(bytes);
        if budget != 0 {
            self.trace_for_the_collector(budget);
        }
    }

    /// Traces so many bytes, if anything is there to trace. In `Mark` only.
    pub(crate) fn trace_for_the_collector(&self, budget: u64) {
        let core = self.core();
        let since = Instant::now();
        let traced = core.queue.assist(|batch| {
            let mut tracer = Tracer::new(&core.memory.region, self.local().colour());
            tracer.add_grey(batch);
            trace_some(&core.queue, &mut tracer, budget)
        });
        if let Some(traced) = traced {
            core.pace.assisted(traced);
            core.memory.longest_wait.note(since);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::collector::cycle::Cycle;
    use crate::collector::queue::Grey;
    use crate::collector::workers::Workers;
    use crate::gc::Gc;
    use crate::{Heap, Mutator, Root, Trace};

    #[derive(Trace)]
    struct Node<'gc> {
        number: u64,
        next: Option<Gc<'gc, Node<'gc>>>,
    }

    const NODES: u64 = 20_000;

    fn list<'gc>(mu: &Mutator<'gc>) -> Gc<'gc, Node<'gc>> {
        let mut list = mu.alloc(Node { number: 0, next: None });
        for number in 1..NODES {
            list = mu.alloc(Node { number, next: Some(list) });
        }
        list
    }

    /// All marking but that of the last piece is done by a mutation: what it does not come to it puts back, and nothing is lost.
    #[test]
    fn a_mutation_that_allocates_traces_what_is_grey() {
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
            let mut spans = 0;
            while core.pace.assists() < NODES * 8 {
                (0..4096).for_each(|number: u64| _ = mu.alloc(number));
                spans += 1;
                assert!(spans < 1000, "only {} bytes were traced", core.pace.assists());
            }
        });
        assert!(!core.queue.is_assisted());
        assert!(core.memory.longest_wait.get() > std::time::Duration::ZERO);
        cycle.mark();
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        heap.mutate(|mu| {
            let numbers = std::iter::successors(Some(root.get(mu)), |node| node.next).map(|node| node.number);
            assert!(numbers.eq((0..NODES).rev()));
        });
        heap.verify().unwrap();
    }
}
