//! How long a mark takes, by the shape of what it goes through: the least of seven cycles, one marker, in milliseconds.
//!
//! ```text
//! cargo run --release -p linchpin --example mark_times
//! ```

use std::hint::black_box;

use linchpin::{Gc, GcCell, Heap, Mutator, Root, Trace};

const CYCLES: usize = 7;

#[derive(Trace)]
struct Node<'gc> {
    number: u64,
    left: GcCell<'gc, Node<'gc>>,
    right: GcCell<'gc, Node<'gc>>,
}

fn tree<'gc>(mu: &Mutator<'gc>, depth: u32) -> Gc<'gc, Node<'gc>> {
    let node = mu.alloc(Node { number: depth.into(), left: GcCell::null(), right: GcCell::null() });
    if depth != 0 {
        node.left.store(mu, tree(mu, depth - 1));
        node.right.store(mu, tree(mu, depth - 1));
    }
    node
}

fn tree_from_the_leaves<'gc>(mu: &Mutator<'gc>, depth: u32) -> Gc<'gc, Node<'gc>> {
    let below = (depth != 0).then(|| [(); 2].map(|()| tree_from_the_leaves(mu, depth - 1)));
    let [left, right] = below.map_or([const { GcCell::null() }; 2], |below| below.map(GcCell::new));
    mu.alloc(Node { number: depth.into(), left, right })
}

#[derive(Trace)]
struct Vertex<'gc, const WORDS: usize> {
    words: [u64; WORDS],
    out: [GcCell<'gc, Vertex<'gc, WORDS>>; 4],
}

/// A sequence of numbers that look random, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// A random graph; `between` is called before each vertex is allocated.
fn graph<'gc, const WORDS: usize>(
    mu: &Mutator<'gc>,
    vertices: usize,
    between: impl Fn(),
) -> Gc<'gc, [GcCell<'gc, Vertex<'gc, WORDS>>]> {
    let table = mu.alloc_slice_with(vertices, |_| {
        between();
        GcCell::new(mu.alloc(Vertex { words: [0; WORDS], out: [const { GcCell::null() }; 4] }))
    });
    let mut numbers = Numbers(1);
    for cell in table.iter() {
        for out in &cell.load().expect("it was stored").out {
            out.store(mu, table[numbers.below(vertices)].load());
        }
    }
    table
}

fn array_in_random_order<'gc>(mu: &Mutator<'gc>, length: usize) -> Gc<'gc, [GcCell<'gc, Node<'gc>>]> {
    let leaf = |number| Node { number, left: GcCell::null(), right: GcCell::null() };
    let array = mu.alloc_slice_with(length, |index| GcCell::new(mu.alloc(leaf(index as u64))));
    let mut numbers = Numbers(2);
    for index in (1..length).rev() {
        let other = numbers.below(index + 1);
        let (one, two) = (array[index].load(), array[other].load());
        array[index].store(mu, two);
        array[other].store(mu, one);
    }
    array
}

fn list<'gc>(mu: &Mutator<'gc>, length: u64) -> Gc<'gc, Node<'gc>> {
    let node = |number, next: Option<Gc<'gc, Node<'gc>>>| {
        let node = mu.alloc(Node { number, left: GcCell::null(), right: GcCell::null() });
        node.left.store(mu, next);
        node
    };
    (1..length).fold(node(0, None), |next, number| node(number, Some(next)))
}

/// The times of the marks of a heap that holds what `build` makes.
fn times(what: &str, build: impl FnOnce(&Heap) -> Box<dyn std::any::Any>) {
    let heap = Heap::builder().processors(1).growth_percent(100_000).build().expect("the region can be reserved");
    let kept = build(&heap);
    let mut marks: Vec<_> = (0..CYCLES)
        .map(|_| {
            heap.collect();
            heap.stats().last_cycle.expect("one has ended").mark
        })
        .collect();
    marks.sort_unstable();
    let [least, median] = [0, CYCLES / 2].map(|place| marks[place].as_secs_f64() * 1000.0);
    println!("{what:45} {least:7.1} (median {median:.1})");
    black_box(kept);
}

fn main() {
    times("a tree of 4 million nodes, in order", |heap| {
        let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(tree(mu, 21)));
        Box::new(root)
    });
    times("the same, children before their parents", |heap| {
        let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(tree_from_the_leaves(mu, 21)));
        Box::new(root)
    });
    times("a random graph, 2 million of 4 pointers", |heap| {
        let root: Root<[GcCell<'static, Vertex<'static, 1>>]> = heap.mutate(|mu| mu.root(graph(mu, 2_000_000, || ())));
        Box::new(root)
    });
    times("the same, 500 000 vertices of 256 bytes", |heap| {
        let root: Root<[GcCell<'static, Vertex<'static, 28>>]> = heap.mutate(|mu| mu.root(graph(mu, 500_000, || ())));
        Box::new(root)
    });
    times("the same, 500 000 vertices of 1 KiB", |heap| {
        let root: Root<[GcCell<'static, Vertex<'static, 124>>]> = heap.mutate(|mu| mu.root(graph(mu, 500_000, || ())));
        Box::new(root)
    });
    times("the same, 100 000 of 48 bytes, 5 KiB apart", |heap| {
        let root: Root<[GcCell<'static, Vertex<'static, 1>>]> = heap.mutate(|mu| {
            let dead = || {
                for _ in 0..100 {
                    black_box(mu.alloc(Vertex::<1> { words: [0], out: [const { GcCell::null() }; 4] }));
                }
            };
            mu.root(graph(mu, 100_000, dead))
        });
        Box::new(root)
    });
    times("an array of 4 million, in random order", |heap| {
        let root: Root<[GcCell<'static, Node<'static>>]> =
            heap.mutate(|mu| mu.root(array_in_random_order(mu, 4_000_000)));
        Box::new(root)
    });
    times("a list of 4 million nodes", |heap| {
        let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(list(mu, 4_000_000)));
        Box::new(root)
    });
}
