//! Threads that found no free processor.
//!
//! This is where a thread waits for others: as many mutations run as there are processors, and one
//! more must wait until one ends. Leaving a mutation is a store and a look at a counter, with no fence between, so
//! a thread that is about to sleep may be overlooked; it therefore looks again by itself after a short while. One
//! that has looked in vain then stands in a queue, and whoever leaves next hands his processor to the
//! head of it, so that nobody waits for ever behind threads that take turns faster.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Holding, Processor};
use crate::sync::{Arc, AtomicPtr, AtomicU64, AtomicUsize, Condvar, Mutex, Ordering, ordering, reordered};

/// How long a waiting thread sleeps before it looks again by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The threads waiting for a processor of one heap.
#[derive(Default)]
pub(crate) struct Waiting {
    /// How many threads wait, so that leaving a mutation costs one load when none does.
    count: AtomicUsize,
    /// Waits so far, for the statistics.
    waits: AtomicU64,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// Threads that have not yet looked in vain twice: woken to compete.
    fresh: VecDeque<Arc<Waiter>>,
    /// Threads that have: given a processor.
    starving: VecDeque<Arc<Waiter>>,
}

struct Waiter {
    /// Set to wake it up. (Not `park`, whose one token a thread the program owns may be keeping for itself.)
    woken: Mutex<bool>,
    wake: Condvar,
    /// The processor it was given. That happens once: who gives it has taken the waiter out of the queue.
    granted: AtomicPtr<Processor>,
}

impl Waiter {
    /// Sleeps until it is woken, or it is time to look again.
    fn sleep(&self) {
        let mut woken = self.woken.lock();
        if !*woken {
            self.wake.wait_for(&mut woken, LOOK_AGAIN);
        }
        *woken = false;
    }

    fn wake_up(&self) {
        *self.woken.lock() = true;
        self.wake.notify_one();
    }
}

impl Waiting {
    /// Whether any thread waits.
    #[inline(always)]
    pub(crate) fn any(&self) -> bool {
        // Relaxed: being overlooked costs a waiter `LOOK_AGAIN`, no more (module head).
        self.count.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn waits(&self) -> u64 {
        // Relaxed: a figure.
        self.waits.load(Ordering::Relaxed)
    }

    /// Whether nobody stands in a queue, for the tests.
    #[cfg(all(test, not(loom)))]
    pub(super) fn is_deserted(&self) -> bool {
        let queue = self.queue.lock();
        queue.fresh.is_empty() && queue.starving.is_empty()
    }

    /// Waits until `try_take` finds a processor, or one is handed over.
    pub(crate) fn wait_for<'a>(&self, mut try_take: impl FnMut() -> Option<Holding<'a>>) -> Holding<'a> {
        // Relaxed, both: a figure; and `any` is a relaxed load, which nothing here could make see this in time.
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        let waiter = Arc::new(Waiter {
            woken: Mutex::new(false),
            wake: Condvar::new(),
            granted: AtomicPtr::new(std::ptr::null_mut()),
        });
        self.queue.lock().fresh.push_back(Arc::clone(&waiter));
        let mut starving = false;
        let holding = loop {
            if let Some(holding) = self.granted_to(&waiter) {
                break holding;
            }
            if let Some(holding) = try_take() {
                // A processor may be handed over in this very moment: then there is one too many.
                if let Some(granted) = self.withdraw(&waiter) {
                    self.pass_on(granted);
                }
                break holding;
            }
            waiter.sleep();
            if !starving {
                starving = true;
                let queue = &mut *self.queue.lock();
                queue.fresh.retain(|other| !Arc::ptr_eq(other, &waiter));
                queue.starving.push_back(Arc::clone(&waiter));
            }
        };
        // Relaxed: as above. Seen late, it costs who leaves a look at empty queues.
        self.count.fetch_sub(1, Ordering::Relaxed);
        holding
    }

    fn granted_to<'a>(&self, waiter: &Waiter) -> Option<Holding<'a>> {
        // Acquire: pairs with the release in `pass_on`; the processor changes hands with it.
        let processor = waiter.granted.load(ordering!(Acquire, "waiting.granted"));
        // SAFETY: processors live as long as their heap, in a call to which the waiter is; who granted it held
        // it and gave that up; and the callers, who end the wait, ask no more when they have got one.
        (!processor.is_null()).then(|| unsafe { Holding::of(&*processor) })
    }

    /// Takes the waiter out of the queues; yields the processor it was given meanwhile, if any.
    fn withdraw<'a>(&self, waiter: &Arc<Waiter>) -> Option<Holding<'a>> {
        let queue = &mut *self.queue.lock();
        queue.fresh.retain(|other| !Arc::ptr_eq(other, waiter));
        queue.starving.retain(|other| !Arc::ptr_eq(other, waiter));
        self.granted_to(waiter)
    }

    /// Gives up a processor while threads wait: to the head of the starving, else to whoever is first.
    #[cold]
    pub(crate) fn pass_on(&self, holding: Holding<'_>) {
        let mut queue = self.queue.lock();
        if let Some(waiter) = queue.starving.pop_front() {
            let processor = std::ptr::from_ref(holding.keep()).cast_mut();
            let _locked = if reordered!("waiting.unlock") {
                drop(queue);
                None
            } else {
                Some(queue)
            };
            // Release: pairs with the acquire in `granted_to`. The queue's lock is held, so that `withdraw`
            // sees the grant.
            waiter.granted.store(processor, ordering!(Release, "waiting.grant"));
            waiter.wake_up();
            return;
        }
        drop(holding);
        if let Some(waiter) = queue.fresh.front() {
            waiter.wake_up();
        }
    }
}
