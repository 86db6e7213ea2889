//! Decompressing an output again, to see that it holds what was read.

use std::io::Read;

use anyhow::{Context, ensure};
use libz_sys as zlib;

use super::cstream::{CStream, GZIP_WINDOW_BITS, STRUCT_SIZE, clamp, crc32};

/// How much is read and decompressed at a time.
const BUFFER: usize = 64 * 1024;

/// Length and checksum of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    /// How many bytes.
    pub(crate) length: u64,
    /// Their CRC-32.
    pub(crate) crc: u32,
}

impl Digest {
    /// Takes more bytes into account.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.crc = crc32(self.crc, bytes);
    }
}

/// Decompresses one gzip member, which must be all there is, and returns what it held.
pub(crate) fn digest_of_gzip(source: &mut impl Read) -> anyhow::Result<Digest> {
    let mut stream = Inflate::new()?;
    let mut digest = Digest::default();
    let mut input = vec![0; BUFFER];
    let mut output = vec![0; BUFFER];
    let mut complete = false;
    loop {
        let read = source.read(&mut input).context("cannot read the output back")?;
        if read == 0 {
            break;
        }
        let mut unread = &input[..read];
        while !unread.is_empty() {
            ensure!(!complete, "the output goes on after its end");
            let (used, written, ended) = stream.step(unread, &mut output)?;
            digest.add(&output[..written]);
            unread = &unread[used..];
            complete = ended;
        }
    }
    // zlib may have read everything and still hold bytes that did not fit the window.
    while !complete {
        let (_, written, ended) = stream.step(&[], &mut output)?;
        ensure!(written > 0 || ended, "the output ends early");
        digest.add(&output[..written]);
        complete = ended;
    }
    Ok(digest)
}

struct Inflate {
    stream: CStream,
}

impl Inflate {
    fn new() -> anyhow::Result<Self> {
        let mut stream = CStream::zeroed();
        // SAFETY: the structure is zeroed, which selects zlib's allocator and no input, and stays
        // where it is until `inflateEnd`; version and size are those of the bindings.
        let code = unsafe { zlib::inflateInit2_(stream.raw(), GZIP_WINDOW_BITS, zlib::zlibVersion(), STRUCT_SIZE) };
        if code != zlib::Z_OK {
            return Err(stream.explain("inflateInit2", code));
        }
        Ok(Self { stream })
    }

    /// Returns how much of `input` was read, how much of `window` written, and whether the
    /// member, its checksum compared, has ended.
    fn step(&mut self, input: &[u8], window: &mut [u8]) -> anyhow::Result<(usize, usize, bool)> {
        let offered = clamp(input.len());
        let stream = self.stream.raw();
        // SAFETY: the structure is alive, the fields are plain data. The address is only used by
        // the call below, during which `input` is borrowed; C does not write there.
        unsafe {
            (*stream).next_in = input.as_ptr().cast_mut();
            (*stream).avail_in = offered;
        }
        let (code, written) = self.stream.with_output(window, |stream| {
            // SAFETY: `new` initialised the stream; input and output are live slices.
            unsafe { zlib::inflate(stream, zlib::Z_NO_FLUSH) }
        });
        // A call that can do nothing says Z_BUF_ERROR, which is no error of the data.
        if ![zlib::Z_OK, zlib::Z_STREAM_END, zlib::Z_BUF_ERROR].contains(&code) {
            return Err(self.stream.explain("inflate", code));
        }
        let used = offered as usize - self.stream.unread();
        Ok((used, written, code == zlib::Z_STREAM_END))
    }
}

impl Drop for Inflate {
    fn drop(&mut self) {
        // SAFETY: `new` initialised the stream and nothing else ends it.
        unsafe { zlib::inflateEnd(self.stream.raw()) };
    }
}
