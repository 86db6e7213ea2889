//! The protocol keeps its promises, and each fault is found.

use linchpin_model::verdict::{BREAKING, BREAKING_PAIRS, HARMLESS, Verdict};
use linchpin_model::{Config, Fault, search};

/// More than any search here takes.
const LIMIT: usize = 10_000_000;

#[track_caller]
fn assert_clean(config: Config) {
    let outcome = search(&config, LIMIT);
    println!("{config}: {} states", outcome.states);
    if let Some(counterexample) = &outcome.counterexample {
        panic!("{config}, faults {:?}:\n{counterexample}", config.faults);
    }
    assert!(outcome.is_clean(), "more than {LIMIT} states");
}

fn assert_breaks(verdict: &Verdict) {
    assert!(verdict.breaks);
    let outcome = search(&verdict.config.with(verdict.faults), LIMIT);
    let Some(counterexample) = outcome.counterexample else {
        panic!("{:?} was not found in {} states", verdict.faults, outcome.states);
    };
    println!("{:?}: {} steps, {} states", verdict.faults, counterexample.steps.len(), outcome.states);
}

#[test]
fn the_protocol_keeps_its_promises() {
    assert_clean(Config { grey_at_end_counts: true, ..Config::SMALL });
}

#[test]
fn pins_keep_their_promises_on_one_processor() {
    let one = Config { processors: 1, grey_at_end_counts: true, full_buffers: true, ..Config::FLAGS };
    assert_clean(one);
}

#[test]
fn two_quiet_rounds_allow_to_shade_after_the_swap() {
    let two = Config { two_quiet_rounds: true, grey_at_end_counts: true, ..Config::SMALL };
    assert_clean(two.with(&[Fault::ShadeAfterSwap]));
}

/// The verdicts that are shown without pins, or by one processor; every `parts`-th of them, from `part` on, so that
/// they can be looked at in parallel.
fn assert_short_ones_break(part: usize, parts: usize) {
    let is_short = |verdict: &&Verdict| verdict.config.pins == 0 || verdict.config.processors == 1;
    BREAKING.iter().filter(is_short).skip(part).step_by(parts).for_each(assert_breaks);
}

#[test]
fn faults_are_found() {
    assert_short_ones_break(0, 2);
}

#[test]
fn more_faults_are_found() {
    assert_short_ones_break(1, 2);
}

#[test]
fn parts_that_others_stand_in_for_can_be_left_out() {
    // Handshake 2 not being awaited makes many states; that is left to the long form.
    let is_short = |verdict: &&Verdict| {
        verdict.config.pins == 0 && verdict.faults.len() == 1 && verdict.faults != [Fault::HandshakeTwoNotAwaited]
    };
    for verdict in HARMLESS.iter().filter(is_short) {
        assert!(!verdict.breaks);
        assert_clean(verdict.config.with(verdict.faults));
    }
}

#[test]
fn the_whole_table_holds() {
    for verdict in BREAKING.iter().chain(BREAKING_PAIRS) {
        assert_breaks(verdict);
    }
    for verdict in HARMLESS {
        assert_clean(verdict.config.with(verdict.faults));
    }
    assert_clean(Config::PINS);
}

#[test]
fn every_fault_has_a_verdict() {
    for &fault in Fault::ALL {
        let mut verdicts = BREAKING.iter().chain(HARMLESS);
        assert!(verdicts.any(|verdict| verdict.faults == [fault]), "{fault} has none");
    }
}
