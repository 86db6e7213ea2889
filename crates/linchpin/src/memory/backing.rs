//! What backs the region: pages that are there before they are used, and huge ones.
//!
//! The operating system gives a page when it is first written to, in the midst of an allocation. A heap may have them given in
//! advance instead, from the lowest addresses on, which are those that spans are taken from first; they count as resident, and what goes back in the background
//! leaves as many so ([`FreeSpans::retained`]).
//!
//! Huge pages are asked for where objects lie and where their mark bytes lie, which both are touched at random. Pin counters are left out:
//! two megabytes of them would come with the first pin.
//!
//! [`FreeSpans::retained`]: super::free_spans::FreeSpans::retained

use std::ptr::NonNull;

use rustix::io::Errno;
use rustix::mm::{Advice, madvise};

use super::SPAN_BYTES;
use super::region::Region;
use crate::error::BuildError;

impl Region {
    /// Asks for huge pages, wherever there are none yet. Where the system has none to give, nothing changes.
    pub(crate) fn ask_for_huge_pages(&self) {
        for (start, bytes) in self.objects_and_marks(self.units()) {
            // SAFETY: the range is part of the mapping; what lies there does not change.
            let _ = unsafe { madvise(start.as_ptr().cast(), bytes, Advice::LinuxHugepage) };
        }
    }

    /// Has the system give all pages of so many bytes, rounded up to whole units, and of their mark bytes.
    pub(crate) fn populate(&mut self, bytes: usize) -> Result<(), BuildError> {
        if bytes > self.bytes() {
            return Err(BuildError::PopulateTooLarge { requested: bytes, max: self.bytes() });
        }
        let units = bytes.div_ceil(SPAN_BYTES);
        if units == 0 {
            return Ok(());
        }
        for (start, bytes) in self.objects_and_marks(units) {
            // SAFETY: nobody else has the region yet, in which all is 0; pages of the mapping are what the range is made of.
            unsafe { populate(start, bytes) }
                .map_err(|error| BuildError::PopulateFailed { bytes, errno: error.raw_os_error() })?;
        }
        self.note_populated(units);
        Ok(())
    }
}

/// Has the system give the pages that begin in a range.
///
/// # Safety
/// The range begins with a page of a private anonymous mapping, and all pages that begin in it are part of that; they hold nothing but
/// zeros, and nobody else writes to them.
unsafe fn populate(start: NonNull<u8>, bytes: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    match unsafe { ask_for_pages(start, bytes) } {
        // Before Linux 5.14 it knows nothing of that, and a sandbox may forbid it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
            // SAFETY: the caller's promise.
            unsafe { touch(start, bytes) };
            Ok(())
        }
        outcome => outcome,
    }
}

/// The same, if it knows how to.
///
/// # Safety
/// If there is anything in the range, it is part of a mapping of the caller's.
unsafe fn ask_for_pages(start: NonNull<u8>, bytes: usize) -> Result<(), Errno> {
    loop {
        // SAFETY: the caller's promise; what lies there does not change.
        match unsafe { madvise(start.as_ptr().cast(), bytes, Advice::LinuxPopulateWrite) } {
            Err(Errno::INTR | Errno::AGAIN) => {}
            outcome => return outcome,
        }
    }
}

/// The same, by writing to them.
///
/// # Safety
/// As for [`populate`].
unsafe fn touch(start: NonNull<u8>, bytes: usize) {
    for offset in (0..bytes).step_by(rustix::param::page_size()) {
        // SAFETY: the caller's promise: it holds zero now. Volatile, lest a write that changes nothing be left out.
        unsafe { start.add(offset).write_volatile(0) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::memory::SPAN_GRANULES;
    use crate::{DebugSettings, Heap};

    /// How many bytes of a range have pages.
    fn resident(start: NonNull<u8>, bytes: usize) -> usize {
        let page = rustix::param::page_size();
        let word = size_of::<u64>();
        let mut pages = vec![0_u8; bytes / page * word];
        let map = std::fs::File::open("/proc/self/pagemap").unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&map, &mut pages, (start.addr().get() / page * word) as u64).unwrap();
        // The highest bit of each entry says so.
        pages.chunks_exact(word).filter(|entry| entry[word - 1] & 0x80 != 0).count() * page
    }

    #[test]
    fn what_is_populated_has_its_pages_and_nothing_else() {
        let mut region = Region::reserve(8 << 20).unwrap();
        let count = |region: &Region, units: usize| {
            region.objects_and_marks(units).map(|(start, bytes)| resident(start, bytes))
        };
        assert_eq!(count(&region, 128), [0, 0]);
        region.populate((1 << 20) - SPAN_BYTES + 1).unwrap();
        assert_eq!(count(&region, 16), [16 * SPAN_BYTES, 16 * SPAN_GRANULES]);
        assert_eq!(region.populated_units(), 16);
        // Not beyond a huge page, which a system may give whoever asks for a small one.
        let beyond = region.unit_start(32);
        assert_eq!(resident(beyond, 96 * SPAN_BYTES), 0);
        // SAFETY: nobody else has the region.
        unsafe { touch(beyond, 2 * SPAN_BYTES) };
        assert_eq!(resident(beyond, 2 * SPAN_BYTES), 2 * SPAN_BYTES);
    }

    /// The lowest page is never anybody's.
    #[test]
    fn what_the_system_refuses_is_told_of() {
        let page = rustix::param::page_size();
        let lowest = NonNull::without_provenance(std::num::NonZero::new(page).unwrap());
        // SAFETY: there is nothing.
        let refused = unsafe { ask_for_pages(lowest, page) }.unwrap_err();
        assert!([Errno::NOMEM, Errno::INVAL].contains(&refused), "{refused}");
    }

    /// A limit comes first.
    #[test]
    fn what_was_populated_goes_where_a_limit_asks_for_it() {
        let heap = Heap::builder().processors(1).memory_limit(4 << 20).populate(16 << 20).build().unwrap();
        assert!(heap.stats().resident_bytes >= 16 << 20);
        heap.collect();
        assert!(heap.stats().resident_bytes <= 4 << 20, "{}", heap.stats().resident_bytes);
    }

    #[test]
    fn nothing_is_populated_by_default_and_all_may_be() {
        for (asked, units) in [(0, 0), (2 << 20, 32)] {
            let heap = Heap::builder().region_size(2 << 20).populate(asked).build().unwrap();
            let memory = &heap.core().memory;
            assert_eq!(memory.with_free_spans(|free| (free.resident_units(), free.top())), (units, units));
            let [(start, bytes), _] = memory.region.objects_and_marks(32);
            assert_eq!(resident(start, bytes), units * SPAN_BYTES);
            heap.verify().unwrap();
        }
        let built = Heap::builder().region_size(2 << 20).populate((2 << 20) + 1).build();
        let error = BuildError::PopulateTooLarge { requested: (2 << 20) + 1, max: 2 << 20 };
        assert_eq!(built.unwrap_err(), error);
    }

    /// What a program has asked for is not surplus, but goes where it asks for that.
    #[test]
    fn what_was_populated_stays_until_memory_is_returned() {
        let heap = Heap::builder().processors(1).populate(16 << 20).build().unwrap();
        let free = || heap.core().memory.with_free_spans(|free| (free.in_use(), free.resident_units(), free.top()));
        heap.mutate(|mu| mu.alloc_slice_copy(&vec![1_u8; 24 << 20]).len());
        for _ in 0..5 {
            heap.collect();
        }
        while heap.core().memory.return_surplus().is_some() {}
        assert_eq!(free(), (0, 16 << 4, (24 << 4) + 1));
        heap.return_memory();
        assert_eq!(free().1, 0);
        heap.mutate(|mu| mu.alloc_slice_copy(&vec![1_u8; 1 << 20]).len());
    }

    /// Spans are taken from what has its pages, as long as there is some.
    #[test]
    fn what_was_populated_is_used_first() {
        let heap = Heap::builder().processors(1).populate(1 << 20).build().unwrap();
        let top = || heap.core().memory.with_free_spans(|free| free.top());
        let alloc = |bytes: usize| heap.mutate(|mu| _ = mu.alloc_slice_copy(&vec![1_u8; bytes]));
        (0..3).for_each(|_| alloc(5 * SPAN_BYTES - 100));
        assert_eq!(top(), 16);
        alloc(2 * SPAN_BYTES - 100);
        assert_eq!(top(), 17);
    }

    #[test]
    fn a_heap_that_is_poisoned_and_populated_finds_nothing() {
        let told = crate::sync::Arc::new(crate::sync::Mutex::new(0));
        let count = crate::sync::Arc::clone(&told);
        let heap = Heap::builder()
            .processors(1)
            .populate(4 << 20)
            .debug(DebugSettings::new().poison(true))
            .on_finding(move |_| *count.lock() += 1)
            .build()
            .unwrap();
        heap.mutate(|mu| mu.alloc_slice_copy(&vec![1_u8; 1 << 20]).len());
        heap.return_memory();
        assert_eq!(*told.lock(), 0);
        // A write to what was never used is one to free memory.
        let heap = Heap::builder().populate(4 << 20).debug(DebugSettings::new().poison(true)).on_finding({
            let told = crate::sync::Arc::clone(&told);
            move |_| *told.lock() += 1
        });
        let heap = heap.build().unwrap();
        // SAFETY: the unit is free, and nobody else has the heap.
        unsafe { heap.core().memory.region.unit_start(3).write(0) };
        heap.return_memory();
        assert_eq!(*told.lock(), 1);
    }

    /// Where the system gives huge pages to who asks, and has some, they are huge.
    #[test]
    fn huge_pages_are_asked_for_where_objects_and_mark_bytes_lie() {
        let flags = |start: NonNull<u8>| {
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let mut inside = false;
            let lines = maps.lines().find_map(|line| {
                if let Some((from, to)) = line.split_once(' ').and_then(|(range, _)| range.split_once('-'))
                    && let (Ok(from), Ok(to)) = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16))
                {
                    inside = (from..to).contains(&start.addr().get());
                }
                line.strip_prefix("VmFlags:").filter(|_| inside).map(str::to_owned)
            });
            lines.unwrap()
        };
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            eprintln!("skipped: this system has no huge pages to ask for");
            return;
        }
        for on in [false, true] {
            let heap = Heap::builder().region_size(64 << 20).huge_pages(on).build().unwrap();
            let region = &heap.core().memory.region;
            for (start, _) in region.objects_and_marks(1) {
                assert_eq!(flags(start).split_whitespace().any(|flag| flag == "hg"), on);
                assert_eq!(start.addr().get() % (2 << 20), 0, "where a huge page may begin");
            }
            let counter = NonNull::from(region.pin_counter(region.unit_start(0).addr().get())).cast();
            assert!(!flags(counter).split_whitespace().any(|flag| flag == "hg"));
        }
    }
}
