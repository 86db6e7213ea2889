//! A future that holds a pointer cannot be returned from the mutation, to be polled after it.

use linchpin::Heap;

fn main() {
    let heap = Heap::new();
    let future = heap.mutate(|mu| {
        let pointer = mu.alloc(1_u64);
        async move { *pointer }
    });
    drop(future);
}
