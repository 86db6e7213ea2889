//! The workloads for memory that is freed when its owner goes: `Box` and `Arc`.

use std::cell::OnceCell;
use std::ops::Deref;
use std::time::Instant;

use crate::timing::{in_units, on_threads, shares};
use crate::{Args, BUFFER, Histogram, Outcome, TABLE, Usage, cannot_express, fail, plan};

/// A kind of owning pointer.
pub trait Owner: Sized {
    /// The pointer.
    type To<T>: Deref<Target = T>;
    /// Allocates.
    fn allocate<T>(value: T) -> Self::To<T>;
    /// Allocates a buffer and sets each byte.
    fn buffer(byte: u8) -> Self::To<[u8; BUFFER]>;
}

struct Node<O: Owner> {
    left: Option<O::To<Node<O>>>,
    right: Option<O::To<Node<O>>>,
}

fn build<O: Owner>(depth: u32) -> O::To<Node<O>> {
    if depth == 0 {
        return O::allocate(Node { left: None, right: None });
    }
    let left = build::<O>(depth - 1);
    let right = build::<O>(depth - 1);
    O::allocate(Node { left: Some(left), right: Some(right) })
}

fn count<O: Owner>(node: &Node<O>) -> u64 {
    1 + node.left.as_ref().map_or(0, |child| count(child)) + node.right.as_ref().map_or(0, |child| count(child))
}

fn trees<O: Owner>(args: &Args) -> Outcome {
    let depth = args.depth();
    let start = Instant::now();
    let mut check = count(&*build::<O>(depth + 1));
    let kept = build::<O>(depth);
    let (_, sums) = on_threads(vec![(); args.threads as usize], |thread, ()| {
        let mut sum = 0;
        for (each, trees) in plan::trees(depth) {
            for _ in (thread..trees).step_by(args.threads as usize) {
                sum += count(&*build::<O>(each));
            }
        }
        sum
    });
    check += sums.into_iter().sum::<u64>() + count(&*kept);
    Outcome { wall: start.elapsed(), usage: Usage::now(), ops: check, latencies: None, check }
}

/// Of `gcbench`: children may be attached later, once.
struct Tall<O: Owner> {
    left: OnceCell<O::To<Tall<O>>>,
    right: OnceCell<O::To<Tall<O>>>,
    height: [i64; 2],
}

fn leaf<O: Owner>(height: u32) -> O::To<Tall<O>> {
    O::allocate(Tall { left: OnceCell::new(), right: OnceCell::new(), height: [i64::from(height); 2] })
}

/// Attaches what is below `node`; returns how many nodes that are.
fn populate<O: Owner>(height: u32, node: &Tall<O>) -> u64 {
    if height == 0 {
        return 0;
    }
    let left = node.left.get_or_init(|| leaf::<O>(height - 1));
    let right = node.right.get_or_init(|| leaf::<O>(height - 1));
    2 + populate(height - 1, left) + populate(height - 1, right)
}

fn bottom_up<O: Owner>(height: u32, nodes: &mut u64) -> O::To<Tall<O>> {
    *nodes += 1;
    if height == 0 {
        return leaf::<O>(0);
    }
    let left = OnceCell::from(bottom_up::<O>(height - 1, nodes));
    let right = OnceCell::from(bottom_up::<O>(height - 1, nodes));
    O::allocate(Tall { left, right, height: [i64::from(height); 2] })
}

fn verify_tall<O: Owner>(height: u32, node: &Tall<O>) -> u64 {
    if node.height != [i64::from(height); 2] {
        fail("a node of the kept tree has changed");
    }
    match (node.left.get(), node.right.get()) {
        (Some(left), Some(right)) if height > 0 => 1 + verify_tall(height - 1, left) + verify_tall(height - 1, right),
        (None, None) if height == 0 => 1,
        _ => fail("the kept tree has lost its shape"),
    }
}

fn gcbench<O: Owner>(args: &Args) -> Outcome {
    let depth = args.depth();
    let start = Instant::now();
    let kept = leaf::<O>(depth);
    let mut check = 1 + populate(depth, &*kept);
    let array = plan::array(args);
    let (_, sums) = on_threads(vec![(); args.threads as usize], |thread, ()| {
        let mut nodes = 0;
        for (each, trees) in plan::gcbench(depth) {
            for _ in (thread..trees).step_by(args.threads as usize) {
                nodes += 1 + populate(each, &*leaf::<O>(each));
            }
            for _ in (thread..trees).step_by(args.threads as usize) {
                std::hint::black_box(&*bottom_up::<O>(each, &mut nodes));
            }
        }
        nodes
    });
    check += sums.into_iter().sum::<u64>();
    let outcome = Outcome { wall: start.elapsed(), usage: Usage::now(), ops: check, latencies: None, check };
    if verify_tall(depth, &*kept) != plan::nodes(depth) {
        fail("the kept tree has lost nodes");
    }
    plan::verify_array(args, &array);
    outcome
}

fn alloc<O: Owner>(args: &Args) -> Outcome
where
    O::To<[i64; 3]>: Send,
{
    let n = args.size("--n", 20_000_000);
    let start = Instant::now();
    let (_, tables) = on_threads(vec![(); args.threads as usize], |_, ()| {
        let mut table: Vec<Option<O::To<[i64; 3]>>> = (0..TABLE).map(|_| None).collect();
        for i in 0..n {
            table[i as usize % TABLE] = Some(O::allocate([i as i64, 1, 2]));
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
    Outcome { wall, usage, ops: n * args.threads, latencies: None, check }
}

fn cache<O: Owner>(args: &Args) -> Outcome
where
    O::To<[u8; BUFFER]>: Send,
{
    let share = |(lo, hi): (u64, u64)| (0..hi - lo).map(|i| O::buffer(i as u8)).collect::<Vec<_>>();
    let tables: Vec<_> = shares(args.size("--slots", 200_000), args.threads).into_iter().map(share).collect();
    let (wall, done) = on_threads(tables, |_, mut table| {
        let (mut i, mut slot) = (table.len() as u64, 0);
        let (inserts, latencies) = in_units(args.limit, 1, || {
            table[slot] = O::buffer(i as u8);
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
    Outcome { wall, usage, ops, latencies: Some(all), check }
}

/// Runs the workload that the command line names.
pub fn main<O: Owner>() -> !
where
    O::To<[i64; 3]>: Send,
    O::To<[u8; BUFFER]>: Send,
{
    let args = Args::read();
    let outcome = match args.workload.as_str() {
        "trees" => trees::<O>(&args),
        "gcbench" => gcbench::<O>(&args),
        "alloc" => alloc::<O>(&args),
        "cache" => cache::<O>(&args),
        "churn" => cannot_express("the graph of churn has cycles"),
        other => cannot_express(&format!("there is no {other} without a collector")),
    };
    outcome.emit(&args)
}
