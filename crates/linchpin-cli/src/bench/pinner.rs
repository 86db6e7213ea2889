//! The thirteen benchmarks of Go's runtime for its Pinner, under Go's names and with Go's work, and
//! one that Go's runtime lacks: all threads pin and unpin one object.
//!
//! One operation is a new Pinner, its pins and their unpin. The loop runs inside one mutation,
//! since a goroutine too holds its processor all along. In each round the pointer is read anew, so
//! that nothing that depends on it is moved out of the loop; nothing else is hidden from the
//! optimiser, since it may not remove atomic operations anyway.

use std::hint::black_box;

use linchpin::{Gc, Heap, Mutator, Pinner, Root, Trace};

use super::harness::{Allocated, Run, Timed, parallel};

/// How many objects a batch benchmark pins before it unpins them together.
const BATCH: usize = 1000;

/// One of the benchmarks.
pub(crate) struct Benchmark {
    /// Go's name for it, without "Benchmark".
    pub(crate) name: &'static str,
    /// Where its Go form is.
    pub(crate) source: Source,
    /// Runs it on a heap, with so many threads if it is a parallel one, for so many operations.
    pub(crate) run: fn(&Heap, usize, u64) -> Run,
}

/// Where the Go form of a benchmark comes from.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Source {
    /// The tests of Go's runtime.
    Runtime,
    /// A test file of ours, `peers/go-pinner`.
    Ours,
}

impl Benchmark {
    const fn of_runtime(name: &'static str, run: fn(&Heap, usize, u64) -> Run) -> Benchmark {
        Benchmark { name, source: Source::Runtime, run }
    }
}

/// All of them, in Go's order, then ours.
pub(crate) const BENCHMARKS: [Benchmark; 14] = [
    Benchmark::of_runtime("PinnerPinUnpinBatch", batch::<Triple, 1>),
    Benchmark::of_runtime("PinnerPinUnpinBatchDouble", batch::<Triple, 2>),
    Benchmark::of_runtime("PinnerPinUnpinBatchTiny", batch::<u8, 1>),
    Benchmark::of_runtime("PinnerPinUnpin", single::<Triple, 1>),
    Benchmark::of_runtime("PinnerPinUnpinTiny", single::<u8, 1>),
    Benchmark::of_runtime("PinnerPinUnpinDouble", single::<Triple, 2>),
    Benchmark::of_runtime("PinnerPinUnpinParallel", single_parallel::<Triple, 1>),
    Benchmark::of_runtime("PinnerPinUnpinParallelTiny", single_parallel::<u8, 1>),
    Benchmark::of_runtime("PinnerPinUnpinParallelDouble", single_parallel::<Triple, 2>),
    Benchmark::of_runtime("PinnerIsPinnedOnPinned", is_pinned::<true>),
    Benchmark::of_runtime("PinnerIsPinnedOnUnpinned", is_pinned::<false>),
    Benchmark::of_runtime("PinnerIsPinnedOnPinnedParallel", is_pinned_parallel::<true>),
    Benchmark::of_runtime("PinnerIsPinnedOnUnpinnedParallel", is_pinned_parallel::<false>),
    Benchmark { name: "PinnerPinUnpinShared", source: Source::Ours, run: single_shared },
];

/// The object of most benchmarks: three words, no pointers.
#[derive(Clone, Copy, Default, Trace)]
pub(crate) struct Triple {
    // Nothing reads them: the object is there to be pinned.
    #[allow(dead_code)]
    words: [i64; 3],
}

/// What can be pinned in these benchmarks.
trait Subject: Copy + Default + Sized + 'static {
    /// A new object.
    fn allocate<'gc>(mutator: &Mutator<'gc>) -> Gc<'gc, Self>;
    /// A kept table of `BATCH` new objects.
    fn table(heap: &Heap) -> Root<[Gc<'static, Self>]>;
    /// The objects of the table.
    fn objects<'gc>(mutator: &Mutator<'gc>, table: &Root<[Gc<'static, Self>]>) -> Vec<Gc<'gc, Self>>;
}

macro_rules! subject {
    ($type:ty) => {
        impl Subject for $type {
            fn allocate<'gc>(mutator: &Mutator<'gc>) -> Gc<'gc, Self> {
                mutator.alloc(<$type>::default())
            }

            fn table(heap: &Heap) -> Root<[Gc<'static, Self>]> {
                heap.mutate(|mutator| {
                    let object = |_| mutator.alloc(<$type>::default());
                    mutator.root(mutator.alloc_slice_with(BATCH, object))
                })
            }

            fn objects<'gc>(mutator: &Mutator<'gc>, table: &Root<[Gc<'static, Self>]>) -> Vec<Gc<'gc, Self>> {
                table.get(mutator).to_vec()
            }
        }
    };
}

subject!(Triple);
subject!(u8);

/// Reads the pointer in `slot` with a load that the optimiser neither moves nor looks through.
#[inline(always)]
fn reload<'gc, T>(slot: &Gc<'gc, T>) -> Gc<'gc, T> {
    // SAFETY: a reference is valid, aligned and points to an initialised value, and `Gc` is `Copy`,
    // so the copy is as good as the original.
    unsafe { std::ptr::read_volatile(slot) }
}

/// The operation of the benchmarks without batches: `PINS` pins of one object, and their unpin.
#[inline(always)]
pub(crate) fn pin_and_unpin<'gc, T: Trace, const PINS: usize>(mutator: &Mutator<'gc>, slot: &Gc<'gc, T>) {
    let object = reload(slot);
    let mut pinner = Pinner::new();
    for _ in 0..PINS {
        pinner.pin(mutator, object);
    }
    pinner.unpin();
}

fn batch<T: Subject + Trace, const PINS: usize>(heap: &Heap, _threads: usize, operations: u64) -> Run {
    // The objects are made in a mutation of their own, so that the heap's counts leave them out.
    let table = T::table(heap);
    let before = Allocated::in_heap(heap);
    let timed = heap.mutate(|mutator| {
        let objects = T::objects(mutator, &table);
        let round = || {
            let mut pinner = Pinner::new();
            for &object in black_box(&objects[..]) {
                for _ in 0..PINS {
                    pinner.pin(mutator, object);
                }
            }
            pinner.unpin();
        };
        // Making the table may have brought about a cycle, which empties the cache. That is the
        // doing of the set-up, so the round that fills the cache again belongs to it too.
        round();
        Timed::of(|| (0..operations).for_each(|_| round()))
    });
    timed.run(operations, Allocated::in_heap(heap) - before)
}

fn single<T: Subject + Trace, const PINS: usize>(heap: &Heap, _threads: usize, operations: u64) -> Run {
    let before = Allocated::in_heap(heap);
    let timed = heap.mutate(|mutator| {
        let object = T::allocate(mutator);
        Timed::of(|| {
            for _ in 0..operations {
                pin_and_unpin::<T, PINS>(mutator, &object);
            }
        })
    });
    timed.run(operations, Allocated::in_heap(heap) - before)
}

fn single_parallel<T: Subject + Trace, const PINS: usize>(heap: &Heap, threads: usize, operations: u64) -> Run {
    let before = Allocated::in_heap(heap);
    let timed = parallel(heap, threads, operations, |mutator, batches| {
        let object = T::allocate(mutator);
        while let Some(count) = batches.take() {
            for _ in 0..count {
                pin_and_unpin::<T, PINS>(mutator, &object);
            }
        }
    });
    timed.run(operations, Allocated::in_heap(heap) - before)
}

fn single_shared(heap: &Heap, threads: usize, operations: u64) -> Run {
    let before = Allocated::in_heap(heap);
    let shared = heap.mutate(|mutator| mutator.root(Triple::allocate(mutator)));
    let timed = parallel(heap, threads, operations, |mutator, batches| {
        let object = shared.get(mutator);
        while let Some(count) = batches.take() {
            for _ in 0..count {
                pin_and_unpin::<Triple, 1>(mutator, &object);
            }
        }
    });
    timed.run(operations, Allocated::in_heap(heap) - before)
}

/// Asks `operations` times whether the object in `slot` is pinned; the answers must be `expected`.
///
/// Go's question takes a raw pointer, which is what a reference is there; here it is the one for a `Gc`. The question for
/// a raw address, which may lie outside the heap or inside an object, is among our own rows.
#[inline(always)]
fn ask<'gc>(mutator: &Mutator<'gc>, slot: &Gc<'gc, Triple>, operations: u64, expected: bool) {
    let mut answers = 0;
    for _ in 0..operations {
        answers += u64::from(mutator.is_pinned(reload(slot)));
    }
    assert_eq!(answers, if expected { operations } else { 0 }, "is_pinned gave a wrong answer");
}

fn is_pinned<const PINNED: bool>(heap: &Heap, _threads: usize, operations: u64) -> Run {
    let before = Allocated::in_heap(heap);
    let timed = heap.mutate(|mutator| {
        let object = Triple::allocate(mutator);
        let mut pinner = Pinner::new();
        if PINNED {
            pinner.pin(mutator, object);
        }
        Timed::of(|| ask(mutator, &object, operations, PINNED))
    });
    timed.run(operations, Allocated::in_heap(heap) - before)
}

fn is_pinned_parallel<const PINNED: bool>(heap: &Heap, threads: usize, operations: u64) -> Run {
    let before = Allocated::in_heap(heap);
    let mut pinner = Pinner::new();
    // One object for all threads, kept by a root.
    let shared = heap.mutate(|mutator| {
        let object = Triple::allocate(mutator);
        if PINNED {
            pinner.pin(mutator, object);
        }
        mutator.root(object)
    });
    let timed = parallel(heap, threads, operations, |mutator, batches| {
        let object = shared.get(mutator);
        while let Some(count) = batches.take() {
            ask(mutator, &object, count, PINNED);
        }
    });
    timed.run(operations, Allocated::in_heap(heap) - before)
}
