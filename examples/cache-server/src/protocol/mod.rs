//! What comes over the line: requests in RESP2, the Redis protocol, or inline.
//!
//! A request is an array of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`), or a line of words (`GET k\r\n`) for whom types by
//! hand. The parser is given all that has come and not been used yet, keeps nothing itself, and copies nothing. The limits hold before
//! the bytes are there: whoever announces too much is told so at once.

use std::fmt;

#[cfg(test)]
mod tests;

/// The most that a request may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of an argument.
    pub argument_bytes: usize,
    /// Arguments, the command's name among them.
    pub arguments: usize,
    /// Bytes of a whole request.
    pub request_bytes: usize,
    /// Bytes of a line: an inline request, or a length.
    pub line_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { argument_bytes: 16 << 20, arguments: 4096, request_bytes: 64 << 20, line_bytes: 16 << 10 }
    }
}

/// Why a request cannot be read. What comes after it cannot either, so the connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The number of arguments is no number, negative, or above the limit.
    ArgumentCount,
    /// The length of an argument is no number, negative, or above the limit.
    ArgumentLength,
    /// An argument does not begin with `$`, but with this.
    ExpectedBulk(u8),
    /// An argument is not followed by the end of a line.
    ArgumentEnd,
    /// A line is too long.
    LineLength,
    /// The request as a whole is too long.
    RequestLength,
    /// An inline request has quotes that do not close.
    Quotes,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ArgumentCount => f.write_str("invalid multibulk length"),
            Self::ArgumentLength => f.write_str("invalid bulk length"),
            Self::ExpectedBulk(byte) => write!(f, "expected '$', got '{}'", byte.escape_ascii()),
            Self::ArgumentEnd => f.write_str("an argument is longer than announced"),
            Self::LineLength => f.write_str("too big a line"),
            Self::RequestLength => f.write_str("too big a request"),
            Self::Quotes => f.write_str("unbalanced quotes in request"),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// A request that is there as a whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The command's name and its arguments; none for an empty line, which asks for nothing.
    pub arguments: Vec<&'a [u8]>,
    /// How many bytes it took.
    pub length: usize,
}

/// Reads the request that `input` begins with; `None` if it is not there as a whole.
///
/// # Errors
/// If what is there is no request, or announces more than the limits allow.
pub fn parse<'a>(input: &'a [u8], limits: &Limits) -> Result<Option<Request<'a>>, ProtocolError> {
    match input.first() {
        None => Ok(None),
        Some(b'*') => parse_array(input, limits),
        Some(_) => parse_inline(input, limits),
    }
}

/// What is left to read, and how far it is from the beginning.
struct Cursor<'a> {
    input: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    /// The line that comes next, without its end; `None` if that is not there.
    fn line(&mut self, limits: &Limits) -> Result<Option<&'a [u8]>, ProtocolError> {
        let rest = &self.input[self.position..];
        let looked_at = &rest[..rest.len().min(limits.line_bytes)];
        let Some(end) = looked_at.iter().position(|&byte| byte == b'\n') else {
            return if rest.len() < limits.line_bytes { Ok(None) } else { Err(ProtocolError::LineLength) };
        };
        self.position += end + 1;
        let line = &rest[..end];
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

fn parse_array<'a>(input: &'a [u8], limits: &Limits) -> Result<Option<Request<'a>>, ProtocolError> {
    let mut cursor = Cursor { input, position: 0 };
    let Some(line) = cursor.line(limits)? else { return Ok(None) };
    let count = number(&line[1..], limits.arguments).ok_or(ProtocolError::ArgumentCount)?;
    // Not for so many as are announced: they may never come.
    let mut arguments = Vec::with_capacity(count.min(16));
    for _ in 0..count {
        match input.get(cursor.position) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(&other) => return Err(ProtocolError::ExpectedBulk(other)),
        }
        let Some(line) = cursor.line(limits)? else { return Ok(None) };
        let length = number(&line[1..], limits.argument_bytes).ok_or(ProtocolError::ArgumentLength)?;
        let end = cursor.position + length;
        if end + 2 > limits.request_bytes {
            return Err(ProtocolError::RequestLength);
        }
        let Some(argument) = input.get(cursor.position..end) else { return Ok(None) };
        match input.get(end..end + 2) {
            None => return Ok(None),
            Some(b"\r\n") => {}
            Some(_) => return Err(ProtocolError::ArgumentEnd),
        }
        arguments.push(argument);
        cursor.position = end + 2;
    }
    Ok(Some(Request { arguments, length: cursor.position }))
}

/// Words that white space separates. A word in quotes may have white space in it, but no quotes: there are no escapes.
fn parse_inline<'a>(input: &'a [u8], limits: &Limits) -> Result<Option<Request<'a>>, ProtocolError> {
    let mut cursor = Cursor { input, position: 0 };
    let Some(line) = cursor.line(limits)? else { return Ok(None) };
    let mut arguments = Vec::new();
    let mut rest = line.trim_ascii_start();
    while let Some(&first) = rest.first() {
        let word;
        if first == b'"' || first == b'\'' {
            let end = rest[1..].iter().position(|&byte| byte == first).ok_or(ProtocolError::Quotes)? + 1;
            word = &rest[1..end];
            rest = &rest[end + 1..];
            if rest.first().is_some_and(|byte| !byte.is_ascii_whitespace()) {
                return Err(ProtocolError::Quotes);
            }
        } else {
            let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            word = &rest[..end];
            rest = &rest[end..];
        }
        if arguments.len() == limits.arguments {
            return Err(ProtocolError::ArgumentCount);
        }
        arguments.push(word);
        rest = rest.trim_ascii_start();
    }
    Ok(Some(Request { arguments, length: cursor.position }))
}

/// A number from 0 to `limit`, in digits and nothing else.
fn number(digits: &[u8], limit: usize) -> Option<usize> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut number = 0_usize;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(usize::from(digit - b'0'))?;
    }
    (number <= limit).then_some(number)
}
