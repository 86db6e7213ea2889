//! What the search is expected to say about each variant of the protocol, with the smallest configuration that shows it.
//!
//! # What each part is for
//!
//! Every part of the protocol, where it is in the source of `linchpin`, and the variants that leave it out or do it at the
//! wrong time. A test compares this table with [`Fault`], and the files with the source.
//!
//! **The snapshot**
//!
//! | part | source | variants |
//! | --- | --- | --- |
//! | the colours swap at the beginning | `collector/cycle.rs` | `ColoursNotSwapped` |
//! | handshake 1 is awaited | `collector/cycle.rs` | `HandshakeOneNotAwaited` |
//! | there is a handshake 2, and it is awaited | `collector/cycle.rs` | `NoSecondHandshake`, `HandshakeTwoNotAwaited` |
//! | a handshake is answered between mutations | `processor/phase.rs` | `AnswerInsideMutation` |
//! | and before the answer is seen, the buffer is handed over | `processor/mod.rs` | `AnsweredBeforeHandOver` |
//! | the collector takes the buffer of an idle processor | `processor/mod.rs` | `IdleBufferLeftBehind` |
//! | a processor that is retired is emptied | `processor/acquire.rs` | `RetiredNotEmptied` |
//! | one that is revived is in the phase of the moment | `processor/acquire.rs` | `RevivedInOldMode` |
//! | the spare is asked, too | `processor/acquire.rs` | `SpareNotAsked` |
//! | who acts outside mutations holds a processor | `processor/acquire.rs` | `MomentNotHeld` |
//!
//! **Barriers**
//!
//! | part | source | variants |
//! | --- | --- | --- |
//! | in `Arm` a store shades what it puts there | `collector/barrier.rs` | `NoInsertionBarrierInArm` |
//! | a store shades what it removes | `collector/barrier.rs` | `NoDeletionBarrierInArm`, `NoDeletionBarrierInMark` |
//! | | | `NoDeletionBarrierInClose` |
//! | it does so first | `collector/barrier.rs` | `ShadeAfterSwap` |
//! | and replaces nothing else than what it shaded | `collector/barrier.rs` | `PlainStoreAfterShade` |
//! | a full buffer is handed over | `processor/mod.rs` | `FullBufferLost` |
//!
//! **Birth**
//!
//! | part | source | variants |
//! | --- | --- | --- |
//! | in `Off` an object has the colour of the last cycle | `processor/phase.rs` | `AllocateBlackBeforeArm` |
//! | | | `AllocateWhiteAfterMark` |
//! | in `Arm` it is black, and traced | `mutator.rs` | `AllocateWhiteInArm`, `NewbornsNotTracedInArm` |
//! | but not before it is initialised | `processor/mod.rs` | `NewbornsHandedOverAtOnce` |
//! | in `Mark` and `Close` it is black | `mutator.rs` | `AllocateWhiteInMark`, `AllocateWhiteInClose` |
//!
//! **Roots**
//!
//! | part | source | variants |
//! | --- | --- | --- |
//! | they are marked, after handshake 2 | `gc/root_table.rs` | `RootsNotWalked`, `RootsWalkedBeforeHandshakeOne` |
//! | | | `RootsWalkedBeforeHandshakeTwo` |
//! | one made in `Arm` shades | `gc/root.rs` | `RootMadeInArmNotShaded` |
//! | one that is dropped shades, first | `gc/root.rs` | `RootDropNotShaded`, `RootDroppedBeforeShade` |
//! | one that is set shades what it held | `gc/root.rs` | `RootSetNotShaded` |
//!
//! **Pins**
//!
//! | part | source | variants |
//! | --- | --- | --- |
//! | they are walked, after handshake 2 | `collector/cycle.rs` | `PinsNotWalked`, `PinsWalkedBeforeHandshakeOne` |
//! | | | `PinsWalkedBeforeHandshakeTwo` |
//! | one made in `Arm` shades | `pin/mod.rs` | `PinMadeInArmNotShaded` |
//! | unpinning shades, first | `pin/inner.rs` | `UnpinNotShaded`, `UnpinnedBeforeShade` |
//! | the counters are the truth, not the flags | `collector/cycle.rs` | `PinWalkTrustsFlags` |
//! | flags are lowered before handshake 1, and read again | `collector/cycle.rs` | `PinFlagsTakenAfterHandshakeTwo` |
//! | | | `PinFlagsNotReadAgain` |
//! | the walk raises the flag again | `collector/cycle.rs` | `PinFlagNotRaisedByWalk` |
//! | the flag is raised before the pin is counted | `pin/mod.rs` | `PinCountedBeforeFlag` |
//! | a sweep lowers flags of empty spans only | `memory/sweep.rs` | `PinFlagLoweredBySweep` |
//! | what is being dropped cannot be pinned | `memory/sweep.rs` | `DeadPinnedInDrop` |
//!
//! **The end of the mark**
//!
//! | part | source | variants |
//! | --- | --- | --- |
//! | what is marked is traced | `collector/mark.rs` | `GreyNotTraced` |
//! | helpers are awaited | `collector/workers.rs` | `HelpersNotAwaited` |
//! | there are closing rounds, until one brings nothing | `collector/cycle.rs` | `NoFinalRound`, `NoFurtherRound` |
//!
//! **The sweep**
//!
//! | part | source | variants |
//! | --- | --- | --- |
//! | it waits for the handshake to `Off` | `collector/cycle.rs` | `SweepBeforeOff` |
//! | in which runs are given back | `processor/mod.rs` | `RunsKeptOverOff` |
//! | after which nobody takes a span that is not swept | `memory/class.rs` | `StaleSpanTakenInOff` |
//! | a span belongs to its sweeper, or to one processor | `memory/class.rs` | `SpanTakenWhileSwept`, `SpanTakenTwice` |
//! | all is swept before the next cycle | `memory/sweep.rs` | `CycleBeforeSweepEnds`, `SweepInFlightNotAwaited` |
//!
//! **Weak pointers**, which are not in the library yet
//!
//! | part | source | variants |
//! | --- | --- | --- |
//! | in `Mark` an upgrade shades | | `UpgradeNotShadedInMark` |
//! | there is `Close`, in which it asks whether the end is decided | | `NoCloseHandshake`, `UpgradeAfterDecision` |
//! | and shades what is not decided, into the queue | | `UpgradeNotShadedInClose`, `UpgradeInCloseNotCounted` |
//! | asking, shading and deciding share a lock | | `UpgradeOutsideLock`, `DecisionWithoutLock` |
//! | what was white is cleared between decision and sweep | | `WeakClearedTooEarly`, `WeakClearedAfterOff` |
//! | | | `WeakNeverCleared` |
//! | by a compare-and-swap | | `WeakClearedByPlainStore` |
//! | in newborns, too | | `WeakFieldsFoundByTracing` |
//! | a copy asks like an upgrade | | `WeakCopiedUnchecked` |
//! | weak pointers are not traced | | `WeakTargetTraced` |

use crate::config::{Config, Promise};
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
/// * Marking begins when no mutation is in `Arm` any more, and has initialised what it has allocated. So newborns may be handed
///   over at once, as long as handshake 2 is awaited.
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

/// Promises that see the same loss, and a variant that shows it: checked for none of them it seems to hold, and each of them
/// finds it alone. So each is checked for a reason, and can fail.
///
/// Something white at the end of a mark, a barrier that finds it later, and its freed slot in use: what loses an object without
/// the first is a sweep that frees too much, so all three are looked at.
pub const TOGETHER: &[(&[Promise], Verdict)] = &[
    (
        &[Promise::NothingWhiteAtEnd, Promise::NothingToShadeAfterMark, Promise::NoFreeSlotInUse],
        breaks(Config::SMALL, &[NoInsertionBarrierInArm]),
    ),
    (&[Promise::NothingGreyAtEnd], breaks(NO_GREY, &[NoFurtherRound])),
    (&[Promise::NoSlotTwice], breaks(Config { objects: 1, ..Config::ONE_SPAN }, &[SpanTakenTwice])),
    (&[Promise::AllSwept, Promise::GarbageFreed], breaks(Config::ONE_SPAN, &[StaleSpanTakenInOff])),
    (&[Promise::GarbageFreed], breaks(ONE, &[PinWalkTrustsFlags])),
    (&[Promise::NoUpgradeFailsInUse, Promise::NoUpgradeUndecides], breaks(Config::WEAK, &[WeakClearedTooEarly])),
];
