//! A weak pointer cannot go to a thread that outlives its mutation. (A weak root can.)

use std::thread;

use linchpin::Heap;

fn main() {
    let heap = Heap::new();
    heap.mutate(|mu| {
        let weak = mu.downgrade(mu.alloc(1_u64));
        thread::spawn(move || format!("{weak:?}"));
    });
}
