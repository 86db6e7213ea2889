//! A guard owes the collector something at its end, as the processor of its own thread: it cannot be given to another one.

use linchpin::{GcMutex, Heap};

fn main() {
    Heap::new().mutate(|mu| {
        let mutex = mu.alloc(GcMutex::new(1_u64));
        let guard = mutex.lock(mu);
        std::thread::scope(|scope| {
            scope.spawn(move || drop(guard));
        });
    });
}
