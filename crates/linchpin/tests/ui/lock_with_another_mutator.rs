//! A lock around pointers is taken by a mutation of their heap, whose collector must hear of it.

use linchpin::{GcMutex, Heap};

fn main() {
    let (here, there) = (Heap::new(), Heap::new());
    here.mutate(|mu_here| {
        there.mutate(|mu_there| {
            let mutex = mu_here.alloc(GcMutex::new(mu_here.alloc(1_u64)));
            mutex.lock(mu_there);
        });
    });
}
