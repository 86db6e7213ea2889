//! How often a part of the table is looked through.

use super::{DEAD_AT_LEAST, Part};
use crate::Heap;

/// Puts a new object into the part, under a hash of its own; whether that was preceded by looking the part through.
fn insert<'gc>(mu: &crate::Mutator<'gc>, part: &mut Part<'gc, u64>, number: usize) -> bool {
    let before = (part.len, part.full_at);
    part.insert(number, mu.downgrade(mu.alloc(number as u64)));
    (part.len - 1, part.full_at) != before
}

/// While all live, it is looked through each time when it has doubled, and not each time when something comes: else to fill it would
/// take time in proportion to the square.
#[test]
fn a_part_is_looked_through_each_time_it_has_doubled() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        let mut part = Part::default();
        let looked: Vec<usize> = (0..1000).filter(|&number| insert(mu, &mut part, number)).collect();
        assert_eq!(
            looked,
            [DEAD_AT_LEAST, 3 * DEAD_AT_LEAST, 7 * DEAD_AT_LEAST, 15 * DEAD_AT_LEAST, 31 * DEAD_AT_LEAST]
        );
        assert_eq!((part.len, part.by_hash.len()), (1000, 1000));
    });
}
