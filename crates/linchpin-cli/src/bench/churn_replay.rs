//! The steps of `bench churn` on one thread once more, with indices in place of pointers and nothing ever freed.
//!
//! An edge that leads to a node which was freed, and whose slot is another node's by now, looks like any other edge. Only who
//! knows where it should lead can tell.

use super::workload::Xorshift;

/// A longer run is not replayed: each fourth step makes a node, which stays.
pub(super) const MOST_STEPS: u64 = 100_000_000;

/// A node's id, and the indices of those that its edges lead to.
#[derive(Clone, Copy)]
struct Node {
    id: u32,
    out: [u32; 4],
}

/// What the edges are mixed to in the end.
pub(super) fn sum_of_edges(nodes: u32, steps: u64) -> u64 {
    let mut numbers = Xorshift::of_set_up();
    let mut index_below = |limit: u32| (numbers.next() % u64::from(limit)) as u32;
    let mut graph: Vec<Node> = (0..nodes).map(|id| Node { id, out: [(); 4].map(|()| index_below(nodes)) }).collect();
    let mut table: Vec<u32> = (0..nodes).collect();
    let mut numbers = Xorshift::of_thread(0);
    for _ in 0..steps {
        let i = (numbers.next() % u64::from(nodes)) as usize;
        let r = numbers.next();
        let edge = |shift: u32| (r >> shift) as usize % 4;
        let v = table[i] as usize;
        if r.is_multiple_of(4) {
            table[i] = graph.len() as u32;
            graph.push(graph[v]);
        } else {
            let far = table[((r >> 16) % u64::from(nodes)) as usize];
            let near = graph[graph[v].out[edge(8)] as usize].out[edge(10)];
            graph[v].out[edge(12)] = if r & 4 == 0 { far } else { near };
        }
    }
    let id = |node: u32| u64::from(graph[node as usize].id);
    let mixed = |&node: &u32| {
        graph[node as usize].out.iter().fold(id(node), |mixed, &target| {
            let mixed = (mixed ^ id(target)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed ^ (mixed >> 32)
        })
    };
    table.iter().map(mixed).fold(0, u64::wrapping_add)
}
