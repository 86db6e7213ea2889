//! Orderings that are needed: weakened to `Relaxed`, each makes a test fail.
//!
//! Not noticed so far: `root.add`, `root.walk` and `pin.look_shared`, weakened. The tests of `waiting.*` and `sweep.*`
//! are not exhaustive or ignored yet, so those are not in the table either.

use std::env;
use std::process::Command;

use crate::sync::WEAKEN;

/// The access, and the test that fails when it is weakened.
const WEAKENINGS: &[(&str, &str)] = &[
    ("processor.enter", "acquire::one_has_the_processor_at_a_time"),
    ("processor.take", "acquire::one_has_the_processor_at_a_time"),
    ("processor.give_back", "acquire::one_has_the_processor_at_a_time"),
    ("processor.state", "acquire::a_handshake_waits_for_mutations_of_the_old_mode"),
    ("processor.answer", "acquire::a_handshake_waits_for_mutations_of_the_old_mode"),
    ("cell.load", "cycles::a_newborn_is_whole_when_another_mutation_finds_it"),
    ("cell.store", "cycles::a_newborn_is_whole_when_another_mutation_finds_it"),
    ("barrier.replace", "cycles::a_newborn_is_whole_when_it_is_found"),
    ("settle.raise", "settle::nothing_that_is_let_go_of_is_overlooked"),
    ("settle.lower", "settle::nothing_that_is_let_go_of_is_overlooked"),
    ("settle.look", "settle::nothing_that_is_let_go_of_is_overlooked"),
    ("pin.first", "counter::who_sees_a_pin_sees_the_object"),
    ("pin.local", "counter::who_sees_a_pin_sees_the_object"),
    ("pin.look_local", "counter::who_sees_a_pin_sees_the_object"),
];

/// In processes of their own, since a model that fails leaves its thread in no good state.
#[test]
fn each_weakened_ordering_is_noticed() {
    if env::var_os(WEAKEN).is_some() {
        return;
    }
    let program = env::current_exe().unwrap();
    let mut unnoticed = Vec::new();
    for (name, test) in WEAKENINGS {
        let output = Command::new(&program)
            .args(["--exact", &format!("loom_tests::{test}"), "--test-threads=1", "--nocapture"])
            .env(WEAKEN, name)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("running 1 test"), "there is no test {test}: {text}");
        // Loom may also give up for reasons of its own, which tells nothing.
        let said = String::from_utf8_lossy(&output.stderr);
        let gave_up = said.contains("fully deterministic") || said.contains("exceeded maximum number of branches");
        if output.status.success() || gave_up {
            unnoticed.push((name, test));
        } else {
            println!("weakened {name}: {test} fails");
        }
    }
    assert!(unnoticed.is_empty(), "{} of {} are not noticed: {unnoticed:#?}", unnoticed.len(), WEAKENINGS.len());
}
