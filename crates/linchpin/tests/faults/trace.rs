//! A hand-written `Trace` that panics. The marker that runs it has lost what it was to trace, so the process ends, with a word
//! why, whichever marker it is.

use crate::process::in_own_process;
use linchpin::{Heap, Trace, Tracer};

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
