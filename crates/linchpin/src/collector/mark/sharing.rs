//! Several at one mark: markers, and mutations that assist.
//!
//! Each has its own objects. A marker keeps a batch in the queue as long as it has something to give, so that nobody who comes for one has to wait
//! until it looks up: it may be that the system has taken its processor away.

use std::time::Duration;

use super::Tracer;
use super::ahead::Ahead;
use super::pending::Pending;
use crate::collector::AbortOnUnwind;
use crate::collector::pacer::Pace;
use crate::collector::queue::{Grey, GreyQueue, ROOM};
use crate::memory::region::Region;
use crate::sync::{AtomicUsize, Backoff, Ordering};

/// How many bytes a marker traces before it tells the pacer of them, and looks whether to share.
pub(crate) const LOOK_AFTER: u64 = if cfg!(loom) { 1 } else { 32 << 10 };

/// An assist traces no more parts of large slices than this: they may lead to two thousand mark bytes in no cache.
pub(crate) const MOST_PARTS: u32 = 8;

/// It asks whether to stop after each of them, and after so many bytes.
pub(crate) const ASK_AFTER: u64 = 8 << 10;

/// In what pieces a mutation traces.
#[derive(Clone, Copy)]
pub(crate) struct Pieces {
    /// It looks at the clock after so many bytes, and after each part of a large slice.
    pub(crate) bytes: u64,
    /// And stops then if it has taken so long: where each object has to come from memory.
    pub(crate) long: Duration,
    /// At the end it takes in no more than so many batches that others have left.
    batches: usize,
}

impl Pieces {
    /// Those of a cycle that is to end soon.
    pub(crate) const LONG: Self = Self { bytes: 32 << 10, long: Duration::from_micros(32), batches: 16 };

    /// Those of one that goes on for long.
    pub(crate) const SHORT: Self = Self { bytes: 4 << 10, long: Duration::from_micros(15), batches: 2 };
}

/// Traces what is on the tracer's stack, and what that leads to, until as many bytes are traced as the budget has or nothing is left;
/// for who is no marker; or until [`MOST_PARTS`] of large slices are, or it is to stop. What is left goes to the queue.
/// Gives how many bytes it has traced, which may be more than the budget by what begins in one window: less than a window's bytes and one object.
///
/// A mutation that does this must have come back from it before it answers a handshake: a closing round finds what goes to the queue,
/// and nothing else.
pub(crate) fn trace_some(
    queue: &GreyQueue,
    tracer: &mut Tracer<'_>,
    budget_bytes: u64,
    is_to_stop: impl Fn() -> bool,
) -> u64 {
    // What is on the stack would never be traced.
    let abort = AbortOnUnwind;
    debug_assert_eq!(tracer.traced_parts(), 0, "a tracer of its own");
    let before = tracer.scanned_bytes;
    let mut asked = (before, 0);
    let mut ahead = Ahead::default();
    while tracer.scanned_bytes - before < budget_bytes
        && tracer.traced_parts() < MOST_PARTS
        && let Some(window) = ahead.next(tracer)
    {
        tracer.scan_window(window);
        if tracer.scanned_bytes - asked.0 >= ASK_AFTER || tracer.traced_parts() != asked.1 {
            asked = (tracer.scanned_bytes, tracer.traced_parts());
            if is_to_stop() {
                break;
            }
        }
    }
    ahead.give_back(tracer);
    // In batches as large as any, so that room for them is there; the tracer's own is used again.
    while !tracer.stack.is_empty() {
        let mut batch = queue.empty_batch();
        batch.extend(tracer.stack.drain(tracer.stack.len().saturating_sub(ROOM)..));
        queue.push(batch);
    }
    tell_passed_by(queue, tracer);
    abort.disarm();
    tracer.scanned_bytes - before
}

/// The part of a mark that several markers share.
pub(crate) struct Marking {
    /// Who marks at the moment, idle helpers included.
    markers: AtomicUsize,
    /// The most there were at a time.
    most: AtomicUsize,
    pub(super) idle: AtomicUsize,
}

impl Marking {
    pub(crate) fn new(markers: usize) -> Self {
        let [markers, most, idle] = [markers, markers, 0].map(AtomicUsize::new);
        Self { markers, most, idle }
    }

    /// The most markers there were at a time.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Traces until there is nothing to trace, or no room any more for so many markers as there are: what is left goes to the queue. For
    /// who has been called.
    pub(crate) fn drain_while(
        &self,
        has_room: impl Fn(usize) -> bool,
        queue: &GreyQueue,
        pace: &Pace,
        tracer: &mut Tracer<'_>,
    ) {
        let abort = AbortOnUnwind;
        let markers = self.markers.fetch_add(1, Ordering::SeqCst) + 1;
        // Relaxed: a figure.
        self.most.fetch_max(markers, Ordering::Relaxed);
        let has_room = || has_room(self.markers.load(Ordering::SeqCst));
        // Empty again whenever the stack is found so, or was given all.
        let mut pending = Pending::default();
        let mut told = tracer.scanned_bytes;
        while has_room()
            && let Some(batch) = queue.take()
        {
            add(queue, tracer, batch);
            trace_at_hand(has_room, &mut told, &mut pending, queue, pace, tracer);
            queue.push(tracer.take_grey());
        }
        pace.earn(tracer.scanned_bytes - told);
        tell_passed_by(queue, tracer);
        // Others end when as many are idle as mark: what was left is in the queue before that.
        self.markers.fetch_sub(1, Ordering::SeqCst);
        abort.disarm();
    }

    /// Traces until every marker has run out of work, beginning with what is on the tracer's stack.
    #[cfg(test)]
    pub(crate) fn drain(&self, queue: &GreyQueue, pace: &Pace, tracer: &mut Tracer<'_>) {
        self.drain_and_call(|_| (), &mut Pending::default(), queue, pace, tracer);
    }

    /// The same, and beginning with what is pending; calls for help, naming how many mark already, whenever there is work that nobody has taken.
    pub(crate) fn drain_and_call(
        &self,
        call: impl Fn(usize),
        pending: &mut Pending,
        queue: &GreyQueue,
        pace: &Pace,
        tracer: &mut Tracer<'_>,
    ) {
        // Here and not further out: to unwind is to wait for the other markers, who wait for this one to be idle.
        let abort = AbortOnUnwind;
        // Where it is nobody else's, the compiler can keep it in registers.
        let mut at_hand = std::mem::take(pending);
        let mut told = tracer.scanned_bytes;
        let call = || {
            if !queue.is_empty() {
                call(self.markers.load(Ordering::SeqCst));
            }
            true
        };
        loop {
            trace_at_hand(call, &mut told, &mut at_hand, queue, pace, tracer);
            match queue.take() {
                Some(batch) => add(queue, tracer, batch),
                None if self.wait_for_work(queue) => {}
                None => {
                    pace.earn(tracer.scanned_bytes - told);
                    tell_passed_by(queue, tracer);
                    // Nothing is left in it, but the room it has.
                    *pending = at_hand;
                    return abort.disarm();
                }
            }
        }
    }

    /// Whether there may be work again; false when every marker has run out of it. A marker that is mistaken about
    /// that loses nothing: the closing rounds look at the queue once more.
    fn wait_for_work(&self, queue: &GreyQueue) -> bool {
        self.idle.fetch_add(1, Ordering::SeqCst);
        let backoff = Backoff::new();
        loop {
            if !queue.is_empty() {
                self.idle.fetch_sub(1, Ordering::SeqCst);
                return true;
            }
            let all_idle = self.idle.load(Ordering::SeqCst) >= self.markers.load(Ordering::SeqCst);
            // The queue once more: who has left since has put there what was left to it.
            if all_idle && !queue.is_assisted() && queue.is_empty() {
                return false;
            }
            backoff.snooze();
        }
    }
}

/// Traces until nothing is at hand. Whenever so many bytes were traced since `told`, of this batch and those before it, it tells the pacer and
/// asks whether to go on; if not, all is put on the stack. If so, it takes in what others have left, and sees to it that they find work.
fn trace_at_hand(
    go_on: impl Fn() -> bool,
    told: &mut u64,
    pending: &mut Pending,
    queue: &GreyQueue,
    pace: &Pace,
    tracer: &mut Tracer<'_>,
) {
    while let Some(window) = pending.next(tracer.region, &mut tracer.stack) {
        tracer.scan_window(window);
        if tracer.scanned_bytes - *told >= LOOK_AFTER {
            pace.earn(tracer.scanned_bytes - *told);
            *told = tracer.scanned_bytes;
            if !go_on() {
                return pending.give_all(tracer.region, &mut tracer.stack);
            }
            take_in(queue, tracer, usize::MAX);
            // Behind it: two markers that take in may take the last one, too.
            share(queue, tracer.region, pending);
        }
    }
}

/// Traces what is pending and what is in the queue, about so many bytes at most, for who is no marker; gives how many. After each piece,
/// and each part of a large slice, it asks whether to stop. What is left stays pending, or in the queue, of which some is taken in at the end, but for a batch that others may take.
pub(crate) fn trace_pieces(
    queue: &GreyQueue,
    pending: &mut Pending,
    tracer: &mut Tracer<'_>,
    budget_bytes: u64,
    pieces: Pieces,
    is_long: impl Fn() -> bool,
) -> u64 {
    let abort = AbortOnUnwind;
    let before = tracer.scanned_bytes;
    let mut asked = (before, tracer.traced_parts());
    let mut at_hand = std::mem::take(pending);
    while tracer.scanned_bytes - before < budget_bytes {
        if tracer.scanned_bytes - asked.0 >= pieces.bytes || tracer.traced_parts() != asked.1 {
            if is_long() {
                break;
            }
            asked = (tracer.scanned_bytes, tracer.traced_parts());
        }
        if let Some(window) = at_hand.next(tracer.region, &mut tracer.stack) {
            tracer.scan_window(window);
        } else if let Some(batch) = queue.take() {
            add(queue, tracer, batch);
        } else {
            break;
        }
    }
    take_in(queue, tracer, pieces.batches);
    at_hand.add_all(tracer.region, &mut tracer.stack);
    share(queue, tracer.region, &mut at_hand);
    *pending = at_hand;
    tell_passed_by(queue, tracer);
    abort.disarm();
    tracer.scanned_bytes - before
}

/// Gives half of what is pending to whoever needs work, if there is none to be had. It is what has waited longest: it leads to the more.
fn share(queue: &GreyQueue, region: &Region, pending: &mut Pending) {
    if queue.is_empty() {
        queue.push(pending.give_half(region, queue.empty_batch()));
    }
}

/// Takes all batches but one in hand, or so many. Most are what barriers have shaded, objects that lie anywhere: with others of their units they are traced
/// at little cost, while batch by batch, when all else is done, each would be fetched alone.
fn take_in(queue: &GreyQueue, tracer: &mut Tracer<'_>, most: usize) {
    for _ in 0..most {
        if !queue.has_several() {
            return;
        }
        let Some(batch) = queue.take() else { return };
        add(queue, tracer, batch);
    }
}

/// Has a tracer trace a batch.
fn add(queue: &GreyQueue, tracer: &mut Tracer<'_>, batch: Vec<Grey>) {
    queue.keep(tracer.add_grey(batch));
}

fn tell_passed_by(queue: &GreyQueue, tracer: &mut Tracer<'_>) {
    if tracer.take_passed_by() {
        queue.note_passed_by();
    }
}
