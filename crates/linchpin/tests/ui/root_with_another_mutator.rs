//! A pointer of one heap cannot become a root through another heap's mutator.

use linchpin::Heap;

fn main() {
    let (here, there) = (Heap::new(), Heap::new());
    here.mutate(|mu_here| {
        there.mutate(|mu_there| {
            mu_here.root(mu_there.alloc(1_u64));
        });
    });
}
