//! A graph full of cycles under the hands of several threads: some add nodes, add edges and remove edges; one searches it
//! breadth first, one counts its components, all the while. What no entry leads to any more is collected, cycles too.
//!
//! `cargo run --release --package linchpin --example graph`

#![forbid(unsafe_code)]

mod graph;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use linchpin::{Heap, Root};

use graph::Graph;

/// Steps of each thread that changes the graph.
const STEPS: usize = 30_000;
/// Threads that change it.
const THREADS: usize = 3;
/// About so many nodes, no more is added.
const NODES: usize = 1_000;

fn main() {
    let heap = Heap::new();
    let dropped = Arc::new(AtomicUsize::new(0));
    let graph = heap.mutate(|mu| {
        let graph = mu.alloc(Graph::new(Arc::clone(&dropped)));
        for _ in 0..4 {
            graph.add_entry(mu, graph.add_node(mu));
        }
        mu.root(graph)
    });
    let finished = AtomicBool::new(false);
    thread::scope(|scope| {
        let (heap, graph, finished) = (&heap, &graph, &finished);
        let searcher = scope.spawn(move || {
            let (mut searches, mut widest, mut furthest) = (0, 0, (0, 0));
            while !finished.load(Ordering::Acquire) {
                let found = heap.mutate(|mu| {
                    let found = graph.get(mu).reachable(mu);
                    (found.len(), found.last().map_or((0, 0), |&(node, distance)| (distance, node.id())))
                });
                (searches, widest, furthest) = (searches + 1, widest.max(found.0), furthest.max(found.1));
            }
            println!(
                "{searches} searches found up to {widest} nodes, up to {} edges away (node {})",
                furthest.0, furthest.1
            );
        });
        let counter = scope.spawn(move || {
            let (mut counts, mut least, mut most) = (0, usize::MAX, 0);
            while !finished.load(Ordering::Acquire) {
                let components = heap.mutate(|mu| graph.get(mu).components(mu));
                (counts, least, most) = (counts + 1, least.min(components), most.max(components));
            }
            println!("{counts} counts found {least} to {most} components, those not collected yet among them");
        });
        let changers: Vec<_> =
            (1..=THREADS).map(|seed| scope.spawn(move || change(heap, graph, seed as u64, STEPS))).collect();
        for changer in changers {
            changer.join().expect("no change panics");
        }
        finished.store(true, Ordering::Release);
        searcher.join().expect("no search panics");
        counter.join().expect("no count panics");
    });

    heap.collect();
    let (made, reachable) = heap.mutate(|mu| (graph.get(mu).made(), graph.get(mu).reachable(mu).len()));
    let gone = dropped.load(Ordering::Relaxed);
    println!("{made} nodes made, {gone} dropped in {} cycles, {reachable} reachable", heap.stats().cycles);
    assert_eq!(made, gone + reachable);
    heap.mutate(|mu| graph.get(mu).clear_entries(mu));
    heap.collect();
    assert_eq!(dropped.load(Ordering::Relaxed), made);
    println!("and all of these dropped when the graph had no entry any more, whatever cycles they are in");
}

/// Changes the graph at random places that can be reached.
fn change(heap: &Heap, graph: &Root<Graph<'static>>, seed: u64, steps: usize) {
    let mut random = seed;
    let mut next = |limit: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % limit
    };
    for _ in 0..steps / 10 {
        heap.mutate(|mu| {
            let graph = graph.get(mu);
            let found = graph.reachable(mu);
            // Some steps on what was found: a search each would be most of the work.
            for _ in 0..10 {
                let (node, _) = found[next(found.len())];
                let (other, _) = found[next(found.len())];
                match next(8) {
                    0..3 if found.len() < NODES => {
                        let new = graph.add_node(mu);
                        node.connect(mu, new);
                        new.connect(mu, other);
                    }
                    0..5 => _ = node.connect(mu, other),
                    _ => {
                        let neighbours = node.neighbours(mu);
                        if !neighbours.is_empty() {
                            node.disconnect(mu, neighbours[next(neighbours.len())]);
                        }
                    }
                }
            }
        });
    }
}
