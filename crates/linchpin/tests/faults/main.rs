//! Faults: what the system refuses, what the program's own code does at the worst moment, and threads, heaps and processes
//! that end anywhere. Each ends in a clear error or carries on, and nothing is lost without a word.

#![cfg(not(loom))]

#[path = "../common/mod.rs"]
mod common;

mod finding_hook;
mod fork;
mod full_region;
mod leak_hook;
mod many_heaps;
mod panics;
mod process;
mod refused_memory;
mod refused_threads;
mod thread_ends;
mod trace;
