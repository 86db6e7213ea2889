//! Disturbances: what is right must be so whatever the timing.

use std::time::Duration;

use crate::heap::Core;
use crate::sync::{AtomicU64, Ordering, thread};

/// Below this many microseconds a delay is spun, since a sleep takes longer.
const SPIN_BELOW: u64 = 20;

/// Random numbers that any thread draws.
pub(crate) struct Dice {
    state: AtomicU64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&self, limit: u64) -> u64 {
        // Each draw is the state mixed, and moves the state on. Relaxed: nothing is ordered by it.
        let mut number = self.state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        number = (number ^ (number >> 31)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        number = (number ^ (number >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (number ^ (number >> 32)) % limit
    }
}

impl Core {
    /// With `delay_handshakes`, waits for a random time, or not at all.
    #[inline]
    pub(crate) fn delay_handshake(&self) {
        if self.config.debug.delay_handshakes != 0 {
            self.delay_at_random();
        }
    }

    #[cold]
    fn delay_at_random(&self) {
        let dice = &self.debug.dice;
        // Every other time not at all, so that what follows a delay is not always delayed too.
        if dice.below(2) == 0 {
            return;
        }
        let microseconds = dice.below(self.config.debug.delay_handshakes + 1);
        if microseconds < SPIN_BELOW {
            for _ in 0..microseconds * 50 {
                std::hint::spin_loop();
            }
        } else {
            thread::sleep(Duration::from_micros(microseconds));
        }
        // Relaxed: a figure.
        self.debug.delays.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{DebugSettings, Heap};

    fn draws(dice: &Dice) -> Vec<u64> {
        (0..32).map(|_| dice.below(1_000_000)).collect()
    }

    #[test]
    fn dice_follow_from_their_seed() {
        for seed in [0, 1, 7, u64::MAX] {
            assert_eq!(draws(&Dice::new(seed)), draws(&Dice::new(seed)), "one seed");
            assert_ne!(draws(&Dice::new(seed)), draws(&Dice::new(seed ^ 2)), "two seeds");
            let heap = Heap::builder().debug(DebugSettings::new().seed(seed)).build().unwrap();
            assert_eq!(draws(&heap.core().debug.dice), draws(&Dice::new(seed)), "the setting reaches the dice");
        }
    }

    /// How many handshakes of some cycles were delayed.
    fn delays(settings: DebugSettings) -> u64 {
        let heap = Heap::builder().processors(2).debug(settings.seed(3)).build().unwrap();
        for _ in 0..20 {
            heap.mutate(|mu| _ = mu.alloc(1_u64));
            heap.collect();
        }
        heap.core().debug.delays.load(Ordering::Relaxed)
    }

    #[test]
    fn handshakes_are_delayed_when_asked_for() {
        // Every other one or so, of at least four a cycle.
        assert!(delays(DebugSettings::new().delay_handshakes(10)) > 10);
        assert_eq!(delays(DebugSettings::new().delay_handshakes(0)), 0);
    }
}
