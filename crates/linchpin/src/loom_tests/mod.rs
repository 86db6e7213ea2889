//! The lock-free pieces under loom: the source as it is, every interleaving and every outcome of weak memory that the
//! C11 model allows, up to a bound on preemptions.
//!
//! The tests run on whole heaps, of at most two processors and four spans of four slots each. What a thread does outside its
//! atomics is watched, too: a processor's [`Local`](crate::processor::Local) and a [`Thing`]'s content are loom's cells, mark
//! bytes are swept by accesses that loom takes for plain ones, so that two threads that reach them without an order
//! between them fail the test, as does a deadlock.
//!
//! | file | piece |
//! | --- | --- |
//! | [`acquire`] | taking, giving back, waiting for a processor; handshakes |
//! | [`handover`] | a processor that is handed to a waiting thread |
//! | [`cycles`] | a cycle against mutations: barrier, buffers, newborns |
//! | [`roots`] | root slots against the walk over them |
//! | [`pins`] | pin counters and flags against the walk over them |
//! | [`locks`] | locks around contents against the marker |
//! | [`weak`] | upgrades of weak pointers against the end of a mark |
//! | [`sweep`] | sweeps against allocation, and against the next cycle |
//! | [`marking`] | mark bytes and the queue, by two markers; the helpers |
//! | [`counter`] | a pin counter |
//! | [`settle`] | who frees what is let go of after the end of a heap |
//!
//! **That they can fail** is what [`sabotage`] shows: each access named there, and in the source by
//! [`ordering!`](crate::sync::ordering), is weakened to `Relaxed`, and each pair of steps named by
//! [`reordered!`](crate::sync::reordered) is swapped, one at a time, and a test must fail.
//!
//! A whole cycle beside a mutation has some hundred steps, so those models bear one preemption. Where a fault needs more, the
//! model takes the steps of the cycle that do not matter before the other threads begin, or after they have ended.
//!
//! Run by `cargo xtask loom`.

mod acquire;
mod counter;
mod cycles;
mod handover;
mod locks;
mod marking;
mod pins;
mod roots;
mod sabotage;
mod settle;
mod sweep;
mod weak;

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::cell::UnsafeCell;

use crate::collector::cycle;
use crate::collector::report::CycleCause;
use crate::collector::workers::Workers;
use crate::memory::{MODEL_SLOTS, SPAN_BYTES};
use crate::sync::Arc;
use crate::{Gc, GcCell, Heap, Mutator, Root, Trace, Tracer};

/// The environment variable that sets another bound on preemptions than each test does.
const PREEMPTIONS: &str = "LINCHPIN_LOOM_PREEMPTIONS";

/// The environment variable that asks for a short run, of so many interleavings of each model at most.
const QUICK: &str = "LINCHPIN_LOOM_QUICK";

/// The number that an environment variable holds, if there is one.
fn number(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

/// Runs `model` in every interleaving with so many preemptions at most, and prints how many those were.
fn explore(name: &str, preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let runs = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&runs);
    let model = std::sync::Arc::new(model);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(number(PREEMPTIONS).unwrap_or(preemptions));
    if let Some(most) = number(QUICK) {
        // Loom counts at checkpoints only.
        (builder.max_permutations, builder.checkpoint_interval) = (Some(most), most);
    }
    builder.max_branches = 100_000;
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        let model = std::sync::Arc::clone(&model);
        spawn(move || model()).join().unwrap();
    });
    let runs = runs.load(Ordering::Relaxed);
    assert!(runs > 1, "{name}: its threads never meet");
    println!("{name}: {runs} interleavings");
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
    cycle::run(heap.core(), &Workers::none(), CycleCause::Asked);
    mutator.join().unwrap()
}

/// A heap with room for more than any model allocates: none starts a cycle by growing.
fn heap(processors: usize) -> Arc<Heap> {
    Arc::new(Heap::builder().processors(processors).region_size(4 * SPAN_BYTES).build().unwrap())
}

/// A new object. In one place, and not inlined: each place might have a type information of its own otherwise, and objects that
/// are to share a span would not.
#[inline(never)]
fn thing<'gc>(mu: &Mutator<'gc>, content: u64, next: Option<Gc<'gc, Thing<'gc>>>) -> Gc<'gc, Thing<'gc>> {
    mu.alloc(Thing::new(content, next))
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
        let next = thing(mu, content, None);
        mu.root(thing(mu, content + 100, Some(next)))
    })
}

/// A root of a new object that leads nowhere.
fn lone(heap: &Heap, content: u64) -> Rooted {
    heap.mutate(|mu| mu.root(thing(mu, content, None)))
}

/// The mark byte of the object.
fn mark_of(heap: &Heap, object: Gc<'_, Thing<'_>>) -> u8 {
    heap.core().memory.region.mark(object.start().addr().get()).load(Ordering::Relaxed)
}

/// Whether the slot of the object is in use.
fn is_allocated(heap: &Heap, object: Gc<'_, Thing<'_>>) -> bool {
    mark_of(heap, object) != 0
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
