//! Panics.

use crate::common::{Ledger, panic_text};
use linchpin::Heap;

#[test]
fn a_heap_may_be_dropped_by_unwinding() {
    let ledger = Ledger::new(2);
    let text = panic_text(|| {
        let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
        heap.mutate(|mu| _ = mu.alloc(ledger.counted(0)));
        heap.collect();
        heap.mutate(|mu| _ = mu.alloc(ledger.counted(1)));
        panic!("on purpose");
    });
    assert_eq!(text, "on purpose");
    ledger.assert_each_once();
}
