//! `bench trees`: binary trees, built and counted and dropped; a workload that is all allocation.
//!
//! A tree one deeper than the rest is built first, then one of full depth that is kept to the end;
//! between them come, for depths 4, 6, ... D, as many trees of that depth as make the number of
//! nodes about the same. Each tree is one mutation.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use linchpin::{Gc, Heap, Mutator, Trace};

use super::{emit, trees_peer};

/// The depth of the smallest trees.
const LEAST_DEPTH: u32 = 4;

/// Ticks a second in the times of /proc, the same on all common Linux systems.
const TICKS: f64 = 100.0;

/// Arguments of `linchpin bench trees`.
#[derive(Args)]
pub(crate) struct TreesArgs {
    /// The depth of the kept tree.
    #[arg(long, default_value_t = 18, value_parser = clap::value_parser!(u32).range(4..=28))]
    depth: u32,
    /// How many threads build the trees of depths 4, 6, and so on.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,
    /// Print one line of JSON.
    #[arg(long, conflicts_with = "with_go")]
    json: bool,
    /// Run Go's program for the same work, too, by turns, and print both with ratios. PATH is the Go tool to build it
    /// with.
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "go")]
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
    if threads == 1 {
        sum += share(heap, depth, 0, 1);
    } else {
        sum += std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || share(heap, depth, thread, threads))).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, u64>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            workers.into_iter().map(join).sum::<u64>()
        });
    }
    sum + heap.mutate(|mutator| count(&kept.get(mutator)))
}

/// Runs `bench trees`.
pub(crate) fn run(args: &TreesArgs) -> Result<()> {
    let (depth, threads) = (args.depth, args.threads);
    if let Some(go) = &args.with_go {
        return emit(&trees_peer::compare(go, depth, threads, args.count as usize)?);
    }
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let heap = Heap::builder().processors(available.max(threads as usize)).build().context("cannot make a heap")?;
    let start = Instant::now();
    let check = work(&heap, depth, threads);
    let wall = start.elapsed().as_secs_f64();
    let operations = expected(depth);
    if check != operations {
        bail!("the trees have {check} nodes, which should be {operations}");
    }
    let cycles = heap.stats().cycles;
    let processor = processor_seconds();
    let resident = peak_resident_megabytes();
    let each = wall * 1e9 / operations as f64;
    emit(&if args.json {
        let number = |value: Option<f64>| value.map_or("null".to_owned(), |value| format!("{value:.3}"));
        format!(
            "{{\"w\":\"trees\",\"threads\":{threads},\"wall_s\":{wall:.4},\"cpu_s\":{},\"ops\":{operations},\
             \"ns_op\":{each:.3},\"rss_mb\":{},\"cycles\":{cycles},\"check\":{check}}}\n",
            number(processor),
            number(resident),
        )
    } else {
        let number = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| format!("{value:.2}"));
        format!(
            "trees of depth {depth} on {threads} thread{}: {wall:.3} s wall, {} s processor time, {each:.2} ns \
             a node, {} MB at most, {cycles} cycles, {check} nodes as expected\n",
            if threads == 1 { "" } else { "s" },
            number(processor),
            number(resident),
        )
    })
}

/// User and system time of the process so far.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, in parentheses, may hold anything; the numbers follow the last one.
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

/// The most memory the process has had resident.
fn peak_resident_megabytes() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use linchpin::Heap;

    use super::{expected, processor_seconds, work};

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

    #[test]
    fn the_system_tells_the_time_used() {
        assert!(processor_seconds().is_none_or(|seconds| seconds >= 0.0));
    }
}
