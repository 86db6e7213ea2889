//! When a mutation assists, at steps of a cycle that the test takes by hand.

use super::assist::{LOOK_AFTER, LOOK_SOON};
use super::cycle::Cycle;
use super::handshake::handshake;
use super::mark::Tracer;
use super::mark::window::WINDOW_BYTES;
use super::workers::Workers;
use crate::processor::phase::{Mode, colour_of_cycle};
use crate::{Gc, Heap, Mutator, Root, Trace};

#[derive(Trace)]
struct Node<'gc> {
    next: Option<Gc<'gc, Node<'gc>>>,
    number: u64,
}

const NODE: u64 = size_of::<Node<'_>>() as u64;

/// What lies between others that are kept, so that it is a run by itself.
type Block = [u64; 512];

const BLOCK: u64 = size_of::<Block>() as u64;

/// Pushes the head of a list, as a barrier would that has shaded it.
fn push_grey(heap: &Heap, list: &Root<Node<'static>>, black: u8) {
    let head = heap.mutate(|mu| list.get(mu).start());
    let mut tracer = Tracer::new(&heap.core().memory.region, black);
    tracer.visit_root(head);
    let grey = tracer.take_grey();
    assert_eq!(grey.len(), 1, "it was white");
    heap.core().queue.push(grey);
}

#[test]
fn a_mutation_assists_in_mark_when_it_has_allocated_enough() {
    assists_when_it_has_allocated(LOOK_AFTER, 0);
}

#[test]
fn it_looks_sooner_where_much_is_to_be_traced() {
    assists_when_it_has_allocated(LOOK_SOON, 5 << 20);
}

/// A mutation assists when it has allocated so much, in the mark after one in which so much was traced.
fn assists_when_it_has_allocated(bytes: u64, traced_before: u64) {
    let heap = Heap::builder().processors(1).build().unwrap();
    let core = heap.core();
    let block = |mu: &Mutator<'_>| _ = mu.alloc::<Block>([0; 512]);
    let (list, kept): (Root<Node<'static>>, Vec<Root<Block>>) = heap.mutate(|mu| {
        let end = mu.alloc(Node { next: None, number: 0 });
        let head = (1..10_000).fold(end, |next, number| mu.alloc(Node { next: Some(next), number }));
        let kept = (0..32).filter_map(|number| {
            let gc = mu.alloc::<Block>([number; 512]);
            (number % 2 == 1).then(|| mu.root(gc))
        });
        (mu.root(head), kept.collect())
    });
    let workers = Workers::none();
    let mut first = Cycle::begin(core, &workers);
    first.take_the_snapshot();
    first.mark();
    core.pace.earn(traced_before);
    first.close();
    first.switch_off();
    first.sweep();

    let black = colour_of_cycle(core.memory.marked_cycle() + 1);
    let mut cycle = Cycle::begin(core, &workers);
    cycle.take_the_snapshot();
    push_grey(&heap, &list, black);
    let pushed = core.queue.pushed();
    heap.mutate(|mu| {
        assert_eq!(mu.mode(), Mode::Mark);
        // A run is counted when the one after it is looked for: so the last of these looks at all that were before but the last.
        let enough = bytes / BLOCK + 1;
        (0..enough).for_each(|_| block(mu));
        assert_eq!((core.pace.assists(), core.queue.pushed()), (0, pushed), "not for so little");
        let budget = core.pace.assist_for(bytes);
        assert!((1..2000 * NODE).contains(&budget), "{budget}");
        block(mu);
        let traced = core.pace.assists();
        assert!((budget..budget + WINDOW_BYTES as u64).contains(&traced), "{traced} for {budget}");
        assert_eq!(
            core.queue.pushed(),
            pushed + 2,
            "what is left was given back, and that there was an assist is counted"
        );
        block(mu);
        assert_eq!(core.queue.pushed(), pushed + 2, "it has done its part for now");
    });
    let assisted = core.pace.assists();
    cycle.mark();
    handshake(core, Mode::Close, black);
    core.queue.push(Vec::from([super::queue::Grey(heap.mutate(|mu| list.get(mu).start()))]));
    heap.mutate(|mu| {
        assert_eq!(mu.mode(), Mode::Close);
        (0..64).for_each(|_| block(mu));
    });
    assert_eq!(core.pace.assists(), assisted, "what it took now, no closing round would wait for");
    cycle.close();
    cycle.switch_off();
    cycle.sweep();
    heap.verify().unwrap();
    heap.mutate(|mu| {
        let numbers = std::iter::successors(Some(list.get(mu)), |node| node.next).map(|node| node.number);
        assert!(numbers.eq((0..10_000).rev()));
        assert!(kept.iter().all(|root| root.get(mu).iter().all(|word| word % 2 == 1)));
    });
}
