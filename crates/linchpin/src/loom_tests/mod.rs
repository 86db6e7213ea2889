//! The lock-free pieces under loom: the source as it is, every interleaving and every outcome of weak memory that the
//! C11 model allows, up to a bound on preemptions.
//!
//! The tests run on whole heaps, of at most two processors and two spans of four slots each. What a thread does outside its
//! atomics is watched, too: a processor's [`Local`](crate::processor::Local) and a [`Thing`]'s content are loom's cells, mark
//! bytes are swept by accesses that loom takes for plain ones, so that two threads that reach them without an order
//! between them fail the test, as does a deadlock.
//!
//! | file | piece |
//! | --- | --- |
//! | [`acquire`] | taking, giving back, waiting for a processor; handshakes |
//! | [`cycles`] | a cycle against mutations: barrier, buffers, newborns, roots, pins |
//! | [`sweep`] | sweeps against allocation |
//! | [`marking`] | mark bytes and the queue, by two markers; the helpers |
//! | [`counter`] | a pin counter |
//! | [`settle`] | who frees what is let go of after the end of a heap |
//!
//! **That they can fail** is what [`weakenings`] shows: each access named there, and in the source by
//! [`ordering!`](crate::sync::ordering), is weakened to `Relaxed`, one at a time, and a test must fail.
//!
//! Run by `cargo xtask loom`.

mod acquire;
mod counter;
mod cycles;
mod marking;
mod settle;
mod sweep;
mod weakenings;

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::cell::UnsafeCell;

use crate::collector::cycle;
use crate::collector::workers::Workers;
use crate::memory::{MODEL_SLOTS, SPAN_BYTES};
use crate::sync::Arc;
use crate::{Gc, GcCell, Heap, Root, Trace, Tracer};

/// The environment variable that bounds preemptions instead of what each test says.
const PREEMPTIONS: &str = "LINCHPIN_LOOM_PREEMPTIONS";

/// Runs `model` in every interleaving with so many preemptions at most, and prints how many those were.
fn explore(name: &str, preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let said = std::env::var(PREEMPTIONS).ok().and_then(|text| text.parse().ok());
    let runs = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&runs);
    let model = std::sync::Arc::new(model);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(said.unwrap_or(preemptions));
    builder.max_branches = 100_000;
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        let model = std::sync::Arc::clone(&model);
        spawn(move || model()).join().unwrap();
    });
    println!("{name}: {} interleavings", runs.load(Ordering::Relaxed));
}

/// A thread of the model, with room on its stack for objects of a quarter of a span.
fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> loom::thread::JoinHandle<T> {
    const STACK_WORDS: usize = 1 << 15;
    loom::thread::Builder::new().stack_size(STACK_WORDS).spawn(f).expect("loom's threads are never refused")
}

/// Runs a cycle here while `mutation` runs on a thread of its own; gives what that gives.
fn during_a_cycle<T: Send + 'static>(heap: &Arc<Heap>, mutation: impl FnOnce(&Heap) -> T + Send + 'static) -> T {
    let lent = Arc::clone(heap);
    let mutator = spawn(move || mutation(&lent));
    cycle::run(heap.core(), &Workers::none());
    mutator.join().unwrap()
}

fn heap(processors: usize) -> Arc<Heap> {
    Arc::new(Heap::builder().processors(processors).region_size(2 * SPAN_BYTES).build().unwrap())
}

/// An object of a quarter of a span, the one size there is here: a content that everybody reads, and a pointer.
#[repr(align(16384))]
struct Thing<'gc> {
    content: UnsafeCell<u64>,
    next: GcCell<'gc, Thing<'gc>>,
}

const _: () = assert!(size_of::<Thing<'_>>() == SPAN_BYTES / MODEL_SLOTS);

// SAFETY: the content is written before the object is shared, and only read then; loom sees to that.
unsafe impl Sync for Thing<'_> {}
// SAFETY: as above.
unsafe impl Send for Thing<'_> {}

// SAFETY: the pointer, all that there is, is reported.
unsafe impl Trace for Thing<'_> {
    type Branded<'b> = Thing<'b>;
    const NEEDS_TRACE: bool = true;
    fn trace(&self, tracer: &mut Tracer<'_>) {
        // As any field of a user's would be: who traces an object must see it initialised.
        self.read();
        self.next.trace(tracer);
    }
}

impl<'gc> Thing<'gc> {
    fn new(content: u64, next: Option<Gc<'gc, Thing<'gc>>>) -> Self {
        let thing = Self { content: UnsafeCell::new(0), next: GcCell::new(next) };
        // SAFETY: nobody else knows it.
        thing.content.with_mut(|place| unsafe { *place = content });
        thing
    }

    fn read(&self) -> u64 {
        // SAFETY: loom checks that nobody writes at the same time.
        self.content.with(|place| unsafe { *place })
    }
}

type Rooted = Root<Thing<'static>>;

/// A root of a new object that leads to one with this content.
fn chain(heap: &Heap, content: u64) -> Rooted {
    heap.mutate(|mu| {
        let next = mu.alloc(Thing::new(content, None));
        mu.root(mu.alloc(Thing::new(content + 100, Some(next))))
    })
}

/// A root of a new object that leads nowhere.
fn lone(heap: &Heap, content: u64) -> Rooted {
    heap.mutate(|mu| mu.root(mu.alloc(Thing::new(content, None))))
}

/// Whether the slot of the object is in use.
fn is_allocated(heap: &Heap, object: Gc<'_, Thing<'_>>) -> bool {
    heap.core().memory.region.mark(object.start().addr().get()).load(Ordering::Relaxed) != 0
}

/// Fails unless what `root` leads to, as `find` finds it, is there and has this content.
#[track_caller]
fn assert_alive(heap: &Heap, root: &Rooted, content: u64) {
    heap.mutate(|mu| {
        let object = root.get(mu);
        let object = object.next.load().expect("something was stored there");
        assert!(is_allocated(heap, object), "it is reachable, and was freed");
        assert_eq!(object.read(), content);
    });
}
