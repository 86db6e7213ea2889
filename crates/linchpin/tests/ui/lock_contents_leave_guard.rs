//! What is behind a lock cannot be used after the guard is gone.

use linchpin::{GcMutex, Heap};

fn main() {
    Heap::new().mutate(|mu| {
        let mutex = mu.alloc(GcMutex::new(vec![mu.alloc(1_u64)]));
        let contents: &mut Vec<_> = {
            let mut guard = mutex.lock(mu);
            &mut *guard
        };
        contents.clear();
    });
}
