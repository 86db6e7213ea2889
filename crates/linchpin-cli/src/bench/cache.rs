//! `bench cache`: a table of buffers of 1,024 bytes; each thread goes round its own share and replaces them. The unit whose
//! latency is told is an insert, in one mutation.

use anyhow::{Context, Result, ensure};
use clap::Args;
use linchpin::{GcCell, Heap, Mutator, Root};

use super::latency::{Length, Units};
use super::outcome::{Cost, Outcome, Work};
use super::workload::{Common, HeapOptions, LengthOptions, Timed, share, timed};

/// Bytes of a buffer.
const BYTES: usize = 1_024;

/// Arguments of `linchpin bench cache`.
#[derive(Args)]
pub(crate) struct CacheArgs {
    /// The buffers that are kept, one a thread at least.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    slots: u32,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    length: LengthOptions,
    #[command(flatten)]
    heap: HeapOptions,
}

type Buffer = [u8; BYTES];
type Slot<'gc> = GcCell<'gc, Buffer>;
type Table = Root<[Slot<'static>]>;

/// The byte that insert `i` of a thread fills its buffer with.
fn byte(i: u64) -> u8 {
    (i % 256) as u8
}

#[inline(always)]
fn insert<'gc>(mu: &Mutator<'gc>, table: &[Slot<'gc>], lo: usize, size: u64, i: u64) {
    table[lo + (i % size) as usize].store(mu, mu.alloc([byte(i); BYTES]));
}

/// Fills the table: the first round of each thread.
fn set_up(heap: &Heap, slots: usize, threads: u32) -> Table {
    let table: Table = heap.mutate(|mu| mu.root(mu.alloc_slice_with(slots, |_| GcCell::<Buffer>::null())));
    for thread in 0..threads {
        let share = share(slots, thread, threads);
        let size = share.len() as u64;
        for i in 0..size {
            heap.mutate(|mu| insert(mu, table.get(mu).as_ref(), share.start, size, i));
        }
    }
    table
}

/// The timed part; returns the inserts of each thread, those of the set-up not included.
fn work(heap: &Heap, table: &Table, slots: usize, threads: u32, length: Length) -> Timed<u64> {
    let work = |thread, units: &mut Units| {
        let share = share(slots, thread, threads);
        let size = share.len() as u64;
        let mut i = size;
        while units.another() {
            heap.mutate(|mu| insert(mu, table.get(mu).as_ref(), share.start, size, i));
            i += 1;
        }
        units.done()
    };
    timed(threads, length, work, None)
}

/// Verifies every byte of the table after so many inserts of each thread, and adds them up.
fn sum_of(heap: &Heap, table: &Table, inserts: &[u64]) -> Result<u64> {
    let threads = inserts.len() as u32;
    heap.mutate(|mu| {
        let table = table.get(mu).as_ref();
        let mut sum = 0;
        for (thread, inserts) in (0..threads).zip(inserts) {
            let share = share(table.len(), thread, threads);
            let size = share.len() as u64;
            // The last round of the thread, which has begun with the set-up.
            for i in *inserts..*inserts + size {
                let slot = share.start + (i % size) as usize;
                let buffer = table[slot].load().with_context(|| format!("slot {slot} has no buffer"))?;
                let wrong = buffer.iter().find(|&&found| found != byte(i));
                ensure!(wrong.is_none(), "slot {slot} has a byte {wrong:?}, which should be {}", byte(i));
                sum += u64::from(byte(i)) * BYTES as u64;
            }
        }
        Ok(sum)
    })
}

/// Runs `bench cache`.
pub(crate) fn run(args: &CacheArgs) -> Result<()> {
    let (slots, threads) = (args.slots as usize, args.common.threads);
    ensure!(slots >= threads as usize, "--slots {slots} is not one for each of the {threads} threads");
    let heap = args.heap.build(threads)?;
    let table = set_up(&heap, slots, threads);
    let timed = work(&heap, &table, slots, threads, args.length.in_units_of(1));
    let cost = Cost::so_far(Some(&heap));
    let check = sum_of(&heap, &table, &timed.results)?;
    let work = Work { wall: timed.wall, operations: timed.results.iter().sum(), latency: Some(timed.latency) };
    Outcome { workload: "cache", operation: "an insert", threads, work, cost, check }.print(args.common.json)
}

#[cfg(test)]
mod tests {
    use linchpin::Heap;

    use super::{BYTES, Length, set_up, sum_of, work};

    #[test]
    fn the_last_inserts_are_kept() {
        let heap = Heap::builder().processors(3).build().unwrap();
        for (threads, inserts) in [(1, 0), (1, 1), (3, 777)] {
            let table = set_up(&heap, 1_000, threads);
            let inserted = work(&heap, &table, 1_000, threads, Length::Units(inserts)).results;
            heap.collect();
            assert_eq!(inserted, vec![inserts; threads as usize]);
            sum_of(&heap, &table, &inserted).unwrap();
        }
    }

    #[test]
    fn the_sum_is_that_of_all_bytes() {
        let heap = Heap::new();
        let table = set_up(&heap, 3, 1);
        // Inserts 0 to 2 are the set-up; 256 and 257 are the last ones into slots 1 and 2, 258 into slot 0.
        let inserted = work(&heap, &table, 3, 1, Length::Units(256)).results;
        assert_eq!(sum_of(&heap, &table, &inserted).unwrap(), (1 + 2) * BYTES as u64);
    }

    #[test]
    fn what_is_wrong_is_noticed() {
        let heap = Heap::new();
        let table = set_up(&heap, 10, 1);
        assert!(sum_of(&heap, &table, &[1]).unwrap_err().to_string().contains("should be 10"));
        heap.mutate(|mu| {
            let mut buffer = [4; BYTES];
            buffer[BYTES - 1] = 5;
            table.get(mu)[4].store(mu, mu.alloc(buffer));
        });
        assert!(sum_of(&heap, &table, &[0]).unwrap_err().to_string().contains("slot 4 has a byte Some(5)"));
        heap.mutate(|mu| table.get(mu)[3].clear(mu));
        assert!(sum_of(&heap, &table, &[0]).unwrap_err().to_string().contains("slot 3 has no buffer"));
    }
}
