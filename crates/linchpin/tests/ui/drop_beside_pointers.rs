//! Nor can a `Drop` get at pointers through a part of the object: the part may not have both either (dumpster #1, #6).

use linchpin::{Gc, Trace};

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[derive(Trace)]
struct Holder<'gc> {
    held: OnDrop<Box<dyn FnMut() + Send + Sync + 'gc>>,
    other: Gc<'gc, u64>,
}

fn main() {}
