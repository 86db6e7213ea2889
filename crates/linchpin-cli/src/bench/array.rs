//! `bench array`: an array of ten million pointers that is marked by one collection after another, while threads replace the
//! objects it leads to. The unit whose latency is told is 100 replacements, in one mutation.

use anyhow::{Context, Result, ensure};
use clap::Args;
use linchpin::{GcCell, Heap, Mutator, Root, Trace};

use super::latency::{Length, Units};
use super::outcome::{Cost, Outcome, Work};
use super::workload::{Common, HeapOptions, Timed, share, timed};

/// Replacements a unit.
const UNIT: u64 = 100;
/// The next replacement is so many slots farther: a prime larger than any array, so that a round comes to each slot.
const STRIDE: u64 = 15_485_863;
/// Objects that are set up in one mutation.
const BATCH: usize = 1_000;

/// Arguments of `linchpin bench array`.
#[derive(Args)]
pub(crate) struct ArrayArgs {
    /// The pointers of the array, one a thread at least.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u32).range(1..=15_000_000))]
    slots: u32,
    /// How many objects each thread replaces, rounded up to hundreds.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    n: u64,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    heap: HeapOptions,
}

#[derive(Trace)]
struct Object {
    slot: u64,
    turn: u64,
}

type Slot<'gc> = GcCell<'gc, Object>;
type Array = Root<[Slot<'static>]>;

#[inline(always)]
fn store<'gc>(mu: &Mutator<'gc>, array: &[Slot<'gc>], slot: usize, turn: u64) {
    array[slot].store(mu, mu.alloc(Object { slot: slot as u64, turn }));
}

/// The slot of replacement `j` in a share.
#[inline(always)]
fn slot_of(j: u64, lo: usize, size: u64) -> usize {
    lo + (j * STRIDE % size) as usize
}

fn set_up(heap: &Heap, slots: usize) -> Array {
    let array: Array = heap.mutate(|mu| mu.root(mu.alloc_slice_with(slots, |_| GcCell::<Object>::null())));
    for first in (0..slots).step_by(BATCH) {
        heap.mutate(|mu| {
            let array = array.get(mu).as_ref();
            (first..slots.min(first + BATCH)).for_each(|slot| store(mu, array, slot, slot as u64));
        });
    }
    array
}

/// The timed part; returns the replacements of each thread.
fn work(heap: &Heap, array: &Array, slots: usize, threads: u32, length: Length) -> Timed<u64> {
    let work = |thread, units: &mut Units| {
        let share = share(slots, thread, threads);
        let size = share.len() as u64;
        let mut next = 0;
        while units.another() {
            heap.mutate(|mu| {
                let array = array.get(mu).as_ref();
                for j in next..next + UNIT {
                    store(mu, array, slot_of(j, share.start, size), slots as u64 + j);
                }
            });
            next += UNIT;
        }
        next
    };
    timed(threads, length, work, Some(&mut || heap.collect()))
}

/// Verifies every object after so many replacements of each thread, and adds their turns up.
fn sum_of(heap: &Heap, array: &Array, replaced: &[u64]) -> Result<u64> {
    let threads = replaced.len() as u32;
    heap.mutate(|mu| {
        let array = array.get(mu).as_ref();
        let mut sum = 0;
        for (thread, &replaced) in (0..threads).zip(replaced) {
            let share = share(array.len(), thread, threads);
            let size = share.len() as u64;
            // The last time that the thread came to each slot, or would have.
            for j in replaced..replaced + size {
                let slot = slot_of(j, share.start, size);
                let turn = match j.checked_sub(size) {
                    Some(last) => array.len() as u64 + last,
                    None => slot as u64,
                };
                let object = array[slot].load().with_context(|| format!("slot {slot} has no object"))?;
                ensure!(object.slot == slot as u64, "slot {slot} has the object of slot {}", object.slot);
                ensure!(object.turn == turn, "slot {slot} has the object of turn {}, not {turn}", object.turn);
                sum += turn;
            }
        }
        Ok(sum)
    })
}

/// Runs `bench array`.
pub(crate) fn run(args: &ArrayArgs) -> Result<()> {
    let (slots, threads) = (args.slots as usize, args.common.threads);
    ensure!(slots >= threads as usize, "--slots {slots} is not one for each of the {threads} threads");
    let heap = args.heap.build(threads)?;
    let array = set_up(&heap, slots);
    let timed = work(&heap, &array, slots, threads, Length::Units(args.n.div_ceil(UNIT)));
    let cost = Cost::so_far(Some(&heap));
    let check = sum_of(&heap, &array, &timed.results)?;
    let work = Work { wall: timed.wall, operations: timed.results.iter().sum(), latency: Some(timed.latency) };
    Outcome { workload: "array", operation: "a replacement", threads, work, cost, check }.print(args.common.json)
}

#[cfg(test)]
mod tests {
    use linchpin::Heap;

    use super::{Length, Object, set_up, sum_of, work};

    #[test]
    fn the_last_replacements_are_kept() {
        let heap = Heap::builder().processors(3).build().unwrap();
        for (slots, threads, units) in [(1_000, 1, 3), (1_000, 1, 25), (2_003, 3, 7), (3, 3, 2)] {
            let array = set_up(&heap, slots);
            let cycles = heap.stats().cycles;
            let replaced = work(&heap, &array, slots, threads, Length::Units(units)).results;
            assert!(heap.stats().cycles > cycles);
            assert_eq!(replaced, vec![100 * units; threads as usize]);
            sum_of(&heap, &array, &replaced).unwrap();
        }
    }

    #[test]
    fn what_is_wrong_is_noticed() {
        let heap = Heap::new();
        let array = set_up(&heap, 100);
        let error = |replaced| sum_of(&heap, &array, &[replaced]).unwrap_err().to_string();
        assert!(sum_of(&heap, &array, &[0]).unwrap() == 99 * 50);
        assert!(error(1).contains("slot 0 has the object of turn 0, not 100"));
        heap.mutate(|mu| array.get(mu)[9].store(mu, mu.alloc(Object { slot: 8, turn: 9 })));
        assert!(error(0).contains("slot 9 has the object of slot 8"));
        heap.mutate(|mu| array.get(mu)[9].clear(mu));
        assert!(error(0).contains("slot 9 has no object"));
    }
}
