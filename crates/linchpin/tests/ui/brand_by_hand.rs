//! The brand cannot be stretched by naming it `'static`.

use linchpin::{Gc, Heap};

fn keep(_forever: Gc<'static, u64>) {}

fn main() {
    Heap::new().mutate(|mu| keep(mu.alloc(1_u64)));
}
