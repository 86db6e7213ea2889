//! A window is traced as a whole, and nothing else.

use super::Tracer;
use super::window::{WINDOW_BYTES, Window};
use crate::collector::queue::Grey;
use crate::memory::GRANULE;
use crate::processor::phase::colour_of_cycle;
use crate::sync::Ordering;
use crate::{Gc, GcCell, Heap, Mutator, Trace};

const BLACK: u8 = colour_of_cycle(1);

/// Two granules.
#[derive(Trace)]
struct Node<'gc> {
    next: GcCell<'gc, Node<'gc>>,
    other: GcCell<'gc, Node<'gc>>,
    leaf: Option<Gc<'gc, u64>>,
    number: u64,
}

const NODE_BYTES: usize = 2 * GRANULE;
const NODES_A_WINDOW: usize = WINDOW_BYTES / NODE_BYTES;

/// So many windows full of nodes, in the order of their addresses, from the beginning of a span on.
fn windows<'gc>(mu: &Mutator<'gc>, windows: usize) -> Vec<Gc<'gc, Node<'gc>>> {
    let leaf = mu.alloc(7);
    let node = || mu.alloc(Node { next: GcCell::null(), other: GcCell::null(), leaf: Some(leaf), number: 8 });
    let nodes: Vec<_> = (0..windows * NODES_A_WINDOW).map(|_| node()).collect();
    let first = address(nodes[0]);
    assert!(first.is_multiple_of(WINDOW_BYTES), "a fresh span");
    assert!(nodes.iter().enumerate().all(|(index, &node)| address(node) == first + index * NODE_BYTES));
    nodes
}

fn address(node: Gc<'_, Node<'_>>) -> usize {
    node.start().addr().get()
}

fn window_of(node: Gc<'_, Node<'_>>) -> Window {
    Window::of(Grey(node.start()))
}

fn is_marked(heap: &Heap, node: Gc<'_, Node<'_>>) -> bool {
    heap.core().memory.region.mark(address(node)).load(Ordering::Relaxed) == BLACK
}

fn on_the_stack(tracer: &mut Tracer<'_>) -> Vec<usize> {
    tracer.take_grey().into_iter().map(|Grey(object)| object.addr().get()).collect()
}

/// Runs `f` in a heap of one processor whose objects are white, and get the colour in which they were born back.
fn with_nodes(count: usize, f: impl for<'gc> FnOnce(&Heap, &Mutator<'gc>, &[Gc<'gc, Node<'gc>>])) {
    let heap = Heap::builder().processors(1).build().unwrap();
    heap.mutate(|mu| {
        let nodes = windows(mu, count);
        f(&heap, mu, &nodes);
        let start = nodes.iter().map(|node| node.start()).chain([nodes[0].leaf.unwrap().start()]);
        for object in start {
            heap.core().memory.region.mark(object.addr().get()).store(mu.local().colour(), Ordering::Relaxed);
        }
    });
    heap.verify().unwrap();
}

/// A list that goes up through one window, from whose end pointers lead to the nearest objects of its neighbours on both sides.
#[test]
fn what_lies_in_the_window_is_traced_and_what_does_not_goes_onto_the_stack() {
    const MIDDLE: usize = NODES_A_WINDOW;
    const ABOVE: usize = 2 * NODES_A_WINDOW;
    with_nodes(3, |heap, mu, nodes| {
        for pair in nodes[MIDDLE..ABOVE].windows(2) {
            pair[0].next.store(mu, pair[1]);
        }
        let outside = [nodes[MIDDLE - 1], nodes[ABOVE]];
        nodes[ABOVE - 1].next.store(mu, outside[0]);
        nodes[ABOVE - 1].other.store(mu, outside[1]);
        let mut tracer = Tracer::new(&heap.core().memory.region, BLACK);
        tracer.scan_window(window_of(nodes[MIDDLE]));
        assert_eq!(tracer.scanned_bytes(), WINDOW_BYTES as u64);
        assert_eq!(on_the_stack(&mut tracer), outside.map(address));
        // The first is grey without being marked, as this test has it.
        let is_inside = |index| (MIDDLE + 1..ABOVE).contains(&index);
        for (index, &node) in nodes.iter().enumerate() {
            let is_outside = outside.iter().any(|&other| Gc::ptr_eq(other, node));
            assert_eq!(is_marked(heap, node), is_inside(index) || is_outside, "{index}");
        }
    });
}

/// What leads backwards within the window is not left, and each object is traced once.
#[test]
fn a_window_is_traced_in_whatever_order_its_objects_are_come_to() {
    with_nodes(2, |heap, mu, nodes| {
        let nodes = &nodes[NODES_A_WINDOW..];
        // Each of them leads to the one below, to the one above it, and back.
        for pair in nodes.windows(2) {
            pair[1].next.store(mu, pair[0]);
            pair[0].other.store(mu, pair[1]);
        }
        let middle = nodes[NODES_A_WINDOW / 2];
        let mut tracer = Tracer::new(&heap.core().memory.region, BLACK);
        tracer.visit(middle);
        let grey = tracer.pop().expect("it was white");
        tracer.scan_window(Window::of(grey));
        assert_eq!(tracer.scanned_bytes(), WINDOW_BYTES as u64);
        assert_eq!(on_the_stack(&mut tracer), [0; 0]);
        assert!(nodes.iter().all(|&node| is_marked(heap, node)));
    });
}

/// A window that was left is no window any more: what lies in it and is come to from elsewhere is not forgotten.
#[test]
fn after_a_window_there_is_none() {
    with_nodes(2, |heap, mu, nodes| {
        let [first, other] = [nodes[0], nodes[5]];
        let elsewhere = nodes[NODES_A_WINDOW];
        elsewhere.next.store(mu, other);
        let mut tracer = Tracer::new(&heap.core().memory.region, BLACK);
        tracer.scan_window(window_of(first));
        tracer.visit(nodes[4]);
        assert_eq!(on_the_stack(&mut tracer), [address(nodes[4])]);
        tracer.scan(Grey(elsewhere.start()));
        assert_eq!(on_the_stack(&mut tracer), [address(other)]);
        tracer.scan(Grey(first.start()));
        assert_eq!(tracer.scanned_bytes(), 3 * NODE_BYTES as u64);
    });
}

#[test]
fn objects_of_one_window_go_together() {
    with_nodes(3, |heap, _, nodes| {
        let region = &heap.core().memory.region;
        let mut window = window_of(nodes[NODES_A_WINDOW + 1]);
        assert!(!window.add(Grey(nodes[NODES_A_WINDOW - 1].start())), "the window below");
        assert!(!window.add(Grey(nodes[2 * NODES_A_WINDOW].start())), "the one above");
        assert!(window.add(Grey(nodes[2 * NODES_A_WINDOW - 1].start())));
        assert!(window.add(Grey(nodes[NODES_A_WINDOW].start())));
        assert!(window.add(Grey(nodes[NODES_A_WINDOW].start())), "again");
        let objects: Vec<_> = window.objects(region).map(|Grey(object)| object.addr().get()).collect();
        let expected = [0, 1, NODES_A_WINDOW - 1].map(|index| address(nodes[NODES_A_WINDOW + index]));
        assert_eq!(objects, expected);
    });
}
