//! What the workloads share: their options, their random numbers, and how they run on threads.
//!
//! `CHECKS.md` beside this file says to the letter what each of them does, and how its check is computed.

use std::ops::Range;
use std::sync::Barrier;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use linchpin::Heap;

use super::latency::{Histogram, Length, Units};

/// The seed of what is set up before threads start.
pub(crate) const SET_UP_SEED: u64 = 88_172_645_463_325_252;

/// The largest check that every reader of JSON takes for the number it is.
const LARGEST_CHECK: u64 = (1 << 53) - 1;

/// How a workload runs and is told of.
#[derive(Args)]
pub(crate) struct Common {
    /// How many threads work.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: u32,
    /// Print one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The heap that a workload runs on.
#[derive(Args)]
pub(crate) struct HeapOptions {
    /// By how many percent of the live heap it grows before the next cycle starts.
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    growth_percent: u32,
    /// How many mutations may run at once; by default as many as there are cores, or threads if these are more.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    processors: Option<u32>,
    /// Ask the system for huge pages.
    #[arg(long)]
    huge_pages: bool,
    /// How many MiB of the heap have their memory from the start.
    #[arg(long, value_name = "MIB", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    populate: u32,
}

impl HeapOptions {
    /// Makes the heap, for so many threads.
    pub(crate) fn build(&self, threads: u32) -> Result<Heap> {
        let available = std::thread::available_parallelism().map_or(1, usize::from).min(1024);
        let processors = self.processors.map_or(available.max(threads as usize), |processors| processors as usize);
        Heap::builder()
            .processors(processors)
            .growth_percent(self.growth_percent)
            .huge_pages(self.huge_pages)
            .populate((self.populate as usize) << 20)
            .build()
            .context("cannot make a heap")
    }
}

/// How long a workload runs.
#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct LengthOptions {
    /// For how many seconds [default: 5].
    #[arg(long, value_parser = parse_seconds)]
    secs: Option<Duration>,
    /// How many steps each thread makes, instead.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    pub(crate) steps: Option<u64>,
}

impl LengthOptions {
    /// In units of so many steps, the last one whole.
    pub(crate) fn in_units_of(&self, steps_a_unit: u64) -> Length {
        match self.steps {
            Some(steps) => Length::Units(steps.div_ceil(steps_a_unit)),
            None => Length::Time(self.secs.unwrap_or(Duration::from_secs(5))),
        }
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if !(0.001..=1e6).contains(&seconds) {
        return Err("must be from 0.001 to 1000000".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// The generator that every peer uses: xorshift64.
pub(crate) struct Xorshift(u64);

impl Xorshift {
    /// That of the set-up.
    pub(crate) fn of_set_up() -> Self {
        Self(SET_UP_SEED)
    }

    /// That of a thread.
    pub(crate) fn of_thread(thread: u32) -> Self {
        Self(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(u64::from(thread) + 1))
    }

    /// The next number.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// The part of a table of `slots` slots that is a thread's own.
pub(crate) fn share(slots: usize, thread: u32, threads: u32) -> Range<usize> {
    let (thread, threads) = (thread as usize, threads as usize);
    thread * slots / threads..(thread + 1) * slots / threads
}

/// A sum modulo 2^64 as a check.
pub(crate) fn as_check(sum: u64) -> u64 {
    sum & LARGEST_CHECK
}

/// Runs `work` on each thread, the only one if there is one, and returns what they return, in order.
pub(crate) fn on_threads<R: Send>(threads: u32, work: impl Fn(u32) -> R + Sync) -> Vec<R> {
    if threads == 1 {
        return vec![work(0)];
    }
    let work = &work;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        workers.into_iter().map(joined).collect()
    })
}

/// What units of work on threads came to.
pub(crate) struct Timed<R> {
    /// From the first thread's start to the last one's end.
    pub(crate) wall: Duration,
    /// All threads' units.
    pub(crate) latency: Histogram,
    /// What each thread returned.
    pub(crate) results: Vec<R>,
}

/// Runs `work` on each thread, all of them starting together; and `meanwhile` on this one, again and again until all have ended.
pub(crate) fn timed<R: Send>(
    threads: u32,
    length: Length,
    work: impl Fn(u32, &mut Units) -> R + Sync,
    mut meanwhile: Option<&mut dyn FnMut()>,
) -> Timed<R> {
    let line = Barrier::new(threads as usize);
    let (line, work) = (&line, &work);
    let run = move |thread| {
        let mut units = Units::new(length);
        line.wait();
        let result = work(thread, &mut units);
        (result, units.end())
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        if let Some(meanwhile) = &mut meanwhile {
            meanwhile();
            while !workers.iter().all(ScopedJoinHandle::is_finished) {
                meanwhile();
            }
        }
        workers.into_iter().map(joined).collect()
    });
    let mut latency = Histogram::new();
    let (mut results, mut starts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for (result, (times, own)) in outcomes {
        results.push(result);
        latency.merge(&own);
        starts.extend(times.map(|(start, _)| start));
        ends.extend(times.map(|(_, end)| end));
    }
    let (start, end) = (starts.into_iter().min(), ends.into_iter().max());
    Timed { wall: start.zip(end).map_or(Duration::ZERO, |(start, end)| end - start), latency, results }
}

fn joined<R>(worker: ScopedJoinHandle<'_, R>) -> R {
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::{Xorshift, as_check, on_threads, parse_seconds, share, timed};
    use crate::bench::latency::Length;

    #[test]
    fn the_numbers_are_those_of_the_peers() {
        let mut numbers = Xorshift::of_set_up();
        // By another program.
        assert_eq!([(); 2].map(|()| numbers.next()), [8_748_534_153_485_358_512, 3_040_900_993_826_735_515]);
        assert_eq!(Xorshift::of_thread(1).0, 0x3C6E_F372_FE94_F82A);
    }

    #[test]
    fn shares_are_the_whole_table() {
        for (slots, threads) in [(10, 1), (10, 3), (2_000_000, 7), (3, 5)] {
            let mut next = 0;
            for thread in 0..threads {
                let share = share(slots, thread, threads);
                assert_eq!(share.start, next);
                next = share.end;
            }
            assert_eq!(next, slots);
        }
    }

    #[test]
    fn checks_are_exact_numbers() {
        for sum in [0, 1, u64::MAX, 1 << 53] {
            assert_eq!(as_check(sum) as f64 as u64, as_check(sum));
        }
    }

    #[test]
    fn each_thread_works_once() {
        assert_eq!(on_threads(3, |thread| thread), [0, 1, 2]);
        assert_eq!(on_threads(1, |thread| thread), [0]);
    }

    #[test]
    fn what_goes_on_meanwhile_goes_on_until_all_have_ended() {
        let rounds = AtomicU32::new(0);
        // A thread does not end before it has seen two rounds.
        let work = |thread, units: &mut crate::bench::latency::Units| {
            while units.another() {
                while rounds.load(Ordering::Relaxed) < 2 {
                    std::thread::yield_now();
                }
            }
            thread
        };
        let mut meanwhile = || _ = rounds.fetch_add(1, Ordering::Relaxed);
        let timed = timed(2, Length::Units(3), work, Some(&mut meanwhile));
        assert_eq!(timed.results, [0, 1]);
        assert!(timed.latency.longest().is_some_and(|longest| longest <= timed.wall));
    }

    #[test]
    fn seconds_are_more_than_none() {
        assert_eq!(parse_seconds("2.5"), Ok(Duration::from_millis(2500)));
        for text in ["0", "-1", "NaN", "inf", "x", "1e300"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }
}
