//! Two barriers that meet in one field, step by step: a test stops one where it asks what a word leads to, which it does between its look
//! at the field and its change of it; and in `Arm` once more, between its change and its shade of what it has put there.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::protocol_tests::mutate_in;
use crate::collector::cycle::Cycle;
use crate::collector::handshake::handshake;
use crate::collector::workers::Workers;
use crate::gc::Object;
use crate::processor::phase::{Mode, colour_of_cycle};
use crate::{DebugSettings, Gc, GcCell, Heap, Mutator, Root, Tagged, TaggedCell, Trace, Verify};

type Leaf = Arc<()>;

thread_local! {
    /// For each time that this thread asks for a target: whether, and how, it is to stop there.
    static STOPS: RefCell<VecDeque<Option<Stop>>> = const { RefCell::new(VecDeque::new()) };
}

struct Stop {
    reached: Sender<()>,
    go_on: Receiver<()>,
}

/// A stop, and how the test knows of it and ends it.
fn stop() -> (Stop, Receiver<()>, Sender<()>) {
    let (reached, is_reached) = channel();
    let (may_go_on, go_on) = channel();
    (Stop { reached, go_on }, is_reached, may_go_on)
}

#[derive(Trace, Clone, Copy)]
struct Word<'gc>(Option<Gc<'gc, Leaf>>);

// SAFETY: the pointer's start is the word, and the target.
unsafe impl<'gc> Tagged for Word<'gc> {
    fn into_word(self) -> *mut u8 {
        self.0.map_or(std::ptr::null_mut(), |gc| gc.start().as_ptr())
    }

    unsafe fn from_word(word: *mut u8) -> Self {
        // SAFETY: the caller's promise.
        Self(NonNull::new(word).map(|start| unsafe { Gc::from_start(start) }))
    }

    fn target(self) -> Option<NonNull<u8>> {
        const { assert!(!<Leaf as Object>::NEEDS_TRACE) };
        if let Some(Stop { reached, go_on }) = STOPS.with_borrow_mut(VecDeque::pop_front).flatten() {
            reached.send(()).unwrap();
            go_on.recv().unwrap();
        }
        self.0.map(Gc::start)
    }
}

fn stop_at(stops: impl IntoIterator<Item = Option<Stop>>) {
    STOPS.set(stops.into_iter().collect());
}

#[derive(Trace)]
struct Words<'gc> {
    first: TaggedCell<'gc, Word<'gc>>,
    second: TaggedCell<'gc, Word<'gc>>,
}

/// What is born in `Mark`, and so is black, and never traced in this cycle.
#[derive(Trace)]
struct Kept<'gc> {
    leaf: GcCell<'gc, Leaf>,
}

fn keep<'gc>(mu: &Mutator<'gc>, leaf: Gc<'gc, Leaf>) -> Root<Kept<'static>> {
    assert!(matches!(mu.mode(), Mode::Mark | Mode::Close));
    mu.root(mu.alloc(Kept { leaf: GcCell::new(leaf) }))
}

fn heap(processors: usize) -> Heap {
    let debug = DebugSettings::new().verify(Verify::On).poison(true);
    Heap::builder().processors(processors).growth_percent(100_000).debug(debug).build().unwrap()
}

fn words(heap: &Heap, leaves: [&Leaf; 2]) -> Root<Words<'static>> {
    heap.mutate(|mu| {
        let [first, second] = leaves.map(|leaf| TaggedCell::new(Word(Some(mu.alloc(Arc::clone(leaf))))));
        mu.root(mu.alloc(Words { first, second }))
    })
}

fn end(mut cycle: Cycle<'_>, heap: &Heap) {
    cycle.mark();
    cycle.close();
    cycle.switch_off();
    cycle.sweep();
    heap.verify().unwrap();
}

#[track_caller]
fn assert_kept(heap: &Heap, kept: &Root<Kept<'static>>, leaf: &Leaf) {
    heap.mutate(|mu| assert!(Arc::ptr_eq(&kept.get(mu).leaf.load().unwrap(), leaf)));
    assert_eq!(Arc::strong_count(leaf), 2);
}

/// A store in `Arm` has looked at the field, and one in `Off` puts something else there, which a mutation in `Mark` finds: a store that did not
/// compare would remove that, and nobody would have shaded it.
#[test]
fn what_off_puts_there_while_arm_stores_is_shaded() {
    let heap = heap(2);
    let [old, new, other] = [(); 3].map(|()| Arc::new(()));
    let words = words(&heap, [&old, &other]);
    let none = Workers::none();
    let mut cycle = Cycle::begin(heap.core(), &none);
    let (in_off, is_off) = channel();
    let (stop, is_reached, may_go_on) = stop();
    let kept = thread::scope(|scope| {
        let (heap, words, new) = (&heap, &words, &new);
        let off_and_mark = scope.spawn(move || {
            heap.mutate(|mu| {
                let leaf = mu.alloc(Arc::clone(new));
                in_off.send(()).unwrap();
                is_reached.recv().unwrap();
                assert_eq!(mu.mode(), Mode::Off);
                words.get(mu).first.store(mu, Word(Some(leaf)));
            });
            let kept = mutate_in(heap, Mode::Mark, |mu| keep(mu, words.get(mu).first.load().0.unwrap()));
            may_go_on.send(()).unwrap();
            kept
        });
        is_off.recv().unwrap();
        scope.spawn(move || {
            let mut stop = Some(stop);
            mutate_in(heap, Mode::Arm, |mu| {
                stop_at([stop.take()]);
                words.get(mu).first.store(mu, Word(None));
            });
        });
        cycle.take_the_snapshot();
        off_and_mark.join().unwrap()
    });
    end(cycle, &heap);
    assert_kept(&heap, &kept, &new);
    heap.mutate(|mu| assert!(words.get(mu).first.load().0.is_none(), "the store in `Arm` was the last"));
}

/// A store in `Mark`, or `Close`, has looked at the field, and another one puts something there that it has moved from elsewhere. The first one
/// removes that, unshaded: it was shaded where it came from.
#[test]
fn what_mark_stores_over_was_shaded_where_it_came_from() {
    for mode in [Mode::Mark, Mode::Close] {
        let heap = heap(2);
        let [first, second] = [(); 2].map(|()| Arc::new(()));
        let words = words(&heap, [&first, &second]);
        let none = Workers::none();
        let mut cycle = Cycle::begin(heap.core(), &none);
        cycle.take_the_snapshot();
        if mode == Mode::Close {
            handshake(heap.core(), Mode::Close, colour_of_cycle(heap.core().memory.marked_cycle() + 1));
        }
        let (stop, is_reached, may_go_on) = stop();
        let kept = thread::scope(|scope| {
            let (heap, words) = (&heap, &words);
            scope.spawn(move || {
                heap.mutate(|mu| {
                    stop_at([Some(stop)]);
                    words.get(mu).first.store(mu, Word(None));
                });
            });
            is_reached.recv().unwrap();
            let kept = heap.mutate(|mu| {
                assert_eq!(mu.mode(), mode);
                let words = words.get(mu);
                let [first, second] = [words.first.load(), words.second.load()];
                words.first.store(mu, second);
                words.second.store(mu, Word(None));
                [first, second].map(|word| keep(mu, word.0.unwrap()))
            });
            may_go_on.send(()).unwrap();
            kept
        });
        heap.mutate(|mu| assert!(words.get(mu).first.load().0.is_none(), "the plain store was the last"));
        end(cycle, &heap);
        for (kept, leaf) in kept.iter().zip([&first, &second]) {
            assert_kept(&heap, kept, leaf);
        }
    }
}

/// A store in `Mark` has looked at the field; one in `Arm` puts a white newborn there, and has not shaded it yet. Another one in `Mark` finds
/// that, and the first removes it, unshaded: the one in `Arm` shades it still.
#[test]
fn what_arm_has_put_there_it_shades_though_mark_stores_over_it() {
    let heap = heap(3);
    let [old, new, other] = [(); 3].map(|()| Arc::new(()));
    let words = words(&heap, [&old, &other]);
    let none = Workers::none();
    let mut cycle = Cycle::begin(heap.core(), &none);
    let (in_off, is_off) = channel();
    let (in_arm, is_arm) = channel();
    let (in_mark, has_looked, mark_goes_on) = stop();
    let (behind_swap, has_put, arm_goes_on) = stop();
    let kept = thread::scope(|scope| {
        let (heap, words, new) = (&heap, &words, &new);
        scope.spawn(move || {
            let mut parts = Some((behind_swap, has_looked));
            mutate_in(heap, Mode::Arm, |mu| {
                let (behind_swap, has_looked) = parts.take().unwrap();
                in_arm.send(()).unwrap();
                has_looked.recv().unwrap();
                assert_eq!(mu.mode(), Mode::Arm);
                let leaf = mu.alloc(Arc::clone(new));
                stop_at([None, Some(behind_swap)]);
                words.get(mu).first.store(mu, Word(Some(leaf)));
            });
        });
        let marks = scope.spawn(move || {
            // Handshake 1 waits for this one, so that the other finds `Arm`.
            heap.mutate(|mu| {
                assert_eq!(mu.mode(), Mode::Off);
                in_off.send(()).unwrap();
                is_arm.recv().unwrap();
            });
            let storer = scope.spawn(move || {
                let mut stop = Some(in_mark);
                mutate_in(heap, Mode::Mark, |mu| {
                    stop_at([stop.take()]);
                    words.get(mu).first.store(mu, Word(None));
                });
            });
            has_put.recv().unwrap();
            let kept = mutate_in(heap, Mode::Mark, |mu| {
                let found = words.get(mu).first.load().0.unwrap();
                let mark = heap.core().memory.region.mark(found.start().addr().get());
                assert_ne!(mark.load(crate::sync::Ordering::Relaxed), mu.local().colour(), "it is white");
                keep(mu, found)
            });
            mark_goes_on.send(()).unwrap();
            storer.join().unwrap();
            arm_goes_on.send(()).unwrap();
            kept
        });
        is_off.recv().unwrap();
        cycle.take_the_snapshot();
        marks.join().unwrap()
    });
    heap.mutate(|mu| assert!(words.get(mu).first.load().0.is_none(), "the plain store was the last"));
    end(cycle, &heap);
    assert_kept(&heap, &kept, &new);
}
