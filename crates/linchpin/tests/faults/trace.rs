//! A hand-written `Trace` that panics. The marker that runs it has lost what it was to trace, so the process ends, with a word
//! why, whichever marker it is.

use std::thread;

use crate::process::in_own_process;
use linchpin::{Gc, Heap, Root, Trace, Tracer};

/// Breaks the promise of `Trace` not to panic.
struct Careless;

// SAFETY: there is nothing to report; that it panics is what is tested here.
unsafe impl Trace for Careless {
    type Branded<'b> = Self;
    const NEEDS_TRACE: bool = true;

    fn trace(&self, _tracer: &mut Tracer<'_>) {
        panic!("careless");
    }
}

/// Collects a heap of so many processors in which a root leads to a careless object.
fn collect_carelessly(processors: usize) {
    let heap = Heap::builder().processors(processors).build().expect("a valid number of processors");
    let _root = heap.mutate(|mu| mu.root(mu.alloc(Careless)));
    heap.collect();
}

fn assert_tells_why(said: &str) {
    assert!(said.contains("careless"), "{said}");
    assert!(said.contains("linchpin: the collector panicked (a hand-written Trace must not panic)"), "{said}");
}

#[test]
fn a_trace_that_panics_ends_the_process() {
    let said = in_own_process("trace::a_trace_that_panics_ends_the_process", || collect_carelessly(1)).by_abort();
    assert_tells_why(&said);
}

/// The helpers wait for the marker that has unwound to run out of work.
#[test]
fn a_trace_that_panics_beside_helpers_ends_the_process() {
    let test = "trace::a_trace_that_panics_beside_helpers_ends_the_process";
    assert_tells_why(&in_own_process(test, || collect_carelessly(16)).by_abort());
}

/// Breaks the promise of `Trace` not to panic, on threads that help to mark only.
struct CarelessHelper;

// SAFETY: there is nothing to report; that it panics is what is tested here.
unsafe impl Trace for CarelessHelper {
    type Branded<'b> = Self;
    const NEEDS_TRACE: bool = true;

    fn trace(&self, _tracer: &mut Tracer<'_>) {
        assert!(!thread::current().name().is_some_and(|name| name.contains("-mark-")), "careless");
        // The collector's thread would be through before the helpers are awake.
        thread::yield_now();
    }
}

/// A helper gets work when another marker has a lot of it, and this one waits for some. Whether it comes to that in a cycle is
/// up to the system, so there are cycles until it has.
#[test]
fn a_trace_that_panics_in_a_helper_ends_the_process() {
    let test = "trace::a_trace_that_panics_in_a_helper_ends_the_process";
    let ended = in_own_process(test, || {
        let heap = Heap::builder().processors(16).build().expect("a valid number of processors");
        let _root: Root<[Gc<'static, CarelessHelper>]> =
            heap.mutate(|mu| mu.root(mu.alloc_slice_with(5000, |_| mu.alloc(CarelessHelper))));
        loop {
            heap.collect();
        }
    });
    let said = ended.by_abort();
    assert_tells_why(&said);
    assert!(said.contains("-mark-"), "it was no helper: {said}");
}

/// Also where the last cycle runs on the program's thread: in the drop of the heap.
#[test]
fn a_trace_that_panics_while_a_heap_is_dropped_ends_the_process() {
    let test = "trace::a_trace_that_panics_while_a_heap_is_dropped_ends_the_process";
    let ended = in_own_process(test, || {
        let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
        let _root = heap.mutate(|mu| mu.root(mu.alloc(Careless)));
        drop(heap);
    });
    assert_tells_why(&ended.by_abort());
}
