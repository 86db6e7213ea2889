//! `--paranoid`: the heap's verifier and all of its disturbances, and exact verifications now and then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use linchpin::{DebugSettings, Heap, Verify};

use super::Run;
use super::numbers::Numbers;

/// Calls of [`Heap::verify`] so far. Relaxed: a figure.
static EXACT: AtomicU64 = AtomicU64::new(0);

/// All settings, at strengths that follow from the seed.
pub(crate) fn settings(seed: u64) -> DebugSettings {
    let mut numbers = Numbers::new(seed, u64::MAX - 2);
    // From every few allocations to every ten thousand, so that cycles are sometimes dense and sometimes find much.
    let every = (1 + numbers.below(9)) as u64 * 10_u64.pow(numbers.below(5) as u32);
    let delay = (10_u64.pow(numbers.below(4) as u32) * (1 + numbers.below(9)) as u64 / 3).max(1);
    DebugSettings::new()
        .verify(Verify::Strict)
        .poison(true)
        .collect_every(every)
        .delay_handshakes(delay)
        .move_mutations(true)
        .seed(seed)
}

/// Verifies the whole heap; with `objects`, so many must be there.
pub(crate) fn verify(heap: &Heap, objects: Option<u64>) -> Result<(), String> {
    EXACT.fetch_add(1, Ordering::Relaxed);
    let report = heap.verify().map_err(|error| error.to_string())?;
    match objects {
        Some(expected) if report.objects != expected => {
            Err(format!("the verifier has found {} objects, not {expected}", report.objects))
        }
        _ => Ok(()),
    }
}

/// Calls of [`verify`] so far.
pub(crate) fn exact_verifications() -> u64 {
    EXACT.load(Ordering::Relaxed)
}

/// Verifies the heap, with all its threads at work, until the run stops.
pub(crate) fn verify_now_and_then(run: &Run, mut numbers: Numbers) {
    while !run.stopped() {
        if let Err(problem) = verify(&run.heap, None) {
            run.problem(problem);
        }
        std::thread::sleep(Duration::from_millis(numbers.below(200) as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each disturbance is there with every seed, and the strengths differ.
    #[test]
    fn every_seed_switches_everything_on() {
        let mut delays = std::collections::BTreeSet::new();
        for seed in 0..1000 {
            let text = settings(seed).to_string();
            let number = |name: &str| -> u64 {
                let value = text.split(',').find_map(|item| item.strip_prefix(name)).expect(name);
                value.parse().expect("a number")
            };
            assert!(text.starts_with("verify=strict,poison,") && text.contains(",move_mutations,"), "{text}");
            assert!(number("collect_every=") > 0 && number("delay_handshakes=") > 0, "{text}");
            assert_eq!(number("seed="), seed);
            delays.insert(number("delay_handshakes="));
        }
        assert!(delays.len() > 20, "{delays:?}");
    }
}
