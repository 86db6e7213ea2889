//! A guard cannot outlive the mutation that took the lock.

use linchpin::{GcMutex, Heap};

fn main() {
    let heap = Heap::new();
    let guard = heap.mutate(|mu| mu.alloc(GcMutex::new(1_u64)).as_ref().lock(mu));
    assert_eq!(*guard, 1);
}
