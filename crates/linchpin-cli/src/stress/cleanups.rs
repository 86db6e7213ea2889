//! Cleanups: each that was registered runs once, or was cancelled, by the end; none runs while the mirror, or the ledger, says that
//! its object is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use linchpin::{Cleanup, Gc, Heap, Mutator, Object};
use parking_lot::{Condvar, Mutex};

use super::ledger::{self, Tracked, was_dropped};
use super::mirror::{Graph, Known};
use super::objects::{Maker, Shared};

/// If a cleanup has not run by then, it never will.
const VERY_LONG: Duration = Duration::from_secs(120);

/// Cleanups that were registered, and cancelled. Relaxed: they are read when all threads have ended.
static REGISTERED: AtomicU64 = AtomicU64::new(0);
static CANCELLED: AtomicU64 = AtomicU64::new(0);

/// Cleanups that have run.
static RUN: Mutex<u64> = Mutex::new(0);
static ANOTHER: Condvar = Condvar::new();

/// Cleanups that have run so far.
pub(crate) fn run() -> u64 {
    *RUN.lock()
}

/// Registers a cleanup that does `work`. What it owns goes with it, whether it runs or is cancelled.
fn register<'gc, T: ?Sized + Object>(
    mu: &Mutator<'gc>,
    maker: &mut Maker,
    object: Gc<'gc, T>,
    work: impl FnOnce() + Send + 'static,
) -> Cleanup {
    let (owned, makes) = (maker.tracked(), maker.numbers.once_in(4));
    REGISTERED.fetch_add(1, Ordering::Relaxed);
    mu.on_collect(object, move |heap| {
        work();
        if makes {
            heap.mutate(|mu| _ = mu.alloc(Tracked::new(0)));
        }
        drop(owned);
        *RUN.lock() += 1;
        ANOTHER.notify_all();
    })
}

/// Registers a cleanup of a value with a `Drop`, which must have been dropped when it runs.
pub(crate) fn of_tracked<'gc>(mu: &Mutator<'gc>, maker: &mut Maker, tracked: Gc<'gc, Tracked>) {
    let serial = tracked.serial();
    register(mu, maker, tracked, move || {
        if !was_dropped(serial) {
            ledger::problem(format!("a cleanup ran, and the value {serial} was not dropped"));
        }
    });
}

/// Registers a cleanup of a shared object; sometimes takes it back, as the object is in hand.
pub(crate) fn of_shared<'gc>(mu: &Mutator<'gc>, maker: &mut Maker, object: Gc<'gc, Shared<'gc>>) -> Result<(), String> {
    let cleanup = register(mu, maker, object, || ());
    if maker.numbers.once_in(4) { cancel(cleanup) } else { Ok(()) }
}

/// Takes back a cleanup of something in hand, which cannot have run.
fn cancel(cleanup: Cleanup) -> Result<(), String> {
    if !cleanup.cancel() {
        return Err("a cleanup of an object in hand could not be cancelled".to_owned());
    }
    CANCELLED.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// The cleanup of a node.
pub(crate) struct OfNode {
    handle: Cleanup,
    has_run: Arc<AtomicBool>,
}

impl OfNode {
    /// An error if it has run.
    pub(crate) fn check(&self) -> Result<(), String> {
        // Relaxed: nothing else is read by what it says.
        match self.has_run.load(Ordering::Relaxed) {
            true => Err("its cleanup has run".to_owned()),
            false => Ok(()),
        }
    }
}

impl Graph {
    /// Registers a cleanup of a node, or takes it back if it has one.
    pub(crate) fn clean_up<'gc>(&mut self, mu: &Mutator<'gc>, maker: &mut Maker, of: Known<'gc>) -> Result<(), String> {
        let shadow = self.shadows.get_mut(&of.1).ok_or("a node in hand is not in the mirror")?;
        match shadow.cleanup.take() {
            Some(cleanup) => {
                cleanup.check()?;
                cancel(cleanup.handle)
            }
            None => {
                let has_run = Arc::new(AtomicBool::new(false));
                let runs = Arc::clone(&has_run);
                let handle = register(mu, maker, of.0, move || runs.store(true, Ordering::Relaxed));
                shadow.cleanup = Some(OfNode { handle, has_run });
                Ok(())
            }
        }
    }
}

/// Waits until each has run that was not cancelled, as all objects are dead, and a cycle has passed since.
pub(crate) fn wait_for_all(heap: &Heap) -> Result<(), String> {
    let expected = REGISTERED.load(Ordering::Relaxed) - CANCELLED.load(Ordering::Relaxed);
    let mut run = RUN.lock();
    ANOTHER.wait_while_for(&mut run, |run| *run < expected, VERY_LONG);
    let (run, panics) = (*run, heap.stats().cleanup_panics);
    if run != expected || panics != 0 {
        return Err(format!("of {expected} cleanups, {run} have run, and {panics} have panicked"));
    }
    Ok(())
}
