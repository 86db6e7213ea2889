//! Tables of side metadata: an entry for each granule or each unit, found by its number.
//!
//! An entry is an atomic, or made of atomics, for which zeroed memory is the first state. So a table is just a range of the
//! mapping, and only pages somebody has touched exist. Loom's atomics are not memory that can be mapped: under
//! `--cfg loom` a table has entries of its own, for every granule at which the models' objects start.

#[cfg(loom)]
pub(crate) use checked::{SideTable, View};
#[cfg(not(loom))]
pub(crate) use mapped::{SideTable, View};

#[cfg(not(loom))]
mod mapped {
    use std::ops::Range;
    use std::ptr::NonNull;

    use crate::memory::region::discard;
    use crate::sync::AtomicU8;

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
    use crate::sync::AtomicU8;

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
