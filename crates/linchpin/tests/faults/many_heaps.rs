//! Many heaps: one after the other, which leaves nothing behind, and at once, with roots of each other in their objects.

use std::sync::Mutex;
use std::thread;

use crate::common::{Counted, Ledger, Triple, churn};
use crate::process::{Footprint, go_on, in_own_process};
use linchpin::{Heap, Pinner, Root, Trace};

/// Makes a heap, uses it in one of several ways, and drops it. The ways repeat, so that the footprint can settle.
fn live_and_die(number: usize) {
    let heap = Heap::builder().processors(number % 3 + 1).on_pin_leak(|_| {}).build().expect("a small heap");
    let mut pinner = Pinner::new();
    let root = heap.mutate(|mu| {
        mu.alloc(String::from("garbage with a drop"));
        pinner.pin(mu, mu.alloc(Triple::of(1)));
        mu.root(mu.alloc_slice_with(100, |index| index.to_string()))
    });
    match number % 8 {
        // Never a thread.
        0 | 1 => drop((root, pinner)),
        2 => {
            // Dropped with a pin that ends later.
            drop(root);
            drop(heap);
            drop(pinner);
        }
        3 => {
            churn(&heap, 100);
            heap.mutate(|mu| assert_eq!(root.get(mu).len(), 100));
        }
        // With the thread of the collector.
        4 | 5 => heap.collect(),
        6 => {
            heap.collect();
            drop((root, pinner));
            heap.collect();
        }
        _ => heap.set_processors(5).expect("five processors are allowed"),
    }
}

/// Makes and drops so many heaps and fails if that has left anything behind.
fn assert_leaves_nothing(heaps: usize) {
    // Threads that ended, and the allocator's keeping, settle first.
    const FIRST: usize = 400;
    (0..FIRST).for_each(live_and_die);
    let before = Footprint::now();
    for number in 0..heaps {
        live_and_die(number);
        if number % 1000 == 0 {
            go_on();
        }
    }
    let after = Footprint::now();
    eprintln!("figures: {heaps} heaps: {before:?} -> {after:?}");
    assert_eq!(after.threads, before.threads, "threads");
    assert_eq!(after.files, before.files, "files");
    // The allocator may map a little more or less; a heap that stayed would be tens of gigabytes and three mappings.
    assert!(after.mappings <= before.mappings + 8, "mappings: {before:?} {after:?}");
    assert!(after.address_space <= before.address_space + (256 << 20), "address space: {before:?} {after:?}");
    // A leak of 64 bytes a heap in the long form, of 4 KiB in the short one.
    assert!(after.resident <= before.resident + (8 << 20), "memory: {before:?} {after:?}");
}

#[test]
fn two_thousand_heaps_leave_nothing_behind() {
    in_own_process("many_heaps::two_thousand_heaps_leave_nothing_behind", || assert_leaves_nothing(2000)).well();
}

#[test]
#[ignore = "the long form of the test above, for `cargo xtask faults`: takes minutes"]
fn a_hundred_thousand_heaps_leave_nothing_behind() {
    let test = "many_heaps::a_hundred_thousand_heaps_leave_nothing_behind";
    // On a line of its own, for the task.
    println!("\n{}", in_own_process(test, || assert_leaves_nothing(100_000)).well());
}

/// An object with roots in other heaps.
#[derive(Trace)]
struct Node {
    counted: Counted,
    others: Mutex<Vec<Root<Node>>>,
}

/// Numbers that look like chance, the same ones each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        (1..all.len()).rev().for_each(|last| all.swap(last, self.below(last + 1)));
    }
}

const HEAPS: usize = 100;
const NODES: usize = 10;

fn hundred_heaps() -> Vec<Heap> {
    (0..HEAPS).map(|_| Heap::builder().processors(1).region_size(4 << 20).build().expect("4 MiB are allowed")).collect()
}

/// A root of one node of each heap, ten times, each of which has roots of three nodes made before it, in any heaps.
fn nodes(heaps: &[Heap], ledger: &Ledger, numbers: &mut Numbers) -> Vec<Root<Node>> {
    let mut roots: Vec<Root<Node>> = Vec::new();
    for entry in 0..HEAPS * NODES {
        let others: Vec<_> = match roots.len() {
            0 => Vec::new(),
            made => (0..3).map(|_| roots[numbers.below(made)].clone()).collect(),
        };
        let node = Node { counted: ledger.counted(entry), others: Mutex::new(others) };
        roots.push(heaps[entry % HEAPS].mutate(|mu| mu.root(mu.alloc(node))));
    }
    roots
}

/// Drops what it is given from four threads, in turns.
fn drop_from_threads<T: Send>(all: Vec<T>) {
    let all = Mutex::new(all);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(one) = { all.lock().expect("nobody panics with it").pop() } {
                    drop(one);
                }
            });
        }
    });
}

/// Four threads mutate and collect every heap, each in an order of its own.
fn work_on_all(heaps: &[Heap], roots: &[Root<Node>]) {
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                let mut numbers = Numbers(number);
                let mut order: Vec<usize> = (0..HEAPS).collect();
                numbers.shuffle(&mut order);
                for (done, index) in order.into_iter().enumerate() {
                    let heap = &heaps[index];
                    // The nodes of a heap, of which each gives one of its roots for another one, of a node made before it.
                    for entry in (index..HEAPS * NODES).step_by(HEAPS).filter(|&entry| entry != 0) {
                        let other = &roots[numbers.below(entry)];
                        let given_up = heap.mutate(|mu| {
                            mu.alloc(String::from("garbage with a drop"));
                            let node = roots[entry].get(mu);
                            assert_eq!(node.counted.entry(), entry);
                            let mut others = node.others.lock().expect("nobody panics with it");
                            let place = numbers.below(others.len());
                            std::mem::replace(&mut others[place], other.clone())
                        });
                        drop(given_up);
                    }
                    churn(heap, 100);
                    heap.collect();
                    // A heap that others are at work on, too, perhaps in this moment.
                    if done % 10 == 0 {
                        heaps[numbers.below(HEAPS)].verify().expect("nothing is wrong");
                    }
                }
            });
        }
    });
}

#[test]
fn a_hundred_heaps_with_roots_of_each_other_end_in_any_order() {
    for seed in 0..3 {
        let mut numbers = Numbers(seed);
        let ledger = Ledger::new(HEAPS * NODES);
        let mut heaps = hundred_heaps();
        let mut roots = nodes(&heaps, &ledger, &mut numbers);
        // With all of it in use; in one of the rounds every heap, from four threads, otherwise cycles here and there.
        if seed == 0 {
            work_on_all(&heaps, &roots);
            assert!(heaps.iter().all(|heap| heap.stats().cycles != 0));
        } else {
            (0..10).for_each(|_| heaps[numbers.below(HEAPS)].collect());
        }
        ledger.assert_none();
        numbers.shuffle(&mut heaps);
        numbers.shuffle(&mut roots);
        let late = roots.split_off(roots.len() / 2);
        match seed {
            0 => {
                drop_from_threads(roots);
                drop_from_threads(heaps);
                drop_from_threads(late);
            }
            1 => {
                drop_from_threads(heaps);
                drop_from_threads(roots);
                drop_from_threads(late);
            }
            _ => thread::scope(|scope| {
                scope.spawn(|| drop_from_threads(heaps));
                scope.spawn(|| drop_from_threads(roots));
                scope.spawn(|| drop_from_threads(late));
            }),
        }
        // A thread that finds a heap being settled leaves its part to who does that.
        while ledger.total() < (HEAPS * NODES) as u64 {
            thread::yield_now();
        }
        ledger.assert_each_once();
    }
}

/// Two heaps whose objects hold roots of each other's keep each other for ever, as two `Rc`s would; they say so.
#[test]
fn heaps_that_keep_each_other_are_reported() {
    let said = in_own_process("many_heaps::heaps_that_keep_each_other_are_reported", || {
        let ledger = Ledger::new(2);
        let [here, there] = [0, 1].map(|_| Heap::builder().processors(1).build().expect("a heap of one processor"));
        let make = |heap: &Heap, entry: usize| {
            let node = Node { counted: ledger.counted(entry), others: Mutex::default() };
            heap.mutate(|mu| mu.root(mu.alloc(node)))
        };
        let (first, second) = (make(&here, 0), make(&there, 1));
        here.mutate(|mu| first.get(mu).others.lock().expect("nobody panics with it").push(second.clone()));
        there.mutate(|mu| second.get(mu).others.lock().expect("nobody panics with it").push(first.clone()));
        drop((first, second));
        drop(here);
        drop(there);
        ledger.assert_none();
    })
    .well();
    for heap in [1, 2] {
        assert!(said.contains(&format!("linchpin: heap {heap} was dropped with 1 roots outstanding")), "{said}");
    }
}
