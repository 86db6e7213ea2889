//! gc-arena, on mimalloc. A heap belongs to one thread: where there are more, each has one of its own, and nothing is shared.
//!
//! The heap collects between mutations, as much as it owes. A table is in parts of 64 slots, each an object: the
//! write barrier marks the whole object that is written to, which would be the whole table.

use std::time::Instant;

use gc_arena::barrier::{Write, field};
use gc_arena::lock::Lock;
use gc_arena::{Arena, Collect, Gc, Mutation, Rootable};
use linchpin_peers::timing::{in_own_heaps, in_units, on_threads, shares};
use linchpin_peers::{
    Args, BATCH, BUFFER, Histogram, Limit, Outcome, Random, TABLE, UNIT, Usage, cannot_express, fail, plan,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Link<'gc, T> = Option<Gc<'gc, T>>;

#[derive(Collect)]
#[collect(no_drop)]
struct Node<'gc> {
    left: Link<'gc, Node<'gc>>,
    right: Link<'gc, Node<'gc>>,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Kept<'gc>(Link<'gc, Node<'gc>>);

fn build<'gc>(mutation: &Mutation<'gc>, depth: u32) -> Gc<'gc, Node<'gc>> {
    if depth == 0 {
        return Gc::new(mutation, Node { left: None, right: None });
    }
    let left = build(mutation, depth - 1);
    let right = build(mutation, depth - 1);
    Gc::new(mutation, Node { left: Some(left), right: Some(right) })
}

fn count(node: &Node<'_>) -> u64 {
    1 + node.left.map_or(0, |child| count(&child)) + node.right.map_or(0, |child| count(&child))
}

type Trees = Arena<Rootable![Kept<'_>]>;

fn build_and_count(heap: &mut Trees, depth: u32) -> u64 {
    let nodes = heap.mutate(|mutation, _| count(&build(mutation, depth)));
    heap.collect_debt();
    nodes
}

fn share_of_trees(heap: &mut Trees, args: &Args, thread: u64) -> u64 {
    let mut sum = 0;
    for (each, trees) in plan::trees(args.depth()) {
        for _ in (thread..trees).step_by(args.threads as usize) {
            sum += build_and_count(heap, each);
        }
    }
    sum
}

fn trees(args: &Args) -> Outcome {
    let start = Instant::now();
    let mut heap = Trees::new(|_| Kept(None));
    let mut check = build_and_count(&mut heap, args.depth() + 1);
    heap.mutate_root(|mutation, root| root.0 = Some(build(mutation, args.depth())));
    if args.threads == 1 {
        check += share_of_trees(&mut heap, args, 0);
    } else {
        let parts = vec![(); args.threads as usize];
        let (_, sums) = on_threads(parts, |t, ()| share_of_trees(&mut Trees::new(|_| Kept(None)), args, t));
        check += sums.into_iter().sum::<u64>();
    }
    check += heap.mutate(|_, root| root.0.map_or(0, |kept| count(&kept)));
    Outcome { wall: start.elapsed(), usage: Usage::now(), ops: check, latencies: None, check }
}

/// Of `gcbench`: children are attached later.
#[derive(Collect)]
#[collect(no_drop)]
struct Tall<'gc> {
    left: Lock<Link<'gc, Tall<'gc>>>,
    right: Lock<Link<'gc, Tall<'gc>>>,
    height: [i64; 2],
}

#[derive(Collect)]
#[collect(no_drop)]
struct KeptTall<'gc>(Link<'gc, Tall<'gc>>);

type GcBench = Arena<Rootable![KeptTall<'_>]>;

fn tall<'gc>(
    mutation: &Mutation<'gc>,
    height: u32,
    left: Link<'gc, Tall<'gc>>,
    right: Link<'gc, Tall<'gc>>,
) -> Gc<'gc, Tall<'gc>> {
    Gc::new(mutation, Tall { left: Lock::new(left), right: Lock::new(right), height: [i64::from(height); 2] })
}

/// Attaches what is below `node`; returns how many nodes that are.
fn populate<'gc>(mutation: &Mutation<'gc>, height: u32, node: Gc<'gc, Tall<'gc>>) -> u64 {
    if height == 0 {
        return 0;
    }
    let left = tall(mutation, height - 1, None, None);
    let right = tall(mutation, height - 1, None, None);
    let write = Gc::write(mutation, node);
    field!(write, Tall, left).unlock().set(Some(left));
    field!(write, Tall, right).unlock().set(Some(right));
    2 + populate(mutation, height - 1, left) + populate(mutation, height - 1, right)
}

fn bottom_up<'gc>(mutation: &Mutation<'gc>, height: u32, nodes: &mut u64) -> Gc<'gc, Tall<'gc>> {
    *nodes += 1;
    if height == 0 {
        return tall(mutation, 0, None, None);
    }
    let left = bottom_up(mutation, height - 1, nodes);
    let right = bottom_up(mutation, height - 1, nodes);
    tall(mutation, height, Some(left), Some(right))
}

fn verify_tall(height: u32, node: &Tall<'_>) -> u64 {
    if node.height != [i64::from(height); 2] {
        fail("a node of the kept tree has changed");
    }
    match (node.left.get(), node.right.get()) {
        (Some(left), Some(right)) if height > 0 => 1 + verify_tall(height - 1, &left) + verify_tall(height - 1, &right),
        (None, None) if height == 0 => 1,
        _ => fail("the kept tree has lost its shape"),
    }
}

fn share_of_gcbench(heap: &mut GcBench, args: &Args, thread: u64) -> u64 {
    let mut nodes = 0;
    for (each, trees) in plan::gcbench(args.depth()) {
        for _ in (thread..trees).step_by(args.threads as usize) {
            nodes += heap.mutate(|mutation, _| 1 + populate(mutation, each, tall(mutation, each, None, None)));
            heap.collect_debt();
        }
        for _ in (thread..trees).step_by(args.threads as usize) {
            heap.mutate(|mutation, _| {
                std::hint::black_box(&*bottom_up(mutation, each, &mut nodes));
            });
            heap.collect_debt();
        }
    }
    nodes
}

fn gcbench(args: &Args) -> Outcome {
    let depth = args.depth();
    let start = Instant::now();
    let mut heap = GcBench::new(|_| KeptTall(None));
    let mut check = heap.mutate_root(|mutation, root| {
        let kept = tall(mutation, depth, None, None);
        root.0 = Some(kept);
        1 + populate(mutation, depth, kept)
    });
    let array = plan::array(args);
    if args.threads == 1 {
        check += share_of_gcbench(&mut heap, args, 0);
    } else {
        let parts = vec![(); args.threads as usize];
        let (_, sums) = on_threads(parts, |t, ()| share_of_gcbench(&mut GcBench::new(|_| KeptTall(None)), args, t));
        check += sums.into_iter().sum::<u64>();
    }
    let outcome = Outcome { wall: start.elapsed(), usage: Usage::now(), ops: check, latencies: None, check };
    if heap.mutate(|_, root| root.0.map_or(0, |kept| verify_tall(depth, &kept))) != plan::nodes(depth) {
        fail("the kept tree has lost nodes");
    }
    plan::verify_array(args, &array);
    outcome
}

/// Slots of a part of a table.
const PART: usize = 64;

type Part<'gc, T> = Gc<'gc, [Lock<Link<'gc, T>>; PART]>;

fn parts<'gc, T: Collect<'gc> + 'gc>(mutation: &Mutation<'gc>, slots: u64) -> Vec<Part<'gc, T>> {
    let part = |_| Gc::new(mutation, std::array::from_fn(|_| Lock::new(None)));
    (0..(slots as usize).div_ceil(PART)).map(part).collect()
}

#[inline]
fn get<'gc, T>(parts: &[Part<'gc, T>], slot: u64) -> Gc<'gc, T> {
    let slot = slot as usize;
    parts[slot / PART][slot % PART].get().unwrap_or_else(|| fail("a slot is empty"))
}

#[inline]
fn put<'gc, T: 'gc>(mutation: &Mutation<'gc>, parts: &[Part<'gc, T>], slot: u64, value: Gc<'gc, T>) {
    let part: &Write<_> = Gc::write(mutation, parts[slot as usize / PART]);
    part[slot as usize % PART].unlock().set(Some(value));
}

#[derive(Collect)]
#[collect(no_drop)]
struct Triples<'gc>(Vec<Part<'gc, [i64; 3]>>);

fn alloc(args: &Args) -> Outcome {
    let n = args.size("--n", 20_000_000);
    let start = Instant::now();
    let (_, usage, done) = in_own_heaps(
        args.threads,
        |_| Arena::<Rootable![Triples<'_>]>::new(|mutation| Triples(parts(mutation, TABLE as u64))),
        |_, heap| {
            for first in (0..n).step_by(BATCH as usize) {
                heap.mutate(|mutation, table| {
                    for i in first..n.min(first + BATCH) {
                        put(mutation, &table.0, i % TABLE as u64, Gc::new(mutation, [i as i64, 1, 2]));
                    }
                });
                heap.collect_debt();
            }
            start.elapsed()
        },
        |heap, _| {
            heap.mutate(|_, table| {
                (0..n.min(TABLE as u64))
                    .map(|slot| plan::verify_triple(slot, n, TABLE as u64, *get(&table.0, slot)))
                    .sum()
            })
        },
    );
    let wall = done.iter().map(|(end, _)| *end).max().expect("there is a thread");
    let check = done.iter().map(|(_, check)| check).sum();
    Outcome { wall, usage, ops: n * args.threads, latencies: None, check }
}

#[derive(Collect)]
#[collect(no_drop)]
struct Buffers<'gc>(Vec<Part<'gc, [u8; BUFFER]>>);

fn insert(heap: &mut Arena<Rootable![Buffers<'_>]>, slot: u64, byte: u8) {
    heap.mutate(|mutation, table| put(mutation, &table.0, slot, Gc::new(mutation, [byte; BUFFER])));
    heap.collect_debt();
}

fn cache(args: &Args) -> Outcome {
    let all = shares(args.size("--slots", 200_000), args.threads);
    let size = |thread: u64| all[thread as usize].1 - all[thread as usize].0;
    let (wall, usage, done) = in_own_heaps(
        args.threads,
        |thread| {
            let mut heap = Arena::new(|mutation| Buffers(parts(mutation, size(thread))));
            (0..size(thread)).for_each(|i| insert(&mut heap, i, i as u8));
            heap
        },
        |thread, heap| {
            let (mut i, mut slot) = (size(thread), 0);
            let (inserts, latencies) = in_units(args.limit, 1, || {
                insert(heap, slot, i as u8);
                i += 1;
                slot = if slot + 1 == size(thread) { 0 } else { slot + 1 };
            });
            (thread, inserts, latencies)
        },
        |heap, (thread, inserts, _)| {
            heap.mutate(|_, table| {
                let last = |slot| plan::last_insert(slot, size(*thread), *inserts);
                (0..size(*thread)).map(|slot| plan::verify_buffer(last(slot), &get(&table.0, slot))).sum()
            })
        },
    );
    let (mut check, mut ops, mut latencies) = (0, 0, Histogram::default());
    for ((_, inserts, each), sum) in &done {
        check += sum;
        ops += inserts;
        latencies.add(each);
    }
    Outcome { wall, usage, ops, latencies: Some(latencies), check }
}

/// A node of the graph of `churn`.
#[derive(Collect)]
#[collect(no_drop)]
struct Vertex<'gc> {
    id: i64,
    out: [Lock<Link<'gc, Vertex<'gc>>>; 4],
}

#[derive(Collect)]
#[collect(no_drop)]
struct Graph<'gc>(Vec<Part<'gc, Vertex<'gc>>>);

fn connect<'gc>(mutation: &Mutation<'gc>, from: Gc<'gc, Vertex<'gc>>, edge: u64, to: Gc<'gc, Vertex<'gc>>) {
    field!(Gc::write(mutation, from), Vertex, out)[edge as usize].unlock().set(Some(to));
}

#[inline]
fn step<'gc>(mutation: &Mutation<'gc>, graph: &Graph<'gc>, n: u64, random: &mut Random) {
    let i = random.next_number() % n;
    let r = random.next_number();
    let v = get(&graph.0, i);
    if r & 3 == 0 {
        let new = Vertex { id: v.id, out: v.out.clone() };
        put(mutation, &graph.0, i, Gc::new(mutation, new));
        return;
    }
    let edge = |from: Gc<'gc, Vertex<'gc>>, shift: u32| from.out[(r >> shift & 3) as usize].get();
    let mut w = edge(v, 8).unwrap_or_else(|| fail("an edge is null"));
    if r & 4 == 0 {
        w = get(&graph.0, (r >> 16) % n);
    } else if let Some(u) = edge(w, 10) {
        w = u;
    }
    connect(mutation, v, r >> 12 & 3, w);
}

fn churn(args: &Args) -> Outcome {
    if args.threads > 1 {
        cannot_express("threads cannot share a heap, nor its graph");
    }
    let n = args.size("--nodes", 2_000_000);
    let mut heap = Arena::<Rootable![Graph<'_>]>::new(|mutation| Graph(parts(mutation, n)));
    let mut random = Random::of_setup();
    let in_batches = |heap: &mut Arena<Rootable![Graph<'_>]>, connects: bool, random: &mut Random| {
        for first in (0..n).step_by(BATCH as usize) {
            heap.mutate(|mutation, graph| {
                for i in first..n.min(first + BATCH) {
                    if connects {
                        for edge in 0..4 {
                            connect(mutation, get(&graph.0, i), edge, get(&graph.0, random.next_number() % n));
                        }
                    } else {
                        let new = Vertex { id: i as i64, out: std::array::from_fn(|_| Lock::new(None)) };
                        put(mutation, &graph.0, i, Gc::new(mutation, new));
                    }
                }
            });
            heap.collect_debt();
        }
    };
    in_batches(&mut heap, false, &mut random);
    in_batches(&mut heap, true, &mut random);
    let mut random = Random::of_thread(0);
    let start = Instant::now();
    let (ops, latencies) = in_units(args.limit, UNIT, || {
        heap.mutate(|mutation, graph| (0..UNIT).for_each(|_| step(mutation, graph, n, &mut random)));
        heap.collect_debt();
    });
    let (wall, usage) = (start.elapsed(), Usage::now());
    let hashes = matches!(args.limit, Limit::Steps(_));
    let check = heap.mutate(|_, graph| {
        (0..n).fold(0_u64, |sum, i| {
            let node = get(&graph.0, i);
            let targets = [0, 1, 2, 3].map(|edge: usize| node.out[edge].get().map(|to| to.id as u64));
            plan::verify_vertex(i, n, node.id, targets);
            sum.wrapping_add(if hashes { plan::node_hash(i, targets) } else { i })
        })
    });
    Outcome { wall, usage, ops, latencies: Some(latencies), check }
}

fn main() {
    let args = Args::read();
    let outcome = match args.workload.as_str() {
        "trees" => trees(&args),
        "gcbench" => gcbench(&args),
        "alloc" => alloc(&args),
        "churn" => churn(&args),
        "cache" => cache(&args),
        other => cannot_express(&format!("there is no {other} for gc-arena")),
    };
    outcome.emit(&args)
}
