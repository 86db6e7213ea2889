//! Whether the collector's thread leaves a mark to mutations, and for how long.
//!
//! Where mutations run on all cores, each moment in which that thread has one is a moment in which one of them has none, and the system gives it
//! for a whole time slice. So it leaves what they do well enough ([`relay`](super::relay)) to them, and looks after it now and then.

use std::time::Duration;

/// What kind of cycle one is, to those who may take its steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// It traces little: mutations take all its steps.
    Small,
    /// It traces more, but mutations allocate so slowly that they keep up with it: they trace its mark, in short pieces.
    Calm,
    /// Its mark is the collector's thread's.
    Large,
}

/// How long the collector's thread leaves a small cycle to mutations before it looks after it.
pub(super) const LOOK_AFTER: Duration = Duration::from_millis(1);

/// And the mark of a large one, in which there are hundreds of looks.
const LOOK_AFTER_CALM: Duration = Duration::from_millis(8);

/// Bytes that mutations trace at the least between two looks, or the collector's thread traces the rest itself: they may not allocate, or so
/// little that the goal is far.
const LEAST_TRACED: u64 = 256 << 10;
const LEAST_TRACED_CALM: u64 = 512 << 10;

/// So often in a row it has to look so when the collector's thread looks after the mark of a large cycle, that a core is free, or that too little is traced: the
/// system may have taken its core from a mutation's thread, between two mutations or in the midst of a piece, for this look perhaps.
const MISSES: u32 = 3;

/// And that a core is free, if it was so from the first look on.
const MISSES_AT_FIRST: u32 = 2;

/// The marks of one cycle, as they were left to mutations.
#[derive(Default)]
pub(super) struct Leaving {
    /// How much had been traced at the last look.
    traced: Option<u64>,
    looks: u32,
    /// How often in a row a core was free.
    free: u32,
    /// How often in a row too little had been traced.
    slow: u32,
}

impl Leaving {
    /// For how long the mark is left to mutations, of which so much is traced by now; `None` if it is not.
    pub(super) fn pause(&mut self, kind: Kind, are_cores_in_use: bool, traced: u64) -> Option<Duration> {
        let (pause, least, most_free, most_slow) = match kind {
            Kind::Small => (LOOK_AFTER, LEAST_TRACED, 1, 1),
            Kind::Calm => {
                let most_free = if self.free == self.looks { MISSES_AT_FIRST } else { MISSES };
                (LOOK_AFTER_CALM, LEAST_TRACED_CALM, most_free, MISSES)
            }
            Kind::Large => return None,
        };
        let is_slow = self.traced.replace(traced).is_some_and(|before| traced - before < least);
        let again = |misses: u32, is_one: bool| if is_one { misses + 1 } else { 0 };
        self.looks += 1;
        self.free = again(self.free, !are_cores_in_use);
        self.slow = again(self.slow, is_slow);
        (self.free < most_free && self.slow < most_slow).then_some(pause)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_left_to_mutations_again_if_they_have_traced_enough_since() {
        for (kind, pause, least) in
            [(Kind::Small, LOOK_AFTER, LEAST_TRACED), (Kind::Calm, LOOK_AFTER_CALM, LEAST_TRACED_CALM)]
        {
            let mut leaving = Leaving::default();
            assert_eq!(leaving.pause(kind, true, 7), Some(pause), "they have not begun");
            assert_eq!(leaving.pause(kind, true, 7 + least), Some(pause));
            if kind == Kind::Calm {
                for traced in [2 * least - 1, 3 * least - 2, 4 * least - 2, 5 * least - 3, 5 * least - 3] {
                    assert_eq!(
                        leaving.pause(kind, true, 7 + traced),
                        Some(pause),
                        "who has it in hand may have no core"
                    );
                }
            }
            let traced = 7 + 6 * least - 4;
            assert_eq!(leaving.pause(kind, true, traced), if kind == Kind::Calm { None } else { Some(pause) });
            assert_eq!(leaving.pause(kind, true, traced), None, "nothing");
        }
        assert_eq!(Leaving::default().pause(Kind::Large, true, 0), None);
    }

    #[test]
    fn a_mark_is_left_to_nobody_where_a_core_is_free() {
        assert_eq!(Leaving::default().pause(Kind::Small, false, 0), None);
        let mut leaving = Leaving::default();
        assert_eq!(leaving.pause(Kind::Calm, false, 0), Some(LOOK_AFTER_CALM), "once may be by chance");
        assert_eq!(leaving.pause(Kind::Calm, false, 0), None);
        let mut leaving = Leaving::default();
        let mut look =
            |are_cores_in_use, traced: u64| leaving.pause(Kind::Calm, are_cores_in_use, traced << 20).is_some();
        assert!(look(true, 0));
        assert!(look(false, 1) && look(false, 2), "it may be the one that the look itself takes");
        assert!(look(true, 3) && look(false, 4) && look(false, 5) && !look(false, 6));
    }
}
