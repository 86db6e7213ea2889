//! dumpster (its `sync` module, whose objects threads share), on mimalloc.
//!
//! It follows pointers by recursion, on the thread that happens to collect: in `churn` as deep as the graph has nodes. So
//! each thread has room for that.

use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use dumpster::Trace;
use dumpster::sync::Gc;
use linchpin_peers::timing::{in_units, on_threads, shares, with_stacks_of};
use linchpin_peers::{Args, BUFFER, Histogram, Limit, Outcome, Random, TABLE, UNIT, Usage, cannot_express, fail, plan};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Trace)]
struct Node {
    left: Option<Gc<Node>>,
    right: Option<Gc<Node>>,
}

fn build(depth: u32) -> Gc<Node> {
    if depth == 0 {
        return Gc::new(Node { left: None, right: None });
    }
    let left = build(depth - 1);
    let right = build(depth - 1);
    Gc::new(Node { left: Some(left), right: Some(right) })
}

fn count(node: &Node) -> u64 {
    1 + node.left.as_ref().map_or(0, |child| count(child)) + node.right.as_ref().map_or(0, |child| count(child))
}

fn trees(args: &Args) -> Outcome {
    let depth = args.depth();
    let start = Instant::now();
    let mut check = count(&build(depth + 1));
    let kept = build(depth);
    let (_, sums) = on_threads(vec![(); args.threads as usize], |thread, ()| {
        let mut sum = 0;
        for (each, trees) in plan::trees(depth) {
            for _ in (thread..trees).step_by(args.threads as usize) {
                sum += count(&build(each));
            }
        }
        sum
    });
    check += sums.into_iter().sum::<u64>() + count(&kept);
    Outcome { wall: start.elapsed(), usage: Usage::now(), ops: check, latencies: None, check }
}

/// Of `gcbench`: children may be attached later, once.
#[derive(Trace)]
struct Tall {
    left: OnceLock<Gc<Tall>>,
    right: OnceLock<Gc<Tall>>,
    height: [i64; 2],
}

fn leaf(height: u32) -> Gc<Tall> {
    Gc::new(Tall { left: OnceLock::new(), right: OnceLock::new(), height: [i64::from(height); 2] })
}

/// Attaches what is below `node`; returns how many nodes that are.
fn populate(height: u32, node: &Tall) -> u64 {
    if height == 0 {
        return 0;
    }
    let left = node.left.get_or_init(|| leaf(height - 1));
    let right = node.right.get_or_init(|| leaf(height - 1));
    2 + populate(height - 1, left) + populate(height - 1, right)
}

fn bottom_up(height: u32, nodes: &mut u64) -> Gc<Tall> {
    *nodes += 1;
    if height == 0 {
        return leaf(0);
    }
    let left = OnceLock::from(bottom_up(height - 1, nodes));
    let right = OnceLock::from(bottom_up(height - 1, nodes));
    Gc::new(Tall { left, right, height: [i64::from(height); 2] })
}

fn verify_tall(height: u32, node: &Tall) -> u64 {
    if node.height != [i64::from(height); 2] {
        fail("a node of the kept tree has changed");
    }
    match (node.left.get(), node.right.get()) {
        (Some(left), Some(right)) if height > 0 => 1 + verify_tall(height - 1, left) + verify_tall(height - 1, right),
        (None, None) if height == 0 => 1,
        _ => fail("the kept tree has lost its shape"),
    }
}

fn gcbench(args: &Args) -> Outcome {
    let depth = args.depth();
    let start = Instant::now();
    let kept = leaf(depth);
    let mut check = 1 + populate(depth, &kept);
    let array = plan::array(args);
    let (_, sums) = on_threads(vec![(); args.threads as usize], |thread, ()| {
        let mut nodes = 0;
        for (each, trees) in plan::gcbench(depth) {
            for _ in (thread..trees).step_by(args.threads as usize) {
                nodes += 1 + populate(each, &leaf(each));
            }
            for _ in (thread..trees).step_by(args.threads as usize) {
                std::hint::black_box(&*bottom_up(each, &mut nodes));
            }
        }
        nodes
    });
    check += sums.into_iter().sum::<u64>();
    let outcome = Outcome { wall: start.elapsed(), usage: Usage::now(), ops: check, latencies: None, check };
    if verify_tall(depth, &kept) != plan::nodes(depth) {
        fail("the kept tree has lost nodes");
    }
    plan::verify_array(args, &array);
    outcome
}

fn alloc(args: &Args) -> Outcome {
    let n = args.size("--n", 20_000_000);
    let start = Instant::now();
    let (_, tables) = on_threads(vec![(); args.threads as usize], |_, ()| {
        let mut table: Vec<Option<Gc<[i64; 3]>>> = vec![None; TABLE];
        for i in 0..n {
            table[i as usize % TABLE] = Some(Gc::new([i as i64, 1, 2]));
        }
        table
    });
    let (wall, usage) = (start.elapsed(), Usage::now());
    let mut check = 0;
    for table in &tables {
        for (slot, triple) in (0..n).zip(table) {
            let triple = triple.as_ref().unwrap_or_else(|| fail("a slot is empty"));
            check += plan::verify_triple(slot, n, TABLE as u64, **triple);
        }
    }
    std::mem::forget(tables);
    Outcome { wall, usage, ops: n * args.threads, latencies: None, check }
}

fn cache(args: &Args) -> Outcome {
    let share = |(lo, hi): (u64, u64)| (0..hi - lo).map(|i| Gc::new([i as u8; BUFFER])).collect::<Vec<_>>();
    let tables: Vec<_> = shares(args.size("--slots", 200_000), args.threads).into_iter().map(share).collect();
    let (wall, done) = on_threads(tables, |_, mut table| {
        let (mut i, mut slot) = (table.len() as u64, 0);
        let (inserts, latencies) = in_units(args.limit, 1, || {
            table[slot] = Gc::new([i as u8; BUFFER]);
            i += 1;
            slot = if slot + 1 == table.len() { 0 } else { slot + 1 };
        });
        (table, inserts, latencies)
    });
    let usage = Usage::now();
    let (mut check, mut ops, mut all) = (0, 0, Histogram::default());
    for (table, inserts, latencies) in &done {
        for (slot, buffer) in (0..).zip(table) {
            check += plan::verify_buffer(plan::last_insert(slot, table.len() as u64, *inserts), buffer);
        }
        ops += inserts;
        all.add(latencies);
    }
    std::mem::forget(done);
    Outcome { wall, usage, ops, latencies: Some(all), check }
}

/// A node of the graph of `churn`. Threads change it at once, so each edge is behind a lock.
#[derive(Trace)]
struct Vertex {
    id: i64,
    out: [Mutex<Option<Gc<Vertex>>>; 4],
}

impl Vertex {
    fn edge(&self, edge: u64) -> Option<Gc<Vertex>> {
        self.out[edge as usize & 3].lock().expect("no thread panics").clone()
    }

    /// The node that was there is let go after the lock.
    fn connect(&self, edge: u64, to: Gc<Vertex>) -> Option<Gc<Vertex>> {
        self.out[edge as usize & 3].lock().expect("no thread panics").replace(to)
    }
}

#[inline]
fn step(table: &mut [Gc<Vertex>], random: &mut Random) {
    let i = (random.next_number() % table.len() as u64) as usize;
    let r = random.next_number();
    if r & 3 == 0 {
        let old = &table[i];
        let out = [0, 1, 2, 3].map(|edge| Mutex::new(old.edge(edge)));
        table[i] = Gc::new(Vertex { id: old.id, out });
        return;
    }
    let v = &table[i];
    let mut w = v.edge(r >> 8).unwrap_or_else(|| fail("an edge is null"));
    if r & 4 == 0 {
        w = table[((r >> 16) % table.len() as u64) as usize].clone();
    } else if let Some(u) = w.edge(r >> 10) {
        w = u;
    }
    v.connect(r >> 12, w);
}

fn churn(args: &Args) -> Outcome {
    let n = args.size("--nodes", 2_000_000);
    let new = |i| Gc::new(Vertex { id: i as i64, out: std::array::from_fn(|_| Mutex::new(None)) });
    let table: Vec<Gc<Vertex>> = (0..n).map(new).collect();
    let mut random = Random::of_setup();
    for node in &table {
        for edge in 0..4 {
            node.connect(edge, table[(random.next_number() % n) as usize].clone());
        }
    }
    let mut rest = table.into_iter();
    let parts = shares(n, args.threads).into_iter().map(|(lo, hi)| rest.by_ref().take((hi - lo) as usize).collect());
    let (wall, done) = on_threads(parts.collect(), |thread, mut table: Vec<Gc<Vertex>>| {
        let mut random = Random::of_thread(thread);
        let (steps, latencies) = in_units(args.limit, UNIT, || (0..UNIT).for_each(|_| step(&mut table, &mut random)));
        (table, steps, latencies)
    });
    let usage = Usage::now();
    let hashes = args.threads == 1 && matches!(args.limit, Limit::Steps(_));
    let (mut check, mut ops, mut all) = (0_u64, 0, Histogram::default());
    for (i, node) in (0..n).zip(done.iter().flat_map(|(table, ..)| table)) {
        let targets = [0, 1, 2, 3].map(|edge| node.edge(edge).map(|to| to.id as u64));
        plan::verify_vertex(i, n, node.id, targets);
        check = check.wrapping_add(if hashes { plan::node_hash(i, targets) } else { i });
    }
    for (_, steps, latencies) in &done {
        ops += steps;
        all.add(latencies);
    }
    // Two million nodes that lead to each other: the process ends soon.
    std::mem::forget(done);
    Outcome { wall, usage, ops, latencies: Some(all), check }
}

/// Of each thread; what is not used is never there.
const STACK: usize = 8 << 30;

fn main() {
    with_stacks_of(STACK, || run(&Args::read()));
}

fn run(args: &Args) {
    let outcome = match args.workload.as_str() {
        "trees" => trees(args),
        "gcbench" => gcbench(args),
        "alloc" => alloc(args),
        "churn" => churn(args),
        "cache" => cache(args),
        other => cannot_express(&format!("there is no {other} for dumpster")),
    };
    outcome.emit(args)
}
