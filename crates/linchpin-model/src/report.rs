//! The steps, in words.

use std::fmt;

use crate::memory::Memory;
use crate::object::{Colour, Named, Object, Objects};
use crate::processor::{Mode, Then};
use crate::state::Stage;

/// A step of anybody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Of the numbered processor.
    Mutator(usize, MutatorStep),
    /// Of the collector.
    Collector(CollectorStep),
}

/// A step on a processor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each is explained by its text, below")]
pub enum MutatorStep {
    Answer(Mode),
    Begin(Mode),
    End,
    Shade { object: Object, was: Colour },
    HandOverBuffer,
    AssistTakes(Object),
    AssistTraces(Object, Option<Object>),
    AssistGivesBack,
    Retire,
    Revive(Mode),
    TakeSpan(Objects),
    GiveSpanBack,
    Finish(Then),
    Replace { then: Then, old: Option<Object>, later: bool },
    FindsOther(Option<Object>),
    Allocate { object: Object, value: Option<Object>, colour: Colour, around: Option<Memory> },
    MakeRoot(Object),
    DropRoot(Object),
    Pin(Object),
    Unpin(Object),
    HoldForMoment(Then, Mode),
    Upgrade(Object),
    LooksUndecided(Object),
    UpgradeUndecided(Object),
    UpgradeFails(Object),
    SetWeak(Option<Object>, Object),
    MakeMap,
    LookUp(Object, Object),
    BeginInsert(Object, Object),
    Insert(Object, Object),
    FindsOtherKey,
    Remove(Object, Object),
    TakeLock(Object, bool),
    ChangeContents(Object, Option<Object>),
    GiveLockBack(Object, bool),
    ForgetGuard(Object),
    AwaitLock(Object),
    TakeInnerLock(Object, bool),
    PutBehindLock(Object, Option<Object>, bool),
    SwapInnerLock(Object, Memory),
    LockInHand(Option<Object>),
    DropInHand,
    ForgetInnerGuard(Object, Option<Object>),
}

/// A step of the collector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each is explained by its text, below")]
pub enum CollectorStep {
    Flip,
    Goes(Stage),
    MarkRoot(Option<Object>),
    ListPins,
    WalkPin(Object, bool),
    Trace(Object, Option<Object>),
    Take(Object),
    HelperTraces(Object, Option<Object>),
    HelperLeaves(Object),
    EndMark,
    LookAtWeak(Option<Object>, Option<Object>),
    ClearWeakRoot(Object),
    LookAtEntry(Option<(Object, Object)>),
    ClearEntry(Option<(Object, Object)>),
    ReadByte(Object, Colour),
    WriteByte(Object, Colour),
    PinDead(Object),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mutator(index, step) => write!(f, "P{}: {step}", index + 1),
            Self::Collector(step) => write!(f, "collector: {step}"),
        }
    }
}

fn name(object: Object) -> Named {
    Named(Some(object))
}

impl fmt::Display for MutatorStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Answer(mode) => write!(f, "answers the handshake, and is in {mode:?} now"),
            Self::Begin(mode) => write!(f, "begins a mutation in {mode:?}"),
            Self::End => f.write_str("ends its mutation"),
            Self::Shade { object, was: Colour::White } => write!(f, "shades {}", name(object)),
            Self::HandOverBuffer => f.write_str("hands its full buffer over"),
            Self::AssistTakes(object) => write!(f, "takes {}, to assist", name(object)),
            Self::AssistTraces(object, value) => write!(f, "traces {}, which leads to {}", name(object), Named(value)),
            Self::AssistGivesBack => f.write_str("has assisted, gives back what is left"),
            Self::Retire => f.write_str("is retired"),
            Self::Revive(mode) => write!(f, "is taken into use again, in {mode:?}"),
            Self::TakeSpan(free) => {
                f.write_str("takes the span, and finds in it a run of")?;
                free.each().try_for_each(|object| write!(f, " {}", name(object)))
            }
            Self::GiveSpanBack => f.write_str("gives the span back"),
            Self::Shade { object, was } => write!(f, "need not shade {}, which is {was:?}", name(object)),
            Self::Finish(Then::Anything | Then::ShadeUpgraded(_) | Then::AwaitLock(_) | Then::Insert(..)) => {
                f.write_str("goes on")
            }
            Self::Finish(Then::HandOver) => f.write_str("hands over what it has shaded"),
            Self::Finish(Then::DropRoot) => f.write_str("empties the root"),
            Self::Finish(Then::MakeRoot(object)) => write!(f, "puts {} into the root, if it is empty", name(object)),
            Self::Finish(Then::RaiseFlag(object)) => write!(f, "raises the pin flag of {}", name(object)),
            Self::Finish(Then::CountPin(object)) => write!(f, "counts the pin of {}", name(object)),
            Self::Finish(Then::Unpin(object)) => write!(f, "counts the pin of {} down", name(object)),
            Self::Finish(Then::SetRoot(object)) => write!(f, "puts {} into the root", name(object)),
            Self::Finish(Then::GiveLockBack(object)) => write!(f, "gives the lock of {} back", name(object)),
            Self::Finish(Then::Overwrite(object, value)) => {
                write!(f, "puts {} into the field of {}", Named(value), name(object))
            }
            Self::FindsOther(held) => write!(f, "finds {} there instead, begins again", Named(held)),
            Self::Replace { then, old, later } => {
                let how = if later { "is to replace" } else { "replaces" };
                match then {
                    Then::Overwrite(object, value) => {
                        write!(f, "{how} {} by {} in the field of {}", Named(old), Named(value), name(object))
                    }
                    Then::SetRoot(object) => write!(f, "{how} {} by {} in the root", Named(old), name(object)),
                    _ => Ok(()),
                }
            }
            Self::Allocate { object, value, colour, around } => {
                write!(f, "allocates {} with {} in its field, {colour:?}", name(object), Named(value))?;
                if let Some(memory) = around {
                    write!(f, ", of the lock it has in hand, which remembers: {memory:?}")?;
                }
                Ok(())
            }
            Self::MakeRoot(object) => write!(f, "makes a root for {}", name(object)),
            Self::DropRoot(object) => write!(f, "drops the root, which holds {}", name(object)),
            Self::Pin(object) => write!(f, "pins {}", name(object)),
            Self::Unpin(object) => write!(f, "unpins {}", name(object)),
            Self::HoldForMoment(then, mode) => {
                let what = if then == Then::DropRoot { "drop the root" } else { "unpin" };
                write!(f, "is held for a moment in {mode:?}, to {what}")
            }
            Self::Upgrade(object) => write!(f, "upgrades a weak pointer to {}", name(object)),
            Self::LooksUndecided(object) => write!(f, "is to upgrade a weak pointer to {}, not decided", name(object)),
            Self::UpgradeUndecided(object) => {
                write!(f, "upgrades a weak pointer to {}, taken as not decided, and shades it", name(object))
            }
            Self::UpgradeFails(object) => write!(f, "fails to upgrade a weak pointer to {}: decided", name(object)),
            Self::TakeLock(object, shade) => {
                write!(f, "takes the lock of {}", name(object))?;
                f.write_str(if shade { ", is to shade the contents" } else { "" })
            }
            Self::ChangeContents(object, value) => {
                write!(f, "puts {} behind the lock of {}", Named(value), name(object))
            }
            Self::GiveLockBack(object, true) => write!(f, "is to shade what is behind the lock of {}", name(object)),
            Self::GiveLockBack(object, false) => write!(f, "gives the lock of {} back", name(object)),
            Self::AwaitLock(object) => write!(f, "waits for the outer lock of {}", name(object)),
            Self::TakeInnerLock(object, shade) => {
                write!(f, "shares the outer lock of {}, takes the inner one", name(object))?;
                f.write_str(if shade { ", is to shade the contents" } else { "" })
            }
            Self::PutBehindLock(object, value, true) => {
                write!(f, "puts {} behind the lock of {}, and is to shade it", Named(value), name(object))
            }
            Self::PutBehindLock(object, value, false) => {
                write!(f, "puts {} behind the lock of {}, which it gives back", Named(value), name(object))
            }
            Self::SwapInnerLock(object, memory) => {
                let name = name(object);
                write!(
                    f,
                    "takes the inner lock of {name} out, which remembers: {memory:?}, and puts there the one in hand"
                )
            }
            Self::LockInHand(value) => {
                write!(f, "takes the lock in hand for a moment, with {} behind it", Named(value))
            }
            Self::DropInHand => f.write_str("drops the lock in hand, and makes a new one"),
            Self::ForgetInnerGuard(object, _) => write!(f, "forgets the guard of the inner lock of {}", name(object)),
            Self::ForgetGuard(object) => write!(f, "forgets the guard of the lock of {}", name(object)),
            Self::MakeMap => f.write_str("makes a new weak map"),
            Self::LookUp(key, value) => {
                write!(f, "looks up the value of {}, and has {} in hand", name(key), name(value))
            }
            Self::BeginInsert(key, value) => {
                write!(f, "is to make {} the value of {}, and shades first what it owes", name(value), name(key))
            }
            Self::Insert(key, value) => write!(f, "makes {} the value of {}", name(value), name(key)),
            Self::FindsOtherKey => f.write_str("finds no room in the weak map"),
            Self::Remove(key, value) => write!(f, "removes {}, whose value was {}", name(key), name(value)),
            Self::SetWeak(None, value) => write!(f, "makes the weak root lead to {}", name(value)),
            Self::SetWeak(Some(object), value) => {
                write!(f, "makes the weak field of {} lead to {}", name(object), name(value))
            }
        }
    }
}

impl fmt::Display for CollectorStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Flip => f.write_str("flips the colours, takes the pin flags, begins handshake 1"),
            Self::Goes(Stage::Rest) => f.write_str("has swept everything; the cycle is over"),
            Self::Goes(Stage::AwaitMark) => f.write_str("begins handshake 2"),
            Self::Goes(Stage::AwaitClose) => f.write_str("has nothing to trace, begins a closing round"),
            Self::Goes(Stage::Trace) => f.write_str("goes on to tracing"),
            Self::Goes(Stage::Decide) => f.write_str("finds that the round brought nothing"),
            Self::Goes(Stage::Ephemerons) => {
                f.write_str("finds that the round brought nothing, begins a pass over the weak map")
            }
            Self::Goes(Stage::Sweep) => f.write_str("begins to sweep"),
            Self::Goes(stage) => write!(f, "goes on to {stage:?}"),
            Self::MarkRoot(object) => write!(f, "marks the root's object: {}", Named(object)),
            Self::ListPins => f.write_str("lists what may be pinned"),
            Self::WalkPin(object, true) => write!(f, "finds {} pinned and marks it", name(object)),
            Self::WalkPin(object, false) => write!(f, "finds {} not pinned", name(object)),
            Self::Trace(object, value) => write!(f, "traces {}, which leads to {}", name(object), Named(value)),
            Self::Take(object) => write!(f, "gives {} to a helper", name(object)),
            Self::HelperTraces(object, value) => {
                write!(f, "a helper traces {}, which leads to {}", name(object), Named(value))
            }
            Self::HelperLeaves(object) => write!(f, "a helper leaves, and gives {} back", name(object)),
            Self::EndMark => f.write_str("ends the mark"),
            Self::LookAtWeak(None, target) => {
                write!(f, "looks at the weak root, which leads to {}; clears it if that is white", Named(target))
            }
            Self::LookAtWeak(Some(object), target) => write!(
                f,
                "looks at the weak field of {}, which leads to {}; clears it if that is white",
                name(object),
                Named(target)
            ),
            Self::LookAtEntry(None) => f.write_str("looks at the weak map, which is empty, or was not reached"),
            Self::LookAtEntry(Some((key, value))) => {
                write!(f, "looks at the entry of {}, marks {} if the key is marked", name(key), name(value))
            }
            Self::ClearEntry(None) => f.write_str("finds nothing to remove from the weak map"),
            Self::ClearEntry(Some((key, _))) => write!(f, "removes the entry of {}, if that is white", name(key)),
            Self::ClearWeakRoot(seen) => write!(f, "clears the weak root, in which it has seen {}", name(seen)),
            Self::ReadByte(object, colour) => write!(f, "reads the mark byte of {}: {colour:?}", name(object)),
            Self::PinDead(object) => write!(f, "drops the value of {}, whose Drop pins it", name(object)),
            Self::WriteByte(object, Colour::Free) => write!(f, "writes that {} is free", name(object)),
            Self::WriteByte(object, colour) => write!(f, "writes the mark byte of {} back: {colour:?}", name(object)),
        }
    }
}
