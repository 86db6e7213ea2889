//! `bench gcbench`: trees built from the top down and from the bottom up, beside a tree and an array that are kept; the
//! workload of Boehm, Ellis and Kovac. Each tree is one mutation.

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use linchpin::{Gc, GcCell, Heap, Mutator, Root, Trace};

use super::outcome::{Cost, Outcome, Work};
use super::workload::{Common, HeapOptions, on_threads};

/// The depth of the smallest trees.
const LEAST_DEPTH: u32 = 4;

/// Arguments of `linchpin bench gcbench`.
#[derive(Args)]
pub(crate) struct GcbenchArgs {
    /// The depth of the kept tree, and of the largest others.
    #[arg(long, default_value_t = 18, value_parser = clap::value_parser!(u32).range(4..=26))]
    depth: u32,
    /// The elements of the kept array.
    #[arg(long, value_name = "ELEMENTS", default_value_t = 4_000_000)]
    array: u32,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    heap: HeapOptions,
}

/// Both integers hold the node's height.
#[derive(Trace)]
struct Node<'gc> {
    left: GcCell<'gc, Node<'gc>>,
    right: GcCell<'gc, Node<'gc>>,
    i: i64,
    j: i64,
}

/// Makes nodes in a mutation, and counts them.
struct Grower<'mutation, 'gc> {
    mutator: &'mutation Mutator<'gc>,
    allocated: u64,
}

impl<'gc> Grower<'_, 'gc> {
    /// A node without children.
    #[inline]
    fn node(&mut self, height: u32) -> Gc<'gc, Node<'gc>> {
        self.allocated += 1;
        let number = i64::from(height);
        self.mutator.alloc(Node { left: GcCell::null(), right: GcCell::null(), i: number, j: number })
    }

    /// Hangs a tree below a node that is there already.
    fn populate(&mut self, node: Gc<'gc, Node<'gc>>, height: u32) {
        if height == 0 {
            return;
        }
        let left = self.node(height - 1);
        node.left.store(self.mutator, left);
        let right = self.node(height - 1);
        node.right.store(self.mutator, right);
        self.populate(left, height - 1);
        self.populate(right, height - 1);
    }

    /// A tree whose parents are made before their children.
    fn top_down(&mut self, height: u32) -> Gc<'gc, Node<'gc>> {
        let root = self.node(height);
        self.populate(root, height);
        root
    }

    /// A tree whose children are made before their parents.
    fn bottom_up(&mut self, height: u32) -> Gc<'gc, Node<'gc>> {
        if height == 0 {
            return self.node(0);
        }
        let left = self.bottom_up(height - 1);
        let right = self.bottom_up(height - 1);
        self.allocated += 1;
        let number = i64::from(height);
        self.mutator.alloc(Node { left: GcCell::new(left), right: GcCell::new(right), i: number, j: number })
    }
}

/// Lets `grow` make a tree in a mutation of its own, and leaves it to the collector; returns its nodes.
fn tree(heap: &Heap, grow: impl for<'gc> FnOnce(&mut Grower<'_, 'gc>) -> Gc<'gc, Node<'gc>>) -> u64 {
    heap.mutate(|mutator| {
        let mut grower = Grower { mutator, allocated: 0 };
        grow(&mut grower);
        grower.allocated
    })
}

/// The nodes of a tree.
fn nodes(depth: u32) -> u64 {
    (1 << (depth + 1)) - 1
}

/// The depths of the trees that come and go, and how many of each are built each way.
fn plan(depth: u32) -> impl Iterator<Item = (u32, u64)> {
    (LEAST_DEPTH..=depth).step_by(2).map(move |each| (each, 2 * nodes(depth + 2) / nodes(each)))
}

/// How many nodes are allocated in all.
fn expected(depth: u32) -> u64 {
    nodes(depth) + plan(depth).map(|(each, trees)| 2 * trees * nodes(each)).sum::<u64>()
}

/// The part of one thread in the trees that come and go.
fn share(heap: &Heap, depth: u32, thread: u32, threads: u32) -> u64 {
    let mut allocated = 0;
    for (each, trees) in plan(depth) {
        let own = || (u64::from(thread)..trees).step_by(threads as usize);
        allocated += own().map(|_| tree(heap, |grower| grower.top_down(each))).sum::<u64>();
        allocated += own().map(|_| tree(heap, |grower| grower.bottom_up(each))).sum::<u64>();
    }
    allocated
}

/// What stays to the end.
struct Kept {
    tree: Root<Node<'static>>,
    array: Root<[f64]>,
}

fn element(index: usize) -> f64 {
    1.0 / (index as f64 + 1.0)
}

/// The whole workload; returns the nodes that were allocated.
fn work(heap: &Heap, depth: u32, elements: usize, threads: u32) -> (u64, Kept) {
    let (tree, mut allocated) = heap.mutate(|mutator| {
        let mut grower = Grower { mutator, allocated: 0 };
        let tree = grower.top_down(depth);
        (mutator.root(tree), grower.allocated)
    });
    let array = heap.mutate(|mutator| mutator.root(mutator.alloc_slice_with(elements, element)));
    allocated += on_threads(threads, |thread| share(heap, depth, thread, threads)).into_iter().sum::<u64>();
    (allocated, Kept { tree, array })
}

/// How many nodes a tree has; `None` if it is not of this height throughout.
fn count(node: Gc<'_, Node<'_>>, height: u32) -> Option<u64> {
    if node.i != i64::from(height) || node.j != i64::from(height) {
        return None;
    }
    match (node.left.load(), node.right.load()) {
        (None, None) if height == 0 => Some(1),
        (Some(left), Some(right)) if height != 0 => Some(1 + count(left, height - 1)? + count(right, height - 1)?),
        _ => None,
    }
}

fn verify(heap: &Heap, depth: u32, elements: usize, allocated: u64, kept: &Kept) -> Result<()> {
    if allocated != expected(depth) {
        bail!("{allocated} nodes were allocated, which should be {}", expected(depth));
    }
    heap.mutate(|mutator| {
        let found = count(kept.tree.get(mutator), depth);
        if found != Some(nodes(depth)) {
            bail!("the kept tree is not what was built: {found:?} nodes, which should be {}", nodes(depth));
        }
        let array = kept.array.get(mutator);
        if array.len() != elements {
            bail!("the kept array has {} elements, which should be {elements}", array.len());
        }
        match array.iter().enumerate().find(|&(index, value)| value.to_bits() != element(index).to_bits()) {
            Some((index, value)) => bail!("element {index} of the kept array is {value}"),
            None => Ok(()),
        }
    })
}

/// Runs `bench gcbench`.
pub(crate) fn run(args: &GcbenchArgs) -> Result<()> {
    let (depth, elements, threads) = (args.depth, args.array as usize, args.common.threads);
    let heap = args.heap.build(threads)?;
    let start = Instant::now();
    let (operations, kept) = work(&heap, depth, elements, threads);
    let wall = start.elapsed();
    let cost = Cost::so_far(Some(&heap));
    verify(&heap, depth, elements, operations, &kept)?;
    let work = Work { wall, operations, latency: None };
    Outcome { workload: "gcbench", operation: "a node", threads, work, cost, check: operations }.print(args.common.json)
}

#[cfg(test)]
mod tests {
    use linchpin::Heap;

    use super::{Grower, expected, verify, work};

    #[test]
    fn small_trees_are_whole() {
        for (depth, threads) in [(4, 1), (7, 2), (8, 3)] {
            let heap = Heap::new();
            let (allocated, kept) = work(&heap, depth, 1_000, threads);
            heap.collect();
            verify(&heap, depth, 1_000, allocated, &kept).unwrap();
        }
    }

    #[test]
    fn what_is_wrong_is_noticed() {
        let heap = Heap::new();
        let (allocated, kept) = work(&heap, 4, 10, 1);
        let error = |elements, allocated| verify(&heap, 4, elements, allocated, &kept).unwrap_err().to_string();
        assert!(error(10, allocated - 1).contains("were allocated"));
        assert!(error(11, allocated).contains("10 elements"));
        // A subtree that is one too high.
        heap.mutate(|mutator| {
            let tree = Grower { mutator, allocated: 0 }.bottom_up(4);
            kept.tree.get(mutator).right.store(mutator, tree);
        });
        assert!(error(10, allocated).contains("kept tree"));
    }

    #[test]
    fn the_number_that_all_peers_agree_on() {
        // By another program.
        assert_eq!(expected(18), 67_627_651);
    }
}
