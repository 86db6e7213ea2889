//! A pointer may go to threads of a scope inside its mutation, not to those of one around it, which outlive the mutation.

use linchpin::Heap;

fn main() {
    let heap = Heap::new();
    std::thread::scope(|scope| {
        heap.mutate(|mu| {
            let pointer = mu.alloc(1_u64);
            scope.spawn(move || println!("{pointer}"));
        });
    });
}
