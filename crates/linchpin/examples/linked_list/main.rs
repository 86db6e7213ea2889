//! A doubly linked list under the hands of several threads: some put elements in and take them out at both ends and in the middle,
//! two walk through it all the while, one in each direction.
//!
//! `cargo run --release --package linchpin --example linked_list`

#![forbid(unsafe_code)]

mod list;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use linchpin::{Gc, Heap, Root, Trace};

use list::{List, Node};

/// Changes of each thread.
const CHANGES: usize = 1_000_000;
/// Threads that change the list.
const THREADS: usize = 3;
/// About as long does the list grow.
const LENGTH: usize = 200;

/// How many numbers have been dropped.
static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// A value whose end can be counted.
#[derive(Trace)]
struct Number(u64);

impl Drop for Number {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a thread has done.
#[derive(Default)]
struct Done {
    put_in: usize,
    taken_out: usize,
    /// Elements that were to go behind a node that somebody had taken out.
    refused: usize,
}

fn main() {
    let heap = Heap::new();
    let list: Root<List<'static, Number>> = heap.mutate(|mu| mu.root(mu.alloc(List::<Number>::new())));
    let finished = AtomicBool::new(false);
    let done = thread::scope(|scope| {
        let (heap, list, finished) = (&heap, &list, &finished);
        let walkers = [false, true].map(|back| scope.spawn(move || walk_until(heap, list, back, finished)));
        let changers: Vec<_> = (1..=THREADS).map(|seed| scope.spawn(move || change(heap, list, seed as u64))).collect();
        let done: Vec<_> = changers.into_iter().map(|thread| thread.join().expect("no change panics")).collect();
        finished.store(true, Ordering::Release);
        for (walker, direction) in walkers.into_iter().zip(["forward", "back"]) {
            let (walks, nodes, largest) = walker.join().expect("no walk panics");
            println!("{direction}: {walks} walks past {nodes} nodes, the largest {largest:#x}");
        }
        done
    });
    let put_in: usize = done.iter().map(|done| done.put_in).sum();
    let taken_out: usize = done.iter().map(|done| done.taken_out).sum();
    let refused: usize = done.iter().map(|done| done.refused).sum();
    let left = heap.mutate(|mu| list.get(mu).len());
    println!(
        "{THREADS} threads put {put_in} elements in and took {taken_out} out; {left} are left, {refused} found no place"
    );
    assert_eq!(put_in - taken_out, left);
    heap.collect();
    println!("{} elements dropped in {} cycles", DROPPED.load(Ordering::Relaxed), heap.stats().cycles);
    assert_eq!(DROPPED.load(Ordering::Relaxed), taken_out + refused);
    drop(list);
    heap.collect();
    assert_eq!(DROPPED.load(Ordering::Relaxed), put_in + refused);
    println!("and the rest, when the list was let go of");
}

/// Changes the list at random places.
fn change(heap: &Heap, list: &Root<List<'static, Number>>, seed: u64) -> Done {
    let mut random = seed;
    let mut done = Done::default();
    for _ in 0..CHANGES {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let choice = (random >> 33) as usize;
        heap.mutate(|mu| {
            let list = list.get(mu);
            // Long lists shrink, short ones grow.
            if choice % (2 * LENGTH) >= list.len() {
                let place = list.iter().nth(choice % 16).filter(|_| choice / 7 % 3 == 2);
                match place {
                    Some(place) if list.insert_after(mu, place, Number(random)).is_none() => {
                        done.refused += 1;
                        return;
                    }
                    Some(_) => {}
                    None if (choice / 7).is_multiple_of(3) => _ = list.push_front(mu, Number(random)),
                    None => _ = list.push_back(mu, Number(random)),
                }
                done.put_in += 1;
            } else {
                let taken = match choice / 7 % 3 {
                    0 => list.pop_front(mu).is_some(),
                    1 => list.pop_back(mu).is_some(),
                    _ => list.iter().nth(choice % 16).is_some_and(|node| list.remove(mu, node)),
                };
                done.taken_out += usize::from(taken);
            }
        });
    }
    done
}

/// Walks through the list until `finished`; how often, past how many nodes, and which was the largest number.
fn walk_until(
    heap: &Heap,
    list: &Root<List<'static, Number>>,
    back: bool,
    finished: &AtomicBool,
) -> (usize, usize, u64) {
    let (mut walks, mut nodes, mut largest) = (0, 0, 0);
    while !finished.load(Ordering::Acquire) {
        walks += 1;
        heap.mutate(|mu| {
            let mut pass = |node: Gc<'_, Node<'_, Number>>| {
                nodes += 1;
                largest = largest.max(node.value().0);
            };
            let list = list.get(mu);
            if back { list.iter_back(mu).for_each(&mut pass) } else { list.iter().for_each(&mut pass) }
        });
    }
    (walks, nodes, largest)
}
