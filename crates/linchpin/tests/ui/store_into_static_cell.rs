//! A cell of brand `'static` can be made, empty, and kept anywhere; nothing can be stored into it.

use linchpin::{GcCell, Heap};

static CELL: GcCell<'static, u64> = GcCell::null();

fn main() {
    Heap::new().mutate(|mu| CELL.store(mu, mu.alloc(1_u64)));
}
