//! `bench churn`: a graph of two million nodes that threads rewire, each in its own share of the table, and whose nodes they
//! replace. The unit whose latency is told is 100 steps, in one mutation.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use clap::Args;
use linchpin::{Gc, GcCell, Heap, Mutator, Root, Trace};

use super::churn_replay::{MOST_STEPS, sum_of_edges};
use super::latency::{Length, Units};
use super::outcome::{Cost, Outcome, Work};
use super::workload::{Common, HeapOptions, LengthOptions, Timed, Xorshift, as_check, share, timed};

/// Steps a unit.
const UNIT: u64 = 100;
/// Nodes that are set up in one mutation.
const BATCH: usize = 1_000;

/// Arguments of `linchpin bench churn`.
#[derive(Args)]
pub(crate) struct ChurnArgs {
    /// The nodes of the table, one a thread at least.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    nodes: u32,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    length: LengthOptions,
    #[command(flatten)]
    heap: HeapOptions,
}

#[derive(Trace)]
struct Node<'gc> {
    id: i64,
    out: [GcCell<'gc, Node<'gc>>; 4],
}

type Slot<'gc> = GcCell<'gc, Node<'gc>>;
type Table = Root<[Slot<'static>]>;

/// What a slot holds, which is never empty once it is set up.
#[inline(always)]
fn node_in<'gc>(slot: &Slot<'gc>) -> Gc<'gc, Node<'gc>> {
    slot.load().expect("each slot of the table has a node")
}

/// Makes the nodes, and then gives them edges.
fn set_up(heap: &Heap, nodes: usize) -> Table {
    let table: Table = heap.mutate(|mu| mu.root(mu.alloc_slice_with(nodes, |_| GcCell::<Node<'_>>::null())));
    let mut numbers = Xorshift::of_set_up();
    in_batches(heap, &table, |mu, table, i| {
        let out = [(); 4].map(|()| GcCell::null());
        table[i].store(mu, mu.alloc(Node { id: i as i64, out }));
    });
    in_batches(heap, &table, |mu, table, i| {
        for edge in &node_in(&table[i]).out {
            edge.store(mu, node_in(&table[(numbers.next() % table.len() as u64) as usize]));
        }
    });
    table
}

/// Does something for each slot, many in a mutation.
fn in_batches(heap: &Heap, table: &Table, mut work: impl for<'gc> FnMut(&Mutator<'gc>, &[Slot<'gc>], usize)) {
    let (mut next, mut slots) = (0, 1);
    while next < slots {
        heap.mutate(|mu| {
            let table = table.get(mu).as_ref();
            slots = table.len();
            for i in next..slots.min(next + BATCH) {
                work(mu, table, i);
            }
        });
        next += BATCH;
    }
}

/// A step; `size` is that of the share.
#[inline(always)]
fn step<'gc>(mu: &Mutator<'gc>, table: &[Slot<'gc>], lo: usize, size: u64, numbers: &mut Xorshift) {
    let slot = &table[lo + (numbers.next() % size) as usize];
    let r = numbers.next();
    let v = node_in(slot);
    if r & 3 == 0 {
        let out = [0, 1, 2, 3].map(|edge: usize| GcCell::new(v.out[edge].load()));
        slot.store(mu, mu.alloc(Node { id: v.id, out }));
        return;
    }
    let mut w = v.out[(r >> 8) as usize & 3].load();
    if r & 4 == 0 {
        w = table[lo + ((r >> 16) % size) as usize].load();
    } else if let Some(u) = w.and_then(|w| w.out[(r >> 10) as usize & 3].load()) {
        w = Some(u);
    }
    v.out[(r >> 12) as usize & 3].store(mu, w);
}

/// What one thread does in its share.
fn rewire(heap: &Heap, table: &Table, share: &Range<usize>, numbers: &mut Xorshift, units: &mut Units) -> u64 {
    let size = share.len() as u64;
    while units.another() {
        heap.mutate(|mu| {
            let table = table.get(mu).as_ref();
            for _ in 0..UNIT {
                step(mu, table, share.start, size, numbers);
            }
        });
    }
    units.done() * UNIT
}

/// The timed part.
fn work(heap: &Heap, table: &Table, nodes: usize, threads: u32, length: Length) -> Timed<u64> {
    let work = |thread, units: &mut Units| {
        rewire(heap, table, &share(nodes, thread, threads), &mut Xorshift::of_thread(thread), units)
    };
    timed(threads, length, work, None)
}

/// The sums over the table: of the ids, and of what each node and its edges are mixed to.
struct Sums {
    ids: u64,
    edges: u64,
}

/// Verifies every id and edge of the table.
fn sums_of(heap: &Heap, table: &Table) -> Result<Sums> {
    heap.mutate(|mu| {
        let table = table.get(mu).as_ref();
        let mut sums = Sums { ids: 0, edges: 0 };
        for (i, slot) in table.iter().enumerate() {
            let node = slot.load().with_context(|| format!("slot {i} has no node"))?;
            ensure!(node.id == i as i64, "slot {i} has node {}", node.id);
            let mut mixed = node.id as u64;
            for (k, edge) in node.out.iter().enumerate() {
                let target = edge.load().with_context(|| format!("edge {k} of node {i} leads nowhere"))?.id;
                let exists = (0..table.len() as i64).contains(&target);
                ensure!(exists, "edge {k} of node {i} leads to node {target}, which never was");
                mixed = (mixed ^ target as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                mixed ^= mixed >> 32;
            }
            sums.ids += i as u64;
            sums.edges = sums.edges.wrapping_add(mixed);
        }
        Ok(sums)
    })
}

/// Verifies that the edges are those that so many steps of one thread make.
fn verify_edges(sums: &Sums, nodes: u32, steps: u64) -> Result<()> {
    let (found, expected) = (as_check(sums.edges), as_check(sum_of_edges(nodes, steps)));
    ensure!(found == expected, "some edge does not lead where it should: the check is {found}, not {expected}");
    Ok(())
}

/// Runs `bench churn`.
pub(crate) fn run(args: &ChurnArgs) -> Result<()> {
    let (nodes, threads) = (args.nodes as usize, args.common.threads);
    ensure!(nodes >= threads as usize, "--nodes {nodes} is not one for each of the {threads} threads");
    let heap = args.heap.build(threads)?;
    let table = set_up(&heap, nodes);
    let timed = work(&heap, &table, nodes, threads, args.length.in_units_of(UNIT));
    let cost = Cost::so_far(Some(&heap));
    let sums = sums_of(&heap, &table)?;
    // What several threads rewire is not the same twice.
    let repeatable = args.length.steps.is_some() && threads == 1;
    let operations = timed.results.iter().sum();
    if repeatable && operations <= MOST_STEPS {
        verify_edges(&sums, args.nodes, operations)?;
    }
    let check = as_check(if repeatable { sums.edges } else { sums.ids });
    let work = Work { wall: timed.wall, operations, latency: Some(timed.latency) };
    Outcome { workload: "churn", operation: "a step", threads, work, cost, check }.print(args.common.json)
}

#[cfg(test)]
mod tests {
    use linchpin::{GcCell, Heap};

    use super::{Length, Node, set_up, share, sum_of_edges, sums_of, verify_edges, work};

    #[test]
    fn one_thread_makes_the_graph_that_plain_indices_make() {
        let heap = Heap::new();
        let table = set_up(&heap, 1_234);
        assert_eq!(sums_of(&heap, &table).unwrap().edges, sum_of_edges(1_234, 0));
        let timed = work(&heap, &table, 1_234, 1, Length::Units(50));
        heap.collect();
        assert_eq!(timed.results, [5_000]);
        verify_edges(&sums_of(&heap, &table).unwrap(), 1_234, 5_000).unwrap();
    }

    #[test]
    fn several_threads_keep_every_id() {
        let heap = Heap::builder().processors(3).build().unwrap();
        let table = set_up(&heap, 1_000);
        let timed = work(&heap, &table, 1_000, 3, Length::Units(40));
        heap.collect();
        assert_eq!(timed.results, [4_000; 3]);
        assert_eq!(sums_of(&heap, &table).unwrap().ids, 1_000 * 999 / 2);
        assert!(timed.latency.longest().is_some());
        assert_eq!(share(1_000, 2, 3), 666..1_000);
    }

    fn stranger<'gc>(id: i64) -> Node<'gc> {
        Node { id, out: [(); 4].map(|()| GcCell::null()) }
    }

    #[test]
    fn what_is_wrong_is_noticed() {
        let heap = Heap::new();
        let table = set_up(&heap, 100);
        let error = || sums_of(&heap, &table).err().unwrap().to_string();
        // An edge that leads to a node that exists, but to the wrong one.
        heap.mutate(|mu| {
            let edge = &table.get(mu)[80].load().unwrap().out[3];
            let id = edge.load().unwrap().id as usize;
            edge.store(mu, table.get(mu)[(id + 1) % 100].load());
        });
        let wrong = verify_edges(&sums_of(&heap, &table).unwrap(), 100, 0).unwrap_err().to_string();
        assert!(wrong.starts_with("some edge does not lead where it should"));
        heap.mutate(|mu| table.get(mu)[70].load().unwrap().out[2].clear(mu));
        assert_eq!(error(), "edge 2 of node 70 leads nowhere");
        heap.mutate(|mu| table.get(mu)[60].load().unwrap().out[1].store(mu, mu.alloc(stranger(100))));
        assert_eq!(error(), "edge 1 of node 60 leads to node 100, which never was");
        heap.mutate(|mu| table.get(mu)[50].store(mu, mu.alloc(stranger(51))));
        assert_eq!(error(), "slot 50 has node 51");
        heap.mutate(|mu| table.get(mu)[40].clear(mu));
        assert_eq!(error(), "slot 40 has no node");
    }
}
