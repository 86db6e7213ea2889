//! `bench alloc`: small objects, of which a thread keeps the last 65,536; a thousand of them a mutation.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use linchpin::{GcCell, Heap, Root, Trace};

use super::outcome::{Cost, Outcome, Work};
use super::workload::{Common, HeapOptions, on_threads};

/// Slots of the kept table.
const SLOTS: u64 = 65_536;
/// Allocations a mutation.
const BATCH: u64 = 1_000;

/// Arguments of `linchpin bench alloc`.
#[derive(Args)]
pub(crate) struct AllocArgs {
    /// How many objects each thread allocates.
    #[arg(long, default_value_t = 20_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    n: u64,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    heap: HeapOptions,
}

#[derive(Trace)]
struct Object(i64, i64, i64);

/// The kept table of a thread.
type Table = Root<[GcCell<'static, Object>]>;

/// What one thread does.
fn share(heap: &Heap, n: u64) -> Table {
    let table = heap.mutate(|mu| mu.root(mu.alloc_slice_with(SLOTS as usize, |_| GcCell::<Object>::null())));
    let mut next = 0;
    while next < n {
        let end = n.min(next + BATCH);
        heap.mutate(|mu| {
            let table = table.get(mu).as_ref();
            for i in next..end {
                table[(i % SLOTS) as usize].store(mu, mu.alloc(Object(i as i64, 1, 2)));
            }
        });
        next = end;
    }
    table
}

/// Verifies what a thread has kept, and adds it up.
fn sum_of(heap: &Heap, table: &Table, n: u64) -> Result<u64> {
    heap.mutate(|mu| {
        let table = table.get(mu).as_ref();
        let mut sum = 0;
        for i in n.saturating_sub(SLOTS)..n {
            let object = table[(i % SLOTS) as usize].load().with_context(|| format!("object {i} is not there"))?;
            let &Object(first, second, third) = object.as_ref();
            ensure!((first, second, third) == (i as i64, 1, 2), "object {i} is ({first}, {second}, {third})");
            sum += i;
        }
        let unused = n.min(SLOTS) as usize..;
        ensure!(table[unused].iter().all(|slot| slot.load().is_none()), "a slot that was not used has an object");
        Ok(sum)
    })
}

/// Runs `bench alloc`.
pub(crate) fn run(args: &AllocArgs) -> Result<()> {
    let (n, threads) = (args.n, args.common.threads);
    let heap = args.heap.build(threads)?;
    let start = Instant::now();
    let tables = on_threads(threads, |_| share(&heap, n));
    let work = Work { wall: start.elapsed(), operations: n * u64::from(threads), latency: None };
    let cost = Cost::so_far(Some(&heap));
    let check = tables.iter().map(|table| sum_of(&heap, table, n)).sum::<Result<u64>>()?;
    Outcome { workload: "alloc", operation: "an object", threads, work, cost, check }.print(args.common.json)
}

#[cfg(test)]
mod tests {
    use linchpin::{GcCell, Heap, Root};

    use super::{Object, SLOTS, share, sum_of};

    #[test]
    fn the_last_objects_are_kept() {
        let heap = Heap::new();
        for n in [1, 999, SLOTS, SLOTS + 12_345] {
            let table = share(&heap, n);
            heap.collect();
            let expected: u64 = (n.saturating_sub(SLOTS)..n).sum();
            assert_eq!(sum_of(&heap, &table, n).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_noticed() {
        let heap = Heap::new();
        let table: Root<[GcCell<'static, Object>]> = share(&heap, 2_000);
        assert!(sum_of(&heap, &table, 2_001).unwrap_err().to_string().contains("object 2000 is not there"));
        assert!(sum_of(&heap, &table, 1_999).unwrap_err().to_string().contains("not used"));
        heap.mutate(|mu| table.get(mu)[7].store(mu, mu.alloc(Object(7, 1, 3))));
        assert!(sum_of(&heap, &table, 2_000).unwrap_err().to_string().contains("object 7 is (7, 1, 3)"));
    }
}
