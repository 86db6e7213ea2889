//! What is searched: the size of the model, what is wrong with it, and which promises it is to keep.

use std::fmt;

use crate::fault::{Fault, Faults};
use crate::object::{MOST_OBJECTS, Named, Object};
use crate::state::MOST_PROCESSORS;

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
    /// Whether there is a weak map, always reachable, with room for one entry: an ephemeron.
    pub ephemeron: bool,
    /// Whether mutations can have the keys of the weak map listed, which makes the map a weak pointer to its key as well.
    pub entries: bool,
    /// Whether mutations in `Mark` and `Close` make a new weak map in place of an empty one. In the other modes a new map is white like all
    /// that is there, and reached if anything is: which nobody can tell from the map that is there already.
    pub new_maps: bool,
    /// Whether the last processor is the spare: it runs no mutation, and is held for a moment to drop a root or to
    /// unpin.
    pub spare: bool,
    /// Whether a processor can be retired while it is idle, and taken into use again.
    pub resize: bool,
    /// Whether helpers trace beside the collector: each takes grey objects, and traces them later, or gives them back.
    pub helpers: bool,
    /// Whether mutations assist: one takes grey objects, traces some, and gives back what is left.
    pub assists: bool,
    /// Whether the field of each object is behind a lock, and has no barrier of its own.
    pub locks: bool,
    /// Whether that lock is the outer one of two, and who has it may take the inner one out, and put it elsewhere.
    pub moved_locks: bool,
    /// Whether that lock is the outer one of two, and who shares it may take the inner one.
    pub shared_locks: bool,
    /// Whether guards of locks can be forgotten.
    pub forgotten_guards: bool,
    /// Whether the last slot is for leaves: objects without a field, which are shaded in `Arm` and `Mark` without being noted.
    pub leaf: bool,
    /// Whether all slots lie in one span, which a processor must hold to allocate; else each has a span of its own.
    pub one_span: bool,
    /// Whether a mark ends only after two closing rounds in a row that brought nothing.
    pub two_quiet_rounds: bool,
    /// Whether a grey object at the end of a mark breaks a promise by itself, whatever it leads to.
    pub grey_at_end_counts: bool,
    /// Whether the search begins with two objects, of which the first, in the root, leads to the second; else with an empty heap.
    pub begins_with_two: bool,
    /// Whether the root stays as it is.
    pub fixed_root: bool,
    /// Promises that are not checked.
    pub ignored: Promises,
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
        ephemeron: false,
        entries: false,
        new_maps: false,
        spare: false,
        resize: false,
        helpers: false,
        assists: false,
        locks: false,
        moved_locks: false,
        shared_locks: false,
        forgotten_guards: false,
        leaf: false,
        one_span: false,
        two_quiet_rounds: false,
        grey_at_end_counts: false,
        begins_with_two: false,
        fixed_root: false,
        ignored: Promises::NONE,
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

    /// With a weak map.
    pub const EPHEMERON: Self = Self { ephemeron: true, ..Self::SMALL };

    /// With a weak map whose keys are listed.
    pub const ENTRIES: Self = Self { entries: true, ..Self::EPHEMERON };

    /// With a weak map in place of which new ones are made.
    pub const NEW_MAPS: Self = Self { new_maps: true, ..Self::EPHEMERON };

    /// With a weak map whose keys are listed, and new ones, and a weak root, which may lead to key or value.
    pub const ENTRIES_AND_WEAK: Self = Self { weak_root: true, new_maps: true, ..Self::ENTRIES };

    /// One processor for mutations, and the spare.
    pub const SPARE: Self = Self { spare: true, ..Self::SMALL };

    /// With processors that are retired and taken into use again.
    pub const RESIZE: Self = Self { resize: true, ..Self::SMALL };

    /// With helpers that trace.
    pub const HELPERS: Self = Self { helpers: true, ..Self::SMALL };

    /// With mutations that assist.
    pub const ASSISTS: Self = Self { assists: true, ..Self::SMALL };

    /// With locks.
    pub const LOCKS: Self = Self { locks: true, forgotten_guards: true, ..Self::SMALL };

    /// With locks behind locks, which are moved.
    pub const MOVED_LOCKS: Self = Self { moved_locks: true, forgotten_guards: false, ..Self::LOCKS };

    /// With locks behind locks, which are shared.
    pub const SHARED_LOCKS: Self = Self { shared_locks: true, forgotten_guards: false, ..Self::LOCKS };

    /// With locks behind locks, which are moved and shared.
    pub const INNER_LOCKS: Self = Self { shared_locks: true, ..Self::MOVED_LOCKS };

    /// With a span of several slots.
    pub const ONE_SPAN: Self = Self { one_span: true, ..Self::SMALL };

    /// Whether a state of this size fits its packing, and the parts go together.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let several = self.is_weak() || self.one_span || self.locks;
        (1..=MOST_OBJECTS).contains(&self.objects)
            && (self.objects > 1 || !(self.begins_with_two || self.leaf))
            && !(self.leaf && (self.locks || self.one_span || self.weak_fields))
            && (1..=MOST_PROCESSORS).contains(&self.processors)
            && !(self.processors == MOST_PROCESSORS && several)
            && !(self.one_span && (self.is_weak() || self.pin_flags))
            && !(self.locks && (self.is_weak() || self.one_span))
            && !(self.assists && (self.processors == MOST_PROCESSORS || self.one_span || self.has_inner_locks()))
            && (self.locks || !self.has_inner_locks())
            && (self.ephemeron || !(self.entries || self.new_maps))
            && !(self.resize && (self.is_weak() || self.processors == 1 || self.spare))
    }

    /// Whether `Close` differs from `Mark`.
    #[must_use]
    pub fn tells_close(&self) -> bool {
        let differing = [
            Fault::NoDeletionBarrierInMark,
            Fault::NoDeletionBarrierInClose,
            Fault::AllocateWhiteInMark,
            Fault::AllocateWhiteInClose,
            Fault::NoFurtherRound,
        ];
        self.is_weak() || self.assists || differing.iter().any(|&fault| self.has(fault))
    }

    /// Whether an object is a leaf.
    #[must_use]
    pub fn is_leaf(&self, object: Object) -> bool {
        self.leaf && usize::from(object) + 1 == self.objects
    }

    /// Whether there are locks behind locks.
    #[must_use]
    pub fn has_inner_locks(&self) -> bool {
        self.moved_locks || self.shared_locks
    }

    /// Whether there are weak pointers, or a weak map.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.weak_root || self.weak_fields || self.ephemeron
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
        f.write_str(if self.ephemeron { ", a weak map" } else { "" })?;
        f.write_str(if self.entries { ", keys listed" } else { "" })?;
        f.write_str(if self.new_maps { ", new maps" } else { "" })?;
        f.write_str(if self.resize { ", resized" } else { "" })?;
        f.write_str(if self.helpers { ", helpers" } else { "" })?;
        f.write_str(if self.assists { ", assists" } else { "" })?;
        f.write_str(if self.locks { ", locks" } else { "" })?;
        f.write_str(if self.has_inner_locks() { " behind locks" } else { "" })?;
        f.write_str(if self.moved_locks { ", moved" } else { "" })?;
        f.write_str(if self.shared_locks { ", shared" } else { "" })?;
        f.write_str(if self.locks && !self.forgotten_guards { ", no guard forgotten" } else { "" })?;
        f.write_str(if self.leaf { ", a leaf" } else { "" })?;
        f.write_str(if self.one_span { ", one span" } else { "" })?;
        f.write_str(if self.begins_with_two { ", two to begin with" } else { "" })?;
        f.write_str(if self.fixed_root { ", fixed root" } else { "" })?;
        f.write_str(if self.two_quiet_rounds { ", two quiet rounds" } else { "" })
    }
}

/// What the protocol promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Promise {
    /// When a mark ends, all that the program can reach is black.
    NothingWhiteAtEnd,
    /// When a mark ends, nothing is still to be traced. Checked where the configuration says so.
    NothingGreyAtEnd,
    /// Nobody ever reaches, shades or marks a free slot, and no entry of the weak map leads to one.
    NoFreeSlotInUse,
    /// No slot is handed out that is handed out already.
    NoSlotTwice,
    /// After the end of a mark no barrier finds anything white.
    NothingToShadeAfterMark,
    /// A cycle begins with nothing white.
    AllSwept,
    /// What nothing has led to since the snapshot is freed.
    GarbageFreed,
    /// Whatever is pinned has its flag raised, or the collector is about to look whether it is.
    FlagsCoverPins,
    /// No upgrade fails, and no weak pointer and no entry is cleared, while the object is in use.
    NoUpgradeFailsInUse,
    /// No upgrade succeeds for what was white in the decision, or for which one has failed.
    NoUpgradeUndecides,
}

impl Promise {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::NothingWhiteAtEnd,
        Self::NothingGreyAtEnd,
        Self::NoFreeSlotInUse,
        Self::NoSlotTwice,
        Self::NothingToShadeAfterMark,
        Self::AllSwept,
        Self::GarbageFreed,
        Self::FlagsCoverPins,
        Self::NoUpgradeFailsInUse,
        Self::NoUpgradeUndecides,
    ];
}

/// A set of promises.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Promises(u16);

impl Promises {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// The set of these.
    #[must_use]
    pub fn of(promises: &[Promise]) -> Self {
        Self(promises.iter().fold(0, |bits, &promise| bits | 1 << promise as u16))
    }

    /// Whether `promise` is in it.
    #[must_use]
    pub fn has(self, promise: Promise) -> bool {
        self.0 & (1 << promise as u16) != 0
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
    /// The entry of the weak map has a key or a value whose slot is free.
    EntryLeft(Object),
    /// A processor has handed out a slot in which an object lives.
    HandedOutTwice(Object),
    /// A barrier found something white after the mark had ended.
    ShadedAfterMark(Object),
    /// A cycle begins, and something is still white.
    Unswept(Object),
    /// Nothing has led to it since before the snapshot, and the sweep has left it.
    Kept(Object),
    /// It is pinned, and no flag tells the collector to look for it.
    PinNotFlagged(Object),
    /// An upgrade has failed, or a weak pointer or an entry was cleared, and the object is in use.
    FailedWhileInUse(Object),
    /// An upgrade has succeeded after one had failed.
    Undecided(Object),
    /// An upgrade has succeeded after the decision, for an object that was white in it.
    UpgradedDead(Object),
}

impl Violation {
    /// The promise that is broken.
    #[must_use]
    pub fn promise(self) -> Promise {
        match self {
            Self::WhiteAtEnd(_) => Promise::NothingWhiteAtEnd,
            Self::GreyAtEnd(_) => Promise::NothingGreyAtEnd,
            Self::FreeSlotReachable(_) | Self::FreeSlotShaded(_) | Self::FreeSlotMarked(_) | Self::EntryLeft(_) => {
                Promise::NoFreeSlotInUse
            }
            Self::HandedOutTwice(_) => Promise::NoSlotTwice,
            Self::ShadedAfterMark(_) => Promise::NothingToShadeAfterMark,
            Self::Unswept(_) => Promise::AllSwept,
            Self::Kept(_) => Promise::GarbageFreed,
            Self::PinNotFlagged(_) => Promise::FlagsCoverPins,
            Self::FailedWhileInUse(_) => Promise::NoUpgradeFailsInUse,
            Self::Undecided(_) | Self::UpgradedDead(_) => Promise::NoUpgradeUndecides,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (object, what) = match *self {
            Self::WhiteAtEnd(object) => (object, "is in use, and white at the end of the mark"),
            Self::GreyAtEnd(object) => (object, "is grey at the end of the mark, and will not be traced"),
            Self::FreeSlotReachable(object) => (object, "is in use, and its slot is free"),
            Self::FreeSlotShaded(object) => (object, "is shaded, and its slot is free"),
            Self::FreeSlotMarked(object) => (object, "is marked, and its slot is free"),
            Self::EntryLeft(object) => (object, "is in an entry of the weak map, and its slot is free"),
            Self::HandedOutTwice(object) => (object, "lives, and its slot is handed out again"),
            Self::ShadedAfterMark(object) => (object, "was white after the end of the mark, and in use"),
            Self::Unswept(object) => (object, "was not swept"),
            Self::Kept(object) => (object, "has been garbage since the snapshot, and was not freed"),
            Self::PinNotFlagged(object) => (object, "is pinned, and no flag says so"),
            Self::FailedWhileInUse(object) => {
                (object, "is in use, and a weak pointer to it has failed, or its entry is gone")
            }
            Self::Undecided(object) => (object, "was upgraded although it counts as dead since an upgrade failed"),
            Self::UpgradedDead(object) => (object, "was upgraded although it was decided to be dead"),
        };
        write!(f, "{} {what}", Named(Some(object)))
    }
}
