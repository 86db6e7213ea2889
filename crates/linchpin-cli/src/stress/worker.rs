//! One worker: a graph, some pins, and a loop that does random things to them.

use std::sync::mpsc::{Receiver, Sender};

use linchpin::Heap;

use super::Run;
use super::mirror::Graph;
use super::objects::Maker;
use super::pins::{self, Held};
use super::rewire::Hand;
use super::shared::SharedHand;
use super::upset;

/// Operations after which a worker goes on in a new thread, so that threads end all the time.
const SHIFT: u64 = 20_000;

/// Operations between two full comparisons, at least.
const BETWEEN_VERIFICATIONS: u64 = 600;

/// Nodes above which a graph is cut down.
const NODES: usize = 1500;

/// Bytes that a worker allocates before it sees to a cycle itself.
const BYTES_A_CYCLE: usize = 48 << 20;

/// Pinners kept at once.
const HELD: usize = 24;

/// What a worker did.
#[derive(Clone, Copy, Default)]
pub(crate) struct Figures {
    /// Changes and other operations.
    pub(crate) operations: u64,
    /// Full comparisons of a graph with its mirror.
    pub(crate) verifications: u64,
    /// Nodes compared in them.
    pub(crate) compared: u64,
    /// Panics that unwound out of a mutation.
    pub(crate) panics: u64,
    /// Long mutations that ended, to begin anew, because something waited for that.
    pub(crate) yields: u64,
}

/// A worker, between two threads or on one.
pub(crate) struct Worker {
    index: usize,
    maker: Maker,
    graph: Graph,
    held: Vec<Held>,
    inbox: Receiver<Held>,
    outboxes: Vec<Sender<Held>>,
    verified_at: u64,
    verified_cycle: u64,
    figures: Figures,
}

impl Worker {
    /// Worker number `index`, which gets pins from `inbox` and sends some to `outboxes`.
    pub(crate) fn new(seed: u64, index: usize, inbox: Receiver<Held>, outboxes: Vec<Sender<Held>>) -> Self {
        Self {
            index,
            maker: Maker::new(seed, index),
            graph: Graph::default(),
            held: Vec::new(),
            inbox,
            outboxes,
            verified_at: 0,
            verified_cycle: 0,
            figures: Figures::default(),
        }
    }

    /// Works until the run stops or the shift is over; an error says what did not match.
    pub(crate) fn shift(&mut self, run: &Run) -> Result<(), String> {
        let end = self.figures.operations + SHIFT;
        while self.figures.operations < end && !run.stopped() {
            self.figures.operations += 1;
            self.operation(run).map_err(|problem| {
                format!("thread {}, operation {}: {problem}", self.index, self.figures.operations)
            })?;
        }
        Ok(())
    }

    /// A last comparison; then everything is given up.
    pub(crate) fn finish(mut self, run: &Run) -> Result<Figures, String> {
        if run.failed() {
            // What is broken already would only be reported again, or worse.
            return Ok(self.figures);
        }
        self.verify(&run.heap).map_err(|problem| format!("at the end: {problem}"))?;
        run.table.keep(&mut self.graph);
        for held in std::mem::take(&mut self.held).into_iter().chain(self.inbox.try_iter()) {
            held.release(&run.heap).map_err(|problem| format!("at the end: {problem}"))?;
        }
        Ok(self.figures)
    }

    fn operation(&mut self, run: &Run) -> Result<(), String> {
        let heap = &run.heap;
        match self.maker.numbers.below(1000) {
            0..550 => self.change_graph(heap, 1),
            550..580 => {
                let changes = self.maker.numbers.below(80);
                match self.maker.numbers.once_in(2) {
                    true => self.change_graph_yielding(heap, changes),
                    false => self.change_graph(heap, changes),
                }
            }
            580..610 => self.change_roots(),
            610..700 => run.table.use_roots(heap, &mut self.maker),
            700..800 => self.share_and_change(run),
            800..850 => self.pin(run),
            850..920 => self.use_pins(run),
            920..940 => pins::count_exactly(heap, &mut self.maker),
            940..960 => {
                let mut held = Held::new();
                heap.mutate(|mu| run.table.linger(mu, &mut self.maker, |object| held.pin_shared(mu, object)))?;
                self.keep(run, held)
            }
            960..970 => {
                self.figures.panics += 1;
                upset::panic_inside(heap, &mut self.maker)
            }
            970..990 => self.nest(run),
            990..993 => {
                self.verify(heap)?;
                run.table.trade(&mut self.graph);
                Ok(())
            }
            993 => self.resize(run),
            994 => {
                std::thread::yield_now();
                Ok(())
            }
            _ => self.verify_if_due(heap),
        }?;
        if self.maker.bytes_since_cycle > BYTES_A_CYCLE {
            self.maker.bytes_since_cycle = 0;
            heap.collect();
        }
        Ok(())
    }

    /// Changes in one mutation, which may be a long one.
    fn change_graph(&mut self, heap: &Heap, changes: usize) -> Result<(), String> {
        heap.mutate(|mu| {
            let mut hand = Hand::new();
            for _ in 0..changes {
                self.graph.change(mu, &mut self.maker, &mut hand)?;
                self.dawdle();
            }
            Ok(())
        })
    }

    /// Changes in as many mutations as others want.
    fn change_graph_yielding(&mut self, heap: &Heap, changes: usize) -> Result<(), String> {
        let mut left = changes;
        while left > 0 {
            heap.mutate(|mu| {
                let mut hand = Hand::new();
                while left > 0 {
                    left -= 1;
                    self.graph.change(mu, &mut self.maker, &mut hand)?;
                    self.dawdle();
                    if mu.wants_yield() {
                        self.figures.yields += 1;
                        break;
                    }
                }
                Ok::<(), String>(())
            })?;
        }
        Ok(())
    }

    /// Clones and drops roots outside any mutation.
    fn change_roots(&mut self) -> Result<(), String> {
        let roots = &mut self.graph.roots;
        let numbers = &mut self.maker.numbers;
        if roots.is_empty() {
            return Ok(());
        }
        let index = numbers.below(roots.len());
        if numbers.once_in(2) {
            drop(roots.swap_remove(index));
        } else {
            let (root, id) = &roots[index];
            let copy = (root.clone(), *id);
            drop(roots.swap_remove(index));
            roots.push(copy);
        }
        Ok(())
    }

    /// Changes to the shared objects and to the own graph in one mutation, and pins of what is
    /// left in hand at its end.
    fn share_and_change(&mut self, run: &Run) -> Result<(), String> {
        let mut held = Held::new();
        run.heap.mutate(|mu| {
            let mut hand = Hand::new();
            let mut shared = SharedHand::new();
            for _ in 0..=self.maker.numbers.below(12) {
                run.table.use_cells(mu, &mut self.maker, &mut shared)?;
                if self.maker.numbers.once_in(4) {
                    self.graph.change(mu, &mut self.maker, &mut hand)?;
                }
                self.dawdle();
            }
            if self.maker.numbers.once_in(4)
                && let Some(object) = shared.first()
            {
                held.pin_shared(mu, *object)?;
            }
            Ok::<(), String>(())
        })?;
        self.keep(run, held)
    }

    /// Lets other threads, and the collector, come in between: on two cores they seldom would.
    fn dawdle(&mut self) {
        if self.maker.numbers.once_in(12) {
            std::thread::yield_now();
        }
    }

    /// Pins some things, in one mutation or in several, with a new pinner or an old one.
    fn pin(&mut self, run: &Run) -> Result<(), String> {
        let again = !self.held.is_empty() && self.maker.numbers.once_in(3);
        let mut held = match again {
            true => self.held.swap_remove(self.maker.numbers.below(self.held.len())),
            false => Held::new(),
        };
        for _ in 0..=self.maker.numbers.below(3) {
            let shared = run.table.some_root(&mut self.maker);
            let times = match self.maker.numbers.once_in(50) {
                true => 200,
                false => self.maker.numbers.below(4),
            };
            run.heap.mutate(|mu| {
                (0..times).try_for_each(|_| held.pin(mu, &mut self.maker, &self.graph, shared.as_ref()))
            })?;
        }
        self.keep(run, held)
    }

    fn keep(&mut self, run: &Run, held: Held) -> Result<(), String> {
        if held.is_empty() {
            return Ok(());
        }
        if self.held.len() >= HELD {
            let old = self.held.swap_remove(self.maker.numbers.below(HELD));
            old.release(&run.heap)?;
        }
        self.held.push(held);
        Ok(())
    }

    /// Checks pins, gives some back, sends some away and takes some in.
    fn use_pins(&mut self, run: &Run) -> Result<(), String> {
        if let Ok(received) = self.inbox.try_recv() {
            received.check(&run.heap).map_err(|problem| format!("from a thread: {problem}"))?;
            match self.maker.numbers.below(3) {
                0 => received.release(&run.heap)?,
                // Given back by dropping it, inside a mutation.
                1 => run.heap.mutate(|_| drop(received)),
                _ => self.held.push(received),
            }
        }
        if self.held.is_empty() {
            return Ok(());
        }
        let index = self.maker.numbers.below(self.held.len());
        match self.maker.numbers.below(6) {
            0 | 1 => self.held[index].check(&run.heap),
            2 => self.held.swap_remove(index).release(&run.heap),
            3 => {
                drop(self.held.swap_remove(index));
                Ok(())
            }
            4 => {
                let held = self.held.swap_remove(index);
                held.adopt(&run.heap, &mut self.graph)?;
                held.release(&run.heap)
            }
            _ => {
                let to = self.maker.numbers.below(self.outboxes.len());
                // A worker that has ended takes nothing more; then the pins end here.
                let _ = self.outboxes[to].send(self.held.swap_remove(index));
                Ok(())
            }
        }
    }

    /// Mutations within mutations, the inner ones making what the outer ones use.
    fn nest(&mut self, run: &Run) -> Result<(), String> {
        let heap = &run.heap;
        heap.mutate(|outer| {
            let mut hand = Hand::new();
            self.graph.change(outer, &mut self.maker, &mut hand)?;
            let root = heap.mutate(|inner| {
                self.graph.change(inner, &mut self.maker, &mut Hand::new())?;
                run.table.use_cells(inner, &mut self.maker, &mut SharedHand::new())?;
                heap.mutate(|innermost| {
                    let known = self.graph.walk(innermost, &mut self.maker)?;
                    Ok::<_, String>(known.map(|(node, id)| (innermost.root(node), id)))
                })
            })?;
            if let Some((root, id)) = &root {
                hand.push((root.get(outer), *id));
            }
            // The node in hand stays usable without its root, to the end of the mutation.
            drop(root);
            self.graph.change(outer, &mut self.maker, &mut hand)
        })
    }

    fn resize(&mut self, run: &Run) -> Result<(), String> {
        let processors = 1 + self.maker.numbers.below(run.processors + 2);
        run.heap.set_processors(processors).map_err(|problem| format!("set_processors({processors}): {problem}"))
    }

    fn verify_if_due(&mut self, heap: &Heap) -> Result<(), String> {
        let enough = self.figures.operations - self.verified_at >= BETWEEN_VERIFICATIONS;
        if enough && heap.stats().cycles != self.verified_cycle {
            return self.verify(heap);
        }
        Ok(())
    }

    fn verify(&mut self, heap: &Heap) -> Result<(), String> {
        self.verified_at = self.figures.operations;
        self.verified_cycle = heap.stats().cycles;
        let nodes = self.graph.verify(heap)?;
        self.figures.verifications += 1;
        self.figures.compared += nodes as u64;
        if nodes > NODES {
            // Half the roots, so that large parts become garbage at once.
            let half = self.graph.roots.len() / 2;
            self.graph.roots.truncate(half);
        }
        self.held.iter().try_for_each(|held| held.check(heap))
    }
}
