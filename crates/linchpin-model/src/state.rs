//! One state of the modelled heap: the objects, the processors, and where the collector is.
//!
//! A state is packed into a `u128` for the search. States that differ only in the names of objects or of processors
//! behave alike, so the search keeps one of them: the [key](State::key) is the least packing under all renamings. And
//! what nobody can ever read again, the field of an object that nothing leads to, is written as null in a key.

use crate::config::Config;
use crate::fault::Fault;
use crate::memory::Memory;
use crate::object::{
    Colour, MOST_OBJECTS, Names, Object, Objects, RENAMINGS, pointer_from_bits, pointer_to_bits, renamed_set,
};
use crate::processor::{Mode, Processor, bits_of_each};

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
    /// The last round has brought nothing, nor has the pass; the mark is about to end. Without ephemerons a stage of its own only
    /// without the lock.
    Decide,
    /// The last round has brought nothing, and the weak map is looked at.
    Ephemerons,
    /// The mark has ended, and the weak root is looked at.
    ClearWeakRoot,
    /// The mark has ended, and the weak fields of what lives are looked at.
    ClearWeakFields,
    /// The mark has ended, and the weak map is looked at again.
    ClearEntry,
    /// In the handshake to `Off`; the mark has ended.
    AwaitOff,
    /// While slots are swept.
    Sweep,
}

impl Stage {
    const ALL: [Self; 16] = [
        Self::Rest,
        Self::AwaitArm,
        Self::AwaitMark,
        Self::MarkRoot,
        Self::ListPins,
        Self::WalkPins,
        Self::Trace,
        Self::AwaitClose,
        Self::AwaitCloseAgain,
        Self::Decide,
        Self::Ephemerons,
        Self::ClearWeakRoot,
        Self::ClearWeakFields,
        Self::ClearEntry,
        Self::AwaitOff,
        Self::Sweep,
    ];

    /// Between the flip and the end of the mark.
    #[must_use]
    pub fn is_marking(self) -> bool {
        !matches!(
            self,
            Self::Rest | Self::ClearWeakRoot | Self::ClearWeakFields | Self::ClearEntry | Self::AwaitOff | Self::Sweep
        )
    }
}

/// A state of everything.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct State {
    /// The mark byte of each slot.
    pub colour: [Colour; MOST_OBJECTS],
    /// The pointer field of each object.
    pub field: [Option<Object>; MOST_OBJECTS],
    /// The weak pointer field of each object, and last the weak root.
    pub weak: [Option<Object>; MOST_OBJECTS + 1],
    /// The entry of the weak map: a key, and its value.
    pub entry: Option<(Object, Object)>,
    /// The weak map is new: it was born black in this cycle, and nobody will come to it.
    pub map_is_new: bool,
    /// The root slot.
    pub root: Option<Object>,
    /// Objects whose pin counter is 1. It counts no further here.
    pub pinned: Objects,
    /// Objects whose pin flag is raised; each is alone in its span.
    pub flagged: Objects,
    /// Until pins are walked: objects the collector has taken the flag of. While grey objects are traced: those that a
    /// helper has taken. While weak fields are looked at: those still to be looked at. From then on: unswept slots.
    pub to_visit: Objects,
    /// Grey objects that were handed over.
    pub queue: Objects,
    /// Where the collector is.
    pub stage: Stage,
    /// Known to nobody: objects that nothing strong has led to since this cycle's flip or snapshot.
    pub garbage: Objects,
    /// Known to nobody: objects for which an upgrade has failed, or a weak pointer to which was cleared.
    pub failed: Objects,
    /// Objects whose weak field the mark came across, which matters to a fault only.
    pub traced: Objects,
    /// The slot whose mark byte the sweeper has read and will write back; or what the weak root was seen to lead to.
    pub sweeping: Option<Object>,
    /// What it will write back: free, or the colour of what lives.
    pub byte_read: Colour,
    /// A mark has ended since the one span was swept.
    pub stale: bool,
    /// A mutation has assisted since the last round began.
    pub assisted: bool,
    /// Objects whose lock remembers that its contents were traced in this cycle, and those whose lock remembers the cycle
    /// before; or, as there are two colours, the one before that.
    pub lock_traced: [Objects; 2],
    /// What the inner lock of each object remembers.
    pub inner: [Memory; MOST_OBJECTS],
    /// Objects whose lock nobody will ever give back.
    pub forgotten: Objects,
    /// Since the last round a marker has passed by a lock that somebody had.
    pub passed_by: bool,
    /// There was a pass over the weak map in this cycle, which matters to a fault only.
    pub had_pass: bool,
    /// The processors.
    pub processors: [Processor; MOST_PROCESSORS],
}

impl State {
    /// The packed state that stands for this one and all that nothing tells from it.
    ///
    /// These differ in the names of objects and processors, in fields that nobody can read again, and in whether a
    /// processor is in `Mark` or in `Close`, which are the same if there are no weak pointers.
    #[must_use]
    pub fn key(&self, config: &Config) -> u128 {
        let mut plain = *self;
        let readable = if config.is_weak() { self.weakly_reachable() } else { self.reachable_from(self.noticed()) };
        for object in 0..MOST_OBJECTS {
            if !readable.has(object as Object) {
                plain.field[object] = None;
                plain.weak[object] = None;
                if config.has_inner_locks() {
                    plain.renew_lock(object as Object);
                }
            }
        }
        for processor in &mut plain.processors {
            if processor.mode == Mode::Close && !config.tells_close() {
                processor.mode = Mode::Mark;
            }
        }
        let marks = plain.marks();
        let sorts_marks = |names: &&Names| {
            let mut sorted = [0; MOST_OBJECTS];
            for (&mark, &name) in marks.iter().zip(*names) {
                sorted[name as usize] = mark;
            }
            // A leaf is told from the others by its slot.
            if config.leaf { config.is_leaf(names[config.objects - 1]) } else { sorted[..config.objects].is_sorted() }
        };
        let renamings = RENAMINGS[config.objects - 1].iter().filter(sorts_marks);
        renamings.map(|names| plain.packed(names, config)).min().unwrap_or_default()
    }

    /// What tells an object from others whatever they are called: only renamings that sort objects by that need be
    /// tried.
    fn marks(&self) -> [u32; MOST_OBJECTS] {
        let mut marks = [0; MOST_OBJECTS];
        for (object, mark) in marks.iter_mut().enumerate() {
            let is_in = |set: Objects| u32::from(set.0 >> object & 1);
            let leads_here = |pointer: Option<Object>| u32::from(pointer == Some(object as Object));
            *mark = self.colour[object] as u32
                | u32::from(self.field[object].is_some()) << 2
                | leads_here(self.root) << 3
                | is_in(self.pinned) << 4
                | is_in(self.queue) << 5
                | is_in(self.to_visit) << 6
                | is_in(self.garbage) << 7
                | leads_here(self.weak[MOST_OBJECTS]) << 8
                | leads_here(self.entry.map(|(key, _)| key)) << 19
                | leads_here(self.entry.map(|(_, value)| value)) << 20;
            for processor in &self.processors {
                // Two bits each, as the places of processors do not count.
                *mark += is_in(processor.hand) << 9
                    | is_in(processor.buffer) << 11
                    | is_in(processor.to_shade) << 13
                    | is_in(processor.weak) << 17;
            }
        }
        marks
    }

    fn packed(&self, names: &Names, config: &Config) -> u128 {
        let processors = config.processors;
        let mut words = [0_u64; MOST_PROCESSORS];
        for (word, processor) in words.iter_mut().zip(&self.processors[..processors]) {
            *word = processor.to_bits(names);
        }
        // The spare, which is the last one, does not change places with others.
        words[..processors - usize::from(config.spare)].sort_unstable();
        let pointer = |pointer: Option<Object>| pointer_to_bits(pointer.map(|object| names[object as usize]));
        let set = |set: Objects| u64::from(renamed_set(set, names).0);
        let mut heap = 0_u64;
        for (object, &name) in names.iter().enumerate() {
            let place = u32::from(name) * 4;
            heap |= u64::from(self.colour[object] as u32 | pointer(self.field[object]) << 2) << place;
            // With inner locks there are no weak pointers.
            debug_assert!(self.weak[object].is_none() || self.inner[object] == Memory::Never);
            let more = pointer(self.weak[object]) | self.inner[object].to_bits();
            heap |= u64::from(more) << (34 + u32::from(name) * 2);
        }
        heap |= u64::from(pointer(self.root)) << 12
            | set(self.pinned) << 14
            | set(self.flagged) << 17
            | set(self.to_visit) << 20
            | set(self.queue) << 23
            | (self.stage as u64) << 26
            | u64::from(pointer(self.sweeping)) << 30
            | (self.byte_read as u64) << 32
            | u64::from(pointer(self.weak[MOST_OBJECTS])) << 40
            | set(self.garbage) << 42
            | set(self.failed) << 45
            | set(self.traced) << 48
            // Where mutations assist, spans are not shared.
            | u64::from(self.stale | self.assisted) << 51
            | set(self.lock_traced[0]) << 52
            | set(self.lock_traced[1]) << 55
            | set(self.forgotten) << 58
            | u64::from(self.passed_by) << 61
            | u64::from(pointer(self.entry.map(|(key, _)| key))) << 52
            | u64::from(pointer(self.entry.map(|(_, value)| value))) << 54
            | u64::from(self.had_pass) << 56
            | u64::from(self.map_is_new) << 57;
        // With ephemerons there are no locks.
        debug_assert!(config.ephemeron || (self.entry.is_none() && !self.had_pass && !self.map_is_new));
        debug_assert!(!config.ephemeron || self.lock_traced[0].and(self.lock_traced[1]).and(self.forgotten).is_empty());
        debug_assert!(words.iter().all(|&word| word >> bits_of_each(processors) == 0));
        let mut packed = u128::from(heap);
        for word in &words[..processors] {
            packed = packed << bits_of_each(processors) | u128::from(*word);
        }
        packed
    }

    /// The state that was packed.
    #[must_use]
    pub fn unpacked(mut packed: u128, config: &Config) -> Self {
        let mut state = Self::default();
        let bits = bits_of_each(config.processors);
        for processor in state.processors[..config.processors].iter_mut().rev() {
            *processor = Processor::from_bits(packed as u64 & ((1 << bits) - 1), config);
            packed >>= bits;
        }
        let heap = packed as u64;
        let bits = |shift: u32, mask: u32| (heap >> shift) as u32 & mask;
        let set = |shift: u32| Objects(bits(shift, 7) as u8);
        for object in 0..MOST_OBJECTS {
            let place = object as u32 * 4;
            state.colour[object] = Colour::from_bits(bits(place, 3));
            state.field[object] = pointer_from_bits(bits(place + 2, 3));
            let more = bits(34 + object as u32 * 2, 3);
            if config.has_inner_locks() {
                state.inner[object] = Memory::from_bits(more);
            } else {
                state.weak[object] = pointer_from_bits(more);
            }
        }
        state.root = pointer_from_bits(bits(12, 3));
        state.pinned = set(14);
        state.flagged = set(17);
        state.to_visit = set(20);
        state.queue = set(23);
        state.stage = Stage::ALL[bits(26, 15) as usize];
        state.sweeping = pointer_from_bits(bits(30, 3));
        state.byte_read = Colour::from_bits(bits(32, 3));
        state.weak[MOST_OBJECTS] = pointer_from_bits(bits(40, 3));
        state.garbage = set(42);
        state.failed = set(45);
        state.traced = set(48);
        state.stale = config.one_span && bits(51, 1) != 0;
        state.assisted = config.assists && bits(51, 1) != 0;
        if config.ephemeron {
            state.entry = pointer_from_bits(bits(52, 3)).zip(pointer_from_bits(bits(54, 3)));
            state.had_pass = bits(56, 1) != 0;
            state.map_is_new = bits(57, 1) != 0;
        } else {
            state.lock_traced = [set(52), set(55)];
            state.forgotten = set(58);
        }
        state.passed_by = bits(61, 1) != 0;
        state
    }

    /// Puts in hand of every running mutation what it can load, and upgrade or look up by a load.
    pub fn load_everything(&mut self, config: &Config) {
        let shared = Objects::of(self.root).and(self.pinned);
        for index in 0..MOST_PROCESSORS {
            if !self.processors[index].running {
                continue;
            }
            let mut hand = self.reachable_past(self.closed_to(index), self.processors[index].hand.and(shared));
            while config.is_weak() {
                let loaded = hand;
                hand = self.load_weak(config, index, hand);
                hand = self.load_value(config, index, hand);
                if hand == loaded || !config.ephemeron {
                    break;
                }
            }
            self.processors[index].hand = hand;
        }
    }

    /// Loads weak pointers; returns what is in hand when those are upgraded that take no more than that.
    fn load_weak(&mut self, config: &Config, index: usize, mut hand: Objects) -> Objects {
        let mode = self.processors[index].mode;
        let is_load = matches!(mode, Mode::Off | Mode::Arm)
            || (mode == Mode::Mark && config.has(Fault::UpgradeNotShadedInMark))
            || (mode == Mode::Close && config.has(Fault::UpgradeNotShadedInClose) && self.stage.is_marking());
        let white = self.coloured(Colour::White);
        loop {
            let weak = hand
                .each()
                .fold(Objects::of(self.weak[MOST_OBJECTS]), |set, object| {
                    set.and(Objects::of(self.weak[object as usize]))
                })
                .and(Objects::of(self.entry.map(|(key, _)| key).filter(|_| config.entries)))
                .and(self.processors[index].weak);
            let upgraded = if is_load { weak } else { weak.without(white) };
            let more = self.reachable_past(Objects::NONE, hand.and(upgraded));
            if more == hand {
                self.processors[index].weak = weak.without(hand);
                return hand;
            }
            hand = more;
        }
    }

    /// Lets barriers forget what is black: it stays so as long as they are in force, so there is nothing to shade.
    pub fn forget_black(&mut self) {
        let black = self.coloured(Colour::Black);
        for processor in &mut self.processors {
            processor.to_shade = Objects(processor.to_shade.0 & !black.0);
        }
    }

    /// Grey objects that a helper has taken.
    #[must_use]
    pub fn taken_by_helpers(&self) -> Objects {
        match self.stage {
            Stage::Trace | Stage::AwaitClose | Stage::AwaitCloseAgain | Stage::Decide | Stage::Ephemerons => {
                self.to_visit
            }
            _ => Objects::NONE,
        }
    }

    /// An object that is pinned while neither its flag is raised nor the collector has taken that to look for pins.
    pub(crate) fn unflagged_pin(&self, config: &Config) -> Option<Object> {
        let walks = [Stage::AwaitArm, Stage::AwaitMark, Stage::MarkRoot, Stage::ListPins, Stage::WalkPins];
        let taken = if walks.contains(&self.stage) { self.to_visit } else { Objects::NONE };
        self.pinned.without(self.flagged.and(taken)).each().find(|_| config.pin_flags)
    }

    /// What the program may use: the root's object, pinned ones, what is in hand.
    #[must_use]
    pub fn held(&self) -> Objects {
        self.processors.iter().fold(Objects::of(self.root).and(self.pinned), |set, each| set.and(each.hand))
    }

    /// The same, and what a barrier or the collector is going to look into.
    #[must_use]
    pub fn noticed(&self) -> Objects {
        self.processors.iter().fold(self.held().and(self.queue).and(self.taken_by_helpers()), |set, each| {
            set.and(each.buffer).and(each.to_shade).and(each.taken)
        })
    }

    /// What fields, and the weak map, lead to from `set`, itself included.
    #[must_use]
    pub fn reachable_from(&self, set: Objects) -> Objects {
        let set = self.reachable_past(Objects::NONE, set);
        match self.entry {
            Some((key, value)) if set.has(key) => self.reachable_past(Objects::NONE, set.and(Objects::of(Some(value)))),
            _ => set,
        }
    }

    /// Objects that the mutation of a processor cannot look into, because another one has the lock.
    fn closed_to(&self, index: usize) -> Objects {
        let others = self.processors.iter().enumerate().filter(|&(other, _)| other != index);
        others.fold(Objects::NONE, |set, (_, other)| set.and(other.locks))
    }

    /// What fields lead to from `set`, itself included, but for the fields of `closed` objects.
    pub(crate) fn reachable_past(&self, closed: Objects, mut set: Objects) -> Objects {
        let mut to_follow = set;
        while !to_follow.is_empty() {
            let mut next = Objects::NONE;
            for object in to_follow.without(closed).each() {
                next = next.and(Objects::of(self.field[object as usize]));
            }
            to_follow = Objects(next.0 & !set.0);
            set = set.and(next);
        }
        set
    }

    /// What anybody may look into, now or after an upgrade.
    fn weakly_reachable(&self) -> Objects {
        let mut set = self.processors.iter().fold(self.noticed(), |set, each| set.and(each.weak));
        set = set.and(Objects::of(self.weak[MOST_OBJECTS]));
        // The collector looks at the entry, too.
        for object in self.entry.into_iter().flat_map(|(key, value)| [key, value]) {
            set.add(object);
        }
        loop {
            let next = set
                .each()
                .fold(self.reachable_from(set), |next, object| next.and(Objects::of(self.weak[object as usize])));
            if next == set {
                return set;
            }
            set = next;
        }
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
