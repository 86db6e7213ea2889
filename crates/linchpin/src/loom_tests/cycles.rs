//! A whole cycle against a mutation that changes the graph: whatever is reachable afterwards is there.

use super::{Rooted, Thing, assert_alive, chain, during_a_cycle, explore, heap, is_allocated, lone, spawn, thing};
use crate::collector::cycle::{self, Cycle};
use crate::collector::handshake::handshake;
use crate::collector::report::CycleCause;
use crate::collector::workers::Workers;
use crate::processor::phase::{Mode, colour_of_cycle};
use crate::sync::Arc;
use crate::{Gc, Mutator};

fn move_next(mu: &Mutator<'_>, from: &Rooted, to: &Rooted) {
    let moved = from.get(mu).next.load();
    to.get(mu).next.store(mu, moved);
    from.get(mu).next.clear(mu);
}

/// The deletion barrier, and the hand-over of the buffer it fills.
#[test]
fn a_pointer_that_moves_is_not_lost() {
    explore("a_pointer_that_moves_is_not_lost", 1, || {
        let heap = heap(1);
        let roots = Arc::new((chain(&heap, 1), lone(&heap, 2)));
        let lent = Arc::clone(&roots);
        during_a_cycle(&heap, move |heap| heap.mutate(|mu| move_next(mu, &lent.0, &lent.1)));
        assert_alive(&heap, &roots.1, 1);
    });
}

/// Whoever answers takes the next steps, if the thread that runs the cycle is not at it: each does at any of them.
#[test]
fn a_pointer_that_moves_in_a_relay_is_not_lost() {
    explore("a_pointer_that_moves_in_a_relay_is_not_lost", 1, || {
        let heap = heap(1);
        heap.core().relay.pretend_cores(1);
        let roots = Arc::new((chain(&heap, 1), lone(&heap, 2)));
        let lent = Arc::clone(&roots);
        during_a_cycle(&heap, move |heap| {
            heap.mutate(|_| ());
            heap.mutate(|mu| move_next(mu, &lent.0, &lent.1));
            (0..3).for_each(|_| heap.mutate(|_| ()));
        });
        assert_alive(&heap, &roots.1, 1);
    });
}

/// No thread runs the cycle: two mutations hand the steps on to one another while they move the pointer, and what is left comes after them.
#[test]
fn a_cycle_that_mutations_run_loses_nothing() {
    explore("a_cycle_that_mutations_run_loses_nothing", 1, || {
        let heap = heap(2);
        let core = heap.core();
        core.relay.pretend_cores(1);
        let roots = Arc::new([chain(&heap, 1), lone(&heap, 2)]);
        heap.mutate(|_| core.relay.begin(core, || Some(CycleCause::Growth)).unwrap().steps().advance(core));
        let movers = [[0, 1], [1, 0]].map(|[from, to]| {
            let (heap, roots) = (Arc::clone(&heap), Arc::clone(&roots));
            spawn(move || {
                heap.mutate(|_| ());
                heap.mutate(|mu| {
                    if let Some(moved) = roots[from].get(mu).next.swap(mu, None) {
                        // No store: as above.
                        roots[to].get(mu).next.swap(mu, moved);
                    }
                });
                heap.mutate(|_| ());
            })
        });
        for mover in movers {
            mover.join().unwrap();
        }
        cycle::run(core, &Workers::none(), CycleCause::Growth);
        heap.mutate(|mu| {
            let held: Vec<_> = roots.iter().filter_map(|root| root.get(mu).next.load()).collect();
            assert_eq!(held.len(), 1);
            assert!(is_allocated(&heap, held[0]) && held[0].read() == 1);
        });
    });
}

/// Two mutations on two processors race to move it while the mark runs.
#[test]
fn a_pointer_that_two_move_is_not_lost() {
    explore("a_pointer_that_two_move_is_not_lost", 1, || {
        let heap = heap(2);
        let roots = Arc::new([chain(&heap, 1), lone(&heap, 2)]);
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        cycle.take_the_snapshot();
        let movers = [[0, 1], [1, 0]].map(|[from, to]| {
            let (heap, roots) = (Arc::clone(&heap), Arc::clone(&roots));
            spawn(move || {
                heap.mutate(|mu| {
                    if let Some(moved) = roots[from].get(mu).next.swap(mu, None) {
                        // No store: loom lets one come between what another thread's swap reads and what that writes, which C11 does not.
                        roots[to].get(mu).next.swap(mu, moved);
                    }
                });
            })
        });
        cycle.mark();
        for mover in movers {
            mover.join().unwrap();
        }
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        heap.mutate(|mu| {
            let held: Vec<_> = roots.iter().filter_map(|root| root.get(mu).next.load()).collect();
            assert_eq!(held.len(), 1);
            assert!(is_allocated(&heap, held[0]) && held[0].read() == 1);
        });
    });
}

/// The last closing round against a thread that answers it itself: what its processor has noted is handed over first.
#[test]
fn a_buffer_is_handed_over_before_the_answer() {
    explore("a_buffer_is_handed_over_before_the_answer", 2, || {
        let heap = heap(1);
        let (from, to) = (lone(&heap, 1), lone(&heap, 2));
        heap.mutate(|mu| {
            let leaf = thing(mu, 4, None);
            from.get(mu).next.store(mu, thing(mu, 3, Some(leaf)));
        });
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        cycle.take_the_snapshot();
        // The one in the middle becomes grey, in the buffer. So the mark does not pass through it to the leaf.
        heap.mutate(|mu| move_next(mu, &from, &to));
        cycle.mark();
        let answerer = {
            let heap = Arc::clone(&heap);
            spawn(move || heap.mutate(|_| ()))
        };
        cycle.close();
        answerer.join().unwrap();
        cycle.switch_off();
        cycle.sweep();
        heap.mutate(|mu| {
            let leaf = to.get(mu).next.load().unwrap().next.load().unwrap();
            assert!(is_allocated(&heap, leaf), "it is reachable, and was freed");
            assert_eq!(leaf.read(), 4);
        });
    });
}

/// A mutation that assists has grey objects in no queue. It takes them in `Mark`, so that a closing round waits for it.
#[test]
fn a_mutation_that_assists_loses_nothing() {
    explore("a_mutation_that_assists_loses_nothing", 2, || {
        let heap = heap(1);
        let root = lone(&heap, 1);
        heap.mutate(|mu| {
            let leaf = thing(mu, 4, None);
            root.get(mu).next.store(mu, thing(mu, 3, Some(leaf)));
        });
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        cycle.take_the_snapshot();
        // Grey, and in the queue, where the mark does not come from.
        heap.mutate(|mu| {
            let next = root.get(mu).next.load().unwrap().start();
            // SAFETY: it is in hand.
            unsafe { mu.shade(next) };
        });
        handshake(heap.core(), Mode::Mark, colour_of_cycle(1));
        let assister = {
            let heap = Arc::clone(&heap);
            spawn(move || {
                heap.mutate(|mu| {
                    if mu.mode() == Mode::Mark {
                        // One object, and what it leads to goes back.
                        mu.trace_for_the_collector(1);
                    }
                });
            })
        };
        cycle.mark();
        cycle.close();
        assister.join().unwrap();
        cycle.switch_off();
        cycle.sweep();
        heap.mutate(|mu| {
            let leaf = root.get(mu).next.load().unwrap().next.load().unwrap();
            assert!(is_allocated(&heap, leaf), "it is reachable, and was freed");
            assert_eq!(leaf.read(), 4);
        });
    });
}

/// A newborn is coloured before it is seen, and its contents are seen by who traces it.
fn a_newborn_is_whole(name: &str, put: for<'gc> fn(&Mutator<'gc>, &Thing<'gc>, Gc<'gc, Thing<'gc>>)) {
    explore(name, 1, move || {
        let heap = heap(1);
        let root = Arc::new(lone(&heap, 2));
        let lent = Arc::clone(&root);
        during_a_cycle(&heap, move |heap| {
            heap.mutate(|mu| put(mu, lent.get(mu).as_ref(), thing(mu, 3, None)));
        });
        assert_alive(&heap, &root, 3);
    });
}

#[test]
fn a_newborn_that_is_stored_is_whole_when_it_is_found() {
    a_newborn_is_whole("a_newborn_that_is_stored_is_whole_when_it_is_found", |mu, thing, newborn| {
        thing.next.store(mu, newborn);
    });
}

#[test]
fn a_newborn_that_is_swapped_in_is_whole_when_it_is_found() {
    a_newborn_is_whole("a_newborn_that_is_swapped_in_is_whole_when_it_is_found", |mu, thing, newborn| {
        assert!(thing.next.swap(mu, newborn).is_none());
    });
}

/// Two mutations on two processors store into the same field while the mark runs, plainly, one of them what it has found there, and each
/// keeps what it has found: whatever the one replaces of the other's, nothing is lost.
#[test]
fn what_two_store_over_is_not_lost() {
    explore("what_two_store_over_is_not_lost", 2, || {
        let heap = heap(2);
        let from = Arc::new(chain(&heap, 1));
        let kept = Arc::new([lone(&heap, 2), lone(&heap, 3)]);
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        cycle.take_the_snapshot();
        let storers = [0, 1].map(|own| {
            let (heap, from, kept) = (Arc::clone(&heap), Arc::clone(&from), Arc::clone(&kept));
            spawn(move || {
                heap.mutate(|mu| {
                    let found = from.get(mu).next.load();
                    from.get(mu).next.store(mu, if own == 0 { None } else { found });
                    kept[own].get(mu).next.store(mu, found);
                });
            })
        });
        cycle.mark();
        for storer in storers {
            storer.join().unwrap();
        }
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        heap.mutate(|mu| {
            let held = kept.iter().chain([&*from]).filter_map(|root| root.get(mu).next.load());
            assert!(held.inspect(|&held| assert!(is_allocated(&heap, held) && held.read() == 1)).count() > 0);
        });
    });
}

/// What another thread finds in a cell it sees whole, with no cycle that would order anything.
#[test]
fn a_newborn_is_whole_when_another_mutation_finds_it() {
    explore("a_newborn_is_whole_when_another_mutation_finds_it", 3, || {
        let heap = heap(2);
        let root = Arc::new(lone(&heap, 2));
        let other = {
            let (heap, root) = (Arc::clone(&heap), Arc::clone(&root));
            spawn(move || heap.mutate(|mu| root.get(mu).next.store(mu, thing(mu, 3, None))))
        };
        heap.mutate(|mu| assert!(root.get(mu).next.load().is_none_or(|found| found.read() == 3)));
        other.join().unwrap();
    });
}
