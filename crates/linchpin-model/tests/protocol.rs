//! The protocol keeps its promises, and each fault is found.

use linchpin_model::config::{Promise, Promises, Violation};
use linchpin_model::verdict::{BREAKING, BREAKING_PAIRS, HARMLESS, TOGETHER, Verdict, WALKS};
use linchpin_model::{Config, Fault, search, search_on, walk};

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
    assert_clean(Config::PINS);
}

#[test]
fn weak_pointers_and_the_spare_keep_their_promises() {
    assert_clean(Config::WEAK);
    assert_clean(Config::WEAK_FIELDS);
    assert_clean(Config { pins: 1, ..Config::SPARE });
}

/// With two processors it takes longer, and is for the program; the table has that with a part left out.
#[test]
fn ephemerons_keep_their_promises() {
    for config in [Config::EPHEMERON, Config::NEW_MAPS, Config::ENTRIES, Config::ENTRIES_AND_WEAK] {
        let config = Config { grey_at_end_counts: true, ..config };
        assert_clean(Config { processors: 1, ..config });
        assert_clean(Config { objects: 1, full_buffers: true, ..config });
    }
}

#[test]
fn flags_of_pins_keep_their_promises() {
    let flags = Config { grey_at_end_counts: true, full_buffers: true, ..Config::FLAGS };
    assert_clean(Config { processors: 1, ..flags });
    assert_clean(Config { objects: 1, ..flags });
    assert_clean(Config { objects: 1, pins: 1, ..Config::ONE_SPAN });
}

#[test]
fn two_quiet_rounds_allow_to_shade_after_the_swap() {
    let two = Config { two_quiet_rounds: true, grey_at_end_counts: true, ..Config::SMALL };
    assert_clean(two.with(&[Fault::ShadeAfterSwap]));
}

#[test]
fn the_number_of_threads_makes_no_difference() {
    for config in [Config::SMALL, Config::SMALL.with(&[Fault::PlainStoreInArm])] {
        let [one, three] = [1, 3].map(|threads| search_on(threads, &config, LIMIT));
        assert_eq!((one.states, one.steps), (three.states, three.steps));
        assert_eq!(one.counterexample.map(|found| found.steps), three.counterexample.map(|found| found.steps));
    }
}

/// Every `PARTS`-th verdict of the whole table, from `part` on, so that they are looked at in parallel.
fn assert_verdicts(part: usize) {
    const PARTS: usize = 4;
    let table = BREAKING.iter().chain(BREAKING_PAIRS).chain(HARMLESS);
    for verdict in table.skip(part).step_by(PARTS) {
        if verdict.breaks {
            assert_breaks(verdict);
        } else {
            assert_clean(verdict.config.with(verdict.faults));
        }
    }
}

#[test]
fn the_first_quarter_of_the_table_holds() {
    assert_verdicts(0);
}

#[test]
fn the_second_quarter_of_the_table_holds() {
    assert_verdicts(1);
}

#[test]
fn the_third_quarter_of_the_table_holds() {
    assert_verdicts(2);
}

#[test]
fn the_last_quarter_of_the_table_holds() {
    assert_verdicts(3);
}

/// What is found by one of several promises is not found when none is checked, and is found by each alone.
#[test]
fn each_promise_is_needed() {
    for (promises, verdict) in TOGETHER {
        let config = verdict.config.with(verdict.faults);
        assert_clean(Config { ignored: Promises::of(promises), ..config });
        for &promise in *promises {
            let others: Vec<Promise> = promises.iter().copied().filter(|&other| other != promise).collect();
            let outcome = search(&Config { ignored: Promises::of(&others), ..config }, LIMIT);
            let violation = outcome.counterexample.map(|counterexample| counterexample.violation.promise());
            assert_eq!(violation, Some(promise), "{:?}", verdict.faults);
        }
    }
    for promise in Promise::ALL {
        assert!(TOGETHER.iter().any(|(promises, _)| promises.contains(&promise)), "{promise:?}");
    }
}

#[test]
fn further_parts_keep_their_promises() {
    assert_clean(Config::RESIZE);
    assert_clean(Config::HELPERS);
    assert_clean(Config { grey_at_end_counts: true, ..Config::ASSISTS });
    assert_clean(Config::ONE_SPAN);
    assert_clean(Config { grey_at_end_counts: true, ..Config::LOCKS });
    assert_clean(Config { full_buffers: true, ..Config::SMALL });
}

/// What is too much to search for is written down step by step, and breaks the promise of all: with the fault only.
#[test]
fn what_is_walked_breaks_the_protocol() {
    for (verdict, steps) in WALKS {
        assert!(verdict.breaks);
        let violation = walk(&verdict.config.with(verdict.faults), steps).map(Violation::promise);
        assert_eq!(violation, Some(Promise::NothingWhiteAtEnd), "{:?}", verdict.faults);
        let without = std::panic::catch_unwind(|| walk(&verdict.config, steps));
        let refusal = without.expect_err("each walk takes out a lock, which is made to forget");
        let refusal = refusal.downcast_ref::<String>().expect("it says which");
        assert!(refusal.contains("takes the inner lock of A out"), "{refusal}");
    }
}

#[test]
fn locks_behind_locks_keep_their_promises() {
    let all = Config { grey_at_end_counts: true, forgotten_guards: true, ..Config::INNER_LOCKS };
    assert_clean(Config { processors: 1, ..all });
    assert_clean(Config { objects: 1, ..all });
}

/// What each table says is what its verdicts say, and no fault stands in both.
#[test]
fn the_tables_do_not_contradict_each_other() {
    assert!(BREAKING.iter().chain(BREAKING_PAIRS).all(|verdict| verdict.breaks));
    assert!(HARMLESS.iter().all(|verdict| !verdict.breaks));
    for verdict in BREAKING {
        assert!(!HARMLESS.iter().any(|harmless| harmless.faults == verdict.faults), "{:?}", verdict.faults);
    }
    for pair in BREAKING_PAIRS {
        let stands_alone = |fault: &Fault| HARMLESS.iter().any(|harmless| harmless.faults == [*fault]);
        assert!(pair.faults.len() > 1 && pair.faults.iter().all(stands_alone));
    }
}

#[test]
fn every_fault_has_a_verdict() {
    for &fault in Fault::ALL {
        let mut verdicts = BREAKING.iter().chain(HARMLESS).chain(WALKS.iter().map(|(verdict, _)| verdict));
        assert!(verdicts.any(|verdict| verdict.faults == [fault]), "{fault} has none");
    }
}
