//! A mutator belongs to its thread: another thread cannot use it.

use linchpin::Heap;

fn main() {
    Heap::new().mutate(|mu| {
        std::thread::scope(|scope| {
            scope.spawn(|| mu.alloc(1_u64));
        });
    });
}
