//! What a mutation does in the middle of a pass over weak maps.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use super::map::PARTS;
use super::table::part_of;
use crate::collector::cycle::Cycle;
use crate::collector::handshake::handshake;
use crate::collector::protocol_tests::{mutate_in, stay_while};
use crate::collector::workers::Workers;
use crate::processor::phase::{Mode, colour_of_cycle};
use crate::sync::Ordering;
use crate::trace::Inspector;
use crate::{Gc, Heap, Mutator, Root, Trace, Tracer, WeakMap};

/// Runs something, once, when it is traced.
#[derive(Clone, Default)]
pub(super) struct Hook(pub(super) Arc<Mutex<Option<Run>>>);

pub(super) type Run = Box<dyn FnOnce() + Send>;

// SAFETY: it holds no pointer.
unsafe impl Trace for Hook {
    type Branded<'b> = Self;
    const NEEDS_TRACE: bool = true;

    fn trace(&self, _: &mut Tracer<'_>) {
        let run = self.0.lock().unwrap().take();
        run.into_iter().for_each(|run| run());
    }

    fn inspect(&self, _: &mut Inspector<'_>) {}
}

/// A value with a map in it, which is not an object of its own.
#[derive(Trace)]
struct Value<'gc> {
    hook: Hook,
    inner: WeakMap<'gc, u64, Gc<'gc, Arc<()>>>,
}

#[derive(Trace)]
struct Outer<'gc> {
    map: WeakMap<'gc, u64, Value<'gc>>,
}

/// A key that lies in this part of a map.
pub(super) fn key_in<'gc>(mu: &Mutator<'gc>, part: usize) -> Gc<'gc, u64> {
    let mut keys = std::iter::repeat_with(|| mu.alloc(0_u64));
    keys.find(|key| part_of(key.start().addr().get(), PARTS) == part).unwrap()
}

/// A map that is moved out of another one in the middle of a pass, before that has come to it: what it has is looked at.
#[test]
fn a_map_that_is_moved_out_of_a_map_in_mid_pass_is_looked_at() {
    let heap = Arc::new(Heap::builder().processors(1).build().unwrap());
    let (value, none, hook) = (Arc::new(()), Workers::none(), Hook::default());
    let core = heap.core();
    let (outer, [first, last]): (Root<Outer<'static>>, [Root<u64>; 2]) = heap.mutate(|mu| {
        let outer = mu.alloc(Outer { map: WeakMap::new(mu) });
        let keys @ [first, last] = [0, PARTS - 1].map(|part| key_in(mu, part));
        outer.map.insert(mu, first, Value { hook: hook.clone(), inner: WeakMap::new(mu) });
        let inner = WeakMap::new(mu);
        inner.insert(mu, first, mu.alloc(Arc::clone(&value)));
        outer.map.insert(mu, last, Value { hook: Hook::default(), inner });
        (mu.root(outer), keys.map(|key| mu.root(key)))
    });
    let moved: Arc<Mutex<Option<Root<Value<'static>>>>> = Arc::default();
    let remove = {
        let (heap, moved) = (Arc::clone(&heap), Arc::clone(&moved));
        move || {
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Close);
                let value = outer.get(mu).map.remove(mu, last.get(mu)).unwrap();
                *moved.lock().unwrap() = Some(mu.root(mu.alloc(value)));
            });
        }
    };
    let on_another_thread = move || std::thread::spawn(remove).join().unwrap();
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    cycle.mark();
    handshake(core, Mode::Close, colour_of_cycle(core.memory.marked_cycle() + 1));
    *hook.0.lock().unwrap() = Some(Box::new(on_another_thread));
    cycle.close();
    cycle.switch_off();
    cycle.sweep();
    assert_eq!(Arc::strong_count(&value), 2, "the value was dropped while its key lives");
    heap.verify().unwrap();
    let moved = moved.lock().unwrap().take().unwrap();
    heap.mutate(|mu| assert!(Arc::ptr_eq(&moved.get(mu).inner.get(mu, first.get(mu)).unwrap(), &value)));
}

/// Where what is looked up in a map goes while a cycle begins: nowhere in `Arm`, when nothing has been decided that it could have missed;
/// in `Mark`, like all that is shaded, into the processor's own buffer.
#[test]
fn what_is_looked_up_is_shaded_from_mark_on() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let (core, none) = (heap.core(), Workers::none());
    type Map<'gc> = WeakMap<'gc, u64, Gc<'gc, Option<Gc<'gc, u64>>>>;
    let (map, key): (Root<Map<'static>>, Root<u64>) = heap.mutate(|mu| {
        let (map, key) = (mu.alloc(Map::new(mu)), mu.alloc(7_u64));
        map.insert(mu, key, mu.alloc(Some(key)));
        (mu.root(map), mu.root(key))
    });
    let black = colour_of_cycle(core.memory.marked_cycle() + 1);
    let is_black_when_looked_up_in = |mode: Mode| {
        let pushed = core.queue.pushed();
        let start = heap.mutate(|mu| {
            assert_eq!(mu.mode(), mode);
            map.get(mu).get(mu, key.get(mu)).unwrap().start()
        });
        assert_eq!(core.queue.pushed(), pushed, "in {mode:?}");
        core.memory.region.mark(start.addr().get()).load(Ordering::Relaxed) == black
    };
    handshake(core, Mode::Arm, black);
    assert!(!is_black_when_looked_up_in(Mode::Arm));
    let mut cycle = Cycle::begin(core, &none);
    cycle.take_the_snapshot();
    assert!(is_black_when_looked_up_in(Mode::Mark));
    cycle.mark();
    assert_eq!(core.queue.pushed(), 1, "the roots; it is in the buffer still");
    cycle.close();
    assert_eq!(core.queue.pushed(), 2);
    cycle.switch_off();
    cycle.sweep();
    heap.verify().unwrap();
}

#[derive(Trace)]
struct Names<'gc> {
    map: WeakMap<'gc, Arc<()>, u64>,
}

/// A mutation in `Mark` makes a map, which nobody traces in this cycle, and another one, in `Arm` still, puts a newborn key into it, which is
/// white and kept by nothing. The entry must not be there longer than the key.
#[test]
fn a_key_of_arm_in_a_map_of_mark_is_not_freed_before_its_entry() {
    for with_make in [false, true] {
        let heap = Heap::builder().processors(2).growth_percent(100_000).build().unwrap();
        let alive = Arc::new(());
        let workers = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &workers);
        let (in_off, is_off) = channel();
        let (in_arm, is_arm) = channel();
        let (made, is_made) = channel::<Root<Names<'static>>>();
        let (sent_back, back) = channel();
        let names = thread::scope(|scope| {
            let (heap, alive) = (&heap, &alive);
            scope.spawn(move || {
                heap.mutate(|mu| {
                    in_off.send(()).unwrap();
                    stay_while(mu, Mode::Off);
                    in_arm.send(()).unwrap();
                    let names = is_made.recv().unwrap();
                    let key = mu.alloc(Arc::clone(alive));
                    let map = &names.get(mu).as_ref().map;
                    if with_make {
                        map.get_or_insert_with(mu, key, || 1);
                    } else {
                        map.insert(mu, key, 1);
                    }
                    sent_back.send(names).unwrap();
                });
            });
            is_off.recv().unwrap();
            scope.spawn(move || {
                is_arm.recv().unwrap();
                let names = mutate_in(heap, Mode::Mark, |mu| mu.root(mu.alloc(Names { map: WeakMap::new(mu) })));
                made.send(names).unwrap();
            });
            cycle.take_the_snapshot();
            back.recv().unwrap()
        });
        cycle.mark();
        cycle.close();
        cycle.switch_off();
        cycle.sweep();
        let entries = heap.mutate(|mu| names.get(mu).map.len());
        assert_eq!(entries, Arc::strong_count(&alive) - 1, "an entry leads to a key that was freed");
        heap.verify().unwrap();
        heap.collect();
        assert_eq!(heap.mutate(|mu| names.get(mu).map.len()), 0);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
