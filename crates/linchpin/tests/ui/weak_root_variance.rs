//! A weak root of a function for every lifetime is not a weak root of one for `'static`: `set` would put that behind it.

use linchpin::{Heap, Opaque, WeakRoot};

fn any(_: &str) {}

fn main() {
    let heap = Heap::new();
    let weak: WeakRoot<Opaque<for<'a> fn(&'a str)>> =
        heap.mutate(|mu| mu.weak_root(mu.alloc(Opaque(any as for<'a> fn(&'a str)))));
    let narrow: &WeakRoot<Opaque<fn(&'static str)>> = &weak;
    drop(narrow.clone());
}
