//! Memory asked for before it is needed: hints, which change nothing but the time a program takes.

/// What is asked for at a time, in bytes.
pub(crate) const LINE_BYTES: usize = 64;

/// Asks for the cache line at an address, whatever is there.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
    // SAFETY: the instruction reads nothing that the program could notice, and takes any address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, miri)))))]
    let _ = address;
}
