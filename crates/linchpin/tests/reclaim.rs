//! What nothing reaches any more is reclaimed, every value dropped exactly once: small and large
//! objects, threads, panics, cyclic graphs, long lists.

#![cfg(not(loom))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use common::{Counted, Ledger, assert_nothing_live, churn, panic_text};
use linchpin::{Gc, GcCell, Heap, Root, Trace};

#[derive(Trace)]
struct Node<'gc> {
    counted: Counted,
    left: GcCell<'gc, Node<'gc>>,
    right: GcCell<'gc, Node<'gc>>,
}

impl<'gc> Node<'gc> {
    fn new(counted: Counted) -> Self {
        Self { counted, left: GcCell::null(), right: GcCell::null() }
    }
}

#[test]
fn roots_keep_and_their_drop_releases() {
    let heap = Heap::new();
    let ledger = Ledger::new(1000);
    let mut roots: Vec<Root<Counted>> =
        heap.mutate(|mu| (0..1000).map(|entry| mu.root(mu.alloc(ledger.counted(entry)))).collect());
    assert_eq!(heap.stats().roots, 1000);
    heap.collect();
    ledger.assert_none();

    roots.truncate(400);
    heap.collect();
    assert_eq!(ledger.total(), 600);
    heap.mutate(|mu| {
        for (entry, root) in roots.iter().enumerate() {
            assert_eq!(root.get(mu).entry(), entry);
        }
    });
    roots.clear();
    heap.collect();
    ledger.assert_each_once();
    assert_nothing_live(&heap);
    assert_eq!(heap.stats().dropped_values, 1000);
}

#[test]
fn a_cloned_root_keeps_its_object_by_itself() {
    let heap = Heap::new();
    let ledger = Ledger::new(2);
    let first = heap.mutate(|mu| mu.root(mu.alloc(ledger.counted(0))));
    let second = first.clone();
    drop(first);
    heap.collect();
    assert_eq!(ledger.drops_of(0), 0);
    heap.mutate(|mu| {
        assert_eq!(second.get(mu).entry(), 0);
        second.set(mu, mu.alloc(ledger.counted(1)));
    });
    heap.collect();
    assert_eq!(ledger.drops_of(0), 1, "the root was set to another object");
    assert_eq!(ledger.drops_of(1), 0);
    heap.mutate(|mu| assert_eq!(second.get(mu).entry(), 1));
    drop(second);
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn cyclic_garbage_is_reclaimed() {
    const RINGS: usize = 50;
    const LEN: usize = 20;
    let heap = Heap::new();
    let ledger = Ledger::new(RINGS * LEN);
    let kept: Root<Node<'static>> = heap.mutate(|mu| {
        let mut kept = None;
        for ring in 0..RINGS {
            let nodes: Vec<_> = (0..LEN).map(|at| mu.alloc(Node::new(ledger.counted(ring * LEN + at)))).collect();
            for at in 0..LEN {
                nodes[at].left.store(mu, nodes[(at + 1) % LEN]);
                nodes[at].right.store(mu, nodes[at]);
            }
            kept = Some(nodes[0]);
        }
        mu.root(kept.expect("there is at least one ring"))
    });
    heap.collect();
    assert_eq!(ledger.total(), ((RINGS - 1) * LEN) as u64, "all rings but the last are garbage");
    heap.mutate(|mu| {
        let mut node = kept.get(mu);
        for at in 0..LEN {
            assert_eq!(node.counted.entry(), (RINGS - 1) * LEN + at);
            assert!(Gc::ptr_eq(node.right.load().expect("a self loop"), node));
            node = node.left.load().expect("a ring has no end");
        }
        assert!(Gc::ptr_eq(node, kept.get(mu)));
    });
    drop(kept);
    heap.collect();
    ledger.assert_each_once();
    assert_nothing_live(&heap);
}

#[test]
fn threads_leave_nothing_behind() {
    const THREADS: usize = 4;
    const EACH: usize = 3000;
    let heap = Heap::builder().processors(2).build().expect("a heap of two processors");
    let ledger = Ledger::new(THREADS * EACH);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (heap, ledger) = (&heap, &ledger);
            scope.spawn(move || {
                let root: Root<Node<'static>> =
                    heap.mutate(|mu| mu.root(mu.alloc(Node::new(ledger.counted(thread * EACH)))));
                for number in 1..EACH {
                    heap.mutate(|mu| {
                        let node = mu.alloc(Node::new(ledger.counted(thread * EACH + number)));
                        // A list of ten that is cut off and begun anew.
                        if number % 10 != 0 {
                            node.left.store(mu, root.get(mu).left.load());
                        }
                        root.get(mu).left.store(mu, node);
                    });
                    if number % 1000 == 0 {
                        heap.collect();
                    }
                }
            });
        }
    });
    heap.collect();
    ledger.assert_each_once();
    assert_nothing_live(&heap);
}

#[test]
fn large_objects_are_reclaimed() {
    const MIB: usize = 1 << 20;
    let heap = Heap::new();
    for len in [33 << 10, 64 << 10, (64 << 10) + 1, MIB - 7, 5 * MIB] {
        let (kept, garbage): (Root<[u8]>, _) = heap.mutate(|mu| {
            let (kept, sum) = mu.alloc_bytes_with(len, |buffer| {
                assert_eq!(buffer.len(), len);
                assert!(buffer.iter().all(|&byte| byte == 0), "a buffer starts zeroed");
                buffer.fill(0x5A);
                buffer[len - 1] = 1;
                len
            });
            assert_eq!(sum, len);
            (mu.root(kept), mu.root(mu.alloc_slice_with(len / 8, |index| index as u64)))
        });
        heap.collect();
        let both = heap.stats().live_bytes;
        assert!(both as usize >= 2 * (len - 8), "{both} bytes live, length {len}");
        drop(garbage);
        heap.collect();
        let one = heap.stats().live_bytes;
        assert!(one as usize >= len && one < both, "{one} bytes live of {both}, length {len}");
        heap.mutate(|mu| {
            let bytes = kept.get(mu);
            assert_eq!(bytes.len(), len);
            assert_eq!(bytes[len - 1], 1);
            assert!(bytes[..len - 1].iter().all(|&byte| byte == 0x5A));
        });
        drop(kept);
        heap.collect();
        assert_nothing_live(&heap);
    }
}

#[test]
fn large_objects_are_dropped_once_element_by_element() {
    const LEN: usize = 20_000;
    let heap = Heap::new();
    let ledger = Ledger::new(LEN);
    let root: Root<[Counted]> = heap.mutate(|mu| mu.root(mu.alloc_slice_with(LEN, |entry| ledger.counted(entry))));
    heap.collect();
    ledger.assert_none();
    drop(root);
    heap.collect();
    ledger.assert_each_once();
    assert_nothing_live(&heap);
}

#[test]
fn large_garbage_does_not_pile_up() {
    const LEN: usize = 4 << 20;
    let heap = Heap::builder().region_size(256 << 20).build().expect("a small heap");
    // Four times the region in all.
    for round in 0..256_usize {
        let made = heap.mutate(|mu| mu.try_alloc_bytes_with(LEN, |buffer| buffer[round] = 1).is_ok());
        if !made {
            heap.collect();
            heap.mutate(|mu| {
                mu.try_alloc_bytes_with(LEN, |_| ()).expect("a collected heap has room");
            });
        }
    }
    heap.collect();
    assert_nothing_live(&heap);
}

#[test]
fn a_panic_in_a_mutation_loses_nothing() {
    let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
    let ledger = Ledger::new(100);
    let root: Root<Node<'static>> = heap.mutate(|mu| mu.root(mu.alloc(Node::new(ledger.counted(0)))));
    for entry in 1..100 {
        let text = panic_text(|| {
            heap.mutate(|mu| {
                let node = mu.alloc(Node::new(ledger.counted(entry)));
                if entry % 2 == 0 {
                    node.left.store(mu, root.get(mu).left.load());
                    root.get(mu).left.store(mu, node);
                }
                panic!("on purpose, entry {entry}");
            })
        });
        assert_eq!(text, format!("on purpose, entry {entry}"));
    }
    heap.collect();
    for entry in 0..100 {
        assert_eq!(ledger.drops_of(entry), u32::from(entry % 2 == 1), "entry {entry}");
    }
    // The only processor came back every time, on this thread and on others.
    thread::scope(|scope| {
        scope.spawn(|| heap.mutate(|mu| assert_eq!(root.get(mu).counted.entry(), 0)));
    });
    drop(root);
    heap.collect();
    ledger.assert_each_once();
    assert_nothing_live(&heap);
}

#[test]
fn a_panic_while_filling_loses_nothing() {
    let heap = Heap::new();
    let ledger = Ledger::new(100);
    let filled = catch_unwind(AssertUnwindSafe(|| {
        heap.mutate(|mu| {
            mu.alloc_slice_with(100, |entry| {
                assert_ne!(entry, 60, "on purpose");
                ledger.counted(entry)
            });
        });
    }));
    assert!(filled.is_err());
    let text = panic_text(|| heap.mutate(|mu| _ = mu.alloc_bytes_with(1 << 20, |_| panic!("on purpose"))));
    assert_eq!(text, "on purpose");
    churn(&heap, 1000);
    heap.collect();
    // What was made is dropped once, or, as a lesser evil, not at all; never twice.
    for entry in 0..60 {
        assert!(ledger.drops_of(entry) <= 1, "entry {entry} was dropped twice");
    }
    assert!((60..100).all(|entry| ledger.drops_of(entry) == 0));
    heap.collect();
    assert_eq!(heap.stats().live_bytes, 0);
}

#[test]
fn a_list_of_a_million_nodes_is_marked_and_swept() {
    const NODES: u64 = 1_000_000;
    #[derive(Trace)]
    struct Link<'gc> {
        number: u64,
        next: GcCell<'gc, Link<'gc>>,
    }
    let heap = Heap::new();
    let root: Root<Link<'static>> = heap.mutate(|mu| mu.root(mu.alloc(Link { number: 0, next: GcCell::null() })));
    for first in (1..NODES).step_by(10_000) {
        heap.mutate(|mu| {
            for number in first..(first + 10_000).min(NODES) {
                let link = mu.alloc(Link { number, next: GcCell::new(root.get(mu)) });
                root.set(mu, link);
            }
        });
    }
    heap.collect();
    heap.mutate(|mu| {
        let mut link = root.get(mu);
        for number in (1..NODES).rev() {
            assert_eq!(link.number, number);
            link = link.next.load().expect("the list goes on");
        }
        assert_eq!(link.number, 0);
        assert!(link.next.load().is_none());
    });
    drop(root);
    heap.collect();
    assert_nothing_live(&heap);
    assert!(heap.stats().freed_objects >= NODES);
}

#[derive(Trace)]
struct Wide<'gc> {
    nodes: Gc<'gc, [Gc<'gc, Node<'gc>>]>,
}

/// A graph wide enough to be shared out, in a heap whose cycles are marked by several threads.
#[test]
fn what_several_markers_mark_survives() {
    const NODES: usize = 5000;
    let heap = Heap::builder().processors(16).build().expect("a heap of sixteen processors");
    assert!(heap.stats().mark_workers > 1);
    let ledger = Ledger::new(2 * NODES);
    let root: Root<Wide<'static>> = heap.mutate(|mu| {
        let nodes = mu.alloc_slice_with(NODES, |entry| {
            let node = mu.alloc(Node::new(ledger.counted(2 * entry)));
            node.left.store(mu, mu.alloc(Node::new(ledger.counted(2 * entry + 1))));
            node
        });
        mu.root(mu.alloc(Wide { nodes }))
    });
    for _ in 0..20 {
        heap.collect();
        churn(&heap, 2000);
        ledger.assert_none();
    }
    heap.mutate(|mu| {
        for (entry, node) in root.get(mu).nodes.iter().enumerate() {
            assert_eq!(node.counted.entry(), 2 * entry);
            assert_eq!(node.left.load().map(|left| left.counted.entry()), Some(2 * entry + 1));
        }
    });
    drop(root);
    heap.collect();
    ledger.assert_each_once();
    assert_nothing_live(&heap);
}
