//! The soundness bugs that other collectors and memory managers have had, tried here. `README.md` beside this file
//! is the table of them.
//!
//! Everything but [`tracing`], which has `Trace` implementations by hand, is safe code: what it reaches, any program can.

#![cfg(not(loom))]

#[path = "../common/mod.rs"]
mod common;

mod brands;
mod drops;
mod layout;
mod pins;
mod table;
mod threads;
mod tracing;

use std::env;
use std::fs::File;
use std::process::{Child, Command, Output, Stdio};

/// Set in a child process: the name of the test that is to do in it what may end a process.
const CHILD: &str = "LINCHPIN_FIELD_TEST_CHILD";

/// Runs `act` in a child process that runs nothing but the test `name`, and gives what became of it. In the child, `None`.
fn in_child(name: &str, act: impl FnOnce()) -> Option<Output> {
    in_child_with(name, Stdio::piped(), act)
}

/// As [`in_child`], with an error stream to which nothing can be written: it is a device without room.
fn unheard_in_child(name: &str, act: impl FnOnce()) -> Option<Output> {
    let full = File::options().write(true).open("/dev/full").expect("the system has a device without room");
    in_child_with(name, full.into(), act)
}

fn in_child_with(name: &str, error_stream: Stdio, act: impl FnOnce()) -> Option<Output> {
    if env::var(CHILD).is_ok_and(|child| child == name) {
        act();
        return None;
    }
    let child = Command::new(env::current_exe().expect("a test knows its program"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(error_stream)
        .spawn()
        .and_then(Child::wait_with_output)
        .expect("the test program starts again");
    Some(child)
}
