//! The order in which a mutation traces that assists: depth first where that stays in one place, and elsewhere some objects ahead.
//!
//! An assist is short, and has a batch of objects that lie anywhere, so most of its time it would wait for their memory. An object that lies
//! near the one traced last is traced at once: it is in the cache, or about to be, and so is what it leads to in most heaps. Any other one has
//! its memory asked for, and waits while some others are traced. Those that lie side by side on the stack and in one [window](super::window) go together.
//! (A marker has more in hand, and [bits](super::pending) for it.)

use super::Tracer;
use super::window::Window;

/// How many windows wait for their memory at most; a power of two.
const AHEAD: usize = 16;

/// Bytes within which a window is near another one.
const NEAR: usize = 2048;

/// Windows whose objects' memory was asked for, first in, first out.
#[derive(Default)]
pub(super) struct Ahead {
    windows: [Option<Window>; AHEAD],
    /// How many have gone through.
    taken: usize,
    waiting: usize,
    /// The address of the window that was given last.
    last: usize,
}

impl Ahead {
    /// What to trace next, of what waits and what is on the tracer's stack; `None` if there is nothing.
    #[inline(always)]
    pub(super) fn next(&mut self, tracer: &mut Tracer<'_>) -> Option<Window> {
        while self.waiting < AHEAD
            && let Some(grey) = tracer.pop()
        {
            let mut window = Window::of(grey);
            while tracer.stack.last().is_some_and(|&beside| window.add(beside)) {
                tracer.stack.pop();
            }
            if window.address.abs_diff(self.last) < NEAR {
                self.last = window.address;
                return Some(window);
            }
            window.fetch(tracer.region);
            self.windows[(self.taken + self.waiting) % AHEAD] = Some(window);
            self.waiting += 1;
        }
        let window = self.windows[self.taken % AHEAD].take()?;
        self.taken += 1;
        self.waiting -= 1;
        self.last = window.address;
        Some(window)
    }

    /// Puts those that wait on the tracer's stack.
    pub(super) fn give_back(&mut self, tracer: &mut Tracer<'_>) {
        self.waiting = 0;
        let region = tracer.region;
        tracer.stack.extend(self.windows.iter_mut().filter_map(Option::take).flat_map(|window| window.objects(region)));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::collector::mark::sharing::trace_some;
    use crate::collector::queue::Grey;
    use crate::processor::phase::colour_of_cycle;
    use crate::{Gc, Heap, Trace};

    /// Traced, and further from any other one than is near.
    #[derive(Trace)]
    struct Far<'gc>(Option<Gc<'gc, Far<'gc>>>, [u64; NEAR / 8]);

    #[derive(Trace)]
    struct Node<'gc>(Option<Gc<'gc, Node<'gc>>>, [usize; 3]);

    const FAR: usize = 48;

    fn addresses(grey: &[Grey]) -> Vec<usize> {
        grey.iter().map(|Grey(object)| object.addr().get()).collect()
    }

    #[test]
    fn each_object_is_given_once_and_the_near_ones_first() {
        let heap = Heap::builder().processors(1).build().unwrap();
        let core = heap.core();
        heap.mutate(|mu| {
            let far: Vec<_> = (0..FAR).map(|_| Grey(mu.alloc(Far(None, [0; NEAR / 8])).start())).collect();
            let near: Vec<_> = (0..3_u64).map(|number| Grey(mu.alloc(number).start())).collect();
            let mut tracer = Tracer::new(&core.memory.region, colour_of_cycle(1));
            // Taken from the end: the near ones are far from what came before, and go together, in the order of their addresses.
            let expected: Vec<_> = addresses(&near).into_iter().chain(addresses(&far).into_iter().rev()).collect();
            tracer.add_grey(far);
            tracer.add_grey(near);
            let mut ahead = Ahead::default();
            let first = ahead.next(&mut tracer).expect("there are many");
            assert_eq!(ahead.waiting, AHEAD - 1, "the memory of so many is on its way");
            let next = std::iter::once(first).chain(std::iter::from_fn(|| ahead.next(&mut tracer)));
            let windows: Vec<_> = next.collect();
            assert_eq!(windows.len(), 1 + FAR);
            let given = windows.into_iter().flat_map(|window| window.objects(&core.memory.region)).collect::<Vec<_>>();
            assert_eq!(addresses(&given), expected, "none leads to any other");
        });
    }

    /// As if a near one had led to it: what lies by what was traced last goes before those that wait.
    #[test]
    fn what_is_near_does_not_wait() {
        let heap = Heap::builder().processors(1).build().unwrap();
        let core = heap.core();
        heap.mutate(|mu| {
            let [one, other, last] = [(); 3].map(|()| mu.alloc(Far(None, [0; NEAR / 8])).start());
            let mut tracer = Tracer::new(&core.memory.region, colour_of_cycle(1));
            let mut ahead = Ahead::default();
            tracer.add_grey(vec![Grey(last), Grey(other), Grey(one)]);
            let of_one = Some(Window::of(Grey(one)));
            assert_eq!(ahead.next(&mut tracer), of_one);
            tracer.add_grey(vec![Grey(one)]);
            assert_eq!(ahead.next(&mut tracer), of_one, "itself, say");
            ahead.give_back(&mut tracer);
            assert_eq!(addresses(&tracer.take_grey()), [other, last].map(|object| object.addr().get()));
            assert!(ahead.next(&mut tracer).is_none());
        });
    }

    /// Nor does one of those that wait together.
    #[test]
    fn what_waits_in_one_window_is_in_the_queue() {
        const NODES: usize = 64;
        const TOGETHER: usize = 4;
        let heap = Heap::builder().processors(1).build().unwrap();
        let core = heap.core();
        heap.mutate(|mu| {
            // Two granules each; of every third window some.
            let nodes: Vec<_> =
                (0..NODES * TOGETHER * 24).map(|number| mu.alloc(Node(None, [number; 3])).start()).collect();
            let grey: Vec<_> = nodes.chunks(3 * 32).flat_map(|window| &window[..TOGETHER]).copied().map(Grey).collect();
            let mut all = addresses(&grey);
            let mut tracer = Tracer::new(&core.memory.region, colour_of_cycle(1));
            tracer.add_grey(grey);
            let traced = trace_some(&core.queue, &mut tracer, 1, || false);
            assert_eq!(traced, (TOGETHER * 32) as u64, "one window");
            let left = addresses(&core.queue.take().expect("the rest"));
            assert!(core.queue.is_empty());
            assert_eq!(left.len(), all.len() - TOGETHER);
            all.retain(|address| !left.contains(address));
            assert_eq!(
                all,
                addresses(&nodes[nodes.len() - 3 * 32..][..TOGETHER].iter().copied().map(Grey).collect::<Vec<_>>()),
                "the last window"
            );
        });
    }

    /// An assist whose budget ends while objects wait loses none.
    #[test]
    fn what_waits_when_the_budget_ends_is_in_the_queue() {
        let heap = Heap::builder().processors(1).build().unwrap();
        let core = heap.core();
        heap.mutate(|mu| {
            let far: Vec<_> = (0..FAR).map(|_| mu.alloc(Far(None, [0; NEAR / 8])).start()).collect();
            let slot = core.memory.region.span_of(far[0]).slot_bytes() as u64;
            let mut tracer = Tracer::new(&core.memory.region, colour_of_cycle(1));
            tracer.add_grey(far.iter().copied().map(Grey).collect());
            assert_eq!(trace_some(&core.queue, &mut tracer, 2 * slot, || false), 2 * slot);
            let mut left = addresses(&core.queue.take().expect("the rest"));
            left.sort_unstable();
            let mut expected: Vec<_> = far[..FAR - 2].iter().map(|object| object.addr().get()).collect();
            expected.sort_unstable();
            assert_eq!(left, expected);
            assert!(core.queue.is_empty());
        });
    }
}
