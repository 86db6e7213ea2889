//! One state of the modelled heap: the objects, the processors, and where the collector is.
//!
//! A state is packed into a `u128` for the search. States that differ only in the names of objects or of processors
//! behave alike, so the search keeps one of them: the [key](State::key) is the least packing under all renamings. And
//! what nobody can ever read again, the field of an object that nothing leads to, is written as null in a key.

use crate::object::{
    Colour, MOST_OBJECTS, Names, Object, Objects, RENAMINGS, pointer_from_bits, pointer_to_bits, renamed_set,
};
use crate::processor::{Mode, PROCESSOR_BITS, Processor};

/// The most processors a configuration can have.
pub const MOST_PROCESSORS: usize = 3;

/// Where the collector is in its cycle.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Stage {
    /// Between cycles.
    #[default]
    Rest,
    /// In handshake 1.
    AwaitArm,
    /// In handshake 2.
    AwaitMark,
    /// Before the root is marked.
    MarkRoot,
    /// Before the list of what may be pinned is completed.
    ListPins,
    /// While pin counters are walked.
    WalkPins,
    /// While grey objects are traced.
    Trace,
    /// In a closing round.
    AwaitClose,
    /// In a second closing round: see [`Config::two_quiet_rounds`](crate::Config::two_quiet_rounds).
    AwaitCloseAgain,
    /// In the handshake to `Off`; the mark has ended.
    AwaitOff,
    /// While slots are swept.
    Sweep,
}

impl Stage {
    const ALL: [Self; 11] = [
        Self::Rest,
        Self::AwaitArm,
        Self::AwaitMark,
        Self::MarkRoot,
        Self::ListPins,
        Self::WalkPins,
        Self::Trace,
        Self::AwaitClose,
        Self::AwaitCloseAgain,
        Self::AwaitOff,
        Self::Sweep,
    ];

    /// Between the flip and the end of the mark.
    #[must_use]
    pub fn is_marking(self) -> bool {
        !matches!(self, Self::Rest | Self::AwaitOff | Self::Sweep)
    }
}

/// A state of everything.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct State {
    /// The mark byte of each slot.
    pub colour: [Colour; MOST_OBJECTS],
    /// The pointer field of each object.
    pub field: [Option<Object>; MOST_OBJECTS],
    /// The root slot.
    pub root: Option<Object>,
    /// Objects whose pin counter is 1. It counts no further here.
    pub pinned: Objects,
    /// Objects whose pin flag is raised; each is alone in its span.
    pub flagged: Objects,
    /// Until pins are walked: objects the collector has taken the flag of. Since the end of the mark: unswept slots.
    pub to_visit: Objects,
    /// Grey objects that were handed over.
    pub queue: Objects,
    /// Where the collector is.
    pub stage: Stage,
    /// The slot whose mark byte the sweeper has read and will write back.
    pub sweeping: Option<Object>,
    /// What it read.
    pub byte_read: Colour,
    /// The processors.
    pub processors: [Processor; MOST_PROCESSORS],
}

impl State {
    /// The packed state that stands for this one and all that nothing tells from it.
    ///
    /// These differ in the names of objects and processors, in fields that nobody can read again, and in whether a
    /// processor is in `Mark` or in `Close`, which are the same as long as there are no weak pointers.
    #[must_use]
    pub fn key(&self, objects: usize, processors: usize) -> u128 {
        let mut plain = *self;
        let noticed = self.reachable_from(self.noticed());
        for object in 0..MOST_OBJECTS {
            if !noticed.has(object as Object) {
                plain.field[object] = None;
            }
        }
        for processor in &mut plain.processors {
            if processor.mode == Mode::Close {
                processor.mode = Mode::Mark;
            }
        }
        RENAMINGS[objects - 1].iter().map(|names| plain.packed(names, processors)).min().unwrap_or_default()
    }

    fn packed(&self, names: &Names, processors: usize) -> u128 {
        let mut words = [0_u32; MOST_PROCESSORS];
        for (word, processor) in words.iter_mut().zip(&self.processors[..processors]) {
            *word = processor.to_bits(names);
        }
        words[..processors].sort_unstable();
        let pointer = |pointer: Option<Object>| pointer_to_bits(pointer.map(|object| names[object as usize]));
        let set = |set: Objects| u64::from(renamed_set(set, names).0);
        let mut heap = 0_u64;
        for (object, &name) in names.iter().enumerate() {
            let place = u32::from(name) * 4;
            heap |= u64::from(self.colour[object] as u32 | pointer(self.field[object]) << 2) << place;
        }
        heap |= u64::from(pointer(self.root)) << 12
            | set(self.pinned) << 14
            | set(self.flagged) << 17
            | set(self.to_visit) << 20
            | set(self.queue) << 23
            | (self.stage as u64) << 26
            | u64::from(pointer(self.sweeping)) << 30
            | (self.byte_read as u64) << 32;
        let mut packed = u128::from(heap);
        for word in words {
            packed = packed << PROCESSOR_BITS | u128::from(word);
        }
        packed
    }

    /// The state that was packed.
    #[must_use]
    pub fn unpacked(mut packed: u128) -> Self {
        let mut state = Self::default();
        for processor in state.processors.iter_mut().rev() {
            *processor = Processor::from_bits(packed as u32 & ((1 << PROCESSOR_BITS) - 1));
            packed >>= PROCESSOR_BITS;
        }
        let heap = packed as u64;
        let bits = |shift: u32, mask: u32| (heap >> shift) as u32 & mask;
        let set = |shift: u32| Objects(bits(shift, 7) as u8);
        for object in 0..MOST_OBJECTS {
            let place = object as u32 * 4;
            state.colour[object] = Colour::from_bits(bits(place, 3));
            state.field[object] = pointer_from_bits(bits(place + 2, 3));
        }
        state.root = pointer_from_bits(bits(12, 3));
        state.pinned = set(14);
        state.flagged = set(17);
        state.to_visit = set(20);
        state.queue = set(23);
        state.stage = Stage::ALL[bits(26, 15) as usize];
        state.sweeping = pointer_from_bits(bits(30, 3));
        state.byte_read = Colour::from_bits(bits(32, 3));
        state
    }

    /// Puts in hand of every running mutation what it can load.
    pub fn load_everything(&mut self) {
        let shared = Objects::of(self.root).and(self.pinned);
        for index in 0..MOST_PROCESSORS {
            if self.processors[index].running {
                let hand = self.reachable_from(self.processors[index].hand.and(shared));
                self.processors[index].hand = hand;
            }
        }
    }

    /// Lets barriers forget what is black: it stays so as long as they are in force, so there is nothing to shade.
    pub fn forget_black(&mut self) {
        let black = self.coloured(Colour::Black);
        for processor in &mut self.processors {
            processor.to_shade = Objects(processor.to_shade.0 & !black.0);
        }
    }

    /// What the program may use: the root's object, pinned ones, what is in hand.
    #[must_use]
    pub fn held(&self) -> Objects {
        self.processors.iter().fold(Objects::of(self.root).and(self.pinned), |set, each| set.and(each.hand))
    }

    /// The same, and what a barrier or the collector is going to look into.
    #[must_use]
    pub fn noticed(&self) -> Objects {
        self.processors
            .iter()
            .fold(self.held().and(self.queue), |set, each| set.and(each.buffer).and(each.born).and(each.to_shade))
    }

    /// What fields lead to from `set`, itself included.
    #[must_use]
    pub fn reachable_from(&self, mut set: Objects) -> Objects {
        let mut to_follow = set;
        while !to_follow.is_empty() {
            let mut next = Objects::NONE;
            for object in to_follow.each() {
                next = next.and(Objects::of(self.field[object as usize]));
            }
            to_follow = Objects(next.0 & !set.0);
            set = set.and(next);
        }
        set
    }

    /// The colour of an object.
    #[must_use]
    pub fn colour_of(&self, object: Object) -> Colour {
        self.colour[object as usize]
    }

    /// The objects of one colour.
    #[must_use]
    pub fn coloured(&self, colour: Colour) -> Objects {
        let mut set = Objects::NONE;
        for object in 0..MOST_OBJECTS {
            if self.colour[object] == colour {
                set.add(object as Object);
            }
        }
        set
    }
}
