//! How many trees of which depth, and what can be said about memory without looking at how it is managed.

use crate::{Args, BUFFER, fail};

/// The nodes of a tree.
pub fn nodes(depth: u32) -> u64 {
    (1 << (depth + 1)) - 1
}

/// The depths between the least and the greatest of `trees`, and how many trees of each.
pub fn trees(depth: u32) -> impl Iterator<Item = (u32, u64)> {
    (4..=depth).step_by(2).map(move |each| (each, 1 << (depth - each + 4)))
}

/// The same for each of the two runs of `gcbench`.
pub fn gcbench(depth: u32) -> impl Iterator<Item = (u32, u64)> {
    (4..=depth).step_by(2).map(move |each| (each, 2 * nodes(depth + 2) / nodes(each)))
}

/// The kept array of `gcbench`.
pub fn array(args: &Args) -> Vec<f64> {
    (0..args.size("--array", 4_000_000)).map(|i| 1.0 / (i as f64 + 1.0)).collect()
}

/// Fails unless the array is as it was made.
pub fn verify_array(args: &Args, array: &[f64]) {
    if array.len() as u64 != args.size("--array", 4_000_000)
        || (0..).zip(array).any(|(i, value)| *value != 1.0 / (f64::from(i) + 1.0))
    {
        fail("the kept array has changed");
    }
}

/// Fails unless the object in a slot of `alloc` is the last that was stored there; returns its first field.
pub fn verify_triple(slot: u64, n: u64, table: u64, triple: [i64; 3]) -> u64 {
    let last = slot + (n - 1 - slot) / table * table;
    if triple != [last as i64, 1, 2] {
        fail(&format!("slot {slot} holds {triple:?}"));
    }
    last
}

/// Fails unless a buffer holds what insert `i` wrote into it; returns the sum of its bytes.
pub fn verify_buffer(i: u64, buffer: &[u8; BUFFER]) -> u64 {
    if buffer.iter().any(|byte| *byte != i as u8) {
        fail(&format!("a buffer does not hold what insert {i} wrote"));
    }
    buffer.iter().map(|byte| u64::from(*byte)).sum()
}

/// The last insert into a slot of a share of `size`, after the set-up and `done` further inserts.
pub fn last_insert(slot: u64, size: u64, done: u64) -> u64 {
    slot + (size + done - 1 - slot) / size * size
}

/// Fails unless node `i` of `churn` has its id, and four edges to nodes of the graph.
pub fn verify_vertex(i: u64, n: u64, id: i64, targets: [Option<u64>; 4]) {
    if id as u64 != i || targets.iter().any(|target| target.is_none_or(|target| target >= n)) {
        fail(&format!("node {i} has the id {id} and leads to {targets:?}"));
    }
}

/// The part of a node in the check of `churn` with one thread.
pub fn node_hash(id: u64, targets: [Option<u64>; 4]) -> u64 {
    targets.into_iter().fold(id, |hash, target| {
        let hash = (hash ^ target.unwrap_or(u64::MAX)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash ^ hash >> 32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_that_all_agree_on() {
        let between: u64 = trees(18).map(|(depth, trees)| trees * nodes(depth)).sum();
        assert_eq!(nodes(19) + nodes(18) + between, 68_332_206);
    }

    #[test]
    fn the_last_insert_into_a_slot() {
        assert_eq!(last_insert(0, 5, 0), 0);
        assert_eq!(last_insert(4, 5, 0), 4);
        assert_eq!((last_insert(0, 5, 7), last_insert(1, 5, 7), last_insert(2, 5, 7)), (10, 11, 7));
        assert_eq!(verify_triple(1, 7, 3, [4, 1, 2]), 4);
    }
}
