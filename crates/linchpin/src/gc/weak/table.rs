//! Where a heap keeps its handles: by the address of the target.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ptr::NonNull;

use super::Handle;
use crate::gc::Gc;
use crate::memory::region::Region;
use crate::mutator::Mutator;
use crate::sync::{CachePadded, Mutex, Ordering};

/// Parts with a lock each, so that threads seldom meet, and the collector keeps nobody waiting for long.
const PARTS: usize = if cfg!(loom) { 1 } else { 64 };

/// A part with no more room than this keeps it.
const KEPT_ROOM: usize = 64;

/// The handle of each object that has one.
///
/// An entry does not keep the handle: it is a weak pointer itself, which the collector removes when nothing else leads to the
/// handle, or when the target is dead.
pub(crate) struct HandleTable {
    parts: [CachePadded<Mutex<Part>>; PARTS],
}

type Part = HashMap<usize, HandlePointer, BuildHasherDefault<AddressHasher>>;

/// The start of a handle.
#[derive(Clone, Copy)]
struct HandlePointer(NonNull<u8>);

// SAFETY: it leads to a handle, an object like any other.
unsafe impl Send for HandlePointer {}

impl Default for HandleTable {
    fn default() -> Self {
        Self { parts: std::array::from_fn(|_| CachePadded::new(Mutex::new(Part::default()))) }
    }
}

impl HandleTable {
    fn part(&self, target: NonNull<u8>) -> &Mutex<Part> {
        &self.parts[part_of(target.addr().get(), PARTS)]
    }

    /// The handle of an object.
    ///
    /// # Safety
    /// The mutation has the object in hand.
    pub(crate) unsafe fn find<'gc>(&self, mu: &Mutator<'gc>, target: NonNull<u8>) -> Option<Gc<'gc, Handle>> {
        let part = self.part(target).lock();
        let &HandlePointer(handle) = part.get(&target.addr().get())?;
        // Under the lock: else the entry might be removed, and another handle made, meanwhile.
        // SAFETY: an entry is removed when its handle is decided to be dead. One of a dead target is too, before another object can
        // have the address: so the handle is that of the object in hand.
        let lives = unsafe { mu.take_in_hand(handle) };
        // SAFETY: it lives, and is a handle.
        lives.then(|| unsafe { Gc::from_start(handle) })
    }

    /// The handle of an object: the one that was found after all, or else the new one.
    ///
    /// # Safety
    /// The mutation has the object in hand, and `new` is a handle of it.
    pub(crate) unsafe fn find_or_insert<'gc>(
        &self,
        mu: &Mutator<'gc>,
        target: NonNull<u8>,
        new: Gc<'gc, Handle>,
    ) -> Gc<'gc, Handle> {
        let mut part = self.part(target).lock();
        if let Some(&HandlePointer(found)) = part.get(&target.addr().get()) {
            // SAFETY: as in `find`.
            if unsafe { mu.take_in_hand(found) } {
                // SAFETY: as in `find`.
                return unsafe { Gc::from_start(found) };
            }
        }
        part.insert(target.addr().get(), HandlePointer(new.start()));
        new
    }

    /// Removes the entries of dead handles, and those of dead targets, whose handles it clears.
    pub(crate) fn clear_dead(&self, region: &Region, black: u8) {
        // Relaxed: all marks came before the decision, which has been taken on this thread.
        let lives = |address: usize| region.mark(address).load(Ordering::Relaxed) == black;
        for part in &self.parts {
            let mut part = part.lock();
            part.retain(|&target, &mut HandlePointer(handle)| {
                if !lives(handle.addr().get()) {
                    return false;
                }
                let keep = lives(target);
                if !keep {
                    // SAFETY: it is a handle, and lives.
                    unsafe { handle.cast::<Handle>().as_ref() }.clear();
                }
                keep
            });
            give_room_back(&mut part, KEPT_ROOM);
        }
    }

    /// How many entries there is room for.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn room(&self) -> usize {
        self.parts.iter().map(|part| part.lock().capacity()).sum()
    }

    /// Calls `f` with the address of each target and of its handle.
    pub(crate) fn for_each(&self, mut f: impl FnMut(usize, usize)) {
        for part in &self.parts {
            for (&target, HandlePointer(handle)) in &*part.lock() {
                f(target, handle.addr().get());
            }
        }
    }
}

/// Shrinks a table by address that has become much too large for what is in it; one with no more room than `kept` keeps it.
pub(crate) fn give_room_back<V>(part: &mut HashMap<usize, V, BuildHasherDefault<AddressHasher>>, kept: usize) {
    if part.capacity() > kept && part.len() < part.capacity() / 4 {
        part.shrink_to(part.len() * 2);
    }
}

/// No two objects have addresses with the same multiple of 16 below them, and often they are near one another: spread over all bits.
fn spread(address: usize) -> u64 {
    // The golden ratio as a fraction of 2^64 (Knuth, The Art of Computer Programming, volume 3, section 6.4).
    let product = (address as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ product >> 32
}

/// In which of so many parts an address is. Not by the bits by which the part's own table goes.
pub(crate) fn part_of(address: usize, parts: usize) -> usize {
    (spread(address) >> 40) as usize % parts
}

/// A hasher for one address.
#[derive(Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only addresses are hashed");
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = spread(address);
    }
}
