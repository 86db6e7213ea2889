//! What a lock behind a lock remembers.

/// When the contents of an inner lock were last traced, as far as it remembers; or that nobody will ever give it back.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Memory {
    /// Never.
    #[default]
    Never,
    /// In this cycle.
    ThisCycle,
    /// In the cycle before; or, as there are two colours, in the one before that.
    LastCycle,
    /// Its guard was forgotten, so nobody asks.
    Forgotten,
}

impl Memory {
    pub(crate) fn to_bits(self) -> u32 {
        self as u32
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        [Self::Never, Self::ThisCycle, Self::LastCycle, Self::Forgotten][bits as usize]
    }

    /// At the flip.
    pub(crate) fn grow_old(&mut self) {
        *self = match *self {
            Self::ThisCycle => Self::LastCycle,
            Self::LastCycle => Self::ThisCycle,
            same => same,
        };
    }
}
