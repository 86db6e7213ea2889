//! A safe wrapper of zlib's compressing stream that reads straight from pinned heap buffers.
//!
//! zlib is given the address of a buffer once and keeps it in `next_in` until it has read the
//! buffer's last byte, over as many calls as that takes. The wrapper owns the buffer's pin for
//! just as long, so nothing a caller does can take the memory away from C.

use libz_sys as zlib;

use super::cstream::{CStream, GZIP_WINDOW_BITS, STRUCT_SIZE};
use super::pinned::PinnedBytes;

/// What zlib's own `deflateInit` would choose.
const MEMORY_LEVEL: std::ffi::c_int = 8;

/// A gzip stream being written.
pub(crate) struct Deflate<'run> {
    stream: CStream,
    /// The buffer that `next_in` points into; `None` exactly when zlib has read all it was given.
    input: Option<PinnedBytes<'run>>,
}

/// What one step of the stream did.
pub(crate) struct Step {
    /// Bytes written to the window.
    pub(crate) written: usize,
    /// Whether the stream is complete, trailer included.
    pub(crate) complete: bool,
}

impl<'run> Deflate<'run> {
    /// Begins a stream; `level` is from 1 to 9.
    pub(crate) fn new(level: u8) -> anyhow::Result<Self> {
        let mut stream = CStream::zeroed();
        // SAFETY: the structure is zeroed, which selects zlib's allocator, and stays where it is
        // until `deflateEnd`; version and size are those the bindings were made from.
        let code = unsafe {
            zlib::deflateInit2_(
                stream.raw(),
                level.into(),
                zlib::Z_DEFLATED,
                GZIP_WINDOW_BITS,
                MEMORY_LEVEL,
                zlib::Z_DEFAULT_STRATEGY,
                zlib::zlibVersion(),
                STRUCT_SIZE,
            )
        };
        if code != zlib::Z_OK {
            return Err(stream.explain("deflateInit2", code));
        }
        Ok(Self { stream, input: None })
    }

    /// Whether zlib has read all that it was given.
    pub(crate) fn wants_input(&self) -> bool {
        self.input.is_none()
    }

    /// Hands the address of a buffer to zlib, which keeps it over the next steps.
    ///
    /// # Panics
    ///
    /// If zlib has not read the buffer before it yet.
    pub(crate) fn feed(&mut self, bytes: PinnedBytes<'run>) {
        assert!(self.wants_input(), "zlib still reads the buffer before this one");
        let length = zlib::uInt::try_from(bytes.length()).expect("buffers are far below 4 GiB");
        let stream = self.stream.raw();
        // SAFETY: the structure is alive, the fields are plain data. C reads `length` bytes from
        // the address until `avail_in` is 0 or the stream ends; `self.input` owns the pin until
        // `step` has seen the former or `drop` has made the latter true. C does not write there.
        unsafe {
            (*stream).next_in = bytes.address().as_ptr();
            (*stream).avail_in = length;
        }
        self.input = Some(bytes);
    }

    /// Lets zlib read on and fill `window`. With `finish`, what was fed is the last of the input;
    /// every later step must say so too.
    pub(crate) fn step(&mut self, window: &mut [u8], finish: bool) -> anyhow::Result<Step> {
        let flush = if finish { zlib::Z_FINISH } else { zlib::Z_NO_FLUSH };
        let (code, written) = self.stream.with_output(window, |stream| {
            // SAFETY: `new` initialised the stream; its output is `window`, its input the pinned
            // buffer in `self.input` or empty.
            unsafe { zlib::deflate(stream, flush) }
        });
        if code != zlib::Z_OK && code != zlib::Z_STREAM_END {
            return Err(self.stream.explain("deflate", code));
        }
        if self.stream.unread() == 0 {
            self.forget_input();
        }
        Ok(Step { written, complete: code == zlib::Z_STREAM_END })
    }

    /// Takes the address back from zlib, then gives the pin back.
    fn forget_input(&mut self) {
        let stream = self.stream.raw();
        // SAFETY: the structure is alive, the fields are plain data; with nothing available C
        // does not look at the address.
        unsafe {
            (*stream).next_in = std::ptr::null_mut();
            (*stream).avail_in = 0;
        }
        self.input = None;
    }
}

impl Drop for Deflate<'_> {
    fn drop(&mut self) {
        // SAFETY: `new` initialised the stream and nothing else ends it. The code only says
        // whether the stream was complete, which a failed job knows.
        unsafe { zlib::deflateEnd(self.stream.raw()) };
        self.forget_input();
    }
}
