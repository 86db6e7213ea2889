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

/// At the beginning, before it has left a mark to them, it looks again after [`LOOK_AFTER`] if a core is free, so often: longer than a time slice.
const LOOKS_AT_FIRST: u32 = 5;

/// Whose the mark is that runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// The mutations', for so long.
    Mutations(Duration),
    /// That is not known yet: the collector's thread is to look again.
    Unknown,
    /// The collector's thread's.
    Thread,
}

/// How many of the cores are in use by mutations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cores {
    All,
    /// One is free, at the moment.
    Some,
    /// One is always free: there are not so many processors.
    Fewer,
}

/// The marks of one cycle, as they were left to mutations.
#[derive(Default)]
pub(super) struct Leaving {
    /// How much had been traced at the last look, if it has been left.
    traced: Option<u64>,
    /// How often in a row a core was free.
    free: u32,
    /// How often in a row too little had been traced.
    slow: u32,
}

impl Leaving {
    /// Whose turn it is to trace, where so much is traced by now.
    pub(super) fn turn(&mut self, kind: Kind, cores: Cores, traced: u64) -> Turn {
        let again = |misses: u32, is_one: bool| if is_one { misses + 1 } else { 0 };
        self.free = again(self.free, cores != Cores::All);
        let (pause, least, most_free, most_slow) = match kind {
            Kind::Small => (LOOK_AFTER, LEAST_TRACED, 1, 1),
            Kind::Calm if self.traced.is_none() && cores != Cores::All => {
                return if cores == Cores::Some && self.free < LOOKS_AT_FIRST { Turn::Unknown } else { Turn::Thread };
            }
            Kind::Calm => (LOOK_AFTER_CALM, LEAST_TRACED_CALM, MISSES, MISSES),
            Kind::Large => return Turn::Thread,
        };
        let is_slow = self.traced.replace(traced).is_some_and(|before| traced - before < least);
        self.slow = again(self.slow, is_slow);
        if self.free < most_free && self.slow < most_slow { Turn::Mutations(pause) } else { Turn::Thread }
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
            let mut turn = |traced: u64| leaving.turn(kind, Cores::All, 7 + traced);
            assert_eq!(turn(0), Turn::Mutations(pause), "they have not begun");
            assert_eq!(turn(least), Turn::Mutations(pause));
            if kind == Kind::Calm {
                for traced in [2 * least - 1, 3 * least - 2, 4 * least - 2, 5 * least - 3, 6 * least - 4] {
                    assert_eq!(turn(traced), Turn::Mutations(pause), "who has it in hand may have no core");
                }
            }
            assert_eq!(turn(7 * least - 5), if kind == Kind::Calm { Turn::Thread } else { Turn::Mutations(pause) });
            assert_eq!(turn(7 * least - 5), Turn::Thread, "nothing");
        }
        assert_eq!(Leaving::default().turn(Kind::Large, Cores::All, 0), Turn::Thread);
    }

    #[test]
    fn a_mark_is_left_to_nobody_where_a_core_is_free() {
        assert_eq!(Leaving::default().turn(Kind::Small, Cores::Some, 0), Turn::Thread);
        assert_eq!(Leaving::default().turn(Kind::Calm, Cores::Fewer, 0), Turn::Thread);
        let mut leaving = Leaving::default();
        for _ in 1..LOOKS_AT_FIRST {
            assert_eq!(leaving.turn(Kind::Calm, Cores::Some, 0), Turn::Unknown, "by chance, perhaps");
        }
        assert_eq!(leaving.turn(Kind::Calm, Cores::Some, 0), Turn::Thread);
        let mut leaving = Leaving::default();
        assert_eq!(leaving.turn(Kind::Calm, Cores::Some, 0), Turn::Unknown);
        let mut look = |cores, traced: u64| leaving.turn(Kind::Calm, cores, traced << 20) != Turn::Thread;
        assert!(look(Cores::All, 0));
        assert!(look(Cores::Some, 1) && look(Cores::Some, 2), "it may be the one that the look itself takes");
        assert!(look(Cores::All, 3) && look(Cores::Some, 4) && look(Cores::Some, 5) && !look(Cores::Some, 6));
    }
}
