//! A weak pointer of one heap is not upgraded by a mutation of another, whose collector decides nothing about the object.

use linchpin::Heap;

fn main() {
    let (here, there) = (Heap::new(), Heap::new());
    here.mutate(|mu_here| {
        there.mutate(|mu_there| {
            let weak = mu_here.downgrade(mu_here.alloc(1_u64));
            weak.upgrade(mu_there);
        });
    });
}
