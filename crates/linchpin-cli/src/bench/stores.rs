//! What a store costs while no cycle runs: into a pointer field, and of a value of several words behind a lock.

use std::hint::black_box;
use std::sync::Mutex;

use anyhow::{Context, Result};
use clap::Args;
use linchpin::{Gc, GcCell, GcMutex, GcRwLock, Heap, Mutator, Trace};

use super::extra::repeat;
use super::harness::{Length, Run, Sampler};
use super::results::{Metric, Results};
use super::{emit, stats, table};

/// How long a sample of each row lasts.
const GOAL: Length = Length::Milliseconds(60);

/// Arguments of `linchpin bench stores`.
#[derive(Args)]
pub(crate) struct StoresArgs {
    /// How often each row is measured, by turns with the others.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
}

/// A value as a virtual machine has them: two words.
#[derive(Trace, Clone, Copy)]
enum Value<'gc> {
    Number(u64),
    Object(Gc<'gc, u64>),
}

/// The places that are stored to.
#[derive(Trace)]
struct Places<'gc> {
    cell: GcCell<'gc, u64>,
    mutex: GcMutex<Value<'gc>>,
    rw_lock: GcRwLock<Value<'gc>>,
}

const CELL: &str = "GcCell::store";
const MUTEX: &str = "GcMutex, an enum of two words";
const WRITE: &str = "GcRwLock to write, the same";
const READ: &str = "GcRwLock to read, the same";
const PARKING_LOT: &str = "floor: parking_lot's mutex around two words";
const STD: &str = "floor: the standard library's";

/// Measures the rows and prints them, with their ratios.
pub(crate) fn run(args: &StoresArgs) -> Result<()> {
    let heap = Heap::builder().build().context("cannot make a heap")?;
    let root = heap.mutate(|mu| {
        let (cell, value) = (GcCell::null(), Value::Number(0));
        mu.root(mu.alloc(Places { cell, mutex: GcMutex::new(value), rw_lock: GcRwLock::new(value) }))
    });
    let (parking_lot, std) = (parking_lot::Mutex::new((0_u64, 0_u64)), Mutex::new((0_u64, 0_u64)));
    let places = |operations, work: for<'gc> fn(&Mutator<'gc>, &Places<'gc>, Gc<'gc, u64>)| {
        heap.mutate(|mu| {
            let (places, object) = (root.get(mu).as_ref(), mu.alloc(7));
            repeat(operations, || work(mu, black_box(places), black_box(object)))
        })
    };
    let rows: [(&str, &dyn Fn(u64) -> Run); 6] = [
        (CELL, &|operations| places(operations, |mu, places, object| places.cell.store(mu, object))),
        (MUTEX, &|operations| places(operations, |mu, places, object| *places.mutex.lock(mu) = Value::Object(object))),
        (WRITE, &|operations| {
            places(operations, |mu, places, object| *places.rw_lock.write(mu) = Value::Object(object))
        }),
        (READ, &|operations| {
            places(operations, |mu, places, _| match *places.rw_lock.read(mu) {
                Value::Number(number) => _ = black_box(number),
                Value::Object(object) => _ = black_box(object),
            })
        }),
        (PARKING_LOT, &|operations| repeat(operations, || *black_box(&parking_lot).lock() = (1, black_box(2)))),
        (STD, &|operations| {
            repeat(operations, || *black_box(&std).lock().expect("nobody panics with it") = (1, black_box(2)))
        }),
    ];
    let mut results = Results::default();
    let mut samplers: Vec<Sampler> = rows.iter().map(|_| Sampler::new(GOAL)).collect();
    for _ in 0..args.count {
        for ((name, run), sampler) in rows.iter().zip(&mut samplers) {
            results.push(name, sampler.sample(run));
        }
    }
    let times = |name: &str| Metric::Time.values(results.get(name).unwrap_or_default());
    let floor = stats::median(&times(PARKING_LOT));
    let shown = rows.iter().map(|(name, _)| {
        let times = times(name);
        let median = stats::median(&times);
        let time = format!("{} {}", Metric::Time.show(median), table::spread_of(&times));
        vec![(*name).to_owned(), time, table::times(median / floor)]
    });
    emit(&format!("{}\n", table::render(&["while no cycle runs", "time/op", "/ floor"], shown.collect())))
}
