//! A directed graph, cycles and all, that threads share.
//!
//! A node lives as long as an entry of the graph leads to it. The graph also has a list of all nodes, by weak pointers, which
//! keeps none of them; cycles that no entry leads to any more are collected.
//!
//! # What holds while other threads change the graph
//!
//! Each node's edges have a lock. A search takes them one after another, each for as long as it takes to look at the edges, so it is
//! no snapshot: it follows an edge that is there from its beginning to its end, and may or may not follow one that comes or
//! goes meanwhile. What it has found stays there until its mutation ends.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use linchpin::{Gc, GcMutex, GcRwLock, Mutator, Trace, Weak};

/// A node.
#[derive(Trace)]
pub(crate) struct Node<'gc> {
    id: usize,
    edges: GcMutex<Vec<Gc<'gc, Node<'gc>>>>,
    _life: Life,
}

/// Counts when it is dropped. (A type with pointers into the heap may have no `Drop`, a part of it without any may.)
#[derive(Trace)]
struct Life(Arc<AtomicUsize>);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<'gc> Node<'gc> {
    /// The node's number, which no other node of its graph has.
    pub(crate) fn id(&self) -> usize {
        self.id
    }

    /// Adds an edge; false if there is one already.
    pub(crate) fn connect(&self, mu: &Mutator<'gc>, to: Gc<'gc, Node<'gc>>) -> bool {
        let mut edges = self.edges.lock(mu);
        let is_new = !edges.iter().any(|&edge| Gc::ptr_eq(edge, to));
        if is_new {
            edges.push(to);
        }
        is_new
    }

    /// Removes an edge; false if there is none.
    pub(crate) fn disconnect(&self, mu: &Mutator<'gc>, to: Gc<'gc, Node<'gc>>) -> bool {
        let mut edges = self.edges.lock(mu);
        let index = edges.iter().position(|&edge| Gc::ptr_eq(edge, to));
        index.map(|index| edges.swap_remove(index)).is_some()
    }

    /// The nodes that edges of this one lead to.
    pub(crate) fn neighbours(&self, mu: &Mutator<'gc>) -> Vec<Gc<'gc, Node<'gc>>> {
        self.edges.lock(mu).clone()
    }
}

/// The graph.
#[derive(Trace)]
pub(crate) struct Graph<'gc> {
    entries: GcRwLock<Vec<Gc<'gc, Node<'gc>>>>,
    all: GcMutex<Vec<Weak<'gc, Node<'gc>>>>,
    made: AtomicUsize,
    dropped: Arc<AtomicUsize>,
}

impl<'gc> Graph<'gc> {
    /// An empty graph, which counts in `dropped` the nodes that have been.
    pub(crate) fn new(dropped: Arc<AtomicUsize>) -> Self {
        Self { entries: GcRwLock::new(Vec::new()), all: GcMutex::new(Vec::new()), made: AtomicUsize::new(0), dropped }
    }

    /// How many nodes have been made.
    pub(crate) fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    /// A new node, which nothing leads to yet.
    pub(crate) fn add_node(&self, mu: &Mutator<'gc>) -> Gc<'gc, Node<'gc>> {
        let node = mu.alloc(Node {
            id: self.made.fetch_add(1, Ordering::Relaxed),
            edges: GcMutex::new(Vec::new()),
            _life: Life(Arc::clone(&self.dropped)),
        });
        let weak = mu.downgrade(node);
        self.all.lock(mu).push(weak);
        node
    }

    /// Makes a node an entry.
    pub(crate) fn add_entry(&self, mu: &Mutator<'gc>, node: Gc<'gc, Node<'gc>>) {
        self.entries.write(mu).push(node);
    }

    /// Has the graph lose all its entries.
    pub(crate) fn clear_entries(&self, mu: &Mutator<'gc>) {
        self.entries.write(mu).clear();
    }

    /// The nodes that entries lead to, the near ones first, each with how many edges it is away: a breadth-first search.
    pub(crate) fn reachable(&self, mu: &Mutator<'gc>) -> Vec<(Gc<'gc, Node<'gc>>, usize)> {
        let mut found = Vec::new();
        let mut seen = vec![false; self.made()];
        let mut queue: VecDeque<_> = self.entries.read(mu).iter().map(|&entry| (entry, 0)).collect();
        while let Some((node, distance)) = queue.pop_front() {
            // A node may have been made since.
            if node.id >= seen.len() {
                seen.resize(node.id + 1, false);
            }
            if !std::mem::replace(&mut seen[node.id], true) {
                found.push((node, distance));
                queue.extend(node.edges.lock(mu).iter().map(|&edge| (edge, distance + 1)));
            }
        }
        found
    }

    /// The nodes that are still there, whether an entry leads to them or not. Those that are known to be gone are struck from the list.
    pub(crate) fn nodes(&self, mu: &Mutator<'gc>) -> Vec<Gc<'gc, Node<'gc>>> {
        let mut all = self.all.lock(mu);
        all.retain(|weak| !weak.is_cleared());
        all.iter().filter_map(|weak| weak.upgrade(mu)).collect()
    }

    /// How many parts the graph falls into, if edges are taken to lead both ways: each node that is there belongs to one.
    pub(crate) fn components(&self, mu: &Mutator<'gc>) -> usize {
        let mut parts = Parts::default();
        for node in self.nodes(mu) {
            parts.of(node.id);
            for edge in node.neighbours(mu) {
                parts.join(node.id, edge.id);
            }
        }
        parts.count
    }
}

/// Sets of numbers that do not overlap.
#[derive(Default)]
struct Parts {
    parents: HashMap<usize, usize>,
    count: usize,
}

impl Parts {
    /// The number that stands for the set that `id` is in; a new set if it is in none.
    fn of(&mut self, mut id: usize) -> usize {
        loop {
            let parent = *self.parents.entry(id).or_insert_with(|| {
                self.count += 1;
                id
            });
            if parent == id {
                return id;
            }
            // Half the way is saved next time.
            let grandparent = self.parents[&parent];
            self.parents.insert(id, grandparent);
            id = grandparent;
        }
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.of(one), self.of(other));
        if one != other {
            self.parents.insert(one, other);
            self.count -= 1;
        }
    }
}
