//! A weak root is of an object under the brand `'static`; one under a mutation's brand would carry that out of it.

use linchpin::{Gc, GcCell, Mutator, Trace, WeakRoot};

#[derive(Trace)]
struct Session<'gc> {
    name: GcCell<'gc, str>,
}

fn keep<'gc>(mu: &Mutator<'gc>, session: Gc<'gc, Session<'gc>>) {
    let weak: WeakRoot<Session<'gc>> = mu.weak_root(session);
    drop(weak);
}

fn main() {}
