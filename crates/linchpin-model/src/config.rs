//! What is searched: the size of the model, what is wrong with it, and which promises it is to keep.

use std::fmt;

use crate::fault::{Fault, Faults};
use crate::object::{Named, Object};

/// How large the model is, and what is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Slots for objects: 1 to 3.
    pub objects: usize,
    /// Processors: 1 to 3.
    pub processors: usize,
    /// How many objects may be pinned at the same time.
    pub pins: usize,
    /// Whether only flagged spans are walked for pins; else all are.
    pub pin_flags: bool,
    /// Whether a barrier buffer may be full in the middle of a mutation.
    pub full_buffers: bool,
    /// Whether there is a weak root: a weak pointer that any mutation may upgrade and set.
    pub weak_root: bool,
    /// Whether each object has a weak pointer field as well.
    pub weak_fields: bool,
    /// Whether the last processor is the spare: it runs no mutation, and is held for a moment to drop a root or to unpin.
    pub spare: bool,
    /// Whether a mark ends only after two closing rounds in a row that brought nothing.
    pub two_quiet_rounds: bool,
    /// Whether a grey object at the end of a mark breaks a promise by itself, whatever it leads to.
    pub grey_at_end_counts: bool,
    /// What is wrong.
    pub faults: Faults,
}

impl Config {
    /// Two objects and two processors, no pins: the smallest that tells nearly all faults.
    pub const SMALL: Self = Self {
        objects: 2,
        processors: 2,
        pins: 0,
        pin_flags: false,
        full_buffers: false,
        weak_root: false,
        weak_fields: false,
        spare: false,
        two_quiet_rounds: false,
        grey_at_end_counts: false,
        faults: Faults::NONE,
    };

    /// With a pin.
    pub const PINS: Self = Self { pins: 1, ..Self::SMALL };

    /// With a pin and the flags of spans that may hold some.
    pub const FLAGS: Self = Self { pin_flags: true, ..Self::PINS };

    /// Three objects.
    pub const LARGE: Self = Self { objects: 3, ..Self::SMALL };

    /// With a weak root.
    pub const WEAK: Self = Self { weak_root: true, ..Self::SMALL };

    /// With weak pointers in objects.
    pub const WEAK_FIELDS: Self = Self { weak_fields: true, ..Self::SMALL };

    /// One processor for mutations, and the spare.
    pub const SPARE: Self = Self { spare: true, ..Self::SMALL };

    /// Whether there are weak pointers.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.weak_root || self.weak_fields
    }

    /// Whether the protocol has this fault.
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.has(fault)
    }

    /// The same with these faults.
    #[must_use]
    pub fn with(self, faults: &[Fault]) -> Self {
        Self { faults: Faults::of(faults), ..self }
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} objects, {} processors", self.objects, self.processors)?;
        f.write_str(if self.spare { " (one the spare)" } else { "" })?;
        write!(f, ", {} pins", self.pins)?;
        f.write_str(if self.pin_flags { ", pin flags" } else { "" })?;
        f.write_str(if self.full_buffers { ", full buffers" } else { "" })?;
        f.write_str(if self.weak_root { ", weak root" } else { "" })?;
        f.write_str(if self.weak_fields { ", weak fields" } else { "" })?;
        f.write_str(if self.two_quiet_rounds { ", two quiet rounds" } else { "" })
    }
}

/// A broken promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// The mark has ended, and something the program can reach is white.
    WhiteAtEnd(Object),
    /// The mark has ended, and something is still to be traced.
    GreyAtEnd(Object),
    /// The program, a barrier or the collector can reach a free slot.
    FreeSlotReachable(Object),
    /// A barrier has shaded a free slot.
    FreeSlotShaded(Object),
    /// The collector has marked a free slot.
    FreeSlotMarked(Object),
    /// A barrier found something white after the mark had ended.
    ShadedAfterMark(Object),
    /// A cycle begins, and something is still white.
    Unswept(Object),
    /// Nothing has led to it since before the snapshot, and the sweep has left it.
    Kept(Object),
    /// An upgrade has failed, or a weak pointer was cleared, and the object is in use.
    FailedWhileInUse(Object),
    /// An upgrade has succeeded after one had failed.
    Undecided(Object),
    /// An upgrade has succeeded after the decision, for an object that was white in it.
    UpgradedDead(Object),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (object, what) = match *self {
            Self::WhiteAtEnd(object) => (object, "is in use, and white at the end of the mark"),
            Self::GreyAtEnd(object) => (object, "is grey at the end of the mark, and will not be traced"),
            Self::FreeSlotReachable(object) => (object, "is in use, and its slot is free"),
            Self::FreeSlotShaded(object) => (object, "is shaded, and its slot is free"),
            Self::FreeSlotMarked(object) => (object, "is marked, and its slot is free"),
            Self::ShadedAfterMark(object) => (object, "was white after the end of the mark, and in use"),
            Self::Unswept(object) => (object, "was not swept"),
            Self::Kept(object) => (object, "has been garbage since the snapshot, and was not freed"),
            Self::FailedWhileInUse(object) => (object, "is in use, and a weak pointer to it has failed"),
            Self::Undecided(object) => (object, "was upgraded although it counts as dead since an upgrade failed"),
            Self::UpgradedDead(object) => (object, "was upgraded although it was decided to be dead"),
        };
        write!(f, "{} {what}", Named(Some(object)))
    }
}
