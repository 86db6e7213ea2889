//! A pointer of one heap is not made weak by a mutation of another: the handle would lie in the wrong heap.

use linchpin::Heap;

fn main() {
    let (here, there) = (Heap::new(), Heap::new());
    here.mutate(|mu_here| {
        there.mutate(|mu_there| {
            mu_here.downgrade(mu_there.alloc(1_u64));
        });
    });
}
