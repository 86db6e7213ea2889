//! A heap buffer that only its pin keeps alive: the one way from the heap to C.
//!
//! The type owns the pin, so whoever owns a [`PinnedBytes`] may use its address, on any thread
//! and outside any mutation; nobody else has the address.

use std::io::{self, Read};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, anyhow};
use linchpin::{Heap, Pinner};

/// How many pins were taken and given back. All counters are touched by any thread, at any time;
/// relaxed, for they are figures and guard nothing.
#[derive(Default)]
pub(crate) struct PinTally {
    taken: AtomicU64,
    outstanding: AtomicU64,
    most_at_once: AtomicU64,
    wrong_counts: AtomicU64,
}

impl PinTally {
    /// Pins taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Pins held now.
    pub(crate) fn outstanding(&self) -> u64 {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// The most pins that were held at one time.
    pub(crate) fn most_at_once(&self) -> u64 {
        self.most_at_once.load(Ordering::Relaxed)
    }

    /// Buffers whose pin count in the heap was not 1 when they were given back.
    pub(crate) fn wrong_counts(&self) -> u64 {
        self.wrong_counts.load(Ordering::Relaxed)
    }

    fn take(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        let held = self.outstanding.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(held, Ordering::Relaxed);
    }
}

/// Bytes in the heap, alive and in place for as long as this value exists.
pub(crate) struct PinnedBytes<'run> {
    heap: &'run Heap,
    tally: &'run PinTally,
    pinner: Pinner,
    address: NonNull<u8>,
    length: usize,
}

impl<'run> PinnedBytes<'run> {
    /// Reads up to `capacity` bytes into a new heap buffer and pins it; `None` at the end of the
    /// source, which is the only reason for fewer bytes than `capacity`.
    pub(crate) fn read(
        heap: &'run Heap,
        tally: &'run PinTally,
        capacity: usize,
        source: &mut impl Read,
    ) -> anyhow::Result<Option<Self>> {
        let mut pinner = Pinner::new();
        let pinned = heap.mutate(|mu| -> anyhow::Result<_> {
            let (bytes, length) = mu
                .try_alloc_bytes_with(capacity, |buffer| read_full(source, buffer))
                .map_err(|reason| anyhow!("no room for a buffer in the heap: {reason}"))?;
            let length = length.context("cannot read it")?;
            if length == 0 {
                return Ok(None);
            }
            Ok(Some((pinner.pin(mu, bytes).cast::<u8>(), length)))
        })?;
        Ok(pinned.map(|(address, length)| {
            tally.take();
            Self { heap, tally, pinner, address, length }
        }))
    }

    /// Where the bytes are. Valid for [`length`](Self::length) bytes while `self` exists.
    pub(crate) fn address(&self) -> NonNull<u8> {
        self.address
    }

    /// How many bytes were read into the buffer.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The bytes, borrowed from the pin instead of from a mutation.
    pub(crate) fn as_slice(&self) -> &[u8] {
        // SAFETY: the buffer was allocated with at least `length` initialised bytes, bytes behind
        // a `Gc` never change, and the pin that `self` owns keeps them alive and in place.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.length) }
    }
}

impl Drop for PinnedBytes<'_> {
    fn drop(&mut self) {
        // Nobody else ever pinned this buffer, so the heap must count exactly our pin.
        if self.heap.pin_count(self.address.as_ptr().cast_const()) != 1 {
            self.tally.wrong_counts.fetch_add(1, Ordering::Relaxed);
        }
        self.pinner.unpin();
        self.tally.outstanding.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Fills the buffer unless the source ends first; returns how much was read.
fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
