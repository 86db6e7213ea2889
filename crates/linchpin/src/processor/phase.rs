//! The mode of a processor, the phase of a heap, and the state word that packs them.

/// What a mutation owes the collector; see the table at the head of [`collector`](crate::collector).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    /// No mark runs.
    Off = 0,
    /// Between handshakes 1 and 2: every pointer that comes or goes is shaded.
    Arm = 1,
    /// Marking: what goes is shaded, what is born is black.
    Mark = 2,
    /// Marking, and the queues have run empty once.
    Close = 3,
}

/// The colour that cycle `cycle` marks with.
pub(crate) const fn colour_of_cycle(cycle: u64) -> u8 {
    1 + (cycle & 1) as u8
}

/// A heap's phase: the mode and colour that processors are to adopt, and a number that grows with every
/// handshake, so that an old phase is never mistaken for a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Phase(u64);

impl Phase {
    /// The phase of a new heap: no cycle has run, the colour is that of cycle 0.
    pub(crate) const FIRST: Self = Self(Mode::Off as u64);

    /// The phase after this one.
    #[must_use]
    pub(crate) fn next(self, mode: Mode, colour: u8) -> Self {
        Self(((self.number() + 1) << 3) | (u64::from(colour - 1) << 2) | mode as u64)
    }

    /// The same mode and colour under a new number, for a handshake that changes neither.
    #[must_use]
    pub(crate) fn repeated(self) -> Self {
        self.next(self.mode(), self.colour())
    }

    pub(crate) fn mode(self) -> Mode {
        match self.0 & 3 {
            0 => Mode::Off,
            1 => Mode::Arm,
            2 => Mode::Mark,
            _ => Mode::Close,
        }
    }

    pub(crate) fn colour(self) -> u8 {
        1 + ((self.0 >> 2) & 1) as u8
    }

    /// The colour of new objects: black in `Mark` and `Close`; in `Off` that of the last cycle, which is white in `Arm`.
    pub(crate) fn birth_colour(self) -> u8 {
        if self.mode() == Mode::Arm { 3 - self.colour() } else { self.colour() }
    }

    pub(crate) fn number(self) -> u64 {
        self.0 >> 3
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Who has a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// Nobody; any thread may take it.
    Idle = 0,
    /// A thread, for a mutation or a moment.
    Running = 1,
    /// The collector (or whoever resizes or ends the heap), for a moment.
    Held = 2,
    /// Nobody may: the heap has been told to use fewer.
    Retired = 3,
}

/// A processor's state word: the phase it has adopted, and who has it.
///
/// | from | to | by | how |
/// | --- | --- | --- | --- |
/// | `Idle` | `Running` | a thread that enters, or acts outside any mutation for a moment | compare-and-swap, acquire |
/// | `Running`, older phase | `Running`, newer phase | its thread, on entering | store, release |
/// | `Running` | `Idle` | its thread, on leaving, or when the moment is over | store, release |
/// | `Running` | `Running`, of another thread | a thread that leaves while others wait | none; the waiter's `granted`, release and acquire |
/// | `Idle` | `Held` | the collector, `set_processors`, the end of the heap | compare-and-swap, acquire |
/// | `Held` | `Idle`, newer phase | the collector, in answer to a handshake | store, release |
/// | `Held` | `Idle`, same phase | the end of the heap; who was to retire it, and found the limit raised meanwhile | store, release |
/// | `Held` | `Retired` | the collector or `set_processors`, under the phase lock | store, release |
/// | `Running` | `Retired` | a thread that has one that is to retire, under the phase lock | store, release |
/// | `Retired` | `Idle` | `set_processors`, under the phase lock | store, release |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State(u64);

impl State {
    #[inline(always)]
    pub(crate) fn new(phase: Phase, status: Status) -> Self {
        Self((phase.0 << 2) | status as u64)
    }

    pub(crate) fn phase(self) -> Phase {
        Phase(self.0 >> 2)
    }

    pub(crate) fn status(self) -> Status {
        match self.0 & 3 {
            0 => Status::Idle,
            1 => Status::Running,
            2 => Status::Held,
            _ => Status::Retired,
        }
    }

    /// The same phase, another holder.
    #[must_use]
    pub(crate) fn with(self, status: Status) -> Self {
        Self::new(self.phase(), status)
    }

    #[inline(always)]
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn phases_and_states_keep_their_parts() {
        let mut phase = Phase::FIRST;
        assert_eq!((phase.mode(), phase.colour()), (Mode::Off, colour_of_cycle(0)));
        for (number, mode) in [Mode::Arm, Mode::Mark, Mode::Close, Mode::Off].into_iter().enumerate() {
            let colour = 1 + (number as u8 & 1);
            let next = phase.next(mode, colour);
            assert_eq!((next.mode(), next.colour()), (mode, colour));
            assert_eq!(next.number(), phase.number() + 1);
            assert_eq!(next.birth_colour() == colour, mode != Mode::Arm);
            for status in [Status::Idle, Status::Running, Status::Held, Status::Retired] {
                let state = State::new(next, status);
                assert_eq!((state.phase(), state.status()), (next, status));
                assert_eq!(state.with(Status::Idle), State::new(next, Status::Idle));
            }
            phase = next;
        }
        assert_eq!([0, 1, 2, 3].map(colour_of_cycle), [1, 2, 1, 2]);
        assert_eq!(phase.repeated().mode(), Mode::Off);
        assert_eq!(phase.repeated().colour(), phase.colour());
        assert!(phase.repeated().number() > phase.number());
    }
}
