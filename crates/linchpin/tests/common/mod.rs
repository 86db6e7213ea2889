//! What the integration tests share: a ledger that counts drops one by one, garbage, and the
//! text of a caught panic.
#![allow(dead_code, reason = "each test program uses its own part of this module")]

pub(crate) mod gate;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use linchpin::{Heap, Trace};

/// Counts, entry by entry, how often the [`Counted`] values it gave out were dropped.
#[derive(Clone)]
pub(crate) struct Ledger {
    drops: Arc<Vec<AtomicU32>>,
}

impl Ledger {
    /// A ledger of `len` entries, none of them dropped.
    pub(crate) fn new(len: usize) -> Self {
        Self { drops: Arc::new((0..len).map(|_| AtomicU32::new(0)).collect()) }
    }

    /// The value whose drop is booked under `entry`. Give each entry out once.
    pub(crate) fn counted(&self, entry: usize) -> Counted {
        assert!(entry < self.drops.len(), "no such entry in the ledger");
        Counted { drops: Arc::clone(&self.drops), entry }
    }

    /// How often the value of `entry` was dropped.
    pub(crate) fn drops_of(&self, entry: usize) -> u32 {
        self.drops[entry].load(Ordering::SeqCst)
    }

    /// How many drops were booked in all.
    pub(crate) fn total(&self) -> u64 {
        self.drops.iter().map(|count| u64::from(count.load(Ordering::SeqCst))).sum()
    }

    /// Fails unless every entry was dropped exactly once.
    #[track_caller]
    pub(crate) fn assert_each_once(&self) {
        self.assert_each(1);
    }

    /// Fails if any entry was dropped.
    #[track_caller]
    pub(crate) fn assert_none(&self) {
        self.assert_each(0);
    }

    #[track_caller]
    fn assert_each(&self, expected: u32) {
        for (entry, count) in self.drops.iter().enumerate() {
            let count = count.load(Ordering::SeqCst);
            assert_eq!(count, expected, "entry {entry} was dropped {count} times");
        }
    }
}

/// A value whose drop is booked in the [`Ledger`] that gave it out.
#[derive(Trace)]
pub(crate) struct Counted {
    drops: Arc<Vec<AtomicU32>>,
    entry: usize,
}

impl Counted {
    /// The entry it was given out under.
    pub(crate) fn entry(&self) -> usize {
        self.entry
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops[self.entry].fetch_add(1, Ordering::SeqCst);
    }
}

/// Tells helper threads to stop; at the latest when the test that made them fails, so that a
/// failed test ends instead of hanging.
#[derive(Default)]
pub(crate) struct Stop(AtomicBool);

impl Stop {
    /// Whether the helpers are to stop.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Does `work` over and over until the helpers are to stop.
    pub(crate) fn until(&self, mut work: impl FnMut()) {
        while !self.is_set() {
            work();
        }
    }

    /// A value that sets the flag when it is dropped.
    pub(crate) fn on_drop(&self) -> impl Drop {
        StopOnDrop(self)
    }
}

struct StopOnDrop<'stop>(&'stop Stop);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Three words without pointers: the object of Go's pinner tests and benchmarks.
#[derive(Trace, Debug, PartialEq, Eq)]
pub(crate) struct Triple {
    pub(crate) x: i64,
    pub(crate) y: i64,
    pub(crate) z: i64,
}

impl Triple {
    /// A triple that can be told from those of other seeds.
    pub(crate) const fn of(seed: i64) -> Self {
        Self { x: seed, y: seed * 3 + 1, z: !seed }
    }
}

/// Allocates `objects` small objects of several sizes that nothing keeps, a thousand a mutation.
pub(crate) fn churn(heap: &Heap, objects: usize) {
    for first in (0..objects).step_by(1000) {
        heap.mutate(|mu| {
            for number in first..(first + 1000).min(objects) {
                match number % 3 {
                    0 => _ = mu.alloc(Triple::of(-1)),
                    1 => _ = mu.alloc_slice_with(number % 50, |_| u64::MAX),
                    _ => _ = mu.alloc(0xA5_u8),
                }
            }
        });
    }
}

/// Fails unless the heap holds no object at all.
#[track_caller]
pub(crate) fn assert_nothing_live(heap: &Heap) {
    let stats = heap.stats();
    assert_eq!(stats.live_bytes, 0);
    assert_eq!(stats.allocated_objects, stats.freed_objects);
    assert_eq!(stats.roots, 0);
}

/// Whether each byte is `fill`. Compares memory with memory, which is fast without optimisation, too.
pub(crate) fn is_filled(bytes: &[u8], fill: u8) -> bool {
    bytes.split_first().is_none_or(|(&first, rest)| first == fill && rest == &bytes[..rest.len()])
}

/// Runs `action`, which must panic, and gives the panic's text.
#[track_caller]
pub(crate) fn panic_text(action: impl FnOnce()) -> String {
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(()) => panic!("it did not panic"),
        Err(payload) => text_of(payload.as_ref()),
    }
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without text".to_owned()
    }
}

/// What the test program calls the test `name` of the calling module (`module_path!()`), for a child that is to run it
/// alone. The module is the program itself, or a part of a larger one.
pub(crate) fn full_test_name(module: &str, name: &str) -> String {
    match module.split_once("::") {
        Some((_, inner)) => format!("{inner}::{name}"),
        None => name.to_owned(),
    }
}
