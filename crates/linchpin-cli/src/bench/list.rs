//! `bench list`: singly linked lists that are kept and marked by one collection after another. Marking them takes no more
//! stack than marking anything else, and each step has to wait for the one before. The unit whose latency is told is a collection.

use anyhow::{Result, ensure};
use clap::Args;
use linchpin::{Gc, Heap, Mutator, Root, Trace};

use super::latency::{Length, Units};
use super::outcome::{Cost, Outcome, Work};
use super::workload::{Common, HeapOptions, timed};

/// Nodes that are made in one mutation.
const BATCH: u64 = 1_000;

/// Arguments of `linchpin bench list`.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// The nodes of each list; there are as many lists as threads.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    nodes: u64,
    /// How many collections are asked for.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    collections: u64,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    heap: HeapOptions,
}

#[derive(Trace)]
struct Node<'gc> {
    number: u64,
    next: Option<Gc<'gc, Node<'gc>>>,
}

/// A list, by its newest node.
type List = Root<Node<'static>>;

fn build(heap: &Heap, nodes: u64) -> List {
    let list: List = heap.mutate(|mu| mu.root(mu.alloc(Node { number: 0, next: None })));
    let mut next = 1;
    while next < nodes {
        let end = nodes.min(next + BATCH);
        heap.mutate(|mu| list.set(mu, extend(mu, list.get(mu), next, end)));
        next = end;
    }
    list
}

/// Puts the nodes `first` to `end` in front of a list.
fn extend<'gc>(mu: &Mutator<'gc>, list: Gc<'gc, Node<'gc>>, first: u64, end: u64) -> Gc<'gc, Node<'gc>> {
    (first..end).fold(list, |next, number| mu.alloc(Node { number, next: Some(next) }))
}

/// Verifies every node, and adds their numbers up.
fn sum_of(heap: &Heap, list: &List, nodes: u64) -> Result<u64> {
    heap.mutate(|mu| {
        let (mut node, mut expected, mut sum) = (Some(list.get(mu)), nodes, 0);
        while let Some(this) = node {
            ensure!(expected != 0, "the list goes on behind its end, by node {}", this.number);
            expected -= 1;
            ensure!(this.number == expected, "in the place of node {expected} is {}", this.number);
            sum += this.number;
            node = this.next;
        }
        ensure!(expected == 0, "the list ends before node {}", expected - 1);
        Ok(sum)
    })
}

/// Runs `bench list`.
pub(crate) fn run(args: &ListArgs) -> Result<()> {
    let (nodes, collections, threads) = (args.nodes, args.collections, args.common.threads);
    let heap = args.heap.build(threads)?;
    let lists: Vec<List> = (0..threads).map(|_| build(&heap, nodes)).collect();
    let collect = |_, units: &mut Units| {
        while units.another() {
            heap.collect();
        }
    };
    let timed = timed(1, Length::Units(collections), collect, None);
    let cost = Cost::so_far(Some(&heap));
    let check = lists.iter().map(|list| sum_of(&heap, list, nodes)).sum::<Result<u64>>()?;
    let operations = nodes * u64::from(threads) * collections;
    let work = Work { wall: timed.wall, operations, latency: Some(timed.latency) };
    Outcome { workload: "list", operation: "a node", threads, work, cost, check }.print(args.common.json)
}

#[cfg(test)]
mod tests {
    use linchpin::Heap;

    use super::{Node, build, sum_of};

    #[test]
    fn lists_stay_whole() {
        let heap = Heap::new();
        for nodes in [1, 2, 1_000, 1_001, 300_000] {
            let list = build(&heap, nodes);
            heap.collect();
            assert_eq!(sum_of(&heap, &list, nodes).unwrap(), nodes * (nodes - 1) / 2);
        }
    }

    #[test]
    fn what_is_wrong_is_noticed() {
        let heap = Heap::new();
        let list = build(&heap, 100);
        let error = |nodes| sum_of(&heap, &list, nodes).unwrap_err().to_string();
        assert!(error(99).contains("in the place of node 98 is 99"));
        heap.mutate(|mu| list.set(mu, mu.alloc(Node { number: 99, next: None })));
        assert!(error(100).contains("ends before node 98"));
        let more = build(&heap, 100);
        heap.mutate(|mu| {
            let behind = mu.alloc(Node { number: 0, next: Some(more.get(mu)) });
            list.set(mu, behind);
        });
        assert!(error(1).contains("goes on behind its end, by node 99"));
    }
}
