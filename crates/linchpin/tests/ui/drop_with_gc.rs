//! A type that holds pointers may not implement `Drop`: what they point to may be swept before it.

use linchpin::{Gc, Trace};

#[derive(Trace)]
struct Guard<'gc> {
    held: Gc<'gc, u64>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        println!("{}", *self.held);
    }
}

fn main() {}
