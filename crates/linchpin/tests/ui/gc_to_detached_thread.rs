//! A pointer may go to a thread that the mutation waits for, not to one that outlives it.

use linchpin::Heap;

fn main() {
    Heap::new().mutate(|mu| {
        let pointer = mu.alloc(1_u64);
        std::thread::spawn(move || println!("{pointer}"));
    });
}
