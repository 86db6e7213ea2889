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
    /// An object born in `Arm` is black, but not noted for tracing.
    NewbornsNotTracedInArm,
    /// An object born in `Arm` is white, and not noted for tracing.
    AllocateWhiteInArm,
    /// Handshake 1 asks for `Mark`; there is no `Arm`.
    NoSecondHandshake,
    /// Handshake 2 is asked for while processors may still be in `Off`.
    HandshakeOneNotAwaited,
    /// Roots and pins are walked, and marking begins, while processors may still be in `Arm`.
    HandshakeTwoNotAwaited,
    /// A pointer store in `Arm` does not shade what it removes.
    NoDeletionBarrierInArm,
    /// A pointer store in `Mark` and `Close` does not shade what it removes.
    NoDeletionBarrierInMark,
    /// What a store or a root loses is shaded after it has been replaced, in the same mutation.
    ShadeAfterSwap,
    /// The store after the shade is plain: it does not fail when the field holds something else by then.
    PlainStoreAfterShade,
    /// A root that is dropped does not shade what it held.
    RootDropNotShaded,
    /// A root that is set to another object does not shade what it held.
    RootSetNotShaded,
    /// A root made in `Arm`, or set there, does not shade what it gets.
    RootMadeInArmNotShaded,
    /// A pin made in `Arm` does not shade its object.
    PinMadeInArmNotShaded,
    /// Unpinning does not shade the object.
    UnpinNotShaded,
    /// An object born in `Mark` or `Close` is white.
    AllocateWhiteInMark,
    /// A handshake is answered in the middle of a mutation.
    AnswerInsideMutation,
    /// The collector answers for an idle processor without taking its barrier buffer.
    IdleBufferLeftBehind,
    /// The mark ends when the queue first runs empty: no closing rounds.
    NoFinalRound,
    /// The sweep begins while processors may still be in `Close`.
    SweepBeforeOff,
    /// A processor in `Off` goes on allocating in the spans it held before.
    RunsKeptOverOff,
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
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A set of faults.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Faults(u64);

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
