//! `bench types`: objects of two hundred types, allocated by turns and kept: two hundred runs, classes and ways to be traced.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use linchpin::{Gc, GcCell, Heap, Mutator, Root, Trace};

use super::outcome::{Cost, Outcome, Work};
use super::workload::{Common, HeapOptions, on_threads};

/// How many types there are.
const TYPES: u64 = 200;
/// Slots of the table of a type.
const SLOTS: u64 = 1_000;
/// Allocations a mutation.
const BATCH: u64 = 1_000;

/// Arguments of `linchpin bench types`.
#[derive(Args)]
pub(crate) struct TypesArgs {
    /// How many objects each thread allocates.
    #[arg(long, default_value_t = 20_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    n: u64,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    heap: HeapOptions,
}

/// A type for each pair of numbers.
#[derive(Trace)]
struct Object<'gc, const TENS: usize, const ONES: usize> {
    number: u64,
    before: Option<Gc<'gc, Object<'gc, TENS, ONES>>>,
}

/// The kept table of a type.
type Table<const TENS: usize, const ONES: usize> = Root<[GcCell<'static, Object<'static, TENS, ONES>>]>;

/// What can be done with a type, whichever it is.
trait Kind: Send {
    /// Makes object `number` and stores it where it belongs.
    fn store(&self, mu: &Mutator<'_>, number: u64);

    /// Verifies the object `number`, which is the last one in its slot.
    fn verify(&self, mu: &Mutator<'_>, number: u64) -> Result<()>;

    /// How many objects the table holds.
    fn count(&self, mu: &Mutator<'_>) -> u64;
}

/// The slot of an object in the table of its type.
fn slot_of(number: u64) -> usize {
    (number / TYPES % SLOTS) as usize
}

impl<const TENS: usize, const ONES: usize> Kind for Table<TENS, ONES> {
    fn store(&self, mu: &Mutator<'_>, number: u64) {
        let table = self.get(mu).as_ref();
        let slot = slot_of(number);
        let before = slot.checked_sub(1).and_then(|before| table[before].load());
        table[slot].store(mu, mu.alloc(Object { number, before }));
    }

    fn verify(&self, mu: &Mutator<'_>, number: u64) -> Result<()> {
        let slot = slot_of(number);
        let object = self.get(mu)[slot].load().with_context(|| format!("object {number} is not there"))?;
        ensure!(object.number == number, "in the place of object {number} is {}", object.number);
        let before = object.before.map(|before| before.number);
        let expected = (slot != 0).then(|| number - TYPES);
        ensure!(before == expected, "object {number} leads to {before:?}, which should be {expected:?}");
        Ok(())
    }

    fn count(&self, mu: &Mutator<'_>) -> u64 {
        self.get(mu).iter().filter(|slot| slot.load().is_some()).count() as u64
    }
}

/// Adds the tables of ten types.
fn add_ten<const TENS: usize>(heap: &Heap, kinds: &mut Vec<Box<dyn Kind>>) {
    fn table<const TENS: usize, const ONES: usize>(heap: &Heap) -> Box<dyn Kind> {
        let table: Table<TENS, ONES> = heap
            .mutate(|mu| mu.root(mu.alloc_slice_with(SLOTS as usize, |_| GcCell::<Object<'_, TENS, ONES>>::null())));
        Box::new(table)
    }
    macro_rules! add {
        ($($ones:literal)*) => { kinds.extend([$(table::<TENS, $ones>(heap)),*]) };
    }
    add!(0 1 2 3 4 5 6 7 8 9);
}

/// The tables of all types.
fn tables(heap: &Heap) -> Vec<Box<dyn Kind>> {
    let mut kinds = Vec::new();
    macro_rules! add {
        ($($tens:literal)*) => { $(add_ten::<$tens>(heap, &mut kinds);)* };
    }
    add!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19);
    kinds
}

/// What one thread does.
fn share(heap: &Heap, n: u64) -> Vec<Box<dyn Kind>> {
    let kinds = tables(heap);
    let mut next = 0;
    while next < n {
        let end = n.min(next + BATCH);
        heap.mutate(|mu| {
            for number in next..end {
                kinds[(number % TYPES) as usize].store(mu, number);
            }
        });
        next = end;
    }
    kinds
}

/// Verifies what a thread has kept, and adds it up.
fn sum_of(heap: &Heap, kinds: &[Box<dyn Kind>], n: u64) -> Result<u64> {
    heap.mutate(|mu| {
        let last = n.saturating_sub(TYPES * SLOTS)..n;
        for number in last.clone() {
            kinds[(number % TYPES) as usize].verify(mu, number)?;
        }
        let count: u64 = kinds.iter().map(|kind| kind.count(mu)).sum();
        ensure!(count == n.min(TYPES * SLOTS), "the tables have {count} objects");
        Ok(last.sum())
    })
}

/// Runs `bench types`.
pub(crate) fn run(args: &TypesArgs) -> Result<()> {
    let (n, threads) = (args.n, args.common.threads);
    let heap = args.heap.build(threads)?;
    let start = Instant::now();
    let kept = on_threads(threads, |_| share(&heap, n));
    let work = Work { wall: start.elapsed(), operations: n * u64::from(threads), latency: None };
    let cost = Cost::so_far(Some(&heap));
    let check = kept.iter().map(|kinds| sum_of(&heap, kinds, n)).sum::<Result<u64>>()?;
    Outcome { workload: "types", operation: "an object", threads, work, cost, check }.print(args.common.json)
}

#[cfg(test)]
mod tests {
    use linchpin::Heap;

    use super::{SLOTS, TYPES, share, sum_of, tables};

    #[test]
    fn the_last_objects_of_each_type_are_kept() {
        let heap = Heap::new();
        for n in [1, 1_234, TYPES * SLOTS, TYPES * SLOTS + 54_321] {
            let kinds = share(&heap, n);
            heap.collect();
            let expected: u64 = (n.saturating_sub(TYPES * SLOTS)..n).sum();
            assert_eq!(sum_of(&heap, &kinds, n).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_noticed() {
        let heap = Heap::new();
        let kinds = share(&heap, 1_000);
        let error = |n| sum_of(&heap, &kinds, n).unwrap_err().to_string();
        assert!(error(1_001).contains("object 1000 is not there"));
        assert!(error(999).contains("1000 objects"));
        // One that comes a round too late, so that what leads to it is newer than it should be.
        heap.mutate(|mu| kinds[7].store(mu, TYPES * SLOTS + 207));
        assert!(error(1_000).contains("in the place of object 207 is 200207"));
        heap.mutate(|mu| kinds[7].store(mu, 407));
        heap.mutate(|mu| kinds[7].store(mu, 207));
        assert!(error(1_000).contains("object 407 leads to Some(200207)"));
    }

    #[test]
    fn there_are_as_many_types_as_said() {
        assert_eq!(tables(&Heap::new()).len() as u64, TYPES);
    }
}
