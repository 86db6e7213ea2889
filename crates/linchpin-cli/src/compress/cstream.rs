//! zlib's stream structure, at an address of its own, shared by both directions.

use std::ffi::CStr;
use std::ptr::NonNull;

use libz_sys as zlib;

/// Asks zlib for the gzip format around the deflate format, with the largest window.
pub(crate) const GZIP_WINDOW_BITS: std::ffi::c_int = 15 + 16;

/// The size that zlib checks against its own idea of the structure.
pub(crate) const STRUCT_SIZE: std::ffi::c_int = size_of::<zlib::z_stream>() as std::ffi::c_int;

/// A `z_stream` on the malloc heap.
///
/// zlib keeps a pointer to the structure inside its own state, so it may not move; and C writes
/// to it behind Rust's back, so no Rust reference to it is ever made, only raw accesses.
pub(crate) struct CStream {
    raw: NonNull<zlib::z_stream>,
}

impl CStream {
    /// A structure of zeroes, which is how zlib is asked for its own allocator.
    pub(crate) fn zeroed() -> Self {
        let zeroed = Box::<zlib::z_stream>::new_zeroed();
        // The allocator fields are function pointers that Rust holds to be non-null: the value
        // stays behind a raw pointer until zlib has set them.
        let raw = NonNull::from(Box::leak(zeroed)).cast();
        Self { raw }
    }

    /// For calls into C. The fields may be used through it, without making references.
    pub(crate) fn raw(&mut self) -> *mut zlib::z_stream {
        self.raw.as_ptr()
    }

    /// Lets C write at most `window.len()` bytes to `window` during `call`; returns what the
    /// call returned and how many bytes it wrote.
    pub(crate) fn with_output(
        &mut self,
        window: &mut [u8],
        call: impl FnOnce(*mut zlib::z_stream) -> std::ffi::c_int,
    ) -> (std::ffi::c_int, usize) {
        let raw = self.raw();
        let room = clamp(window.len());
        // SAFETY: `raw` points to the structure that `self` owns, and the fields written are
        // plain data, valid in any state of the stream.
        unsafe {
            (*raw).next_out = window.as_mut_ptr();
            (*raw).avail_out = room;
        }
        let code = call(raw);
        // SAFETY: as above. The window is taken back, so that C holds no address of Rust's.
        let left = unsafe {
            (*raw).next_out = std::ptr::null_mut();
            std::mem::replace(&mut (*raw).avail_out, 0)
        };
        (code, (room - left) as usize)
    }

    /// Input that C has been given and has not read yet.
    pub(crate) fn unread(&self) -> usize {
        // SAFETY: `raw` points to the structure that `self` owns; the field is a plain number.
        unsafe { (*self.raw.as_ptr()).avail_in as usize }
    }

    /// What a zlib call failed with, in words.
    pub(crate) fn explain(&self, call: &str, code: std::ffi::c_int) -> anyhow::Error {
        // SAFETY: `raw` points to the structure that `self` owns; the field is null or set by zlib.
        let message = unsafe { (*self.raw.as_ptr()).msg };
        if message.is_null() {
            return anyhow::anyhow!("zlib's {call} failed with code {code}");
        }
        // SAFETY: zlib sets `msg` to static, terminated strings of its own only.
        let text = unsafe { CStr::from_ptr(message) }.to_string_lossy();
        anyhow::anyhow!("zlib's {call} failed with code {code}: {text}")
    }
}

impl Drop for CStream {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a leaked box of the same layout, and nobody frees it
        // but this. `MaybeUninit`, for the function pointers may still be null.
        drop(unsafe { Box::from_raw(self.raw.cast::<std::mem::MaybeUninit<zlib::z_stream>>().as_ptr()) });
    }
}

/// A length as zlib's type; what does not fit is simply offered in the next call.
pub(crate) fn clamp(length: usize) -> zlib::uInt {
    zlib::uInt::try_from(length).unwrap_or(zlib::uInt::MAX)
}

/// The checksum of gzip, carried on from `before` (0 at first).
pub(crate) fn crc32(before: u32, bytes: &[u8]) -> u32 {
    let mut sum = zlib::uLong::from(before);
    for piece in bytes.chunks(1 << 30) {
        // SAFETY: C reads `piece.len()` bytes from a live slice, during the call only.
        sum = unsafe { zlib::crc32(sum, piece.as_ptr(), clamp(piece.len())) };
    }
    // zlib keeps 32 bits in a wider type.
    sum as u32
}
