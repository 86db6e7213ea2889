//! A processor: its mode, what its mutation has in hand, and what it owes the collector.

use crate::config::Config;
use crate::memory::Memory;
use crate::object::{Names, Object, Objects, pointer_from_bits, pointer_to_bits, renamed_set};

/// The mode of a processor.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Mode {
    /// No barrier.
    #[default]
    Off,
    /// What goes and what comes is shaded.
    Arm,
    /// What goes is shaded.
    Mark,
    /// As `Mark`.
    Close,
}

impl Mode {
    pub(crate) fn from_bits(bits: u32) -> Self {
        [Self::Off, Self::Arm, Self::Mark, Self::Close][bits as usize]
    }
}

/// What a processor is in the middle of: the step it does as soon as nothing is left that it must shade.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Then {
    /// Whatever the program does next.
    #[default]
    Anything,
    /// Empty the root slot.
    DropRoot,
    /// Put an object into the root slot.
    MakeRoot(Object),
    /// Raise the pin flag of an object, if it is not raised.
    RaiseFlag(Object),
    /// Count a pin of an object.
    CountPin(Object),
    /// Count a pin of an object down.
    Unpin(Object),
    /// Put another object into the root slot, as `Overwrite` does.
    SetRoot(Object),
    /// Shade an object that was white, and not decided, when an upgrade looked.
    ShadeUpgraded(Object),
    /// Hand over what a handshake that was answered already asks for.
    HandOver,
    /// Give the lock of an object back.
    GiveLockBack(Object),
    /// Put an entry into the weak map: a key, and its value.
    Insert(Object, Object),
    /// Take the outer lock of an object, as soon as nobody else has it.
    AwaitLock(Object),
    /// Put a pointer into the field of an object, if what is there is what was shaded; else shade first what is there.
    Overwrite(Object, Option<Object>),
}

impl Then {
    fn to_bits(self) -> u32 {
        match self {
            Self::Anything => 0,
            Self::DropRoot => 1,
            Self::MakeRoot(object) => 2 + u32::from(object),
            Self::RaiseFlag(object) => 5 + u32::from(object),
            Self::CountPin(object) => 8 + u32::from(object),
            Self::Unpin(object) => 11 + u32::from(object),
            Self::SetRoot(object) => 14 + u32::from(object),
            Self::ShadeUpgraded(object) => 17 + u32::from(object),
            Self::Overwrite(object, value) => 20 + 4 * u32::from(object) + pointer_to_bits(value),
            Self::HandOver => 44,
            Self::GiveLockBack(object) => 45 + u32::from(object),
            Self::AwaitLock(object) => 48 + u32::from(object),
            Self::Insert(key, value) => 51 + 3 * u32::from(key) + u32::from(value),
        }
    }

    fn from_bits(bits: u32) -> Self {
        let object = |first: u32| (bits - first) as Object;
        match bits {
            0 => Self::Anything,
            1 => Self::DropRoot,
            2..5 => Self::MakeRoot(object(2)),
            5..8 => Self::RaiseFlag(object(5)),
            8..11 => Self::CountPin(object(8)),
            11..14 => Self::Unpin(object(11)),
            14..17 => Self::SetRoot(object(14)),
            17..20 => Self::ShadeUpgraded(object(17)),
            20..32 => Self::Overwrite(((bits - 20) / 4) as Object, pointer_from_bits((bits - 20) % 4)),
            44 => Self::HandOver,
            45..48 => Self::GiveLockBack(object(45)),
            48..51 => Self::AwaitLock(object(48)),
            _ => Self::Insert(((bits - 51) / 3) as Object, ((bits - 51) % 3) as Object),
        }
    }

    fn renamed(self, names: &Names) -> Self {
        let new = |object: Object| names[object as usize];
        match self {
            Self::Anything | Self::DropRoot | Self::HandOver => self,
            Self::MakeRoot(object) => Self::MakeRoot(new(object)),
            Self::RaiseFlag(object) => Self::RaiseFlag(new(object)),
            Self::CountPin(object) => Self::CountPin(new(object)),
            Self::Unpin(object) => Self::Unpin(new(object)),
            Self::SetRoot(object) => Self::SetRoot(new(object)),
            Self::GiveLockBack(object) => Self::GiveLockBack(new(object)),
            Self::AwaitLock(object) => Self::AwaitLock(new(object)),
            Self::Insert(key, value) => Self::Insert(new(key), new(value)),
            Self::ShadeUpgraded(object) => Self::ShadeUpgraded(new(object)),
            Self::Overwrite(object, value) => Self::Overwrite(new(object), value.map(new)),
        }
    }
}

/// A processor.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Processor {
    /// A mutation runs on it.
    pub running: bool,
    /// Nobody may take it: the heap has been told to use fewer.
    pub retired: bool,
    /// It has adopted the newest phase.
    pub answered: bool,
    /// Its mode.
    pub mode: Mode,
    /// What the mutation has in hand. A mutation is never made to let go of anything: who has more in hand can do all
    /// the same and more, so letting go finds nothing that a search without it does not find.
    pub hand: Objects,
    /// White objects that the mutation, in `Mark` or `Close`, has loaded a weak pointer to and has not upgraded. In the
    /// other modes an upgrade is a load; so it is of what is black.
    pub weak: Objects,
    /// Shaded, not handed over yet.
    pub buffer: Objects,
    /// What the barrier of the last step still has to shade.
    pub to_shade: Objects,
    /// What follows when that is done.
    pub then: Then,
    /// It holds the span that all slots are in.
    pub holds_span: bool,
    /// The slots of its run: free when it was found, and its own since.
    pub run: Objects,
    /// Grey objects that its mutation has taken, to assist: it does nothing else until it has traced them, or given them back.
    pub taken: Objects,
    /// Objects whose locks the mutation has, so that nobody else can look at the field.
    pub locks: Objects,
    /// Those of them of which it shares the outer lock, and has the inner one.
    pub shared: Objects,
    /// What the lock remembers that the mutation has in hand, which is behind no other.
    pub in_hand: Memory,
}

/// The bits a processor takes in a packed state. With three there is no room for the last parts, which are empty then.
pub(crate) const fn bits_of_each(processors: usize) -> u32 {
    if processors > 2 { 23 } else { 33 }
}

impl Processor {
    /// Whether somebody holds it for a moment, outside any mutation.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.running && (self.then != Then::Anything || !self.to_shade.is_empty())
    }

    /// Whether a handshake need not wait for it.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        self.answered || self.retired
    }

    pub(crate) fn to_bits(self, names: &Names) -> u64 {
        let set = |set: Objects| u64::from(renamed_set(set, names).0);
        u64::from(self.running)
            | u64::from(self.answered) << 1
            | (self.mode as u64) << 2
            | set(self.hand) << 4
            | set(self.buffer) << 7
            | set(self.to_shade) << 13
            | u64::from(self.then.renamed(names).to_bits()) << 16
            | u64::from(self.retired) << 22
            | set(self.weak) << 23
            | set(self.run) << 26
            | u64::from(self.holds_span) << 29
            | set(self.locks) << 30
            // There are no weak pointers and no runs then.
            | set(self.shared) << 23
            | u64::from(self.in_hand.to_bits()) << 26
            // Nor any of these.
            | set(self.taken) << 26
    }

    pub(crate) fn from_bits(bits: u64, config: &Config) -> Self {
        let inner_locks = config.has_inner_locks();
        let set = |shift: u32| Objects((bits >> shift & 7) as u8);
        let set_if = |applies: bool, shift: u32| if applies { set(shift) } else { Objects::NONE };
        Self {
            running: bits & 1 != 0,
            answered: bits & 2 != 0,
            mode: Mode::from_bits((bits >> 2) as u32 & 3),
            hand: set(4),
            buffer: set(7),
            to_shade: set(13),
            then: Then::from_bits((bits >> 16) as u32 & 63),
            retired: bits >> 22 & 1 != 0,
            weak: set_if(!inner_locks, 23),
            run: set_if(config.one_span, 26),
            taken: set_if(config.assists, 26),
            holds_span: bits >> 29 & 1 != 0,
            locks: set(30),
            shared: set_if(inner_locks, 23),
            in_hand: Memory::from_bits(set_if(inner_locks, 26).0.into()),
        }
    }
}
