//! Orderings and orders of steps that are needed: weakened to `Relaxed`, or swapped, each makes a test fail.
//!
//! The names are those in the source, at [`ordering!`](crate::sync::ordering) and [`reordered!`](crate::sync::reordered).

use std::env;
use std::process::Command;

use super::QUICK;
use crate::sync::SABOTAGE;

/// An access, and a test that fails when it is weakened.
const WEAKENED: &[(&str, &str)] = &[
    // Taking and giving back a processor, handshakes.
    ("processor.enter", "acquire::one_has_the_processor_at_a_time"),
    ("processor.take", "acquire::one_has_the_processor_at_a_time"),
    ("processor.give_back", "acquire::one_has_the_processor_at_a_time"),
    ("processor.state", "acquire::a_handshake_waits_for_mutations_of_the_old_mode"),
    ("processor.answer", "acquire::a_handshake_waits_for_mutations_of_the_old_mode"),
    ("waiting.grant", "handover::a_waiting_thread_gets_the_processor_whole"),
    ("waiting.granted", "handover::a_waiting_thread_gets_the_processor_whole"),
    // Pointer fields and the barrier.
    ("cell.load", "cycles::a_newborn_is_whole_when_another_mutation_finds_it"),
    ("cell.store", "cycles::a_newborn_is_whole_when_another_mutation_finds_it"),
    ("barrier.store", "cycles::a_newborn_that_is_stored_is_whole_when_it_is_found"),
    ("barrier.replace", "cycles::a_newborn_that_is_swapped_in_is_whole_when_it_is_found"),
    // Mark bytes, by two markers and an allocator; and by the sweeper, which accesses them plainly.
    ("barrier.store", "marking::two_markers_and_an_allocator_miss_nothing"),
    // Root slots.
    ("root.add", "roots::a_newborn_is_whole_when_the_walk_finds_it"),
    ("root.walk", "roots::a_newborn_is_whole_when_the_walk_finds_it"),
    ("root.set", "roots::a_newborn_is_whole_when_a_root_leads_to_it"),
    ("root.get", "roots::a_newborn_is_whole_when_a_root_leads_to_it"),
    // Pin counters.
    ("pin.first", "counter::who_sees_a_pin_sees_the_object"),
    ("pin.local", "counter::who_sees_a_pin_sees_the_object"),
    ("pin.shared", "counter::who_sees_a_pin_sees_the_object"),
    ("pin.look_local", "counter::who_sees_a_pin_sees_the_object"),
    ("pin.look_shared", "counter::a_pin_that_comes_back_to_its_owner_is_seen"),
    ("pin.sum_local", "counter::a_pin_that_changes_halves_is_seen"),
    ("pin.sum_shared", "counter::who_sees_a_pin_sees_the_object"),
    ("unpin.local", "counter::a_pin_that_changes_halves_is_seen"),
    ("unpin.shared", "counter::a_pin_that_comes_back_to_its_owner_is_seen"),
    // Stripes.
    ("pin.stripe", "counter::a_first_pin_and_a_striped_one_are_both_counted"),
    ("pin.striped", "counter::a_first_pin_and_a_striped_one_are_both_counted"),
    ("pin.own", "counter::who_sees_a_pin_in_a_stripe_sees_the_object"),
    ("stripe.version", "counter::who_sees_a_pin_in_a_stripe_sees_the_object"),
    ("stripe.in_use", "counter::a_pin_in_the_last_stripe_is_seen"),
    ("stripe.shared_version", "counter::a_pin_in_the_last_stripe_is_seen"),
    ("stripe.look", "counter::who_sees_a_pin_in_a_stripe_sees_the_object"),
    // What is let go of after the end of a heap.
    ("settle.raise", "settle::nothing_that_is_let_go_of_is_overlooked"),
    ("settle.lower", "settle::nothing_that_is_let_go_of_is_overlooked"),
    ("settle.look", "settle::nothing_that_is_let_go_of_is_overlooked"),
    // The run hand-out against the sweeper.
    ("sweep.one", "sweep::the_next_cycle_waits_for_every_sweep"),
    ("sweep.in_flight", "sweep::the_next_cycle_waits_for_every_sweep"),
];

/// Two steps, and a test that fails when they are swapped.
const REORDERED: &[(&str, &str)] = &[
    // A thread answers a handshake, and only then hands its barrier buffer over.
    ("processor.hand_over", "cycles::a_buffer_is_handed_over_before_the_answer"),
    // A processor is given to a waiting thread when the queue's lock has been let go of.
    ("waiting.unlock", "handover::no_processor_is_given_to_who_has_left"),
    // Pin flags are lowered only when handshake 2 is through.
    ("cycle.pin_flags", "pins::a_pin_keeps_the_flag_of_its_span"),
    // The mark is declared over only when every processor is in `Off`.
    ("cycle.end_mark", "sweep::slots_are_handed_out_once"),
    // The sweep does not wait for the handshake to `Off`.
    ("cycle.switch_off", "sweep::a_sweep_waits_for_every_barrier"),
    // Who asks for pins is content with having looked at each stripe once.
    ("stripe.once", "counter::a_pin_that_goes_to_and_fro_is_seen"),
    // A marker looks behind a lock that it has not taken.
    ("lock.look", "locks::a_marker_looks_while_nobody_changes_anything"),
    // Who takes a lock shades what is behind it only when it gives it back.
    ("lock.shade", "locks::what_is_taken_out_by_a_writer_is_not_lost"),
    // The upgrade of a weak pointer in `Mark` does not shade.
    ("weak.shade", "weak::what_is_upgraded_is_not_lost"),
    // One in `Close` shades into the processor's buffer, after it has let go of the lock.
    ("weak.queue", "weak::an_upgrade_and_the_decision_agree"),
    // What is looked up in a weak map is not shaded.
    ("weak.contents", "weak::what_is_taken_out_of_a_map_is_not_lost"),
    // The same in `Close`, after letting go of the lock, into the processor's buffer.
    ("weak.contents_queue", "weak::a_map_and_the_decision_agree"),
    // That a mutation has come to a weak map does not put the decision off.
    ("weak.maps", "weak::a_map_that_moves_is_looked_at"),
    // The collector decides without the lock.
    ("weak.decide", "weak::an_upgrade_and_the_decision_agree"),
    // A span that is taken to be swept is counted when the class's lock has been let go of.
    ("sweep.count", "sweep::the_next_cycle_waits_for_every_sweep"),
];

/// Accesses whose ordering nothing notices when it is weakened, since something else orders the same; they keep it, as it costs
/// nothing where they are and says what is meant.
#[expect(dead_code, reason = "for the reader")]
const ORDERED_OTHERWISE: &[(&str, &str)] = &[
    (
        "queue.push, queue.pushed",
        "a processor's batches are pushed before it answers the closing round, and the round acquires that answer; batches of \
         markers are pushed by the thread that compares, or before its helpers have returned, which a lock orders",
    ),
    (
        "sweep.open, sweep.opened",
        "a span to sweep is found in a list that was filled, before, under the lock of its class, under which it is taken; who \
         sees the sweep opened too early finds the list empty, who sees it too late takes a fresh span",
    ),
];

/// Tests that take too long for a short run.
const SLOW: &[&str] = &["sweep::the_next_cycle_waits_for_every_sweep"];

#[test]
fn each_weakened_ordering_is_noticed() {
    each_is_noticed("weakened", WEAKENED);
}

#[test]
fn each_reordered_step_is_noticed() {
    each_is_noticed("reordered", REORDERED);
}

/// In processes of their own, since a model that fails leaves its thread in no good state.
fn each_is_noticed(how: &str, table: &[(&str, &str)]) {
    if env::var_os(SABOTAGE).is_some() {
        return;
    }
    let program = env::current_exe().unwrap();
    let quick = env::var_os(QUICK).is_some();
    let mut unnoticed = Vec::new();
    for (name, test) in table.iter().filter(|(_, test)| !quick || !SLOW.contains(test)) {
        let output = Command::new(&program)
            .args(["--exact", &format!("loom_tests::{test}"), "--test-threads=1", "--nocapture"])
            .env(SABOTAGE, name)
            // A short run of the models may end before they notice.
            .env_remove(QUICK)
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
            println!("{how} {name}: {test} fails");
        }
    }
    assert!(unnoticed.is_empty(), "{} of {} are not noticed: {unnoticed:#?}", unnoticed.len(), table.len());
}
