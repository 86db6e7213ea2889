//! What the tests of the program share: running it, scratch directories, file contents, and an
//! independent way to decompress.

// Each test binary has this module and uses a part of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use libz_sys as zlib;

/// The built program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_linchpin");

/// The program, to be run in `directory`.
pub(crate) fn linchpin(directory: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(directory);
    command
}

/// A shell that takes a script, to be run in `directory`.
pub(crate) fn shell(directory: &Path) -> Command {
    let mut command = Command::new("sh");
    command.current_dir(directory).arg("-c");
    command
}

/// What a command did.
pub(crate) struct Output {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Output {
    /// All of it, for the message of a failed assertion.
    pub(crate) fn text(&self) -> String {
        format!("{}\nstdout: {}\nstderr: {}", self.status, self.stdout, self.stderr)
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the command can be started");
    Output {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Says that a test was not run here, and why.
pub(crate) fn skipped(test: &str, reason: &str) {
    eprintln!("skipped: {test}: {reason}");
}

/// A directory that is removed with the value.
pub(crate) struct Directory(tempfile::TempDir);

impl Directory {
    /// A new one, empty.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory can be made"))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file in it.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).expect("a file can be written");
        path
    }

    /// The names in it, hidden ones too, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path())
            .expect("the directory can be read")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// A xorshift generator; the same seed gives the same numbers.
struct Numbers(u64);

impl Numbers {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Bytes that do not compress.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    (0..length).map(|_| (numbers.next() >> 32) as u8).collect()
}

/// Words that do.
pub(crate) fn prose(seed: u64, length: usize) -> Vec<u8> {
    const WORDS: [&str; 8] = ["heap ", "span ", "pin ", "cycle ", "sweep ", "root ", "mark ", "\n"];
    let mut numbers = Numbers::new(seed);
    let mut text = Vec::with_capacity(length + 8);
    while text.len() < length {
        text.extend_from_slice(WORDS[(numbers.next() >> 40) as usize % WORDS.len()].as_bytes());
    }
    text.truncate(length);
    text
}

/// Decompresses one gzip member with zlib, which must be all that `compressed` holds.
///
/// In one call with room to spare, unlike the program's own stream wrapper, so that the two do
/// not share their mistakes.
pub(crate) fn gunzip(compressed: &[u8]) -> Vec<u8> {
    let length = compressed.last_chunk::<4>().expect("a gzip trailer");
    let mut plain = vec![0; u32::from_le_bytes(*length) as usize + 64];
    let mut stream = std::mem::MaybeUninit::<zlib::z_stream>::zeroed();
    let raw = stream.as_mut_ptr();
    let size = size_of::<zlib::z_stream>() as i32;
    // SAFETY: the structure is zeroed and not moved until `inflateEnd`; 15 + 16 asks for gzip.
    let code = unsafe { zlib::inflateInit2_(raw, 15 + 16, zlib::zlibVersion(), size) };
    assert_eq!(code, zlib::Z_OK, "inflateInit2");
    // SAFETY: plain fields of a live structure, pointing to live slices of these lengths.
    unsafe {
        (*raw).next_in = compressed.as_ptr().cast_mut();
        (*raw).avail_in = compressed.len().try_into().expect("test files are small");
        (*raw).next_out = plain.as_mut_ptr();
        (*raw).avail_out = plain.len().try_into().expect("test files are small");
    }
    // SAFETY: the stream was initialised above and its slices are alive.
    let code = unsafe { zlib::inflate(raw, zlib::Z_FINISH) };
    // SAFETY: a live structure; the fields are plain numbers.
    let (unread, written) = unsafe { ((*raw).avail_in, (*raw).total_out) };
    // SAFETY: the stream was initialised above and is ended once.
    unsafe { zlib::inflateEnd(raw) };
    assert_eq!((code, unread), (zlib::Z_STREAM_END, 0), "one whole gzip member");
    plain.truncate(usize::try_from(written).expect("test files are small"));
    plain
}
