//! A root of a function for every lifetime is not a root of one for `'static`.

use linchpin::{Heap, Opaque, Root};

fn any(_: &str) {}

fn main() {
    let heap = Heap::new();
    let root: Root<Opaque<for<'a> fn(&'a str)>> =
        heap.mutate(|mu| mu.root(mu.alloc(Opaque(any as for<'a> fn(&'a str)))));
    let narrow: &Root<Opaque<fn(&'static str)>> = &root;
    drop(narrow.clone());
}
