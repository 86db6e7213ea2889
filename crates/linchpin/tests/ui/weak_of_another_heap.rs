//! A weak pointer of one heap cannot be stored in an object of another.

use linchpin::{Heap, WeakCell};

fn main() {
    let (here, there) = (Heap::new(), Heap::new());
    here.mutate(|mu_here| {
        there.mutate(|mu_there| {
            let cell = mu_here.alloc(WeakCell::<u64>::null());
            cell.store(mu_here, mu_there.downgrade(mu_there.alloc(1_u64)));
        });
    });
}
