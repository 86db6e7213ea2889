//! Cleanups: how often each has run, in what order, and whether it may have.
//!
//! While the model says that something leads to an object, none of its cleanups runs; once a whole cycle has passed since nothing
//! does, each has run once, unless it was cancelled. They run on a thread of the heap's: that they have run is waited for, and
//! only whether they may have is looked up at any time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use linchpin::{Cleanup, Mutator};
use parking_lot::{Condvar, Mutex};

use crate::model::{Id, Model};
use crate::mutation::{Actor, Locals};
use crate::program::Pick;
use crate::token::Ledger;

/// A verdict does not depend on it, but for the one that a cleanup never runs.
const VERY_LONG: Duration = Duration::from_secs(120);

/// What has run.
#[derive(Default)]
struct Book {
    runs: Mutex<Runs>,
    another: Condvar,
}

#[derive(Default)]
struct Runs {
    /// By number, in the order in which they ran.
    order: Vec<usize>,
    /// Those that ran before the object's value was dropped.
    early: Vec<usize>,
}

struct Registered {
    target: Id,
    /// Until somebody cancels it.
    handle: Option<Cleanup>,
    cancelled: bool,
}

/// All cleanups that a program has registered.
#[derive(Default)]
pub(crate) struct Cleanups {
    book: Arc<Book>,
    registered: Vec<Registered>,
}

impl Cleanups {
    /// Cancels one. If it is too late for that, nothing may lead to its object any more.
    pub(crate) fn cancel(&mut self, pick: Pick, live: &[bool]) {
        let left: Vec<usize> = (0..self.registered.len()).filter(|&n| self.registered[n].handle.is_some()).collect();
        if left.is_empty() {
            return;
        }
        let number = left[usize::from(pick) % left.len()];
        let one = &mut self.registered[number];
        one.cancelled = one.handle.take().is_some_and(Cleanup::cancel);
        assert!(
            one.cancelled || !live[one.target],
            "cleanup {number} could not be cancelled, but something leads to its object"
        );
    }

    /// Fails if one has run that must not have. Tells which objects are gone because one has.
    #[track_caller]
    pub(crate) fn compare(&self, live: &[bool]) -> Vec<Id> {
        let runs = self.book.runs.lock();
        assert!(runs.early.is_empty(), "cleanups {:?} ran before the objects were dropped", runs.early);
        let mut last_of = HashMap::new();
        for &number in &runs.order {
            let Registered { target, cancelled, .. } = self.registered[number];
            assert!(!cancelled, "cleanup {number} ran though it was cancelled");
            assert!(!live[target], "cleanup {number} ran, but something leads to object {target}");
            let last = last_of.insert(target, number);
            assert!(last.is_none_or(|last| last < number), "cleanup {number} ran twice, or out of order");
        }
        last_of.into_keys().collect()
    }

    /// Those of objects that `kept` does not hold, and that were not cancelled.
    fn due<'a>(&'a self, kept: &'a [bool]) -> impl Iterator<Item = usize> + 'a {
        let numbers = 0..self.registered.len();
        numbers.filter(|&number| !self.registered[number].cancelled && !kept[self.registered[number].target])
    }

    /// Waits until all have run that are due.
    #[track_caller]
    pub(crate) fn wait(&self, kept: &[bool]) {
        let mut runs = self.book.runs.lock();
        for number in self.due(kept) {
            while !runs.order.contains(&number) {
                let timeout = self.book.another.wait_for(&mut runs, VERY_LONG);
                assert!(!timeout.timed_out(), "cleanup {number} has never run");
            }
        }
    }

    /// Fails unless all have run that are due.
    #[track_caller]
    pub(crate) fn compare_due(&self, kept: &[bool]) {
        let runs = self.book.runs.lock();
        for number in self.due(kept) {
            assert!(runs.order.contains(&number), "cleanup {number} has not run");
        }
    }

    fn register(
        &mut self,
        model: &Model,
        ledger: &Ledger,
        target: Id,
        on_collect: impl FnOnce(Box<dyn FnOnce(&linchpin::Heap) + Send>) -> Cleanup,
    ) {
        let (number, book) = (self.registered.len(), Arc::clone(&self.book));
        let dropped = ledger.watch(model.things[target].tokens.clone());
        let handle = on_collect(Box::new(move |heap| {
            // It may do what the program may.
            heap.mutate(|_| ());
            let mut runs = book.runs.lock();
            runs.order.push(number);
            if !dropped() {
                runs.early.push(number);
            }
            book.another.notify_all();
        }));
        self.registered.push(Registered { target, handle: Some(handle), cancelled: false });
    }
}

impl Actor<'_> {
    /// Registers a cleanup of something in hand.
    pub(crate) fn clean_up<'gc>(&self, mu: &Mutator<'gc>, locals: &Locals<'gc>, local: Pick) {
        let Some((any, id)) = locals.pick(local) else { return };
        let state = &mut *self.state.lock();
        state.cleanups.register(&state.model, &state.ledger, id, |work| any.on_collect(mu, work));
    }
}
