//! The address sanitizer: memory that is used outside its bounds or its time, and leaks.
//!
//! What lies in the heap's region is one mapping to it: it knows the allocations of Rust and C, not the objects in the region.
//! For those there is the verifier's poison (`stress --paranoid`).

use anyhow::Result;

use super::{LeftOut, Options, Sanitizer};

const LEFT_OUT: [LeftOut; 8] = [
    ("refused_memory::", "bounds the address space, of which the sanitizer needs more than there is memory"),
    ("refused_threads::", "bounds the address space, of which the sanitizer needs more than there is memory"),
    ("heaps_that_keep_each_other_are_reported", "leaks two heaps, which is what it is about"),
    ("two_thousand_heaps_leave_nothing_behind", "measures memory, and the sanitizer keeps what is freed for a while"),
    ("a_payload_that_panics_does_not_end_the_sweep", "leaks the payload of a panic in the drop of a panic's payload"),
    (
        "mutations_that_end_out_of_order_end_the_process",
        "runs on a stack of its own, which the sanitizer does not know",
    ),
    ("what_is_forgotten_keeps_for_ever", "leaks what it forgets, which is what it is about"),
    ("memory::returning::tests::what_the_system_", "locks pages in memory, which the sanitizer's mlock does not do"),
];

pub(crate) fn run_all(options: &Options) -> Result<String> {
    let sanitizer = Sanitizer::new("address", "asan", "ASAN_OPTIONS", &LEFT_OUT)?;
    let planted = sanitizer.planted()?;
    planted.must_be_reported("use-after-free", "AddressSanitizer: heap-use-after-free")?;
    planted.must_be_reported("leak", "LeakSanitizer: detected memory leaks")?;
    planted.must_be_clean("ordered")?;
    sanitizer.run_all(options)
}
