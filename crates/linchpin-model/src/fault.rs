//! Ways to leave something out of the protocol, so that the search can show what each part is for.

use std::fmt;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A part of the protocol that is left out or done at the wrong time.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Fault {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What it is, in a sentence.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

faults! {
    /// A pointer store in `Arm` shades what it removes, but not what it puts there.
    NoInsertionBarrierInArm,
    /// An object born in `Arm` has the new colour.
    AllocateBlackInArm,
    /// Handshake 1 asks for `Mark`; there is no `Arm`.
    NoSecondHandshake,
    /// Handshake 2 is asked for while processors may still be in `Off`.
    HandshakeOneNotAwaited,
    /// Roots and pins are walked, and marking begins, while processors may still be in `Arm`.
    HandshakeTwoNotAwaited,
    /// A pointer store in `Arm` does not shade what it removes.
    NoDeletionBarrierInArm,
    /// A pointer store in `Mark` does not shade what it removes.
    NoDeletionBarrierInMark,
    /// A pointer store in `Close` does not shade what it removes.
    NoDeletionBarrierInClose,
    /// What a store or a root that is set loses is shaded after it has been replaced, in the same mutation.
    ShadeAfterSwap,
    /// The store after the shade is plain in `Arm`, too: it does not fail when the field holds something else by then.
    PlainStoreInArm,
    /// A leaf that is shaded in `Close` is not noted, as in `Arm` and `Mark`.
    LeafNotNotedInClose,
    /// A root that is dropped does not shade what it held.
    RootDropNotShaded,
    /// A root is dropped first, and what it held is shaded then.
    RootDroppedBeforeShade,
    /// A root that is set to another object does not shade what it held.
    RootSetNotShaded,
    /// A root made in `Arm`, or set there, does not shade what it gets.
    RootMadeInArmNotShaded,
    /// A pin made in `Arm` does not shade its object.
    PinMadeInArmNotShaded,
    /// Unpinning does not shade the object.
    UnpinNotShaded,
    /// The counter goes down first, and the object is shaded then.
    UnpinnedBeforeShade,
    /// An object born in `Mark` is white.
    AllocateWhiteInMark,
    /// An object born in `Close` is white.
    AllocateWhiteInClose,
    /// An object born in `Off` after the flip has the new colour.
    AllocateBlackBeforeArm,
    /// An object born in `Off` while the sweep is pending has the colour of the cycle before.
    AllocateWhiteAfterMark,
    /// A handshake is answered in the middle of a mutation.
    AnswerInsideMutation,
    /// Handshake 2 is answered in the middle of a mutation, where that allocates.
    MarkAnsweredInsideMutation,
    /// The collector answers for an idle processor without taking its barrier buffer.
    IdleBufferLeftBehind,
    /// A thread says that it has answered a handshake, and hands over its barrier buffer then.
    AnsweredBeforeHandOver,
    /// A barrier buffer that is full in the middle of a mutation is emptied, and not handed over.
    FullBufferLost,
    /// A processor is retired with its barrier buffer.
    RetiredNotEmptied,
    /// A processor that is taken into use again is in the mode in which it was retired.
    RevivedInOldMode,
    /// The mark ends when the queue first runs empty: no closing rounds.
    NoFinalRound,
    /// The mark ends when what the first closing round has brought is traced: no second one.
    NoFurtherRound,
    /// A closing round begins while a helper still has something to trace.
    HelpersNotAwaited,
    /// A mutation that assists keeps what it has not come to.
    AssistLeftLost,
    /// A round during which a mutation has assisted can be the last.
    AssistNotCounted,
    /// A mutation in `Close` assists, which has answered the round.
    AssistInClose,
    /// A mutation in `Mark` assists before handshake 2 is through.
    AssistBeforeHandshakeTwo,
    /// What is marked is not traced.
    GreyNotTraced,
    /// The sweep begins while processors may still be in `Close`.
    SweepBeforeOff,
    /// A processor in `Off` goes on allocating in the spans it held before.
    RunsKeptOverOff,
    /// A processor in `Off` takes a span that is not swept yet, and allocates in it.
    StaleSpanTakenInOff,
    /// A processor takes a span that is being swept.
    SpanTakenWhileSwept,
    /// A processor takes a span that another one holds.
    SpanTakenTwice,
    /// A cycle begins before every span is swept.
    CycleBeforeSweepEnds,
    /// A cycle begins while a processor still sweeps a span.
    SweepInFlightNotAwaited,
    /// The `Drop` of a value that is being swept can pin it.
    DeadPinnedInDrop,
    /// The root is not marked.
    RootsNotWalked,
    /// Pins are not walked.
    PinsNotWalked,
    /// The root is marked between handshakes 1 and 2.
    RootsWalkedBeforeHandshakeTwo,
    /// Pins are walked between handshakes 1 and 2.
    PinsWalkedBeforeHandshakeTwo,
    /// The root is marked before handshake 1 is answered.
    RootsWalkedBeforeHandshakeOne,
    /// Pins are walked before handshake 1 is answered.
    PinsWalkedBeforeHandshakeOne,
    /// The flags of spans that may hold pins are lowered after handshake 2 only.
    PinFlagsTakenAfterHandshakeTwo,
    /// The walk does not raise the flag of a span in which it found a pin.
    PinFlagNotRaisedByWalk,
    /// The walk looks at the flags that were raised before the cycle only.
    PinFlagsNotReadAgain,
    /// The walk marks whatever lies in a flagged span, whether it is pinned or not.
    PinWalkTrustsFlags,
    /// The sweep lowers the flag of a span in which something lives.
    PinFlagLoweredBySweep,
    /// A pin is counted first, and the flag raised then.
    PinCountedBeforeFlag,
    /// The colours do not swap at the beginning of a cycle.
    ColoursNotSwapped,
    /// Who drops a root or unpins outside any mutation looks at a mode, but holds no processor meanwhile.
    MomentNotHeld,
    /// Handshakes do not ask the spare.
    SpareNotAsked,
    /// The upgrade of a weak pointer in `Mark` does not shade.
    UpgradeNotShadedInMark,
    /// The upgrade of a weak pointer in `Close`, before the decision, does not shade.
    UpgradeNotShadedInClose,
    /// The closing rounds ask for `Mark`; there is no `Close`.
    NoCloseHandshake,
    /// The upgrade of a weak pointer in `Close` succeeds after the decision, too.
    UpgradeAfterDecision,
    /// The end of the mark is decided without the lock, a moment after the last look at the queue.
    DecisionWithoutLock,
    /// An upgrade in `Close` looks under the lock whether it is decided, and shades after letting go of it.
    UpgradeOutsideLock,
    /// An upgrade in `Close` shades into the processor's buffer, which the round may have taken, not into the queue.
    UpgradeInCloseNotCounted,
    /// Weak pointers to what is white are cleared before the closing rounds.
    WeakClearedTooEarly,
    /// Weak pointers to what is white are cleared after the handshake to `Off`.
    WeakClearedAfterOff,
    /// Weak pointers to what is white are not cleared.
    WeakNeverCleared,
    /// A weak pointer is cleared by a plain store, whatever it leads to by then.
    WeakClearedByPlainStore,
    /// A weak pointer that was loaded before the decision can be stored after it, without a look.
    WeakCopiedUnchecked,
    /// Weak fields are cleared in objects that were traced; those born black are not among them.
    WeakFieldsFoundByTracing,
    /// Weak pointers are traced like others.
    WeakTargetTraced,
    /// Who takes a lock in `Mark` or `Close` does not shade the contents.
    LockTakenInMarkNotShaded,
    /// Who takes a lock in `Arm` does not shade the contents.
    LockTakenInArmNotShaded,
    /// Who gives a lock back in `Arm` does not shade the contents.
    LockGivenBackInArmNotShaded,
    /// A lock remembers that its contents were shaded in `Arm`.
    LockTracedInArmRemembered,
    /// What a lock remembers is never outdated.
    LockRemembersForEver,
    /// Who takes a lock in `Mark` may change the contents before they are shaded.
    LockShadedAfterChange,
    /// A marker that passes by a lock somebody has does not see to it that there is one more round.
    PassingByNotCounted,
    /// A lock does not remember that a marker has traced its contents.
    LockTracedByMarkerForgotten,
    /// The contents of a lock whose guard was forgotten can be had past the lock.
    ForgottenContentsInUse,
    /// A shade in `Arm` has the inner locks it comes to remember that, as one in `Mark` does.
    InnerLockTracedInArmRemembered,
    /// A shade in `Arm` leaves an inner lock that remembers this cycle as it is.
    InnerLockOfThisCycleKeptInArm,
    /// A shade in `Arm` leaves an inner lock that remembers the cycle before as it is.
    InnerLockOfLastCycleKeptInArm,
    /// Who takes an outer lock in `Arm` leaves what the inner one remembers as it is.
    InnerLockKeptWhenTakenInArm,
    /// Who gives an outer lock back in `Arm` leaves what the inner one remembers as it is.
    InnerLockKeptWhenGivenBackInArm,
    /// Who takes an outer lock in `Mark` shades what is behind the inner one, which does not remember it.
    InnerLockShadedInMarkForgotten,
    /// Who takes an outer lock in `Mark` does not look behind the inner one.
    InnerLockLeftOutInMark,
    /// A marker looks behind an inner lock, which does not remember it.
    InnerLockTracedByMarkerForgotten,
    /// Who takes an inner lock in `Mark` or `Close`, sharing the outer one, does not shade the contents.
    InnerLockTakenInMarkNotShaded,
    /// Who takes an inner lock in `Arm`, sharing the outer one, does not shade the contents.
    InnerLockTakenInArmNotShaded,
    /// Who gives an inner lock back in `Arm`, sharing the outer one, does not shade the contents.
    InnerLockGivenBackInArmNotShaded,
    /// A marker that passes by an inner lock does not see to it that there is one more round.
    InnerPassingByNotCounted,
    /// A marker that passes by a lock which a writer waits for does not see to it that there is one more round.
    PassingByForWaitingNotCounted,
    /// The contents of an inner lock whose guard was forgotten can be had past the lock.
    InnerForgottenContentsInUse,
    /// Who looks up the value of a key in `Mark` does not shade it.
    LookUpNotShadedInMark,
    /// Who looks up the value of a key in `Close`, before the decision, does not shade it.
    LookUpNotShadedInClose,
    /// A value that is looked up or removed in `Close` is shaded into the processor's buffer, not into the queue.
    LookUpInCloseNotCounted,
    /// Who removes an entry in `Arm`, or replaces the value, does not shade what it removes.
    EntryRemovedInArmNotShaded,
    /// Who removes an entry in `Mark`, or replaces the value, does not shade what it removes.
    EntryRemovedInMarkNotShaded,
    /// Who removes an entry in `Close`, or replaces the value, does not shade what it removes.
    EntryRemovedInCloseNotShaded,
    /// Who inserts an entry in `Arm` does not shade the value.
    EntryInsertedInArmNotShaded,
    /// Who inserts an entry in `Arm` does not shade the key.
    KeyInsertedInArmNotShaded,
    /// The values of marked keys are not traced.
    EphemeronsNotTraced,
    /// The values of marked keys are traced before the closing rounds, and never again.
    EphemeronsBeforeRoundsOnly,
    /// The values of marked keys are traced after the first round that brought nothing, and never again.
    EphemeronsTracedOnce,
    /// The mark ends when the pass has found nothing, whatever was shaded meanwhile.
    ShadedInPassNotCounted,
    /// The pass removes an entry whose key is white.
    EntryClearedInPass,
    /// The entry of a dead key is removed after the handshake to `Off`.
    EntryClearedAfterOff,
    /// The entry of a dead key is not removed.
    EntryNeverCleared,
    /// The pass traces values of keys that are white, too.
    ValueOfWhiteKeyTraced,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A set of faults.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Faults(u128);

impl Faults {
    /// The protocol as it is.
    pub const NONE: Self = Self(0);

    /// The set of these.
    #[must_use]
    pub fn of(faults: &[Fault]) -> Self {
        Self(faults.iter().fold(0, |bits, &fault| bits | 1 << fault as u64))
    }

    /// Whether `fault` is in it.
    #[must_use]
    pub fn has(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u64) != 0
    }
}
