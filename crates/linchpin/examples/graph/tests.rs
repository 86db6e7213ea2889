use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use linchpin::{Gc, Heap, Mutator, Root};

use crate::change;
use crate::graph::{Graph, Node};

/// A graph with one entry, and what counts its dropped nodes.
fn graph_in(heap: &Heap) -> (Root<Graph<'static>>, Arc<AtomicUsize>) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let graph = heap.mutate(|mu| {
        let graph = mu.alloc(Graph::new(Arc::clone(&dropped)));
        graph.add_entry(mu, graph.add_node(mu));
        mu.root(graph)
    });
    (graph, dropped)
}

/// A ring of so many new nodes; one of them.
fn ring<'gc>(mu: &Mutator<'gc>, graph: Gc<'gc, Graph<'gc>>, length: usize) -> Gc<'gc, Node<'gc>> {
    let nodes: Vec<_> = (0..length).map(|_| graph.add_node(mu)).collect();
    for (index, node) in nodes.iter().enumerate() {
        node.connect(mu, nodes[(index + 1) % length]);
    }
    nodes[0]
}

fn entry<'gc>(mu: &Mutator<'gc>, graph: Gc<'gc, Graph<'gc>>) -> Gc<'gc, Node<'gc>> {
    graph.reachable(mu)[0].0
}

#[test]
fn a_search_finds_each_node_once_and_the_near_ones_first() {
    let heap = Heap::new();
    let (graph, _) = graph_in(&heap);
    heap.mutate(|mu| {
        let graph = graph.get(mu);
        let start = entry(mu, graph);
        let ring = ring(mu, graph, 5);
        assert!(start.connect(mu, ring));
        assert!(!start.connect(mu, ring));
        let far = graph.add_node(mu);
        ring.connect(mu, far);
        far.connect(mu, start);
        let found: Vec<_> = graph.reachable(mu).iter().map(|(node, distance)| (node.id(), *distance)).collect();
        assert_eq!(found, [(0, 0), (1, 1), (2, 2), (6, 2), (3, 3), (4, 4), (5, 5)]);
        assert_eq!(graph.components(mu), 1);
        start.disconnect(mu, ring);
        far.disconnect(mu, start);
        assert!(!far.disconnect(mu, start));
        assert_eq!(graph.reachable(mu).len(), 1);
        assert_eq!(graph.components(mu), 2);
    });
}

#[test]
fn a_ring_that_nothing_leads_to_is_collected() {
    let heap = Heap::new();
    let (graph, dropped) = graph_in(&heap);
    heap.mutate(|mu| {
        let graph = graph.get(mu);
        entry(mu, graph).connect(mu, ring(mu, graph, 1_000));
    });
    heap.collect();
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    heap.mutate(|mu| {
        let graph = graph.get(mu);
        let start = entry(mu, graph);
        start.disconnect(mu, start.neighbours(mu)[0]);
    });
    heap.collect();
    assert_eq!(dropped.load(Ordering::Relaxed), 1_000);
    heap.mutate(|mu| {
        assert_eq!(graph.get(mu).nodes(mu).len(), 1);
        assert_eq!(graph.get(mu).components(mu), 1);
    });
}

/// Threads change the graph; a ring that they do not touch is found by each search meanwhile. At the end exactly what can be
/// reached is there.
#[test]
fn threads_change_it_and_exactly_what_is_reachable_stays() {
    const RING: usize = 100;
    let heap = Heap::builder().processors(4).growth_percent(20).build().expect("a heap");
    let (graph, dropped) = graph_in(&heap);
    // Its own entry: the changers remove edges of what they reach, of the ring's nodes as well, so it lies in a second graph.
    let (still, still_dropped) = graph_in(&heap);
    heap.mutate(|mu| _ = entry(mu, still.get(mu)).connect(mu, ring(mu, still.get(mu), RING)));
    let finished = AtomicBool::new(false);
    thread::scope(|scope| {
        let (heap, graph, still, finished) = (&heap, &graph, &still, &finished);
        let changers: Vec<_> = (1..=3).map(|seed| scope.spawn(move || change(heap, graph, seed, 3_000))).collect();
        scope.spawn(move || {
            while !finished.load(Ordering::Acquire) {
                heap.mutate(|mu| {
                    assert_eq!(still.get(mu).reachable(mu).len(), 1 + RING);
                    let graph = graph.get(mu);
                    let found = graph.reachable(mu);
                    assert!(found.is_sorted_by_key(|&(_, distance)| distance));
                    assert!(graph.components(mu) >= 1);
                });
            }
        });
        let outcomes: Vec<_> = changers.into_iter().map(|changer| changer.join()).collect();
        finished.store(true, Ordering::Release);
        assert!(outcomes.iter().all(Result::is_ok));
    });
    heap.collect();
    let (made, reachable, there) = heap.mutate(|mu| {
        let graph = graph.get(mu);
        (graph.made(), graph.reachable(mu).len(), graph.nodes(mu).len())
    });
    assert!(made > 100);
    assert_eq!((made - dropped.load(Ordering::Relaxed), there), (reachable, reachable));
    assert_eq!(still_dropped.load(Ordering::Relaxed), 0);
    heap.mutate(|mu| graph.get(mu).clear_entries(mu));
    heap.collect();
    assert_eq!(dropped.load(Ordering::Relaxed), made);
}
