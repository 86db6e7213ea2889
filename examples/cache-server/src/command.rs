//! What the commands do.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::reply::Replies;
use crate::store::{Expires, OnlyIf, SetError, SetOptions, Store, number};

/// What is to become of the connection after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on.
    Request,
    /// It ends.
    Close,
    /// The server ends.
    Shutdown,
}

/// Does what a request asks for, and writes the reply. (A long reply is sent in parts, hence the error.)
///
/// Commands of several keys do one after another: others may see the first done and the last not.
///
/// # Errors
/// If the client takes nothing any more.
pub fn execute<W: Write>(store: &Store, arguments: &[&[u8]], replies: &mut Replies<W>) -> io::Result<Next> {
    let Some((&name, arguments)) = arguments.split_first() else { return Ok(Next::Request) };
    let name = name.to_ascii_uppercase();
    match (&name[..], arguments) {
        (b"GET", [key]) => reply_value(store, key, replies),
        (b"SET", [key, value, options @ ..]) => match set_options(options) {
            Ok(options) => match store.set(key, value, options) {
                Ok(true) => replies.simple("OK"),
                Ok(false) => replies.null(),
                Err(error) => replies.error(&error.to_string()),
            },
            Err(error) => replies.error(error),
        },
        (b"MGET", [_, ..]) => {
            replies.array(arguments.len());
            for key in arguments {
                reply_value(store, key, replies);
                replies.send_if_much()?;
            }
        }
        (b"MSET", [_, ..]) if arguments.len().is_multiple_of(2) => {
            let mut pairs = arguments.chunks_exact(2);
            let outcome = pairs.try_for_each(|pair| store.set(pair[0], pair[1], SetOptions::default()).map(|_| ()));
            reply_outcome(outcome, replies, |replies, ()| replies.simple("OK"));
        }
        (b"DEL", [_, ..]) => reply_count(arguments, replies, |key| store.remove(key)),
        (b"EXISTS", [_, ..]) => reply_count(arguments, replies, |key| store.contains(key)),
        (b"INCR", [key]) => reply_outcome(store.add(key, 1), replies, Replies::integer),
        (b"DECR", [key]) => reply_outcome(store.add(key, -1), replies, Replies::integer),
        (b"EXPIRE", [key, time]) => expire(store, key, time, 1_000, replies),
        (b"PEXPIRE", [key, time]) => expire(store, key, time, 1, replies),
        // Rounded, as Redis does.
        (b"TTL", [key]) => reply_time(store, key, replies, |milliseconds| milliseconds.saturating_add(500) / 1_000),
        (b"PTTL", [key]) => reply_time(store, key, replies, |milliseconds| milliseconds),
        (b"PING", []) => replies.simple("PONG"),
        (b"PING" | b"ECHO", [text]) => replies.bulk(text),
        (b"DBSIZE", []) => replies.integer(store.size().entries as i64),
        (b"FLUSHALL", _) => reply_outcome(store.clear(), replies, |replies, ()| replies.simple("OK")),
        (b"INFO", _) => replies.bulk(info(store).as_bytes()),
        // The benchmark asks how it would be saved: not at all.
        (b"CONFIG", [get, name]) if get.eq_ignore_ascii_case(b"GET") => {
            let known = [&b"save"[..], b"appendonly"].into_iter().any(|known| name.eq_ignore_ascii_case(known));
            replies.array(if known { 2 } else { 0 });
            if known {
                replies.bulk(name);
                replies.bulk(if name.eq_ignore_ascii_case(b"save") { b"" } else { b"no" });
            }
        }
        (b"COMMAND", _) => replies.array(0),
        (b"QUIT", _) => {
            replies.simple("OK");
            return Ok(Next::Close);
        }
        (b"SHUTDOWN", _) => return Ok(Next::Shutdown),
        (name, _) => replies.error(&what_is_wrong(name)),
    }
    Ok(Next::Request)
}

/// Why there is no such command: the name, or the arguments.
fn what_is_wrong(name: &[u8]) -> String {
    const KNOWN: [&[u8]; 16] = [
        b"GET", b"SET", b"MGET", b"MSET", b"DEL", b"EXISTS", b"INCR", b"DECR", b"EXPIRE", b"PEXPIRE", b"TTL", b"PTTL",
        b"PING", b"ECHO", b"DBSIZE", b"CONFIG",
    ];
    let shown = name[..name.len().min(64)].escape_ascii().to_string();
    if KNOWN.contains(&name) {
        format!("ERR wrong number of arguments for '{}' command", shown.to_ascii_lowercase())
    } else {
        format!("ERR unknown command '{shown}'")
    }
}

fn reply_value<W: Write>(store: &Store, key: &[u8], replies: &mut Replies<W>) {
    if store.get(key, |value| replies.bulk(value)).is_none() {
        replies.null();
    }
}

fn reply_count<W: Write>(keys: &[&[u8]], replies: &mut Replies<W>, counts: impl Fn(&[u8]) -> bool) {
    replies.integer(keys.iter().filter(|key| counts(key)).count() as i64);
}

fn reply_outcome<W: Write, T>(
    outcome: Result<T, SetError>,
    replies: &mut Replies<W>,
    reply: impl FnOnce(&mut Replies<W>, T),
) {
    match outcome {
        Ok(value) => reply(replies, value),
        Err(error) => replies.error(&error.to_string()),
    }
}

fn reply_time<W: Write>(store: &Store, key: &[u8], replies: &mut Replies<W>, unit: impl Fn(u64) -> u64) {
    replies.integer(match store.expires(key) {
        None => -2,
        Some(Expires::Never) => -1,
        Some(Expires::In(milliseconds)) => i64::try_from(unit(milliseconds)).unwrap_or(i64::MAX),
    });
}

fn expire<W: Write>(store: &Store, key: &[u8], time: &[u8], unit: i64, replies: &mut Replies<W>) {
    match number(time).map(|time| time.checked_mul(unit)) {
        None => replies.error(&SetError::NotANumber.to_string()),
        Some(None) => replies.error("ERR invalid expire time"),
        Some(Some(time)) => {
            // What is to have expired in the past expires now.
            let outcome = store.expire(key, Expires::In(time.max(0) as u64));
            reply_outcome(outcome, replies, |replies, is_there| replies.integer(i64::from(is_there)));
        }
    }
}

/// The options behind `SET key value`.
fn set_options(mut options: &[&[u8]]) -> Result<SetOptions, &'static str> {
    const SYNTAX: &str = "ERR syntax error";
    let mut result = SetOptions::default();
    while let [option, rest @ ..] = options {
        options = rest;
        let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
        if is(b"NX") || is(b"XX") {
            let only_if = if is(b"NX") { OnlyIf::Absent } else { OnlyIf::Exists };
            if result.only_if.replace(only_if).is_some_and(|before| before != only_if) {
                return Err(SYNTAX);
            }
        } else if (is(b"EX") || is(b"PX")) && result.expires == Expires::Never {
            let [time, rest @ ..] = options else { return Err(SYNTAX) };
            options = rest;
            let time = number(time).ok_or("ERR value is not an integer or out of range")?;
            let time = time.checked_mul(if is(b"EX") { 1_000 } else { 1 }).filter(|time| *time > 0);
            result.expires = Expires::In(time.ok_or("ERR invalid expire time in 'set' command")? as u64);
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(result)
}

/// Figures, in the manner of Redis: a name and a value a line.
fn info(store: &Store) -> String {
    let (size, figures, heap) = (store.size(), store.figures(), store.heap().stats());
    let mut text = String::from("# Cache\r\n");
    let lines = [
        ("entries", size.entries as u64),
        ("entry_bytes", size.bytes as u64),
        ("expiry_items", size.expiry_items as u64),
        ("keyspace_hits", figures.hits.get()),
        ("keyspace_misses", figures.misses.get()),
        ("evicted_keys", figures.evicted.get()),
        ("revived_keys", figures.revived.get()),
        ("expired_keys", figures.expired.get()),
        ("heap_cycles", heap.cycles),
        ("heap_live_bytes", heap.live_bytes),
        ("heap_live_objects", heap.live_objects),
        ("heap_span_bytes", heap.span_bytes as u64),
        ("heap_processors", heap.processors as u64),
        ("heap_waits", heap.waits),
    ];
    for (name, value) in lines {
        // Writing into a string does not fail.
        let _ = write!(text, "{name}:{value}\r\n");
    }
    text
}
