//! How a benchmark is timed: runs grow until one lasts long enough, and that one counts. Or there is one, of so many operations.

use std::fmt;
use std::ops::Sub;
use std::str::FromStr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use linchpin::{Heap, Mutator};

use super::results::Sample;
use crate::counting;

/// No run makes more operations than this, however fast they are.
const MOST_OPERATIONS: u64 = 1_000_000_000;

/// No sample is asked to last longer.
const MOST_MILLISECONDS: u64 = 60_000;

/// Allocations and bytes, of either allocator.
#[derive(Clone, Copy, Default)]
pub(crate) struct Allocated {
    allocations: u64,
    bytes: u64,
}

impl Allocated {
    /// What the process has taken from malloc so far.
    pub(crate) fn by_malloc() -> Allocated {
        let (allocations, bytes) = counting::counts();
        Allocated { allocations, bytes }
    }

    /// What has been allocated in `heap` so far. Only exact outside mutations.
    pub(crate) fn in_heap(heap: &Heap) -> Allocated {
        let stats = heap.stats();
        Allocated { allocations: stats.allocated_objects, bytes: stats.allocated_bytes }
    }
}

impl Sub for Allocated {
    type Output = Allocated;

    fn sub(self, earlier: Allocated) -> Allocated {
        Allocated {
            allocations: self.allocations.saturating_sub(earlier.allocations),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }
}

/// The timed part of a run: its wall time and what it took from malloc.
pub(crate) struct Timed {
    elapsed: Duration,
    malloc: Allocated,
}

impl Timed {
    /// Times `work`.
    pub(crate) fn of(work: impl FnOnce()) -> Timed {
        let before = Allocated::by_malloc();
        let start = Instant::now();
        work();
        let elapsed = start.elapsed();
        Timed { elapsed, malloc: Allocated::by_malloc() - before }
    }

    /// The run of `operations` operations that this was the timed part of.
    pub(crate) fn run(self, operations: u64, heap: Allocated) -> Run {
        Run { operations, elapsed: self.elapsed, malloc: self.malloc, heap }
    }
}

/// One run of a benchmark.
pub(crate) struct Run {
    operations: u64,
    elapsed: Duration,
    malloc: Allocated,
    heap: Allocated,
}

impl Run {
    /// Nanoseconds an operation.
    pub(crate) fn nanoseconds(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.operations as f64
    }

    fn sample(&self) -> Sample {
        Sample {
            iterations: self.operations,
            nanoseconds: self.nanoseconds(),
            bytes: Some((self.malloc.bytes + self.heap.bytes) / self.operations),
            allocations: Some((self.malloc.allocations + self.heap.allocations) / self.operations),
        }
    }
}

/// How long a sample is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Length {
    /// So many milliseconds, or a little more.
    Milliseconds(u64),
    /// So many operations, in whatever time.
    Operations(u64),
}

impl FromStr for Length {
    type Err = String;

    /// A number of milliseconds, or, as Go has it, one of operations with an `x` behind it.
    fn from_str(text: &str) -> Result<Length, String> {
        let (digits, most, length): (_, _, fn(u64) -> Length) = match text.strip_suffix('x') {
            Some(digits) => (digits, MOST_OPERATIONS, Length::Operations),
            None => (text, MOST_MILLISECONDS, Length::Milliseconds),
        };
        let number = digits.parse().ok().filter(|number| (1..=most).contains(number));
        number.map(length).ok_or_else(|| {
            format!("give milliseconds, 1 to {MOST_MILLISECONDS}, or operations, 1x to {MOST_OPERATIONS}x")
        })
    }
}

impl fmt::Display for Length {
    /// As Go's `-benchtime` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Length::Milliseconds(milliseconds) => write!(f, "{milliseconds}ms"),
            Length::Operations(operations) => write!(f, "{operations}x"),
        }
    }
}

/// Takes samples of one benchmark, and remembers how many operations fill the time.
pub(crate) struct Sampler {
    /// How long a run is to last, if that is what matters.
    goal: Option<Duration>,
    operations: u64,
    /// Whether `operations` was foretold by a run that was long enough.
    settled: bool,
}

impl Sampler {
    /// A sampler whose runs are so long.
    pub(crate) fn new(length: Length) -> Sampler {
        let (goal, operations) = match length {
            Length::Milliseconds(milliseconds) => (Some(Duration::from_millis(milliseconds)), 1),
            Length::Operations(operations) => (None, operations),
        };
        Sampler { goal, operations, settled: false }
    }

    /// Runs `benchmark` with growing numbers of operations until a run lasts long enough.
    pub(crate) fn sample(&mut self, mut benchmark: impl FnMut(u64) -> Run) -> Sample {
        loop {
            let run = benchmark(self.operations);
            let Some(goal) = self.goal else { return run.sample() };
            // The number that filled the time before may fall a little short of it now.
            let enough = if self.settled { goal * 3 / 4 } else { goal };
            let last = run.elapsed >= enough || run.operations >= MOST_OPERATIONS;
            self.operations = foretell(&run, goal, last);
            self.settled = last;
            if last {
                return run.sample();
            }
        }
    }
}

/// How many operations the next run should make. While runs are still short their rate tells
/// little, so it grows a hundredfold at most, and aims a fifth beyond the goal.
fn foretell(run: &Run, goal: Duration, last: bool) -> u64 {
    let rate = run.operations as f64 / run.elapsed.as_nanos().max(1) as f64;
    let fitting = rate * goal.as_nanos() as f64;
    let next = if last {
        fitting as u64
    } else {
        ((fitting * 1.2) as u64).clamp(run.operations + 1, run.operations.saturating_mul(100))
    };
    next.clamp(1, MOST_OPERATIONS)
}

/// The operations of a parallel run, given out in batches so that all threads end together.
pub(crate) struct Batches {
    next: AtomicU64,
    total: u64,
    size: u64,
}

impl Batches {
    fn new(total: u64, threads: usize) -> Batches {
        // Large enough that taking one costs nothing, small enough that the last ones end together.
        let size = (total / (threads as u64 * 100)).clamp(1, 100_000);
        Batches { next: AtomicU64::new(0), total, size }
    }

    /// How many operations to do next; `None` when all are given out.
    pub(crate) fn take(&self) -> Option<u64> {
        let start = self.next.fetch_add(self.size, Ordering::Relaxed);
        (start < self.total).then(|| self.size.min(self.total - start))
    }
}

/// Runs `operations` operations on `threads` threads, each inside a mutation of its own. The time
/// is from the first thread's start to the last one's end, without making and joining threads.
pub(crate) fn parallel(
    heap: &Heap,
    threads: usize,
    operations: u64,
    work: impl Fn(&Mutator<'_>, &Batches) + Sync,
) -> Timed {
    let batches = Batches::new(operations, threads);
    let line = Barrier::new(threads + 1);
    let run = || {
        line.wait();
        // Each thread reads the clock itself: the one that waits for them may wake much later.
        let start = Instant::now();
        heap.mutate(|mutator| work(mutator, &batches));
        (start, Instant::now())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let before = Allocated::by_malloc();
        line.wait();
        let times: Vec<(Instant, Instant)> = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        let start = times.iter().map(|&(start, _)| start).min();
        let end = times.iter().map(|&(_, end)| end).max();
        let elapsed = start.zip(end).map_or(Duration::ZERO, |(start, end)| end - start);
        Timed { elapsed, malloc: Allocated::by_malloc() - before }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Allocated, Batches, Length, Run, Sampler};

    fn run_of(operations: u64, nanoseconds_each: u64) -> Run {
        Run {
            operations,
            elapsed: Duration::from_nanos(operations * nanoseconds_each),
            malloc: Allocated { allocations: operations, bytes: 40 * operations },
            heap: Allocated { allocations: 1, bytes: 24 },
        }
    }

    #[test]
    fn runs_grow_until_one_lasts() {
        let mut sampler = Sampler::new(Length::Milliseconds(10));
        let mut sizes = Vec::new();
        let sample = sampler.sample(|operations| {
            sizes.push(operations);
            run_of(operations, 50)
        });
        assert_eq!(sizes, [1, 100, 10_000, 240_000]);
        assert_eq!((sample.iterations, sample.nanoseconds), (240_000, 50.0));
        // Setting up the one object of the heap does not show in whole numbers.
        assert_eq!((sample.bytes, sample.allocations), (Some(40), Some(1)));
        // The next sample takes one run, even if it is a little faster.
        sizes.clear();
        sampler.sample(|operations| {
            sizes.push(operations);
            run_of(operations, 40)
        });
        assert_eq!(sizes, [200_000]);
    }

    #[test]
    fn a_run_of_so_many_operations_is_the_only_one() {
        let mut sampler = Sampler::new(Length::Operations(1000));
        for _ in 0..2 {
            let mut sizes = Vec::new();
            sampler.sample(|operations| {
                sizes.push(operations);
                run_of(operations, 50)
            });
            assert_eq!(sizes, [1000]);
        }
    }

    #[test]
    fn a_length_is_milliseconds_or_operations() {
        for text in ["150", "60000", "1x", "1000000000x"] {
            let length = text.parse::<Length>().unwrap();
            let as_go = if text.ends_with('x') { text.to_owned() } else { format!("{text}ms") };
            assert_eq!(length.to_string(), as_go);
        }
        for text in ["", "0", "60001", "0x", "1000000001x", "x", "-1", "10ms"] {
            assert!(text.parse::<Length>().unwrap_err().contains("1x to 1000000000x"), "{text}");
        }
    }

    #[test]
    fn batches_add_up() {
        for total in [1, 2, 999, 1_000_003] {
            let batches = Batches::new(total, 2);
            let taken: u64 = std::iter::from_fn(|| batches.take()).sum();
            assert_eq!(taken, total);
        }
    }
}
