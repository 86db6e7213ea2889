//! To write once is a store: it takes a mutation of the heap.

use linchpin::{GcOnce, Heap};

fn main() {
    let (here, there) = (Heap::new(), Heap::new());
    here.mutate(|mu_here| {
        there.mutate(|mu_there| {
            let once = mu_here.alloc(GcOnce::new());
            _ = once.set(mu_there, mu_here.alloc(1_u64));
        });
    });
}
