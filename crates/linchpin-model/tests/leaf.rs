//! Objects without pointers, which are shaded in `Arm` and `Mark` without being noted.

use linchpin_model::{Config, Fault, search};

const LIMIT: usize = 200_000_000;

#[track_caller]
fn assert_clean(config: Config) {
    let config = Config { leaf: true, grey_at_end_counts: true, ..config };
    assert!(config.is_possible());
    let outcome = search(&config, LIMIT);
    println!("{config}: {} states", outcome.states);
    if let Some(counterexample) = &outcome.counterexample {
        panic!("{config}:\n{counterexample}");
    }
    assert!(outcome.is_clean(), "more than {LIMIT} states");
}

#[test]
fn a_leaf_that_is_not_noted_is_not_lost() {
    assert_clean(Config::SMALL);
    assert_clean(Config::PINS);
    assert_clean(Config { full_buffers: true, ..Config::SMALL });
    assert_clean(Config::WEAK);
    assert_clean(Config::ASSISTS);
    for config in [Config::EPHEMERON, Config::NEW_MAPS, Config::ENTRIES, Config::ENTRIES_AND_WEAK] {
        assert_clean(Config { processors: 1, ..config });
        assert_clean(Config { processors: 1, full_buffers: true, ..config });
    }
}

#[test]
fn a_leaf_that_is_not_shaded_is_lost() {
    use Fault::{NoDeletionBarrierInMark, NoInsertionBarrierInArm, PlainStoreInArm};
    for fault in [NoDeletionBarrierInMark, NoInsertionBarrierInArm, PlainStoreInArm] {
        let outcome = search(&Config { leaf: true, ..Config::SMALL.with(&[fault]) }, LIMIT);
        assert!(outcome.counterexample.is_some(), "{fault}");
    }
}
