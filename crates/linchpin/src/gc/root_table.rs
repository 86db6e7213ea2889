//! Where a heap keeps its roots: slots that hold an object's address, in chunks that stay where they are.

use std::ptr::NonNull;

use crate::collector::mark::Tracer;
use crate::sync::{Arc, AtomicPtr, Mutex, Ordering, ordering};

const CHUNK: usize = if cfg!(loom) { 2 } else { 256 };

/// A slot: the start of a rooted object, or null while free.
pub(crate) type Slot = AtomicPtr<u8>;

/// All root slots of a heap.
#[derive(Default)]
pub(crate) struct RootTable {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// Each in an `Arc` (which, unlike a `Box`, may be moved while pointers lead into it), so that a slot's address
    /// holds as long as the heap does.
    chunks: Vec<Arc<[Slot]>>,
    free: Vec<NonNull<Slot>>,
    in_use: usize,
}

// SAFETY: the pointers lead to atomics in `chunks`, which the table owns and never gives up.
unsafe impl Send for Table {}

impl RootTable {
    /// Takes a free slot, which stays valid as long as the table, and makes it hold `object`.
    pub(crate) fn add(&self, object: NonNull<u8>) -> NonNull<Slot> {
        let mut table = self.table.lock();
        if table.free.is_empty() {
            let chunk: Arc<[Slot]> = (0..CHUNK).map(|_| Slot::new(std::ptr::null_mut())).collect();
            table.free.extend(chunk.iter().rev().map(NonNull::from));
            table.chunks.push(chunk);
        }
        let slot = table.free.pop().expect("a chunk was added if there was none");
        table.in_use += 1;
        // Release: pairs with the acquire in `visit_all` and in `Root::get`.
        // SAFETY: slots live as long as the table.
        unsafe { slot.as_ref() }.store(object.as_ptr(), ordering!(Release, "root.add"));
        slot
    }

    /// Frees a slot that `add` gave.
    pub(crate) fn remove(&self, slot: NonNull<Slot>) {
        let mut table = self.table.lock();
        // Relaxed: that the collector misses the change or sees it, both are right: who dropped the root has
        // shaded what it held.
        // SAFETY: slots live as long as the table.
        unsafe { slot.as_ref() }.store(std::ptr::null_mut(), Ordering::Relaxed);
        table.free.push(slot);
        table.in_use -= 1;
    }

    /// How many roots there are.
    pub(crate) fn len(&self) -> usize {
        self.table.lock().in_use
    }

    /// How many slots there are, with a root or without: what a walk over them takes.
    pub(crate) fn slots(&self) -> usize {
        self.table.lock().chunks.len() * CHUNK
    }

    /// Marks every rooted object. Roots come and go meanwhile: those made since the snapshot were shaded, or their
    /// objects are part of the snapshot or black; those dropped since were shaded.
    pub(crate) fn visit_all(&self, tracer: &mut Tracer<'_>) {
        // The chunks are taken under the lock, the slots are read without: roots may be made and dropped while a long
        // table is walked.
        let chunks = self.table.lock().chunks.clone();
        for chunk in chunks {
            for slot in &*chunk {
                // Acquire: pairs with the release in `add` and `Root::set`: the object is seen initialised.
                if let Some(object) = NonNull::new(slot.load(ordering!(Acquire, "root.walk"))) {
                    tracer.visit_root(object);
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_was_freed_is_used_again() {
        let roots = RootTable::default();
        let object = NonNull::from(&mut 7_u64).cast();
        let kept: Vec<_> = (1..CHUNK).map(|_| roots.add(object)).collect();
        for _ in 0..3 * CHUNK {
            let slot = roots.add(object);
            assert!(!kept.contains(&slot));
            roots.remove(slot);
        }
        assert_eq!(roots.table.lock().chunks.len(), 1);
        assert_eq!(roots.len(), kept.len());
    }
}
