//! A panic carries a value out of the mutation that it unwinds, but none with a brand: a payload is `'static`.

use std::panic::panic_any;

use linchpin::Heap;

fn main() {
    let heap = Heap::new();
    let escaped = std::thread::scope(|scope| scope.spawn(|| heap.mutate(|mu| panic_any(mu.alloc(1_u64)))).join());
    assert!(escaped.is_err());
}
