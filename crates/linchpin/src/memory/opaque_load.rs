//! A load that the compiler knows nothing of.

/// Whatever a word holds. Where this is one instruction, as on x86-64 and aarch64, the word need not be aligned; and others may store to single bytes of it meanwhile: each
/// byte is one that was stored, as with relaxed loads of them all.
///
/// # Safety
/// The word is mapped, and aligned elsewhere.
#[inline(always)]
pub(crate) unsafe fn load_opaque(word: *const usize) -> usize {
    let value: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise; the instruction reads the word and changes nothing else.
    unsafe {
        std::arch::asm!("mov {}, [{}]", out(reg) value, in(reg) word, options(nostack, readonly, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("ldr {}, [{}]", out(reg) value, in(reg) word, options(nostack, readonly, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        // The next best thing: one load, which the compiler leaves alone.
        // SAFETY: the caller's promise.
        value = unsafe { word.read_volatile() };
    }
    value
}
