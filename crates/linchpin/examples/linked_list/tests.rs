use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use linchpin::{Gc, Heap, Mutator, Root};

use crate::list::{List, Node};

/// The values, read in both directions, which must agree.
fn values<'gc>(mu: &Mutator<'gc>, list: Gc<'gc, List<'gc, u64>>) -> Vec<u64> {
    let forward: Vec<u64> = list.iter().map(|node| *node.value()).collect();
    let mut back: Vec<u64> = list.iter_back(mu).map(|node| *node.value()).collect();
    back.reverse();
    assert_eq!(forward, back);
    assert_eq!(list.len(), forward.len());
    forward
}

#[test]
fn both_ends_and_the_middle() {
    Heap::new().mutate(|mu| {
        let list = mu.alloc(List::new());
        assert!(list.pop_front(mu).is_none() && list.pop_back(mu).is_none());
        let two = list.push_back(mu, 2);
        list.push_front(mu, 1);
        let four = list.push_back(mu, 4);
        assert!(list.insert_after(mu, two, 3).is_some());
        list.insert_after(mu, four, 5);
        assert_eq!(values(mu, list), [1, 2, 3, 4, 5]);
        assert!(list.remove(mu, two));
        assert!(!list.remove(mu, two));
        assert!(list.insert_after(mu, two, 9).is_none());
        assert_eq!(values(mu, list), [1, 3, 4, 5]);
        assert_eq!(list.pop_back(mu).map(|node| *node.value()), Some(5));
        assert_eq!(list.pop_front(mu).map(|node| *node.value()), Some(1));
        assert_eq!(values(mu, list), [3, 4]);
        assert!(list.pop_back(mu).is_some() && list.pop_back(mu).is_some());
        assert_eq!(values(mu, list), []);
        list.push_front(mu, 7);
        assert_eq!(values(mu, list), [7]);
    });
}

#[test]
fn a_walk_goes_on_from_a_node_that_is_removed() {
    Heap::new().mutate(|mu| {
        let list = mu.alloc(List::new());
        let nodes: Vec<_> = (0..6).map(|value| list.push_back(mu, value)).collect();
        let mut walk = list.iter();
        let mut back = list.iter_back(mu);
        walk.nth(1);
        back.nth(1);
        // What both stand on, then what comes next.
        for &node in &nodes[1..5] {
            assert!(list.remove(mu, node));
        }
        assert_eq!(walk.map(|node| *node.value()).last(), Some(5));
        assert_eq!(back.map(|node| *node.value()).last(), Some(0));
        assert_eq!(values(mu, list), [0, 5]);
    });
}

#[test]
fn a_node_keeps_what_follows_and_nothing_before() {
    let heap = Heap::new();
    let counter = Arc::new(());
    let middle: Root<Node<'static, Arc<()>>> = heap.mutate(|mu| {
        let list = mu.alloc(List::new());
        let nodes: Vec<_> = (0..10).map(|_| list.push_back(mu, Arc::clone(&counter))).collect();
        mu.root(nodes[4])
    });
    heap.collect();
    // The four before it are gone with the list; it and the five behind it stay.
    assert_eq!(Arc::strong_count(&counter), 1 + 6);
    heap.mutate(|mu| {
        assert!(middle.get(mu).back(mu).is_none());
        assert!(middle.get(mu).next().is_some());
    });
    drop(middle);
    heap.collect();
    assert_eq!(Arc::strong_count(&counter), 1);
}

/// While some threads push, pop and remove, others walk: past all that stays, in order, and past nothing that was gone before.
#[test]
fn walks_under_change_see_what_stays_and_nothing_gone() {
    const STAYING: u64 = 50;
    const ROUNDS: u64 = 3_000;
    let heap = Heap::builder().processors(4).growth_percent(20).build().expect("a heap");
    let list: Root<List<'static, u64>> = heap.mutate(|mu| {
        let list = mu.alloc(List::new());
        for value in 0..STAYING {
            list.push_back(mu, value);
        }
        mu.root(list)
    });
    let finished = AtomicBool::new(false);
    thread::scope(|scope| {
        let (heap, list, finished) = (&heap, &list, &finished);
        let changers: Vec<_> = (1..=2)
            .map(|thread| {
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let value = thread * 1_000_000 + round;
                        heap.mutate(|mu| {
                            let list = list.get(mu);
                            let place = list.iter().nth((round % STAYING) as usize).expect("so many stay");
                            let inserted = match round % 3 {
                                0 => Some(list.push_front(mu, value)),
                                1 => Some(list.push_back(mu, value)),
                                _ => list.insert_after(mu, place, value),
                            };
                            if let Some(inserted) = inserted {
                                assert!(list.iter().any(|node| Gc::ptr_eq(node, inserted)));
                                assert!(list.remove(mu, inserted));
                                assert!(!list.iter().any(|node| Gc::ptr_eq(node, inserted)));
                                assert!(!list.iter_back(mu).any(|node| Gc::ptr_eq(node, inserted)));
                            }
                        });
                    }
                })
            })
            .collect();
        for back in [false, true] {
            scope.spawn(move || {
                while !finished.load(Ordering::Acquire) {
                    heap.mutate(|mu| {
                        let list = list.get(mu);
                        let mut seen: Vec<u64> = if back {
                            list.iter_back(mu).map(|node| *node.value()).collect()
                        } else {
                            list.iter().map(|node| *node.value()).collect()
                        };
                        if back {
                            seen.reverse();
                        }
                        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len(), "none twice");
                        let staying: Vec<u64> = seen.into_iter().filter(|value| *value < STAYING).collect();
                        assert_eq!(staying, (0..STAYING).collect::<Vec<_>>(), "all that stay, in order");
                    });
                }
            });
        }
        for _ in 0..5 {
            heap.collect();
        }
        // Before any panic of theirs goes on, so that the walks end.
        let outcomes: Vec<_> = changers.into_iter().map(|changer| changer.join()).collect();
        finished.store(true, Ordering::Release);
        assert!(outcomes.iter().all(Result::is_ok));
    });
    heap.mutate(|mu| assert_eq!(values(mu, list.get(mu)), (0..STAYING).collect::<Vec<_>>()));
    heap.collect();
    // The list, its nodes, and the handles of the weak pointers back.
    assert!(heap.stats().live_objects <= 1 + 2 * STAYING + 2, "{:?}", heap.stats());
}
