//! What an object shares with other owners is not traced, and would keep a weak pointer whose handle has been freed.

use std::sync::Arc;

use linchpin::{Trace, Weak};

#[derive(Trace)]
struct Node<'gc> {
    parent: Arc<Weak<'gc, u64>>,
}

fn main() {}
