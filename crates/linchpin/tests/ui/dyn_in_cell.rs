//! A cell has room for one word.

use linchpin::{GcCell, trait_object};

trait Name {}
trait_object!(dyn Name);

fn main() {
    let _ = GcCell::<'_, dyn Name>::null();
}
