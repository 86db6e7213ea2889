//! Threads that begin together, and units of work with their latencies.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::{Histogram, Limit, Usage};

/// How large the stacks of threads are; 2 MiB, as std has it, if nothing is said.
static STACK: AtomicUsize = AtomicUsize::new(2 << 20);

/// Runs `work` on a thread with so large a stack, as all threads have then.
pub fn with_stacks_of(bytes: usize, work: impl FnOnce() + Send) {
    STACK.store(bytes, Ordering::Relaxed);
    std::thread::scope(|scope| spawn(scope, work).join().expect("no thread panics"));
}

fn spawn<'scope, 'env, R: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    work: impl FnOnce() -> R + Send + 'scope,
) -> ScopedJoinHandle<'scope, R> {
    let builder = Builder::new().stack_size(STACK.load(Ordering::Relaxed));
    builder.spawn_scoped(scope, work).expect("a thread can be started")
}

/// Gives each thread one of `parts` to work on, all at once; returns the time from the first one's start to the last one's
/// end, and what they made of it.
pub fn on_threads<P: Send, R: Send>(parts: Vec<P>, work: impl Fn(u64, P) -> R + Sync) -> (Duration, Vec<R>) {
    let ready = Barrier::new(parts.len());
    let (ready, work) = (&ready, &work);
    let run = |thread: u64, part: P| {
        ready.wait();
        let start = Instant::now();
        let result = work(thread, part);
        (start, Instant::now(), result)
    };
    let done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..).zip(parts).map(|(t, part)| spawn(scope, move || run(t, part))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    let first = done.iter().map(|(start, ..)| *start).min().expect("there is a thread");
    let last = done.iter().map(|(_, end, _)| *end).max().expect("there is a thread");
    (last - first, done.into_iter().map(|(.., result)| result).collect())
}

/// The same for heaps that cannot leave their thread: each thread sets one up, works when all have one, and verifies it when
/// all have worked and it is known what was used.
pub fn in_own_heaps<S, R: Send>(
    threads: u64,
    set_up: impl Fn(u64) -> S + Sync,
    work: impl Fn(u64, &mut S) -> R + Sync,
    verify: impl Fn(&S, &R) -> u64 + Sync,
) -> (Duration, Usage, Vec<(R, u64)>) {
    let (worked, known) = (Barrier::new(threads as usize + 1), Barrier::new(threads as usize + 1));
    let ready = Barrier::new(threads as usize);
    let run = |thread| {
        let mut heap = set_up(thread);
        ready.wait();
        let start = Instant::now();
        let result = work(thread, &mut heap);
        let end = Instant::now();
        worked.wait();
        known.wait();
        let check = verify(&heap, &result);
        (start, end, (result, check))
    };
    let run = &run;
    let (done, usage) = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|thread| spawn(scope, move || run(thread))).collect();
        worked.wait();
        let usage = Usage::now();
        known.wait();
        let join = |thread: ScopedJoinHandle<'_, _>| thread.join().expect("no thread panics");
        (all.into_iter().map(join).collect::<Vec<_>>(), usage)
    });
    let first = done.iter().map(|(start, ..)| *start).min().expect("there is a thread");
    let last = done.iter().map(|(_, end, _)| *end).max().expect("there is a thread");
    (last - first, usage, done.into_iter().map(|(.., result)| result).collect())
}

/// Works in units of `size` steps until the limit is reached; returns the steps done. The clock is read once between two
/// units, so that a stall between them counts.
pub fn in_units(limit: Limit, size: u64, mut unit: impl FnMut()) -> (u64, Histogram) {
    let mut latencies = Histogram::default();
    let (most, longest) = match limit {
        Limit::Steps(steps) => (steps.div_ceil(size), Duration::MAX),
        Limit::Time(time) => (u64::MAX, time),
    };
    let mut units = 0;
    let start = Instant::now();
    let mut last = start;
    while units < most && last - start < longest {
        unit();
        let now = Instant::now();
        latencies.record((now - last).as_nanos() as u64);
        last = now;
        units += 1;
    }
    (units * size, latencies)
}

/// The share of each thread in a table of `n` slots: its first slot, and the one behind its last.
pub fn shares(n: u64, threads: u64) -> Vec<(u64, u64)> {
    (0..threads).map(|t| (t * n / threads, (t + 1) * n / threads)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_steps_is_rounded_up_to_whole_units() {
        let mut calls = 0;
        let (steps, latencies) = in_units(Limit::Steps(250), 100, || calls += 1);
        assert_eq!((steps, calls), (300, 3));
        assert!(latencies.maximum() >= latencies.quantile(0.5));
    }

    #[test]
    fn shares_cover_the_table() {
        assert_eq!(shares(7, 3), [(0, 2), (2, 4), (4, 7)]);
    }

    #[test]
    fn each_thread_verifies_its_heap() {
        let (_, _, results) = in_own_heaps(2, |t| t + 1, |t, heap| *heap += t, |heap, ()| *heap);
        assert_eq!(results, [((), 1), ((), 3)]);
    }

    #[test]
    fn each_thread_gets_its_part() {
        let (_, results) = on_threads(vec![5, 6, 7], |thread, part| (thread, part));
        assert_eq!(results, [(0, 5), (1, 6), (2, 7)]);
    }
}
