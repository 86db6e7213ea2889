//! What goes back over the line: replies in RESP2, gathered until it is time to send them.

use std::io::{self, Write};

/// So many bytes are sent without waiting for the end of the requests that are at hand.
const SEND_BYTES: usize = 64 << 10;

/// Replies on their way to a client.
///
/// A mutation only ever writes into the buffer, which never waits; [`send`](Self::send) is for between mutations.
#[derive(Debug)]
pub struct Replies<W> {
    /// What has not been sent yet.
    pub buffer: Vec<u8>,
    to: W,
}

impl<W: Write> Replies<W> {
    /// Replies that go to `to`.
    pub fn new(to: W) -> Self {
        Self { buffer: Vec::new(), to }
    }

    /// Sends what there is.
    ///
    /// # Errors
    /// If the client takes nothing any more.
    pub fn send(&mut self) -> io::Result<()> {
        self.to.write_all(&self.buffer)?;
        self.buffer.clear();
        // One large reply should not take up memory for the rest of the connection.
        if self.buffer.capacity() > 4 * SEND_BYTES {
            self.buffer.shrink_to(SEND_BYTES);
        }
        Ok(())
    }

    /// Sends what there is if that is much.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_if_much(&mut self) -> io::Result<()> {
        if self.buffer.len() < SEND_BYTES { Ok(()) } else { self.send() }
    }

    /// A word: `+OK`.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text);
    }

    /// An error, whose text begins with its kind: `-ERR ...`. Line ends in it become spaces.
    pub fn error(&mut self, text: &str) {
        self.line(b'-', &text.replace(['\r', '\n'], " "));
    }

    /// A number.
    pub fn integer(&mut self, number: i64) {
        self.line(b':', &number.to_string());
    }

    /// Bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.line(b'$', &bytes.len().to_string());
        self.buffer.extend_from_slice(bytes);
        self.buffer.extend_from_slice(b"\r\n");
    }

    /// That there is nothing.
    pub fn null(&mut self) {
        self.buffer.extend_from_slice(b"$-1\r\n");
    }

    /// That so many replies follow which are one.
    pub fn array(&mut self, length: usize) {
        self.line(b'*', &length.to_string());
    }

    fn line(&mut self, kind: u8, text: &str) {
        self.buffer.push(kind);
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.extend_from_slice(b"\r\n");
    }
}
