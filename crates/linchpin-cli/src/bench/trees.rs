//! `bench trees`: binary trees, built and counted and dropped; a workload that is all allocation.
//!
//! A tree one deeper than the rest is built first, then one of full depth that is kept to the end;
//! between them come, for depths 4, 6, ... D, as many trees of that depth as make the number of
//! nodes about the same. Each tree is one mutation.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use linchpin::{Gc, Heap, Mutator, Trace};

use super::outcome::{Cost, Outcome, Work};
use super::workload::{Common, HeapOptions, on_threads};
use super::{emit, trees_peer};

/// The depth of the smallest trees.
const LEAST_DEPTH: u32 = 4;

/// Arguments of `linchpin bench trees`.
#[derive(Args)]
pub(crate) struct TreesArgs {
    /// The depth of the kept tree.
    #[arg(long, default_value_t = 18, value_parser = clap::value_parser!(u32).range(4..=28))]
    depth: u32,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    heap: HeapOptions,
    /// Run Go's program for the same work, too, by turns, and print both with ratios. PATH is the Go tool to build it
    /// with.
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "go")]
    #[arg(conflicts_with_all = ["json", "growth_percent", "processors", "huge_pages", "populate"])]
    with_go: Option<PathBuf>,
    /// How often each program runs with --with-go.
    #[arg(long, default_value_t = 5, requires = "with_go", value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
}

#[derive(Trace)]
struct Node<'gc> {
    left: Option<Gc<'gc, Node<'gc>>>,
    right: Option<Gc<'gc, Node<'gc>>>,
}

/// Builds a tree, children first.
fn build<'gc>(mutator: &Mutator<'gc>, depth: u32) -> Gc<'gc, Node<'gc>> {
    if depth == 0 {
        return mutator.alloc(Node { left: None, right: None });
    }
    let left = build(mutator, depth - 1);
    let right = build(mutator, depth - 1);
    mutator.alloc(Node { left: Some(left), right: Some(right) })
}

/// How many nodes a tree has, by visiting each.
fn count(node: &Node<'_>) -> u64 {
    let child = |child: Option<Gc<'_, Node<'_>>>| child.map_or(0, |child| count(&child));
    1 + child(node.left) + child(node.right)
}

/// Builds a tree in a mutation of its own, counts it and leaves it to the collector.
fn build_and_count(heap: &Heap, depth: u32) -> u64 {
    heap.mutate(|mutator| count(&build(mutator, depth)))
}

/// The depths of the trees that are built between the first and the last, and how many of each.
fn plan(depth: u32) -> impl Iterator<Item = (u32, u32)> {
    (LEAST_DEPTH..=depth).step_by(2).map(move |each| (each, 1 << (depth - each + LEAST_DEPTH)))
}

/// The nodes of a tree.
fn nodes(depth: u32) -> u64 {
    (1 << (depth + 1)) - 1
}

/// What the sum of all counts must be, which is also the number of nodes allocated.
fn expected(depth: u32) -> u64 {
    let between: u64 = plan(depth).map(|(each, trees)| u64::from(trees) * nodes(each)).sum();
    nodes(depth + 1) + nodes(depth) + between
}

/// The part of one thread in the trees between: every tree whose number it is, modulo `threads`.
fn share(heap: &Heap, depth: u32, thread: u32, threads: u32) -> u64 {
    let mut sum = 0;
    for (each, trees) in plan(depth) {
        for _ in (thread..trees).step_by(threads as usize) {
            sum += build_and_count(heap, each);
        }
    }
    sum
}

/// The whole workload; returns the sum of all counts.
fn work(heap: &Heap, depth: u32, threads: u32) -> u64 {
    let mut sum = build_and_count(heap, depth + 1);
    let kept = heap.mutate(|mutator| mutator.root(build(mutator, depth)));
    sum += on_threads(threads, |thread| share(heap, depth, thread, threads)).into_iter().sum::<u64>();
    sum + heap.mutate(|mutator| count(&kept.get(mutator)))
}

/// Runs `bench trees`.
pub(crate) fn run(args: &TreesArgs) -> Result<()> {
    let (depth, threads) = (args.depth, args.common.threads);
    if let Some(go) = &args.with_go {
        return emit(&trees_peer::compare(go, depth, threads, args.count as usize)?);
    }
    let heap = args.heap.build(threads)?;
    let start = Instant::now();
    let check = work(&heap, depth, threads);
    let wall = start.elapsed();
    let cost = Cost::so_far(Some(&heap));
    let operations = expected(depth);
    if check != operations {
        bail!("the trees have {check} nodes, which should be {operations}");
    }
    let work = Work { wall, operations, latency: None };
    Outcome { workload: "trees", operation: "a node", threads, work, cost, check }.print(args.common.json)
}

#[cfg(test)]
mod tests {
    use linchpin::Heap;

    use super::{expected, work};

    #[test]
    fn the_sum_that_all_peers_agree_on() {
        assert_eq!(expected(18), 68_332_206);
    }

    #[test]
    fn small_trees_are_counted_right() {
        for (depth, threads) in [(4, 1), (7, 2), (8, 3)] {
            assert_eq!(work(&Heap::new(), depth, threads), expected(depth));
        }
    }
}
