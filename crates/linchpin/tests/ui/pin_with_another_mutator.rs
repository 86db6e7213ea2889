//! A pointer of one heap cannot be pinned or rooted through another heap's mutator.

use linchpin::{Heap, Pinner};

fn main() {
    let (here, there) = (Heap::new(), Heap::new());
    let mut pinner = Pinner::new();
    here.mutate(|mu_here| {
        there.mutate(|mu_there| {
            pinner.pin(mu_here, mu_there.alloc(1_u64));
        });
    });
}
