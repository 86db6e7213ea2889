//! The threads that go beside a program that has its heap to itself: one for a second mutation, one that waits for cycles.
//! The first does nothing by itself, so all that happens to the model happens in the order of the program; and as a
//! cycle gets past no handshake while a mutation lasts, the program leads it through its phases.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use linchpin::Heap;
use parking_lot::Mutex;

use crate::mutation::{Actor, Locals, contain};
use crate::program::Step;
use crate::state::State;

/// Time in which the collector gets as far as mutations let it, as a rule. No verdict depends on it.
pub(crate) fn let_the_collector_move() {
    thread::sleep(Duration::from_micros(400));
}

enum Command {
    Enter,
    Run(Vec<Step>),
    Leave,
}

type Outcome = Result<(), Box<dyn Any + Send>>;

/// A thread that is in a mutation or is not, as it is told.
pub(crate) struct Beside {
    /// Taken to end the thread.
    commands: Option<Sender<Command>>,
    outcomes: Receiver<Outcome>,
    holds: Cell<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Beside {
    pub(crate) fn new(heap: Arc<Heap>, state: Arc<Mutex<State>>) -> Self {
        let (commands, received) = channel();
        let (sender, outcomes) = channel();
        let thread = thread::spawn(move || serve(&heap, &state, &received, &sender));
        Self { commands: Some(commands), outcomes, holds: Cell::new(false), thread: Some(thread) }
    }

    fn send(&self, command: Command) {
        let commands = self.commands.as_ref().expect("it is there until the thread ends");
        commands.send(command).expect("the thread goes on until it is told to end");
    }

    fn wait(&self) {
        let outcome = self.outcomes.recv().expect("each command has an outcome");
        outcome.unwrap_or_else(|payload| resume_unwind(payload));
    }

    pub(crate) fn hold(&self) {
        if !self.holds.replace(true) {
            self.send(Command::Enter);
            self.wait();
        }
    }

    pub(crate) fn release(&self) {
        if self.holds.replace(false) {
            self.send(Command::Leave);
            self.wait();
        }
    }

    /// Leaves and enters again before a cycle that waits for that can do more than one step.
    pub(crate) fn advance(&self) {
        if self.holds.get() {
            self.send(Command::Leave);
            self.send(Command::Enter);
            self.wait();
            self.wait();
        }
    }

    /// Runs steps in the mutation, if there is one, and waits for their end.
    pub(crate) fn run(&self, steps: &[Step]) {
        if self.holds.get() {
            self.send(Command::Run(steps.to_vec()));
            self.wait();
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.thread.take().expect("joined once").join();
    }
}

fn serve(heap: &Heap, state: &Mutex<State>, commands: &Receiver<Command>, outcomes: &Sender<Outcome>) {
    let actor = Actor { index: 1, heap, state, beside: None, common: None };
    // Nobody listens any more if the program has failed; then the next command does not come either.
    let tell = |outcome| _ = outcomes.send(outcome);
    while let Ok(Command::Enter) = commands.recv() {
        heap.mutate(|mu| {
            tell(Ok(()));
            let mut locals = Locals::default();
            while let Ok(Command::Run(steps)) = commands.recv() {
                tell(catch_unwind(AssertUnwindSafe(|| contain(|| actor.run(mu, &mut locals, &steps)))));
            }
        });
        state.lock().model.in_hand[1].clear();
        tell(Ok(()));
    }
}

/// A thread that asks for a cycle and waits for its end, so that the program need not.
pub(crate) struct Aside {
    requests: Option<Sender<()>>,
    done: Receiver<()>,
    pending: bool,
    thread: Option<JoinHandle<()>>,
}

impl Aside {
    pub(crate) fn new(heap: Arc<Heap>) -> Self {
        let (requests, received) = channel();
        let (sender, done) = channel();
        let thread = thread::spawn(move || {
            while let Ok(()) = received.recv() {
                heap.collect();
                let _ = sender.send(());
            }
        });
        Self { requests: Some(requests), done, pending: false, thread: Some(thread) }
    }

    /// Asks for a cycle, if the last one has ended.
    pub(crate) fn start(&mut self) {
        if self.pending && self.done.try_recv().is_err() {
            return;
        }
        self.pending = true;
        let requests = self.requests.as_ref().expect("it is there until the thread ends");
        requests.send(()).expect("the thread goes on until it is told to end");
    }

    /// Waits for the end of the cycle, which no mutation may hold up.
    pub(crate) fn wait(&mut self) {
        if std::mem::replace(&mut self.pending, false) {
            self.done.recv().expect("each request is done in the end");
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        drop(self.requests.take());
        let _ = self.thread.take().expect("joined once").join();
    }
}
