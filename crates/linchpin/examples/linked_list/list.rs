//! A doubly linked list that threads share.
//!
//! Each node keeps the next one; the way back is weak. A tracing collector would be rid of nodes that keep each other as well,
//! but so a node that somebody keeps does not keep what came before it.
//!
//! # What holds while other threads change the list
//!
//! Whoever changes the list has its lock, so changes come one after another, each as a whole. To walk it, either way, takes no lock
//! and makes nobody wait. A walk inside one mutation
//!
//! * comes to each node that is in the list from the walk's beginning to its end, once, in the list's order;
//! * comes to no node that was removed before it began, and to none twice;
//! * may or may not come to a node that is inserted or removed meanwhile.
//!
//! Why: a node that is removed keeps its two pointers as they were, for good, and is never put in again. So a walk that stands on it
//! goes on to what was its neighbour when it was removed, which was in the list after the walk began; and two nodes never change
//! their order. That holds for the weak way back, too: what was in the list at any time since a mutation began can be
//! upgraded until the mutation ends.
//!
//! The price: whoever keeps a removed node (by a root) keeps the node that was next when it was removed, and if that is removed
//! later, what was next then, and so on.

use std::iter::successors;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use linchpin::{Allocate, Gc, GcCell, GcMutex, Mutator, Trace, WeakCell};

/// An element of a list.
#[derive(Trace)]
pub(crate) struct Node<'gc, T> {
    value: T,
    /// Written under the list's lock.
    removed: AtomicBool,
    next: GcCell<'gc, Node<'gc, T>>,
    back: WeakCell<'gc, Node<'gc, T>>,
}

impl<T> Node<'_, T> {
    /// What the element holds.
    pub(crate) fn value(&self) -> &T {
        &self.value
    }

    /// Whether it has been taken out of its list.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }
}

impl<'gc, T: Allocate<'gc>> Node<'gc, T> {
    /// The node behind this one, or behind the place where this one was.
    pub(crate) fn next(&self) -> Option<Gc<'gc, Node<'gc, T>>> {
        self.next.load()
    }

    /// The node before this one, or before the place where this one was, unless that is collected.
    pub(crate) fn back(&self, mu: &Mutator<'gc>) -> Option<Gc<'gc, Node<'gc, T>>> {
        self.back.upgrade(mu)
    }
}

/// The list.
#[derive(Trace)]
pub(crate) struct List<'gc, T> {
    /// Who changes the list has this. The pointers are beside it, not in it, for those who walk.
    changes: GcMutex<()>,
    first: GcCell<'gc, Node<'gc, T>>,
    last: GcCell<'gc, Node<'gc, T>>,
    length: AtomicUsize,
}

impl<'gc, T: Allocate<'gc>> List<'gc, T> {
    /// An empty list.
    pub(crate) fn new() -> Self {
        Self { changes: GcMutex::new(()), first: GcCell::null(), last: GcCell::null(), length: AtomicUsize::new(0) }
    }

    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.length.load(Ordering::Acquire)
    }

    /// Puts an element in front of all others.
    pub(crate) fn push_front(&self, mu: &Mutator<'gc>, value: T) -> Gc<'gc, Node<'gc, T>> {
        let node = self.node(mu, value);
        let _guard = self.changes.lock(mu);
        self.link(mu, None, node, self.first.load());
        node
    }

    /// Puts an element behind all others.
    pub(crate) fn push_back(&self, mu: &Mutator<'gc>, value: T) -> Gc<'gc, Node<'gc, T>> {
        let node = self.node(mu, value);
        let _guard = self.changes.lock(mu);
        self.link(mu, self.last.load(), node, None);
        node
    }

    /// Puts an element behind `place`, a node of this list; `None` if that has been removed.
    pub(crate) fn insert_after(
        &self,
        mu: &Mutator<'gc>,
        place: Gc<'gc, Node<'gc, T>>,
        value: T,
    ) -> Option<Gc<'gc, Node<'gc, T>>> {
        let _guard = self.changes.lock(mu);
        if place.is_removed() {
            return None;
        }
        let node = self.node(mu, value);
        self.link(mu, Some(place), node, place.next());
        Some(node)
    }

    /// Takes the first element out.
    pub(crate) fn pop_front(&self, mu: &Mutator<'gc>) -> Option<Gc<'gc, Node<'gc, T>>> {
        let _guard = self.changes.lock(mu);
        let node = self.first.load()?;
        self.unlink(mu, node);
        Some(node)
    }

    /// Takes the last element out.
    pub(crate) fn pop_back(&self, mu: &Mutator<'gc>) -> Option<Gc<'gc, Node<'gc, T>>> {
        let _guard = self.changes.lock(mu);
        let node = self.last.load()?;
        self.unlink(mu, node);
        Some(node)
    }

    /// Takes `node`, a node of this list, out; false if somebody was faster.
    pub(crate) fn remove(&self, mu: &Mutator<'gc>, node: Gc<'gc, Node<'gc, T>>) -> bool {
        let _guard = self.changes.lock(mu);
        if node.is_removed() {
            return false;
        }
        self.unlink(mu, node);
        true
    }

    /// The nodes, from the first to the last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Gc<'gc, Node<'gc, T>>> + use<'gc, T> {
        successors(self.first.load(), |node| node.next())
    }

    /// The nodes, from the last to the first.
    pub(crate) fn iter_back<'a>(
        &self,
        mu: &'a Mutator<'gc>,
    ) -> impl Iterator<Item = Gc<'gc, Node<'gc, T>>> + use<'a, 'gc, T> {
        successors(self.last.load(), |node| node.back(mu))
    }

    fn node(&self, mu: &Mutator<'gc>, value: T) -> Gc<'gc, Node<'gc, T>> {
        mu.alloc(Node { value, removed: AtomicBool::new(false), next: GcCell::null(), back: WeakCell::null() })
    }

    /// Puts a new node between two neighbours; under the lock. Its own pointers come first: a walk may find it as soon as one
    /// leads to it.
    fn link(
        &self,
        mu: &Mutator<'gc>,
        back: Option<Gc<'gc, Node<'gc, T>>>,
        node: Gc<'gc, Node<'gc, T>>,
        next: Option<Gc<'gc, Node<'gc, T>>>,
    ) {
        node.next.store(mu, next);
        node.back.store(mu, back.map(|back| mu.downgrade(back)));
        self.join(mu, back, node, node, next);
        self.length.fetch_add(1, Ordering::Release);
    }

    /// Takes a node from between its neighbours; under the lock.
    fn unlink(&self, mu: &Mutator<'gc>, node: Gc<'gc, Node<'gc, T>>) {
        let (back, next) = (node.back(mu), node.next());
        match (back, next) {
            (Some(back), Some(next)) => self.join(mu, Some(back), next, back, Some(next)),
            (Some(back), None) => {
                back.next.clear(mu);
                self.last.store(mu, back);
            }
            (None, Some(next)) => {
                self.first.store(mu, next);
                next.back.clear(mu);
            }
            (None, None) => {
                self.first.clear(mu);
                self.last.clear(mu);
            }
        }
        node.removed.store(true, Ordering::Release);
        self.length.fetch_sub(1, Ordering::Release);
    }

    /// Has `back`, or the list's beginning, lead to `first`, and `next`, or the list's end, back to `last`.
    fn join(
        &self,
        mu: &Mutator<'gc>,
        back: Option<Gc<'gc, Node<'gc, T>>>,
        first: Gc<'gc, Node<'gc, T>>,
        last: Gc<'gc, Node<'gc, T>>,
        next: Option<Gc<'gc, Node<'gc, T>>>,
    ) {
        match back {
            Some(back) => back.next.store(mu, first),
            None => self.first.store(mu, first),
        }
        match next {
            Some(next) => next.back.store(mu, mu.downgrade(last)),
            None => self.last.store(mu, last),
        }
    }
}
