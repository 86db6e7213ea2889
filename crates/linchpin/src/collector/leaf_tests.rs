//! What has no pointers and is made black by a store without being noted: it is a key, it has a weak handle and a cleanup, and it is
//! a handle itself. And stores beside swaps and compare-and-swaps, in all modes that may meet.

use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use super::protocol_tests::mutate_in;
use crate::collector::cycle::Cycle;
use crate::collector::handshake::handshake;
use crate::collector::workers::Workers;
use crate::processor::phase::{Mode, colour_of_cycle};
use crate::{
    DebugSettings, Gc, GcCell, Heap, Mutator, Root, Tagged, TaggedCell, Trace, Verify, Weak, WeakCell, WeakMap,
    WeakRoot,
};

type Leaf = Arc<()>;

#[derive(Trace)]
struct Place<'gc> {
    leaf: GcCell<'gc, Leaf>,
    slice: GcCell<'gc, [Leaf]>,
    text: GcCell<'gc, str>,
    weak: WeakCell<'gc, Leaf>,
}

impl<'gc> Place<'gc> {
    fn null() -> Self {
        Self { leaf: GcCell::null(), slice: GcCell::null(), text: GcCell::null(), weak: WeakCell::null() }
    }
}

#[derive(Trace)]
struct Maps<'gc> {
    by_leaf: WeakMap<'gc, Leaf, Gc<'gc, Leaf>>,
    by_slice: WeakMap<'gc, [Leaf], Gc<'gc, Leaf>>,
    by_text: WeakMap<'gc, str, Gc<'gc, Leaf>>,
}

/// Asks for handshakes until `mode`, in which the rest of the cycle goes on; nothing is marked yet.
fn come_to(cycle: &mut Cycle<'_>, heap: &Heap, mode: Mode) {
    let core = heap.core();
    let black = colour_of_cycle(core.memory.marked_cycle() + 1);
    if mode == Mode::Arm {
        handshake(core, Mode::Arm, black);
        return;
    }
    cycle.take_the_snapshot();
    if mode == Mode::Close {
        handshake(core, Mode::Close, black);
    }
}

fn end(mut cycle: Cycle<'_>, mode: Mode) {
    if mode == Mode::Arm {
        cycle.take_the_snapshot();
    }
    cycle.mark();
    cycle.close();
    cycle.switch_off();
    cycle.sweep();
}

fn heap() -> Heap {
    let debug = DebugSettings::new().verify(Verify::Strict).poison(true);
    Heap::builder().processors(1).growth_percent(100_000).debug(debug).build().unwrap()
}

/// The only way to a leaf is taken away by a store, and the leaf kept in what is black: its barrier alone marks it. What weak maps, weak
/// pointers and cleanups make of it is what they make of anything that lives; and when it dies, of anything that dies.
#[test]
fn a_leaf_that_is_not_noted_keeps_what_hangs_on_it() {
    for mode in [Mode::Arm, Mode::Mark, Mode::Close] {
        let heap = heap();
        let none = Workers::none();
        let [keys, values] = [(); 2].map(|()| Arc::new(()));
        let (tell, told) = channel();
        type Weaks = (WeakRoot<Leaf>, WeakRoot<[Leaf]>, WeakRoot<str>);
        let (place, maps, weaks): (Root<Place<'static>>, Root<Maps<'static>>, Weaks) = heap.mutate(|mu| {
            let place = mu.alloc(Place::null());
            let maps =
                mu.alloc(Maps { by_leaf: WeakMap::new(mu), by_slice: WeakMap::new(mu), by_text: WeakMap::new(mu) });
            let leaf = mu.alloc(Arc::clone(&keys));
            let slice = mu.alloc_slice_with(3, |_| Arc::clone(&keys));
            let text = mu.alloc_str("a leaf");
            place.leaf.store(mu, leaf);
            place.slice.store(mu, slice);
            place.text.store(mu, text);
            maps.by_leaf.insert(mu, leaf, mu.alloc(Arc::clone(&values)));
            maps.by_slice.insert(mu, slice, mu.alloc(Arc::clone(&values)));
            maps.by_text.insert(mu, text, mu.alloc(Arc::clone(&values)));
            mu.on_collect(leaf, move |_| tell.send(()).unwrap());
            (mu.root(place), mu.root(maps), (mu.weak_root(leaf), mu.weak_root(slice), mu.weak_root(text)))
        });
        let mut cycle = Cycle::begin(heap.core(), &none);
        come_to(&mut cycle, &heap, mode);
        let kept: Root<Place<'static>> = heap.mutate(|mu| {
            assert_eq!(mu.mode(), mode);
            let place = place.get(mu);
            let new = mu.alloc(Place {
                leaf: GcCell::new(place.leaf.load()),
                slice: GcCell::new(place.slice.load()),
                text: GcCell::new(place.text.load()),
                weak: WeakCell::null(),
            });
            place.leaf.clear(mu);
            place.slice.clear(mu);
            place.text.clear(mu);
            assert_eq!(mu.local().noted().len(), if mode == Mode::Close { 3 } else { 0 });
            mu.root(new)
        });
        end(cycle, mode);
        let check = |name: &str| {
            heap.verify().unwrap();
            assert_eq!((Arc::strong_count(&keys), Arc::strong_count(&values)), (5, 4), "{mode:?}, {name}");
            assert!(told.try_recv().is_err(), "{mode:?}: the leaf is in use");
            heap.mutate(|mu| {
                let (kept, maps) = (kept.get(mu), maps.get(mu));
                let (leaf, slice, text) =
                    (kept.leaf.load().unwrap(), kept.slice.load().unwrap(), kept.text.load().unwrap());
                assert!(
                    Arc::ptr_eq(&leaf, &keys)
                        && slice.iter().all(|each| Arc::ptr_eq(each, &keys))
                        && &*text == "a leaf"
                );
                assert!(Gc::ptr_eq(weaks.0.upgrade(mu).unwrap(), leaf));
                assert!(Gc::ptr_eq(weaks.1.upgrade(mu).unwrap(), slice));
                assert!(Gc::ptr_eq(weaks.2.upgrade(mu).unwrap(), text));
                assert!(Arc::ptr_eq(&maps.by_leaf.get(mu, leaf).unwrap(), &values));
                assert!(Arc::ptr_eq(&maps.by_slice.get(mu, slice).unwrap(), &values));
                assert!(Arc::ptr_eq(&maps.by_text.get(mu, text).unwrap(), &values));
            });
        };
        check("in the same cycle");
        heap.collect();
        check("in the next cycle");
        drop(kept);
        heap.collect();
        told.recv().unwrap();
        assert_eq!((Arc::strong_count(&keys), Arc::strong_count(&values)), (1, 1), "{mode:?}: nothing leads there");
        heap.mutate(|mu| {
            let maps = maps.get(mu);
            assert!(maps.by_leaf.is_empty() && maps.by_slice.is_empty() && maps.by_text.is_empty());
            assert!(weaks.0.upgrade(mu).is_none() && weaks.1.upgrade(mu).is_none() && weaks.2.upgrade(mu).is_none());
        });
    }
}

/// A weak pointer is a pointer to a leaf, its handle. It is stored over, and lives on in what is black.
#[test]
fn a_handle_that_is_not_noted_stays_that_of_its_target() {
    for mode in [Mode::Arm, Mode::Mark, Mode::Close] {
        let heap = heap();
        let (none, alive) = (Workers::none(), Arc::new(()));
        let (place, target): (Root<Place<'static>>, Root<Leaf>) = heap.mutate(|mu| {
            let target = mu.alloc(Arc::clone(&alive));
            let place = mu.alloc(Place { weak: WeakCell::new(mu.downgrade(target)), ..Place::null() });
            (mu.root(place), mu.root(target))
        });
        let mut cycle = Cycle::begin(heap.core(), &none);
        come_to(&mut cycle, &heap, mode);
        let kept: Root<Place<'static>> = heap.mutate(|mu| {
            assert_eq!(mu.mode(), mode);
            let weak: Weak<'_, Leaf> = place.get(mu).weak.load().unwrap();
            place.get(mu).weak.clear(mu);
            mu.root(mu.alloc(Place { weak: WeakCell::new(weak), ..Place::null() }))
        });
        end(cycle, mode);
        for _ in 0..2 {
            heap.verify().unwrap();
            heap.mutate(|mu| {
                let weak = kept.get(mu).weak.load().unwrap();
                assert!(weak == mu.downgrade(target.get(mu)), "{mode:?}: there is one handle");
                assert!(Gc::ptr_eq(weak.upgrade(mu).unwrap(), target.get(mu)));
            });
            heap.collect();
        }
        drop(target);
        heap.collect();
        heap.mutate(|mu| assert!(kept.get(mu).weak.load().unwrap().is_cleared(), "{mode:?}"));
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}

#[derive(Trace, Tagged, Clone, Copy)]
enum Word<'gc> {
    Nothing,
    Leaf(Gc<'gc, Leaf>),
    Node(Gc<'gc, Node<'gc>>),
}

#[derive(Trace)]
struct Node<'gc> {
    leaf: GcCell<'gc, Leaf>,
    next: GcCell<'gc, Node<'gc>>,
    word: TaggedCell<'gc, Word<'gc>>,
}

#[derive(Trace)]
struct Nodes<'gc> {
    all: Vec<Gc<'gc, Node<'gc>>>,
}

/// A sequence of numbers, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

fn node<'gc>(
    mu: &Mutator<'gc>,
    leaf: Option<Gc<'gc, Leaf>>,
    next: Option<Gc<'gc, Node<'gc>>>,
    word: Word<'gc>,
) -> Gc<'gc, Node<'gc>> {
    mu.alloc(Node { leaf: GcCell::new(leaf), next: GcCell::new(next), word: TaggedCell::new(word) })
}

/// Moves things from field to field by stores, swaps and compare-and-swaps; some of what it has had in hand it keeps, in what is new.
fn shuffle<'gc>(mu: &Mutator<'gc>, nodes: &Nodes<'gc>, random: &mut Random, steps: usize) -> Vec<Root<Node<'static>>> {
    let mut kept = Vec::new();
    // What it has had in hand, perhaps long ago.
    let (mut leaf, mut next, mut word) = (None, None, Word::Nothing);
    for _ in 0..steps {
        let [from, to] = [(); 2].map(|()| {
            let mut node = nodes.all[random.below(nodes.all.len())];
            for _ in 0..random.below(3) {
                node = node.next.load().unwrap_or(node);
            }
            node
        });
        match random.below(14) {
            0 => leaf = from.leaf.load(),
            1 => next = from.next.load(),
            2 => word = from.word.load(),
            3 => to.leaf.store(mu, leaf),
            4 => to.next.store(mu, next),
            5 => to.word.store(mu, word),
            6 => leaf = to.leaf.swap(mu, leaf),
            7 => next = to.next.swap(mu, next),
            8 => word = to.word.swap(mu, word),
            9 => leaf = to.leaf.compare_exchange(mu, from.leaf.load(), leaf).unwrap_or_else(|held| held),
            10 => next = to.next.compare_exchange(mu, from.next.load(), next).unwrap_or_else(|held| held),
            11 => {
                let found = match word {
                    Word::Nothing => leaf.map_or(Word::Nothing, Word::Leaf),
                    Word::Leaf(_) => next.map_or(Word::Nothing, Word::Node),
                    Word::Node(_) => Word::Nothing,
                };
                to.word.store(mu, found);
            }
            12 => {
                to.leaf.clear(mu);
                to.next.store(mu, node(mu, leaf, next, word));
            }
            _ if random.below(8) == 0 => kept.push(mu.root(node(mu, leaf, next, word))),
            _ => {}
        }
    }
    kept
}

/// Stores, swaps and compare-and-swaps of the same fields at the same time, by mutations in `Off` beside `Arm`, in `Arm` beside `Mark`, in `Mark`, and
/// in `Close`. Nothing that anything leads to is freed, which the verifier looks at.
#[test]
fn whatever_modes_meet_in_a_field_nothing_is_lost() {
    const STEPS: usize = 300;
    for seed in 0..150_u64 {
        let debug = DebugSettings::new().verify(Verify::On).poison(true);
        let heap = Heap::builder().processors(2).growth_percent(100_000).debug(debug).build().unwrap();
        let alive = Arc::new(());
        let nodes: Root<Nodes<'static>> = heap.mutate(|mu| {
            let new =
                |next| node(mu, Some(mu.alloc(Arc::clone(&alive))), next, Word::Leaf(mu.alloc(Arc::clone(&alive))));
            let all: Vec<_> = (0..3).map(|_| new(Some(new(Some(new(None)))))).collect();
            mu.root(mu.alloc(Nodes { all }))
        });
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        let (in_off, is_off) = channel();
        let (in_arm, is_arm) = channel();
        let (in_mark, is_mark) = sync_channel(0);
        let (go_close, may_close) = channel::<()>();
        let (heap, nodes) = (&heap, &nodes);
        let kept = thread::scope(|scope| {
            let first = scope.spawn(move || {
                let mut random = Random(seed * 2);
                let mut kept = heap.mutate(|mu| {
                    assert_eq!(mu.mode(), Mode::Off);
                    in_off.send(()).unwrap();
                    is_arm.recv().unwrap();
                    // Else it goes on into `Arm` where it allocates.
                    let busy = (seed % 3 == 0).then(|| mu.local().busy());
                    let kept = shuffle(mu, nodes.get(mu).as_ref(), &mut random, STEPS);
                    assert!(mu.mode() == Mode::Off || busy.is_none());
                    kept
                });
                kept.extend(mutate_in(heap, Mode::Mark, |mu| {
                    in_mark.send(()).unwrap();
                    shuffle(mu, nodes.get(mu).as_ref(), &mut random, STEPS)
                }));
                kept.extend(heap.mutate(|mu| shuffle(mu, nodes.get(mu).as_ref(), &mut random, STEPS)));
                kept.extend(mutate_in(heap, Mode::Close, |mu| shuffle(mu, nodes.get(mu).as_ref(), &mut random, STEPS)));
                kept
            });
            is_off.recv().unwrap();
            let second = scope.spawn(move || {
                let mut random = Random(seed * 2 + 1);
                let mut kept = mutate_in(heap, Mode::Arm, |mu| {
                    in_arm.send(()).unwrap();
                    let mut kept = shuffle(mu, nodes.get(mu).as_ref(), &mut random, STEPS);
                    is_mark.recv().unwrap();
                    assert_eq!(mu.mode(), Mode::Arm);
                    kept.extend(shuffle(mu, nodes.get(mu).as_ref(), &mut random, STEPS));
                    kept
                });
                kept.extend(mutate_in(heap, Mode::Mark, |mu| {
                    let kept = shuffle(mu, nodes.get(mu).as_ref(), &mut random, STEPS);
                    go_close.send(()).unwrap();
                    kept
                }));
                kept.extend(mutate_in(heap, Mode::Close, |mu| shuffle(mu, nodes.get(mu).as_ref(), &mut random, STEPS)));
                kept
            });
            cycle.take_the_snapshot();
            if seed % 2 == 0 {
                // All of this before anything is marked.
                may_close.recv().unwrap();
            }
            cycle.mark();
            if seed % 2 == 1 {
                may_close.recv().unwrap();
            }
            // Until both have been there, and the mark has not ended.
            let black = colour_of_cycle(heap.core().memory.marked_cycle() + 1);
            handshake(heap.core(), Mode::Close, black);
            while !(first.is_finished() && second.is_finished()) {
                handshake(heap.core(), Mode::Close, black);
            }
            cycle.close();
            [first, second].map(|thread| thread.join().unwrap())
        });
        cycle.switch_off();
        cycle.sweep();
        heap.verify().unwrap();
        heap.mutate(|mu| {
            let roots = kept.iter().flatten().map(|root| root.get(mu));
            for node in nodes.get(mu).all.iter().copied().chain(roots) {
                assert!(node.leaf.load().is_none_or(|leaf| Arc::ptr_eq(&leaf, &alive)), "{seed}");
                if let Word::Leaf(leaf) = node.word.load() {
                    assert!(Arc::ptr_eq(&leaf, &alive), "{seed}");
                }
            }
        });
    }
}
