//! Tables of side metadata: an entry for each granule or each unit, found by its number.
//!
//! An entry is an atomic, or made of atomics, for which zeroed memory is the first state. So a table is just a range of the
//! mapping, and only pages somebody has touched exist. Loom's atomics are not memory that can be mapped: under
//! `--cfg loom` a table has entries of its own, for every granule at which the models' objects start.
//!
//! Where bytes are looked through, eight are loaded at a time. Rust has no such load beside stores to single ones: to mix sizes is not
//! defined. The machine has it, and so it is an instruction that the compiler knows nothing of, but that it does what eight relaxed loads
//! would: each byte of it is one that was stored, and their order says nothing. Where there is no such instruction, or a tool is to see
//! the loads, they are eight.

#[cfg(loom)]
pub(crate) use checked::{SideTable, View};
#[cfg(not(loom))]
pub(crate) use mapped::{SideTable, View};

#[cfg(not(loom))]
mod mapped {
    use std::ops::Range;
    use std::ptr::NonNull;

    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(any(miri, linchpin_tsan))))]
    use crate::memory::opaque_load::load_opaque;
    use crate::memory::region::discard;
    use crate::sync::{AtomicU8, Ordering};

    /// See the module head.
    pub(crate) struct SideTable<T> {
        /// Where an entry of number 0 would be, so that a number finds its entry by a shift and an add. Outside the mapping
        /// by itself; made and used by wrapping arithmetic, which keeps provenance.
        origin: *const T,
        /// The number of the first entry.
        first: usize,
        length: usize,
    }

    impl<T> SideTable<T> {
        /// The table of granules, numbered from `first` on.
        ///
        /// # Safety
        /// At `memory` there is room for so many entries, which is zeroed and this table's alone as long as it lives;
        /// a `T` may be all zeros.
        pub(crate) unsafe fn of_granules(memory: NonNull<u8>, first: usize, length: usize) -> Self {
            Self { origin: memory.as_ptr().cast::<T>().wrapping_sub(first), first, length }
        }

        /// The table of units, numbered from 0 on.
        ///
        /// # Safety
        /// As for `of_granules`.
        pub(crate) unsafe fn of_units(memory: NonNull<u8>, length: usize) -> Self {
            // SAFETY: the caller's promise.
            unsafe { Self::of_granules(memory, 0, length) }
        }

        /// Where the table begins in memory.
        pub(crate) fn start(&self) -> NonNull<u8> {
            NonNull::new(self.origin.wrapping_add(self.first).cast_mut())
                .expect("the mapping is not at address zero")
                .cast()
        }

        /// The entry of a number that the table has.
        #[inline(always)]
        pub(crate) fn get(&self, number: usize) -> &T {
            debug_assert!(number.wrapping_sub(self.first) < self.length);
            // SAFETY: the table has an entry for the number, zeroed when it was made, as long as `self`.
            unsafe { &*self.origin.wrapping_add(number) }
        }

        /// Gives the pages of the entries of these numbers back to the operating system, if it takes them.
        ///
        /// # Safety
        /// The entries are zeroed, and nobody changes them meanwhile.
        pub(crate) unsafe fn discard(&self, numbers: Range<usize>) {
            debug_assert!(numbers.start >= self.first && numbers.end - self.first <= self.length);
            let start = self.origin.wrapping_add(numbers.start).cast::<u8>().cast_mut();
            if let Some(start) = NonNull::new(start) {
                // SAFETY: the range is part of the table, and so of the mapping; zeros are what is there afterwards, too.
                _ = unsafe { discard(start, numbers.len() * size_of::<T>()) };
            }
        }

        /// The number of an entry, if it is one of this table.
        pub(crate) fn number_of(&self, entry: NonNull<T>) -> Option<usize> {
            let number = (entry.addr().get().wrapping_sub(self.origin.addr())) / size_of::<T>();
            (number.wrapping_sub(self.first) < self.length).then_some(number)
        }
    }

    /// All bits of the bytes that lie between those which are so far apart, of eight whose first is one of these; `None` if that is not the same for each eight.
    const fn between(apart: usize) -> Option<u64> {
        match apart {
            1 => Some(0),
            2 => Some(0xff00_ff00_ff00_ff00),
            4 => Some(0xffff_ff00_ffff_ff00),
            _ => None,
        }
    }

    /// A bit of the lowest byte that is 0, and perhaps of bytes above it; 0 if none is.
    const fn zero_byte(bytes: u64) -> u64 {
        bytes.wrapping_sub(0x0101_0101_0101_0101) & !bytes & 0x8080_8080_8080_8080
    }

    /// What finds an entry without a look at the table: for who keeps it at hand.
    pub(crate) struct View<T>(*const T);

    impl<T> View<T> {
        pub(crate) fn of(table: &SideTable<T>) -> Self {
            Self(table.origin)
        }

        /// The entry of a number that the table has.
        ///
        /// # Safety
        /// The table has an entry of that number, and is there as long as the reference.
        #[inline(always)]
        pub(crate) unsafe fn get<'a>(&self, number: usize) -> &'a T {
            // SAFETY: the caller's promise, as in the table's `get`.
            unsafe { &*self.0.wrapping_add(number) }
        }
    }

    impl SideTable<AtomicU8> {
        /// How many bytes of these numbers are 0 before the first that is not; they are loaded relaxed.
        #[inline(always)]
        pub(crate) fn zeros(&self, numbers: Range<usize>) -> usize {
            debug_assert!(numbers.start >= self.first && numbers.end - self.first <= self.length);
            let mut number = numbers.start;
            while numbers.end - number >= 8 {
                let bytes = self.load_eight(number);
                if bytes != 0 {
                    // Little-endian: the first byte is the lowest.
                    return number + bytes.trailing_zeros() as usize / 8 - numbers.start;
                }
                number += 8;
            }
            // Relaxed: the caller says what orders it.
            while number != numbers.end && self.get(number).load(Ordering::Relaxed) == 0 {
                number += 1;
            }
            number - numbers.start
        }

        /// How many numbers come before the first one, of those so far apart, whose byte is 0; all, if none is. They are loaded relaxed.
        #[inline(always)]
        pub(crate) fn until_zero(&self, numbers: Range<usize>, apart: usize) -> usize {
            let mut number = numbers.start;
            if let Some(between) = between(apart) {
                while numbers.end - number >= 8 {
                    // A byte that is between two of them is taken to be none that is 0.
                    let zero = zero_byte(self.load_eight(number) | between);
                    if zero != 0 {
                        return number + zero.trailing_zeros() as usize / 8 - numbers.start;
                    }
                    number += 8;
                }
            }
            while number < numbers.end && self.get(number).load(Ordering::Relaxed) != 0 {
                number += apart;
            }
            number.min(numbers.end) - numbers.start
        }

        /// The bytes of eight numbers that the table has, the first one lowest; see the module head.
        #[inline(always)]
        fn load_eight(&self, number: usize) -> u64 {
            #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(any(miri, linchpin_tsan))))]
            {
                // SAFETY: the table has these bytes.
                let bytes = unsafe { load_opaque(self.origin.wrapping_add(number).cast()) };
                u64::from_le(bytes as u64)
            }
            #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(any(miri, linchpin_tsan)))))]
            {
                // Relaxed: as in `zeros`.
                u64::from_le_bytes(std::array::from_fn(|index| self.get(number + index).load(Ordering::Relaxed)))
            }
        }

        /// Runs `f` on the bytes of these numbers, as plain memory that it changes.
        ///
        /// # Safety
        /// Nobody else accesses them meanwhile.
        #[inline(always)]
        pub(crate) unsafe fn with_plain_mut<R>(&self, numbers: Range<usize>, f: impl FnOnce(&mut [u8]) -> R) -> R {
            let length = numbers.len();
            // SAFETY: the range is part of the table, whose memory may be changed; the caller has it alone.
            f(unsafe { std::slice::from_raw_parts_mut(self.plain(numbers), length) })
        }

        #[inline(always)]
        fn plain(&self, numbers: Range<usize>) -> *mut u8 {
            debug_assert!(numbers.start >= self.first && numbers.end - self.first <= self.length);
            // Of the table's provenance, not of one entry's. `AtomicU8` has the layout of `u8`.
            self.origin.wrapping_add(numbers.start).cast::<u8>().cast_mut()
        }
    }
}

#[cfg(loom)]
mod checked {
    use std::mem::ManuallyDrop;
    use std::ops::Range;
    use std::ptr::NonNull;

    use crate::memory::{MODEL_SLOTS, SPAN_GRANULES};
    use crate::sync::{AtomicU8, Ordering};

    /// See the module head.
    pub(crate) struct SideTable<T> {
        entries: Box<[T]>,
        /// The number of the first entry.
        first: usize,
        /// How far apart the numbers of entries are.
        stride: usize,
    }

    impl<T: Default> SideTable<T> {
        fn new(first: usize, length: usize, stride: usize) -> Self {
            Self { entries: (0..length / stride).map(|_| T::default()).collect(), first, stride }
        }

        /// The table of granules, numbered from `first` on.
        ///
        /// # Safety
        /// None; the signature is that of the mapped table.
        pub(crate) unsafe fn of_granules(_: NonNull<u8>, first: usize, length: usize) -> Self {
            Self::new(first, length, SPAN_GRANULES / MODEL_SLOTS)
        }

        /// The table of units, numbered from 0 on.
        ///
        /// # Safety
        /// As for `of_granules`.
        pub(crate) unsafe fn of_units(_: NonNull<u8>, length: usize) -> Self {
            Self::new(0, length, 1)
        }
    }

    impl<T> SideTable<T> {
        /// The entry of a number that the table has.
        pub(crate) fn get(&self, number: usize) -> &T {
            let offset = number - self.first;
            assert!(offset.is_multiple_of(self.stride), "under loom objects are a quarter of a span in size");
            &self.entries[offset / self.stride]
        }

        /// The number of an entry, if it is one of this table.
        pub(crate) fn number_of(&self, entry: NonNull<T>) -> Option<usize> {
            let position = entry.addr().get().wrapping_sub(self.entries.as_ptr().addr()) / size_of::<T>();
            (position < self.entries.len()).then(|| self.first + position * self.stride)
        }
    }

    /// The table itself.
    pub(crate) struct View<T>(*const SideTable<T>);

    impl<T> View<T> {
        pub(crate) fn of(table: &SideTable<T>) -> Self {
            Self(table)
        }

        /// The entry of a number that the table has.
        ///
        /// # Safety
        /// The table is there as long as the reference.
        pub(crate) unsafe fn get<'a>(&self, number: usize) -> &'a T {
            // SAFETY: the caller's promise.
            unsafe { &*self.0 }.get(number)
        }
    }

    impl SideTable<AtomicU8> {
        /// How many bytes of these numbers are 0 before the first that is not. (Numbers without an entry are 0.)
        pub(crate) fn zeros(&self, numbers: Range<usize>) -> usize {
            let is_coloured = |&number: &usize| self.get(number).load(Ordering::Relaxed) != 0;
            let first = numbers.clone().step_by(self.stride).find(is_coloured);
            first.unwrap_or(numbers.end) - numbers.start
        }

        /// How many numbers come before the first one, of those so far apart, whose byte is 0; all, if none is.
        pub(crate) fn until_zero(&self, numbers: Range<usize>, apart: usize) -> usize {
            let first = numbers.clone().step_by(apart).find(|&number| self.get(number).load(Ordering::Relaxed) == 0);
            first.unwrap_or(numbers.end) - numbers.start
        }

        /// Runs `f` on the bytes of these numbers, as plain memory that it changes: loom fails if that races with any
        /// atomic access.
        ///
        /// # Safety
        /// None; the signature is that of the mapped table, and loom checks its promise. (Numbers without an entry are 0.)
        pub(crate) unsafe fn with_plain_mut<R>(&self, numbers: Range<usize>, f: impl FnOnce(&mut [u8]) -> R) -> R {
            let mut bytes = vec![0; numbers.len()];
            for number in numbers.clone().step_by(self.stride) {
                self.plainly(number, |byte| bytes[number - numbers.start] = *byte);
            }
            let outcome = f(&mut bytes);
            for number in numbers.clone().step_by(self.stride) {
                self.plainly(number, |byte| *byte = bytes[number - numbers.start]);
            }
            outcome
        }

        fn plainly(&self, number: usize, f: impl FnOnce(&mut u8)) {
            // SAFETY: loom's atomics are handles, without a `Drop`; a copy stands for the same one. (`with_mut` wants an
            // exclusive reference to the handle, which nobody has.)
            let mut handle = ManuallyDrop::new(unsafe { std::ptr::read(self.get(number)) });
            handle.with_mut(f);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::ptr::NonNull;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::SideTable;
    use crate::sync::AtomicU8;

    const FIRST: usize = 1003;

    proptest! {
        /// Against what looks at one byte after the other, from and up to wherever.
        #[test]
        fn bytes_are_looked_through_as_one_by_one(
            mut bytes in vec(prop_oneof![4 => Just(0_u8), 1 => 1..=2_u8, 1 => any::<u8>()], 1..200),
            flip in any::<bool>(),
            from in 0..200_usize,
            to in 0..200_usize,
            apart in prop_oneof![1..10_usize, Just(63_usize)],
        ) {
            if flip {
                // Mostly such that are not 0.
                bytes.iter_mut().for_each(|byte| *byte = if *byte == 0 { 1 } else if *byte < 3 { 0 } else { *byte });
            }
            let (from, to) = (from.min(bytes.len()), to.min(bytes.len()));
            let (from, to) = (from.min(to), from.max(to));
            let range = &bytes[from..to];
            let zeros = range.iter().position(|&byte| byte != 0).unwrap_or(range.len());
            let until_zero = range.iter().step_by(apart).position(|&byte| byte == 0);
            let until_zero = until_zero.map_or(range.len(), |steps| steps * apart);
            let memory = NonNull::from(&mut bytes[..]).cast();
            // SAFETY: there are so many bytes, and nobody else has them as long as the table; an atomic byte may be any.
            let table: SideTable<AtomicU8> = unsafe { SideTable::of_granules(memory, FIRST, bytes.len()) };
            prop_assert_eq!(table.zeros(FIRST + from..FIRST + to), zeros);
            prop_assert_eq!(table.until_zero(FIRST + from..FIRST + to, apart), until_zero);
        }
    }
}
