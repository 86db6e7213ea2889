//! What the search is expected to say about each variant of the protocol, with the smallest configuration that shows it.

use crate::config::Config;
use crate::fault::Fault::{self, *};

/// A variant of the protocol, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// What is wrong with it.
    pub faults: &'static [Fault],
    /// A configuration that shows it.
    pub config: Config,
    /// Whether there is a counterexample.
    pub breaks: bool,
}

const fn breaks(config: Config, faults: &'static [Fault]) -> Verdict {
    Verdict { faults, config, breaks: true }
}

const fn holds(config: Config, faults: &'static [Fault]) -> Verdict {
    Verdict { faults, config, breaks: false }
}

/// One object, one processor, a pin and the flags: enough for what takes two cycles.
const ONE: Config = Config { objects: 1, processors: 1, ..Config::FLAGS };

const NO_GREY: Config = Config { grey_at_end_counts: true, ..Config::SMALL };

/// The faults that break the protocol by themselves.
pub const BREAKING: &[Verdict] = &[
    breaks(Config::SMALL, &[NoInsertionBarrierInArm]),
    breaks(Config::SMALL, &[NewbornsNotTracedInArm]),
    breaks(Config::SMALL, &[NoSecondHandshake]),
    breaks(Config::SMALL, &[HandshakeOneNotAwaited]),
    breaks(Config::SMALL, &[NoDeletionBarrierInArm]),
    breaks(Config::SMALL, &[NoDeletionBarrierInMark]),
    breaks(Config::SMALL, &[NoDeletionBarrierInClose]),
    // The grey object that is left behind has a white one behind it as soon as there are three.
    breaks(NO_GREY, &[ShadeAfterSwap]),
    breaks(Config::SMALL, &[PlainStoreAfterShade]),
    breaks(Config::SMALL, &[RootDropNotShaded]),
    breaks(NO_GREY, &[RootDroppedBeforeShade]),
    breaks(Config::SMALL, &[RootSetNotShaded]),
    breaks(Config::PINS, &[UnpinNotShaded]),
    breaks(Config { pins: 1, ..NO_GREY }, &[UnpinnedBeforeShade]),
    breaks(Config::SMALL, &[AllocateWhiteInMark]),
    breaks(Config::SMALL, &[AllocateWhiteInClose]),
    breaks(Config::SMALL, &[AllocateBlackBeforeArm]),
    breaks(Config::SMALL, &[AllocateWhiteAfterMark]),
    breaks(Config::SMALL, &[AnswerInsideMutation]),
    breaks(Config::SMALL, &[IdleBufferLeftBehind]),
    breaks(Config::SMALL, &[AnsweredBeforeHandOver]),
    breaks(Config { full_buffers: true, ..Config::SMALL }, &[FullBufferLost]),
    breaks(Config::RESIZE, &[RetiredNotEmptied]),
    breaks(Config::RESIZE, &[RevivedInOldMode]),
    breaks(Config::SMALL, &[NoFinalRound]),
    breaks(NO_GREY, &[NoFurtherRound]),
    breaks(Config::HELPERS, &[HelpersNotAwaited]),
    breaks(Config::SMALL, &[GreyNotTraced]),
    breaks(Config::SMALL, &[SweepBeforeOff]),
    breaks(Config::SMALL, &[RunsKeptOverOff]),
    breaks(Config::ONE_SPAN, &[RunsKeptOverOff]),
    breaks(Config::ONE_SPAN, &[StaleSpanTakenInOff]),
    breaks(Config::ONE_SPAN, &[SpanTakenWhileSwept]),
    breaks(Config::ONE_SPAN, &[SpanTakenTwice]),
    breaks(Config::SMALL, &[CycleBeforeSweepEnds]),
    breaks(Config::SMALL, &[SweepInFlightNotAwaited]),
    breaks(ONE, &[DeadPinnedInDrop]),
    breaks(Config::SMALL, &[RootsNotWalked]),
    breaks(ONE, &[PinsNotWalked]),
    breaks(Config::SMALL, &[RootsWalkedBeforeHandshakeOne]),
    breaks(Config::PINS, &[PinsWalkedBeforeHandshakeOne]),
    breaks(ONE, &[PinFlagsTakenAfterHandshakeTwo]),
    breaks(ONE, &[PinFlagNotRaisedByWalk]),
    breaks(ONE, &[PinFlagsNotReadAgain]),
    breaks(ONE, &[PinWalkTrustsFlags]),
    breaks(ONE, &[PinFlagLoweredBySweep]),
    breaks(Config::SMALL, &[ColoursNotSwapped]),
    breaks(Config::SPARE, &[MomentNotHeld]),
    breaks(Config::SPARE, &[SpareNotAsked]),
    breaks(Config::WEAK, &[UpgradeNotShadedInMark]),
    breaks(Config::WEAK, &[UpgradeNotShadedInClose]),
    breaks(Config::WEAK, &[NoCloseHandshake]),
    breaks(Config::WEAK, &[UpgradeAfterDecision]),
    breaks(Config::WEAK, &[DecisionWithoutLock]),
    breaks(Config::WEAK, &[UpgradeOutsideLock]),
    breaks(Config::WEAK, &[UpgradeInCloseNotCounted]),
    breaks(Config::WEAK, &[WeakClearedTooEarly]),
    breaks(Config::WEAK, &[WeakClearedAfterOff]),
    breaks(Config::WEAK, &[WeakNeverCleared]),
    breaks(Config::WEAK, &[WeakClearedByPlainStore]),
    breaks(Config::WEAK, &[WeakCopiedUnchecked]),
    breaks(Config::WEAK_FIELDS, &[WeakFieldsFoundByTracing]),
    breaks(Config::WEAK, &[WeakTargetTraced]),
];

/// Parts that can be left out, because another part does the same: each by itself is harmless.
///
/// * Roots and pins are walked when all have answered handshake 2. What a mutation in `Arm` has made is there to be
///   found then, or was shaded when it was dropped. So such roots and pins need no shade, *or* the walk need not wait.
/// * All that a mutation in `Arm` does is shaded, and the closing rounds wait for it. So marking may begin while
///   handshake 2 is still being answered, as long as roots and pins made in `Arm` are shaded.
/// * An object born in `Arm` becomes reachable by a store, a root or a pin, which shade it, or are walked. So it may be
///   white as one born in `Off`, and need not be noted.
/// * Pins are made in mutations, and flags are read again when all that were under way at handshake 1 have ended. So for the
///   mark it does not matter which comes first, the flag or the count. (It does to the verifier, which may look in between.)
pub const HARMLESS: &[Verdict] = &[
    holds(Config::SMALL, &[AllocateWhiteInArm]),
    holds(Config::SMALL, &[HandshakeTwoNotAwaited]),
    holds(Config::SMALL, &[RootMadeInArmNotShaded]),
    holds(Config::PINS, &[PinMadeInArmNotShaded]),
    holds(Config::SMALL, &[RootsWalkedBeforeHandshakeTwo]),
    holds(Config::PINS, &[PinsWalkedBeforeHandshakeTwo]),
    holds(Config { objects: 1, ..Config::FLAGS }, &[PinCountedBeforeFlag]),
    holds(Config::SMALL, &[NewbornsHandedOverAtOnce]),
    holds(Config::SMALL, &[AllocateWhiteInArm, HandshakeTwoNotAwaited]),
    holds(Config::PINS, &[AllocateWhiteInArm, RootMadeInArmNotShaded, PinMadeInArmNotShaded]),
];

/// Harmless parts that cannot be left out together.
pub const BREAKING_PAIRS: &[Verdict] = &[
    breaks(Config::SMALL, &[RootMadeInArmNotShaded, RootsWalkedBeforeHandshakeTwo]),
    breaks(Config::SMALL, &[RootMadeInArmNotShaded, HandshakeTwoNotAwaited]),
    breaks(Config::PINS, &[PinMadeInArmNotShaded, PinsWalkedBeforeHandshakeTwo]),
    breaks(Config::PINS, &[PinMadeInArmNotShaded, HandshakeTwoNotAwaited]),
    breaks(Config::SMALL, &[AllocateWhiteInArm, NoInsertionBarrierInArm]),
    breaks(Config::SMALL, &[NewbornsHandedOverAtOnce, HandshakeTwoNotAwaited]),
];
