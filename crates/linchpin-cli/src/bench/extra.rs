//! Rows that Go's benchmarks do not have: what surrounds a pin, and what it could cost at least.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use linchpin::{Gc, Heap, Root};

use super::harness::{Allocated, Length, Run, Sampler, Timed};
use super::pinner::{Triple, pin_and_unpin};
use super::results::{Metric, Results};
use super::{stats, table};

/// How often each row is measured, by turns with the others.
const ROUNDS: usize = 5;

/// How many steps of the progress bar this takes.
pub(crate) const STEPS: usize = ROUNDS + 1;

/// How long a sample of most rows lasts.
const GOAL: Length = Length::Milliseconds(60);

/// How long a sample beside running cycles lasts: longer, since others take the processor at times.
const BUSY_GOAL: Length = Length::Milliseconds(200);

/// Operations a mutation while cycles run; a cycle waits for every mutation that is under way.
const BUSY_OPERATIONS: u64 = 1000;

const PIN_UNPIN: &str = "PinUnpin";
const PIN_UNPIN_ENTERING: &str = "PinUnpin, a mutation and a root read for each";
const PIN_UNPIN_OTHERS: &str = "PinUnpin, of an object pinned on another processor before";
const PIN_UNPIN_BUSY: &str = "PinUnpin while cycles run, a mutation for 1,000";
const IS_PINNED: &str = "IsPinnedOnUnpinned, by raw address";
const MUTATION: &str = "entering and leaving a mutation";
const ARC: &str = "floor: Arc clone + drop, uncontended";
const ADD_SUB: &str = "floor: atomic add + sub, uncontended";
const ADD: &str = "floor: atomic add, uncontended";

/// Measures the rows and lays them out as a table, with the ratios to the floors under it.
pub(crate) fn measure(bar: &ProgressBar) -> Result<String> {
    let heap = Heap::builder().pinner_cache(true).build().context("cannot make a heap")?;
    let object = heap.mutate(|mutator| mutator.root(mutator.alloc(Triple::default())));
    let arc = Arc::new(0_u64);
    let number = AtomicU64::new(0);
    let rows: [(&str, &dyn Fn(u64) -> Run); 8] = [
        (PIN_UNPIN, &|operations| pin_unpin(&heap, &object, operations)),
        (PIN_UNPIN_ENTERING, &|operations| pin_unpin_entering(&heap, &object, operations)),
        (PIN_UNPIN_OTHERS, &|operations| pin_unpin_others(&heap, operations)),
        (IS_PINNED, &|operations| is_pinned(&heap, &object, operations)),
        (MUTATION, &|operations| repeat(operations, || black_box(&heap).mutate(|_| ()))),
        (ARC, &|operations| repeat(operations, || drop(Arc::clone(black_box(&arc))))),
        (ADD_SUB, &|operations| {
            repeat(operations, || {
                let number = black_box(&number);
                number.fetch_add(1, Ordering::Relaxed);
                number.fetch_sub(1, Ordering::Relaxed);
            })
        }),
        (ADD, &|operations| {
            repeat(operations, || {
                black_box(&number).fetch_add(1, Ordering::Relaxed);
            })
        }),
    ];
    let mut results = Results::default();
    let mut samplers: Vec<Sampler> = rows.iter().map(|_| Sampler::new(GOAL)).collect();
    for _ in 0..ROUNDS {
        for ((name, run), sampler) in rows.iter().zip(&mut samplers) {
            results.push(name, sampler.sample(run));
        }
        bar.inc(1);
    }
    let note = pin_unpin_busy(&mut results)?;
    bar.inc(1);
    Ok(layout(&results, &note))
}

/// A heap in which two threads can be in mutations at once.
fn heap_of_two_at_least() -> Result<Heap> {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    Heap::builder().processors(available.max(2)).build().context("cannot make a heap")
}

fn layout(results: &Results, busy_note: &str) -> String {
    let order =
        [PIN_UNPIN, PIN_UNPIN_ENTERING, PIN_UNPIN_OTHERS, PIN_UNPIN_BUSY, IS_PINNED, MUTATION, ARC, ADD_SUB, ADD];
    let time = |name: &str| Metric::Time.values(results.get(name).unwrap_or_default());
    let rows = order
        .iter()
        .map(|&name| {
            let times = time(name);
            let shown = Metric::Time.show(stats::median(&times));
            let spread = table::spread_of(&times);
            let note = if name == PIN_UNPIN_BUSY { busy_note } else { "" };
            vec![name.to_owned(), format!("{shown} {spread}"), note.to_owned()]
        })
        .collect();
    let ratio = |name: &str, floor: &str| table::times(stats::median(&time(name)) / stats::median(&time(floor)));
    format!(
        "{}\nPinUnpin / Arc clone + drop: {}; entering and leaving a mutation / atomic add: {}\n",
        table::render(&["ours, not among Go's (pinner cache on)", "time/op", ""], rows),
        ratio(PIN_UNPIN, ARC),
        ratio(MUTATION, ADD),
    )
}

/// Times `operations` calls of `work`, which allocates nothing in a heap.
pub(crate) fn repeat(operations: u64, mut work: impl FnMut()) -> Run {
    let timed = Timed::of(|| {
        for _ in 0..operations {
            work();
        }
    });
    timed.run(operations, Allocated::default())
}

fn pin_unpin(heap: &Heap, object: &Root<Triple>, operations: u64) -> Run {
    heap.mutate(|mutator| {
        let object = object.get(mutator);
        repeat(operations, || pin_and_unpin::<Triple, 1>(mutator, &object))
    })
}

/// PinUnpin of an object that was pinned first by another thread, on a processor of its own.
fn pin_unpin_others(heap: &Heap, operations: u64) -> Run {
    heap.mutate(|mutator| {
        let object = mutator.alloc(Triple::default());
        let root = mutator.root(object);
        // This thread stays in its mutation, so the other one cannot have the same processor.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                heap.mutate(|other| pin_and_unpin::<Triple, 1>(other, &root.get(other)));
            });
        });
        repeat(operations, || pin_and_unpin::<Triple, 1>(mutator, &object))
    })
}

fn pin_unpin_entering(heap: &Heap, object: &Root<Triple>, operations: u64) -> Run {
    repeat(operations, || {
        black_box(heap).mutate(|mutator| {
            pin_and_unpin::<Triple, 1>(mutator, &object.get(mutator));
        });
    })
}

fn is_pinned(heap: &Heap, object: &Root<Triple>, operations: u64) -> Run {
    heap.mutate(|mutator| {
        let address = Gc::as_ptr(object.get(mutator));
        let mut answers = 0;
        let run = repeat(operations, || answers += u64::from(heap.is_pinned(black_box(address))));
        assert_eq!(answers, 0, "is_pinned gave a wrong answer");
        run
    })
}

/// PinUnpin on one thread while a second one allocates garbage and a third asks for one cycle
/// after the other. Returns what to say beside the row: how many cycles ran in that time.
fn pin_unpin_busy(results: &mut Results) -> Result<String> {
    let heap = heap_of_two_at_least()?;
    let object = heap.mutate(|mutator| mutator.root(mutator.alloc(Triple::default())));
    let over = AtomicBool::new(false);
    let before = heap.stats();
    let mut own_time = 0;
    let mut operations_made = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                heap.mutate(|mutator| {
                    for _ in 0..1000 {
                        black_box(mutator.alloc(Triple::default()));
                    }
                });
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                heap.collect();
            }
        });
        let mut sampler = Sampler::new(BUSY_GOAL);
        for _ in 0..ROUNDS {
            let sample = sampler.sample(|operations| {
                let start = processor_time();
                let run = pin_unpin_in_pieces(&heap, &object, operations);
                own_time += processor_time().saturating_sub(start);
                operations_made += operations;
                run
            });
            results.push(PIN_UNPIN_BUSY, sample);
        }
        over.store(true, Ordering::Relaxed);
    });
    let after = heap.stats();
    let mut note = format!(
        "{} cycles, {} objects allocated beside it",
        after.cycles - before.cycles,
        Metric::Allocations.show((after.allocated_objects - before.allocated_objects) as f64)
    );
    if own_time > 0 {
        let share = own_time as f64 / operations_made as f64;
        note.push_str(&format!("; {} of its own processor time", Metric::Time.show(share)));
    }
    Ok(note)
}

fn pin_unpin_in_pieces(heap: &Heap, object: &Root<Triple>, operations: u64) -> Run {
    let timed = Timed::of(|| {
        let mut left = operations;
        while left > 0 {
            let piece = left.min(BUSY_OPERATIONS);
            heap.mutate(|mutator| {
                let object = object.get(mutator);
                for _ in 0..piece {
                    pin_and_unpin::<Triple, 1>(mutator, &object);
                }
            });
            left -= piece;
        }
    });
    timed.run(operations, Allocated::default())
}

/// How many nanoseconds the calling thread has run on a processor; zero where the system does not
/// tell. With more busy threads than processors, wall time says little about an operation.
fn processor_time() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
