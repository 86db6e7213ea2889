//! Upgrades at each step of a cycle, which a test from outside cannot arrange. The steps are taken here, on the test's thread.

use std::sync::Arc;

use super::Weak;
use crate::collector::cycle::{Cycle, handshake};
use crate::collector::workers::Workers;
use crate::heap::Core;
use crate::processor::phase::{Mode, colour_of_cycle};
use crate::{Gc, GcCell, Heap, Mutator, Root, Trace, WeakRoot};

fn heap() -> Heap {
    Heap::builder().processors(1).build().unwrap()
}

/// A node that leads to a value whose drop is seen by its count.
#[derive(Trace)]
struct Node<'gc> {
    value: GcCell<'gc, Arc<()>>,
}

fn node<'gc>(mu: &Mutator<'gc>, value: &Arc<()>) -> Gc<'gc, Node<'gc>> {
    mu.alloc(Node { value: GcCell::new(mu.alloc(Arc::clone(value))) })
}

/// A weak root of a node that nothing else leads to.
fn lost(heap: &Heap, value: &Arc<()>) -> WeakRoot<Node<'static>> {
    heap.mutate(|mu| mu.weak_root(node(mu, value)))
}

/// The rest of a cycle, after its mark has been closed.
fn finish(mut cycle: Cycle<'_>) {
    cycle.switch_off();
    cycle.sweep();
}

fn finish_all(mut cycle: Cycle<'_>) {
    cycle.close();
    finish(cycle);
}

/// The colour of what lives, in the cycle that is on.
fn black(core: &Core) -> u8 {
    colour_of_cycle(core.memory.marked_cycle() + 1)
}

/// Upgrades in a mutation in this mode, and keeps what it gets.
fn upgrade_in(heap: &Heap, mode: Mode, weak: &WeakRoot<Node<'static>>) -> Option<Root<Node<'static>>> {
    heap.mutate(|mu| {
        assert_eq!(mu.mode(), mode);
        weak.upgrade(mu).map(|node| mu.root(node))
    })
}

fn assert_kept(heap: &Heap, root: &Root<Node<'static>>, value: &Arc<()>) {
    assert_eq!(Arc::strong_count(value), 2, "the value was dropped while a root leads to it");
    heap.mutate(|mu| assert!(Arc::ptr_eq(&root.get(mu).value.load().unwrap(), value)));
}

#[test]
fn an_upgrade_in_mark_shades() {
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let weak = lost(&heap, &value);
    let mut cycle = Cycle::begin(heap.core(), &none);
    cycle.take_the_snapshot();
    cycle.mark();
    // Roots have been walked: nothing but the upgrade tells of it.
    let root = upgrade_in(&heap, Mode::Mark, &weak).expect("it is not decided yet");
    finish_all(cycle);
    assert_kept(&heap, &root, &value);
    drop(root);
    heap.collect();
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn an_upgrade_before_the_decision_puts_it_off() {
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let core = heap.core();
    let weak = lost(&heap, &value);
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    let before = core.queue.pushed();
    handshake(core, Mode::Close, black(core));
    let root = upgrade_in(&heap, Mode::Close, &weak).expect("it is not decided yet");
    assert!(!core.decision.decide(&core.queue, before), "decided, though something was shaded after the round");
    finish_all(cycle);
    assert_kept(&heap, &root, &value);
    heap.mutate(|mu| assert!(Gc::ptr_eq(weak.upgrade(mu).unwrap(), root.get(mu))));
}

/// Between the decision and the moment in which the weak pointer is cleared, and ever after.
#[test]
fn an_upgrade_after_the_decision_fails_for_good() {
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let core = heap.core();
    let weak = lost(&heap, &value);
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    let before = core.queue.pushed();
    handshake(core, Mode::Close, black(core));
    assert!(core.decision.decide(&core.queue, before));
    assert!(upgrade_in(&heap, Mode::Close, &weak).is_none());
    core.decision.clear(&core.memory.region, black(core));
    assert!(upgrade_in(&heap, Mode::Close, &weak).is_none());
    finish(cycle);
    assert!(upgrade_in(&heap, Mode::Off, &weak).is_none());
    assert_eq!(Arc::strong_count(&value), 1, "it was dropped");
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    assert!(upgrade_in(&heap, Mode::Mark, &weak).is_none());
    cycle.mark();
    finish_all(cycle);
}

/// What lives can be upgraded after the decision, too; and what is upgraded in the next cycle is not taken for decided.
#[test]
fn a_decision_concerns_the_dead_of_one_cycle() {
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let core = heap.core();
    let (root, weak): (Root<Node<'static>>, _) = heap.mutate(|mu| {
        let node = node(mu, &value);
        (mu.root(node), mu.weak_root(node))
    });
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    cycle.close();
    assert!(upgrade_in(&heap, Mode::Close, &weak).is_some());
    finish(cycle);
    drop(root);
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    handshake(core, Mode::Close, black(core));
    let root = upgrade_in(&heap, Mode::Close, &weak).expect("the cycle before has not decided about it");
    finish_all(cycle);
    assert_kept(&heap, &root, &value);
}

/// Nothing leads to the handle any more when it is asked for again: after the decision there is a new one.
#[test]
fn a_handle_is_not_raised_from_the_dead() {
    let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
    let core = heap.core();
    let handle_of = |weak: Weak<'_, Node<'_>>| weak.handle.start().addr();
    let (root, old): (Root<Node<'static>>, _) = heap.mutate(|mu| {
        let node = node(mu, &value);
        (mu.root(node), handle_of(mu.downgrade(node)))
    });
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    let before = core.queue.pushed();
    handshake(core, Mode::Close, black(core));
    assert!(core.decision.decide(&core.queue, before));
    let weak = heap.mutate(|mu| {
        assert_eq!(mu.mode(), Mode::Close);
        let weak = mu.downgrade(root.get(mu));
        assert_ne!(handle_of(weak), old, "the old one is going to be freed");
        assert!(weak == mu.downgrade(root.get(mu)), "one handle for an object");
        weak.root(mu)
    });
    core.decision.clear(&core.memory.region, black(core));
    finish(cycle);
    heap.verify().unwrap();
    heap.mutate(|mu| {
        assert!(Gc::ptr_eq(weak.upgrade(mu).unwrap(), root.get(mu)));
        assert!(weak.get(mu) == mu.downgrade(root.get(mu)));
    });
}

/// The same before the decision: it is the old one, which is kept.
#[test]
fn a_handle_that_is_asked_for_again_is_kept() {
    for mode in [Mode::Mark, Mode::Close] {
        let (heap, value, none) = (heap(), Arc::new(()), Workers::none());
        let core = heap.core();
        let root: Root<Node<'static>> = heap.mutate(|mu| {
            let node = node(mu, &value);
            mu.downgrade(node);
            mu.root(node)
        });
        let mut cycle = Cycle::begin(core, &none);
        cycle.take_the_snapshot();
        cycle.mark();
        if mode == Mode::Close {
            handshake(core, Mode::Close, black(core));
        }
        let weak = heap.mutate(|mu| {
            assert_eq!(mu.mode(), mode);
            mu.weak_root(root.get(mu))
        });
        finish_all(cycle);
        heap.verify().unwrap();
        heap.mutate(|mu| {
            assert!(Gc::ptr_eq(weak.upgrade(mu).unwrap(), root.get(mu)));
            assert!(weak.get(mu) == mu.downgrade(root.get(mu)));
        });
    }
}

/// The table has entries for what has handles only, and gives room back.
#[test]
fn the_table_shrinks_with_what_it_has() {
    let heap = heap();
    let handles = || {
        let mut count = 0;
        heap.core().decision.handles.for_each(|_, _| count += 1);
        count
    };
    let roots: Vec<_> = heap.mutate(|mu| {
        (0..20_000_u64)
            .map(|number| {
                let object = mu.alloc(number);
                (mu.root(object), mu.weak_root(object))
            })
            .collect()
    });
    assert_eq!(handles(), 20_000);
    let room = heap.core().decision.handles.room();
    heap.collect();
    assert_eq!(handles(), 20_000);
    heap.mutate(|mu| assert!(roots.iter().all(|(root, weak)| Gc::ptr_eq(root.get(mu), weak.upgrade(mu).unwrap()))));
    let (strong, weak): (Vec<_>, Vec<_>) = roots.into_iter().unzip();
    drop(weak);
    heap.collect();
    assert_eq!(handles(), 0, "nobody has a weak pointer");
    assert!(heap.core().decision.handles.room() < room / 4);
    drop(strong);
}
