//! `bench hiccup`: arithmetic, about ten microseconds a unit, and nothing else: what the machine itself does to a latency.
//! Tails of other workloads that are shorter than these say nothing.

use anyhow::Result;
use clap::Args;

use super::latency::{Length, Units};
use super::outcome::{Cost, Outcome, Work};
use super::workload::{Common, LengthOptions, Timed, Xorshift, as_check, timed};

/// Random numbers a unit.
const UNIT: u32 = 5_000;

/// Arguments of `linchpin bench hiccup`.
#[derive(Args)]
pub(crate) struct HiccupArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    length: LengthOptions,
}

/// Returns the units of each thread, and its last number.
fn work(threads: u32, length: Length) -> Timed<(u64, u64)> {
    let work = |thread, units: &mut Units| {
        let mut numbers = Xorshift::of_thread(thread);
        let mut last = 0;
        while units.another() {
            for _ in 0..UNIT {
                last = numbers.next();
            }
            // A unit ends with its numbers, not before them.
            std::hint::black_box(last);
        }
        (units.done(), last)
    };
    timed(threads, length, work, None)
}

/// Runs `bench hiccup`.
pub(crate) fn run(args: &HiccupArgs) -> Result<()> {
    let threads = args.common.threads;
    let timed = work(threads, args.length.in_units_of(1));
    let cost = Cost::so_far(None);
    let check = as_check(timed.results.iter().fold(0, |sum, &(_, last)| sum.wrapping_add(last)));
    let operations = timed.results.iter().map(|&(units, _)| units).sum();
    let work = Work { wall: timed.wall, operations, latency: Some(timed.latency) };
    Outcome { workload: "hiccup", operation: "a unit", threads, work, cost, check }.print(args.common.json)
}

#[cfg(test)]
mod tests {
    use super::{Length, UNIT, Xorshift, work};

    #[test]
    fn each_thread_goes_on_with_its_numbers() {
        let last = |thread| {
            let mut numbers = Xorshift::of_thread(thread);
            (0..3 * UNIT).map(|_| numbers.next()).last().unwrap()
        };
        assert_eq!(work(2, Length::Units(3)).results, [(3, last(0)), (3, last(1))]);
    }
}
