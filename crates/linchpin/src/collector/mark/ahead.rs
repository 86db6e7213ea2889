//! Fetching objects ahead of their trace.
//!
//! What a marker pops from its stack is often in no cache, and its trace would wait for memory. So it goes through a short ring first, and is asked
//! for when it enters. ARCHITECTURE.md has what that brings, and what it costs where all is in a cache already.

use std::ptr::NonNull;

use crate::collector::queue::Grey;

/// How many objects are fetched at a time: a power of two.
pub(super) const AHEAD: usize = if cfg!(loom) { 2 } else { 16 };

/// Grey objects on their way from the stack to their trace: first in, first out. Their memory is asked for when they come in.
pub(super) struct Ahead {
    objects: [Grey; AHEAD],
    first: usize,
    length: usize,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self { objects: [Grey(NonNull::dangling()); AHEAD], first: 0, length: 0 }
    }

    /// The next object to trace: the one that came in first, when as many wait as may, and another one takes its place, or the stack is empty.
    #[inline(always)]
    pub(super) fn next(&mut self, stack: &mut Vec<Grey>) -> Option<Grey> {
        while let Some(grey) = stack.pop() {
            if self.length == 0 && stack.is_empty() {
                // There is nothing to overlap with: the way of a list.
                return Some(grey);
            }
            prefetch(grey.0);
            let place = &mut self.objects[(self.first + self.length) % AHEAD];
            if self.length == AHEAD {
                self.first = (self.first + 1) % AHEAD;
                return Some(std::mem::replace(place, grey));
            }
            *place = grey;
            self.length += 1;
        }
        if self.length == 0 {
            return None;
        }
        let grey = self.objects[self.first];
        self.first = (self.first + 1) % AHEAD;
        self.length -= 1;
        Some(grey)
    }
}

impl Ahead {
    /// Puts those that wait back on the stack.
    pub(super) fn give_back(&mut self, stack: &mut Vec<Grey>) {
        stack.extend((0..self.length).map(|place| self.objects[(self.first + place) % AHEAD]));
        self.length = 0;
    }
}

/// Asks for an object's first line; a hint.
#[inline(always)]
fn prefetch(object: NonNull<u8>) {
    #[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
    // SAFETY: the instruction reads nothing that the program could notice, and takes any address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(object.as_ptr().cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, miri)))))]
    let _ = object;
}
