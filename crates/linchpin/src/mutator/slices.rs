//! Allocating slices, strings and buffers.

use std::fmt::{self, Write};
use std::mem::align_of;
use std::ptr::NonNull;

use smallvec::SmallVec;

use super::Mutator;
use crate::error::OutOfMemory;
use crate::gc::{Gc, Object, slice};
use crate::memory::SPAN_BYTES;
use crate::trace::{Allocate, Trace, owns_memory};

impl<'gc> Mutator<'gc> {
    /// Allocates a slice of copies.
    ///
    /// # Panics
    /// As [`alloc`](Self::alloc).
    pub fn alloc_slice_copy<T: Allocate<'gc> + Copy>(&self, source: &[T]) -> Gc<'gc, [T]> {
        self.expect_room(self.try_alloc_slice_copy(source))
    }

    /// Allocates a slice of copies.
    ///
    /// # Errors
    /// If the region is full.
    ///
    /// # Panics
    /// As [`try_alloc`](Self::try_alloc).
    pub fn try_alloc_slice_copy<T: Allocate<'gc> + Copy>(&self, source: &[T]) -> Result<Gc<'gc, [T]>, OutOfMemory> {
        let start = self.reserve_slice::<T>(source.len())?;
        // SAFETY: a fresh slice object with room for so many elements, which `T: Copy` lets us copy bytewise.
        unsafe {
            slice::elements::<T>(start).copy_from_nonoverlapping(NonNull::from(source).cast(), source.len());
            slice::set_length(start, source.len());
            Ok(Gc::from_start(start))
        }
    }

    /// Allocates a slice whose elements `make` makes, called with each index in turn. If it panics, what it has made
    /// is dropped later, by the collector.
    ///
    /// ```
    /// # use linchpin::{GcCell, Heap};
    /// # let heap = Heap::new();
    /// heap.mutate(|mu| {
    ///     let table = mu.alloc_slice_with(1000, |_| GcCell::null());
    ///     table[7].store(mu, mu.alloc(7_u64));
    ///     assert_eq!(table[7].load().map(|gc| *gc), Some(7));
    /// });
    /// ```
    ///
    /// # Panics
    /// As [`alloc`](Self::alloc).
    pub fn alloc_slice_with<T: Allocate<'gc>>(&self, length: usize, make: impl FnMut(usize) -> T) -> Gc<'gc, [T]> {
        self.expect_room(self.try_alloc_slice_with(length, make))
    }

    /// Allocates a slice whose elements `make` makes, called with each index in turn.
    ///
    /// # Errors
    /// If the region is full; `make` is not called then.
    ///
    /// # Panics
    /// As [`try_alloc`](Self::try_alloc).
    pub fn try_alloc_slice_with<T: Allocate<'gc>>(
        &self,
        length: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<Gc<'gc, [T]>, OutOfMemory> {
        let start = self.reserve_slice::<T>(length)?;
        let _busy = self.local().busy();
        for index in 0..length {
            let element = make(index);
            // SAFETY: a fresh slice object with room for `length` elements; the length is raised behind each
            // one, so a panic in `make` leaves a valid, shorter slice.
            let place = unsafe {
                let place = slice::elements::<T>(start).add(index);
                place.write(element);
                slice::set_length(start, index + 1);
                place
            };
            if const { owns_memory::<T>() } {
                // Not before the element is part of the slice, since it may unwind.
                // SAFETY: it has just been written, and nobody else has it.
                self.note_owned(unsafe { place.as_ref() }.owned_bytes());
            }
        }
        // SAFETY: all elements are initialised.
        Ok(unsafe { Gc::from_start(start) })
    }

    /// Allocates a slice of what an iterator yields.
    ///
    /// # Panics
    /// As [`alloc`](Self::alloc).
    pub fn alloc_slice_from_iter<T: Allocate<'gc>>(&self, elements: impl IntoIterator<Item = T>) -> Gc<'gc, [T]> {
        // The length must be known first, and an iterator's word for it cannot be trusted.
        let mut elements = elements.into_iter().collect::<Vec<T>>().into_iter();
        self.alloc_slice_with(elements.len(), |_| {
            elements.next().expect("a vector's iterator yields as many elements as it says")
        })
    }

    /// Allocates a copy of a string.
    ///
    /// # Panics
    /// As [`alloc`](Self::alloc).
    pub fn alloc_str(&self, text: &str) -> Gc<'gc, str> {
        let bytes = self.alloc_slice_copy(text.as_bytes());
        // SAFETY: the object holds the bytes of a `str`, laid out alike.
        unsafe { Gc::from_start(bytes.start()) }
    }

    /// Allocates a string of what is formatted.
    ///
    /// ```
    /// # let heap = linchpin::Heap::new();
    /// heap.mutate(|mu| assert_eq!(&*mu.alloc_fmt(format_args!("{} and {}", 1, 2)), "1 and 2"));
    /// ```
    ///
    /// # Panics
    /// As [`alloc`](Self::alloc); and if a formatting implementation returns an error, as `format!` does.
    pub fn alloc_fmt(&self, arguments: fmt::Arguments<'_>) -> Gc<'gc, str> {
        if let Some(text) = arguments.as_str() {
            return self.alloc_str(text);
        }
        // The length must be known first.
        let mut text = Text::default();
        text.write_fmt(arguments).expect("a formatting implementation returned an error");
        let bytes = self.alloc_slice_copy(&text.0);
        // SAFETY: the object holds the bytes of whole `str`s, one after another, laid out alike.
        unsafe { Gc::from_start(bytes.start()) }
    }

    /// Allocates a buffer of zeros and lets `fill` change it before it is shared; returns what `fill` returns, too.
    ///
    /// ```
    /// # use linchpin::Heap;
    /// # let heap = Heap::new();
    /// heap.mutate(|mu| {
    ///     let mut source = std::io::Cursor::new(b"some bytes");
    ///     let (buffer, read) = mu.alloc_bytes_with(4096, |buffer| std::io::Read::read(&mut source, buffer));
    ///     assert_eq!(&buffer[..read.unwrap()], b"some bytes");
    /// });
    /// ```
    ///
    /// # Panics
    /// As [`alloc`](Self::alloc).
    pub fn alloc_bytes_with<R>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> (Gc<'gc, [u8]>, R) {
        self.expect_room(self.try_alloc_bytes_with(length, fill))
    }

    /// Allocates a buffer of zeros and lets `fill` change it before it is shared.
    ///
    /// # Errors
    /// If the region is full; `fill` is not called then.
    ///
    /// # Panics
    /// As [`try_alloc`](Self::try_alloc).
    pub fn try_alloc_bytes_with<R>(
        &self,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<(Gc<'gc, [u8]>, R), OutOfMemory> {
        let start = self.reserve_slice::<u8>(length)?;
        // SAFETY: a fresh slice object with room for `length` bytes; nobody else knows it, so the exclusive
        // reference is the only one.
        let buffer = unsafe {
            let elements = slice::elements::<u8>(start);
            elements.write_bytes(0, length);
            slice::set_length(start, length);
            NonNull::slice_from_raw_parts(elements, length).as_mut()
        };
        let _busy = self.local().busy();
        let outcome = fill(buffer);
        // SAFETY: all bytes are initialised.
        Ok((unsafe { Gc::from_start(start) }, outcome))
    }

    /// A fresh slice object of length 0 with room for `length` elements.
    fn reserve_slice<T: Trace>(&self, length: usize) -> Result<NonNull<u8>, OutOfMemory> {
        const { assert!(align_of::<T>() <= SPAN_BYTES, "an alignment above 64 KiB is not supported") };
        let start = self.reserve_layout(<[T] as Object>::INFO, slice::layout_of_slice::<T>(length))?;
        // SAFETY: the slot is fresh and large enough for a header.
        unsafe { slice::set_length(start, 0) };
        Ok(start)
    }

    #[track_caller]
    fn expect_room<R>(&self, outcome: Result<R, OutOfMemory>) -> R {
        match outcome {
            Ok(done) => done,
            Err(reason) => self.out_of_memory(reason.requested_bytes),
        }
    }
}

/// Text that is being formatted; on the stack, if it is short.
#[derive(Default)]
struct Text(SmallVec<[u8; 256]>);

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0.extend_from_slice(part.as_bytes());
        Ok(())
    }
}
