//! What goes on in the heap while zlib reads from it: garbage from other threads, and one cycle
//! after the other.
//!
//! The garbage matters for more than load: its buffers have the lengths of the compressor's, so a
//! buffer freed under zlib's hands would soon be handed out again and overwritten, and the output
//! would not verify.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use linchpin::{Gc, GcCell, Heap, Root, Trace};

/// Garbage that may pile up between two cycles, a thread; above it the thread waits for the next.
const BYTES_A_CYCLE: usize = 16 << 20;

/// How long a thread waits before it looks again whether a cycle has ended.
const PAUSE: Duration = Duration::from_micros(200);

/// Roots that a thread keeps for a while, so that some of the garbage lives through a cycle.
const KEPT: usize = 32;

/// What buffers of garbage are filled with.
const FILLER: u8 = 0xA5;

#[derive(Trace)]
struct Link<'gc> {
    number: usize,
    previous: GcCell<'gc, Link<'gc>>,
    buffer: GcCell<'gc, [u8]>,
}

/// Runs `work` while `churners` threads make garbage and one thread runs cycles without pause.
pub(crate) fn while_busy<R>(heap: &Heap, churners: usize, work: impl FnOnce() -> R) -> R {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Set when `work` is over, by unwinding too: the scope waits for its threads.
        let _stop_at_end = StopAtEnd(&stop);
        for _ in 0..churners {
            scope.spawn(|| churn(heap, &stop));
        }
        // Relaxed, here and below: the flag says "enough", and nothing is published with it.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                heap.collect();
            }
        });
        work()
    })
}

struct StopAtEnd<'run>(&'run AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes short chains with a buffer at each link and forgets them, the last few excepted.
fn churn(heap: &Heap, stop: &AtomicBool) {
    let mut kept: Vec<Option<Root<Link<'static>>>> = (0..KEPT).map(|_| None).collect();
    let mut bytes = 0;
    let mut cycle = heap.stats().cycles;
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if bytes >= BYTES_A_CYCLE {
            let now = heap.stats().cycles;
            if now == cycle {
                std::thread::sleep(PAUSE);
                continue;
            }
            cycle = now;
            bytes = 0;
        }
        let length = [64, 16 << 10, 200, 32 << 10, 1 << 10, 128 << 10][round % 6];
        let root = heap.mutate(|mu| {
            let mut last: Option<Gc<'_, Link<'_>>> = None;
            for number in 0..8 {
                // With no room left the round is cut short: compressing needs it more.
                let Ok((buffer, ())) = mu.try_alloc_bytes_with(length, |buffer| buffer.fill(FILLER)) else {
                    break;
                };
                let link =
                    Link { number: round + number, previous: GcCell::new(last), buffer: GcCell::new(Some(buffer)) };
                last = mu.try_alloc(link).ok().or(last);
            }
            last.map(|link| mu.root(link))
        });
        bytes += 8 * length;
        kept[round % KEPT] = root;
        check(heap, kept[(round + 1) % KEPT].as_ref());
    }
}

/// What was kept must still be what was made.
fn check(heap: &Heap, root: Option<&Root<Link<'static>>>) {
    let Some(root) = root else { return };
    heap.mutate(|mu| {
        let mut next = Some(root.get(mu));
        while let Some(link) = next {
            let buffer = link.buffer.load().expect("every link was given a buffer");
            let ends = [buffer.first(), buffer.last()];
            assert!(ends.iter().all(|byte| *byte == Some(&FILLER)), "a live buffer was overwritten");
            next = link.previous.load();
            let order = next.is_none_or(|previous| previous.number < link.number);
            assert!(order, "a live link was overwritten");
        }
    });
}
