//! What the search is expected to say about each variant of the protocol, with the smallest configuration that shows
//! it.
//!
//! # What each part is for
//!
//! Every part of the protocol, where it is in the source of `linchpin`, and the variants that leave it out or do it at
//! the wrong time. A test compares this table with [`Fault`], and the files with the source.
//!
//! **The snapshot**
//!
//! | part | source | variants |
//! | --- | --- | --- |
//! | the colours swap at the beginning | `collector/cycle.rs` | `ColoursNotSwapped` |
//! | handshake 1 is awaited | `collector/cycle.rs` | `HandshakeOneNotAwaited` |
//! | there is a handshake 2, and it is awaited | `collector/cycle.rs` | `NoSecondHandshake`, `HandshakeTwoNotAwaited` |
//! | a handshake is answered between mutations, or where one allocates | `processor/phase.rs` | `AnswerInsideMutation` |
//! | but handshake 2 between mutations only | `processor/phase.rs` | `MarkAnsweredInsideMutation` |
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
//! | and replaces nothing else than what it shaded | `collector/barrier.rs` | `PlainStoreInArm` |
//! | a leaf that is shaded in `Close` is noted | `collector/barrier.rs` | `LeafNotNotedInClose` |
//! | a full buffer is handed over | `processor/mod.rs` | `FullBufferLost` |
//!
//! **Birth**
//!
//! | part | source | variants |
//! | --- | --- | --- |
//! | in `Off` an object has the colour of the last cycle | `processor/phase.rs` | `AllocateBlackBeforeArm` |
//! | | | `AllocateWhiteAfterMark` |
//! | in `Arm`, too | `processor/phase.rs` | `AllocateBlackInArm` |
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
//! | a mutation assists in `Mark` only | `collector/assist.rs` | `AssistInClose` |
//! | when handshake 2 is through | `collector/assist.rs` | `AssistBeforeHandshakeTwo` |
//! | what it has not come to it gives back | `collector/mark/sharing.rs` | `AssistLeftLost` |
//! | and during the last round nobody assists | `collector/queue.rs` | `AssistNotCounted` |
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
//! **Weak pointers**, as they would be in fields; in the library they lead to handles, and `collector/decision.rs` says what is left of this
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
//!
//! **Ephemerons**
//!
//! | part | source | variants |
//! | --- | --- | --- |
//! | who looks a value up in `Mark` shades it | `collector/decision.rs` | `LookUpNotShadedInMark` |
//! | in `Close`, what is not decided, into the queue | `collector/decision.rs` | `LookUpNotShadedInClose` |
//! | | | `LookUpInCloseNotCounted` |
//! | who removes or replaces a value shades it | `gc/weak/map.rs` | `EntryRemovedInArmNotShaded` |
//! | | | `EntryRemovedInMarkNotShaded`, `EntryRemovedInCloseNotShaded` |
//! | who inserts one in `Arm` does, too | `gc/weak/map.rs` | `EntryInsertedInArmNotShaded` |
//! | and shades the key | `gc/weak/map.rs` | `KeyInsertedInArmNotShaded` |
//! | values of marked keys are traced, after a round that brought nothing | `collector/ephemerons.rs` | `EphemeronsNotTraced` |
//! | each time | `collector/cycle.rs` | `EphemeronsBeforeRoundsOnly`, `EphemeronsTracedOnce` |
//! | but not values of other keys | `gc/weak/map.rs` | `ValueOfWhiteKeyTraced` |
//! | the mark ends if nothing was shaded since the round began | `collector/decision.rs` | `ShadedInPassNotCounted` |
//! | entries of dead keys go between decision and `Off` | `collector/ephemerons.rs` | `EntryClearedInPass` |
//! | | | `EntryClearedAfterOff`, `EntryNeverCleared` |
//!
//! **Locks around contents**
//!
//! | part | source | variants |
//! | --- | --- | --- |
//! | who takes one in `Mark` shades the contents, first | `gc/lock/mod.rs` | `LockTakenInMarkNotShaded`, `LockShadedAfterChange` |
//! | who takes one in `Arm` does, too | `gc/lock/mod.rs` | `LockTakenInArmNotShaded` |
//! | and does so again when it is given back | `gc/lock/mod.rs` | `LockGivenBackInArmNotShaded` |
//! | which it does not remember | `collector/mark.rs` | `LockTracedInArmRemembered` |
//! | what it remembers is outdated in the next cycle | `gc/lock/mod.rs` | `LockRemembersForEver` |
//! | a marker has it remember | `gc/lock/mod.rs` | `LockTracedByMarkerForgotten` |
//! | if it passes by, there is one more round | `collector/cycle.rs` | `PassingByNotCounted` |
//! | what a forgotten guard had is out of reach | `gc/lock/mutex.rs` | `ForgottenContentsInUse` |
//!
//! **Locks behind locks**
//!
//! | part | source | variants |
//! | --- | --- | --- |
//! | who takes the outer one in `Mark` looks behind the inner one | `gc/lock/mutex.rs` | `InnerLockLeftOutInMark` |
//! | which remembers that | `gc/lock/mod.rs` | `InnerLockShadedInMarkForgotten` |
//! | and remembers a marker | `gc/lock/mod.rs` | `InnerLockTracedByMarkerForgotten` |
//! | a shade in `Arm` has it forget this cycle | `collector/mark.rs` | `InnerLockTracedInArmRemembered` |
//! | | | `InnerLockOfThisCycleKeptInArm` |
//! | and the one before | `collector/mark.rs` | `InnerLockOfLastCycleKeptInArm` |
//! | when the outer one is taken, and given back | `gc/lock/mod.rs` | `InnerLockKeptWhenTakenInArm` |
//! | | | `InnerLockKeptWhenGivenBackInArm` |
//! | who shares the outer one has the barrier of the inner one | `gc/lock/mod.rs` | `InnerLockTakenInMarkNotShaded` |
//! | | | `InnerLockTakenInArmNotShaded`, `InnerLockGivenBackInArmNotShaded` |
//! | one more round where a marker passes by the inner one | `gc/lock/mutex.rs` | `InnerPassingByNotCounted` |
//! | or by an outer one that a writer is about to have | `gc/lock/rw_lock.rs` | `PassingByForWaitingNotCounted` |
//! | what a forgotten guard had is out of reach | `gc/lock/mutex.rs` | `InnerForgottenContentsInUse` |

use crate::config::{Config, Promise};
use crate::fault::Fault::{self, *};
use crate::memory::Memory;
use crate::object::{Colour, Object};
use crate::processor::{Mode, Then};
use crate::report::{CollectorStep, MutatorStep, Step};
use crate::state::Stage;

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
const ONE: Config = one_of_each(Config::FLAGS);

const fn one_object(config: Config) -> Config {
    Config { objects: 1, ..config }
}

const fn one_processor(config: Config) -> Config {
    Config { processors: 1, ..config }
}

const fn one_of_each(config: Config) -> Config {
    Config { objects: 1, processors: 1, ..config }
}

const NO_GREY: Config = Config { grey_at_end_counts: true, ..Config::SMALL };

/// With two objects to begin with, of which the first stays in the root: less to search where there is much.
const fn with_two(config: Config) -> Config {
    Config { begins_with_two: true, fixed_root: true, ..config }
}

const NO_GREY_ASSISTS: Config = Config { grey_at_end_counts: true, ..Config::ASSISTS };

const NO_GREY_EPHEMERON: Config = one_processor(Config { grey_at_end_counts: true, ..Config::EPHEMERON });

const NO_GREY_SHARED: Config = Config { grey_at_end_counts: true, ..with_two(Config::SHARED_LOCKS) };

/// The faults that break the protocol by themselves.
pub const BREAKING: &[Verdict] = &[
    breaks(Config::SMALL, &[NoInsertionBarrierInArm]),
    breaks(Config::SMALL, &[AllocateBlackInArm]),
    breaks(Config::SMALL, &[NoSecondHandshake]),
    breaks(one_object(Config::SMALL), &[HandshakeOneNotAwaited]),
    breaks(Config::SMALL, &[NoDeletionBarrierInArm]),
    breaks(one_processor(Config::SMALL), &[NoDeletionBarrierInMark]),
    breaks(one_processor(Config::SMALL), &[NoDeletionBarrierInClose]),
    // The grey object that is left behind has a white one behind it as soon as there are three.
    breaks(NO_GREY, &[ShadeAfterSwap]),
    breaks(Config::SMALL, &[PlainStoreInArm]),
    breaks(one_object(Config::SMALL), &[RootDropNotShaded]),
    breaks(one_object(NO_GREY), &[RootDroppedBeforeShade]),
    breaks(one_processor(Config::SMALL), &[RootSetNotShaded]),
    breaks(one_object(Config::PINS), &[UnpinNotShaded]),
    breaks(one_object(Config { pins: 1, ..NO_GREY }), &[UnpinnedBeforeShade]),
    breaks(Config::SMALL, &[AllocateWhiteInMark]),
    breaks(Config::SMALL, &[AllocateWhiteInClose]),
    breaks(Config::SMALL, &[AllocateBlackBeforeArm]),
    breaks(one_object(Config::SMALL), &[AllocateWhiteAfterMark]),
    breaks(one_object(Config::SMALL), &[AnswerInsideMutation]),
    breaks(Config::SMALL, &[MarkAnsweredInsideMutation]),
    breaks(Config::SMALL, &[HandshakeTwoNotAwaited]),
    breaks(one_processor(Config::SMALL), &[IdleBufferLeftBehind]),
    breaks(one_processor(Config::SMALL), &[AnsweredBeforeHandOver]),
    breaks(one_processor(Config { full_buffers: true, ..Config::SMALL }), &[FullBufferLost]),
    breaks(one_object(Config::RESIZE), &[RetiredNotEmptied]),
    breaks(Config::RESIZE, &[RevivedInOldMode]),
    breaks(Config::SMALL, &[NoFinalRound]),
    breaks(one_processor(NO_GREY), &[NoFurtherRound]),
    breaks(Config::HELPERS, &[HelpersNotAwaited]),
    breaks(one_processor(Config::ASSISTS), &[AssistLeftLost]),
    breaks(NO_GREY_ASSISTS, &[AssistNotCounted]),
    breaks(NO_GREY_ASSISTS, &[AssistInClose]),
    breaks(Config { locks: true, ..Config::ASSISTS }, &[AssistBeforeHandshakeTwo]),
    breaks(Config::SMALL, &[GreyNotTraced]),
    breaks(Config::SMALL, &[SweepBeforeOff]),
    breaks(one_of_each(Config::SMALL), &[RunsKeptOverOff]),
    breaks(one_of_each(Config::ONE_SPAN), &[RunsKeptOverOff]),
    breaks(one_processor(Config::ONE_SPAN), &[StaleSpanTakenInOff]),
    breaks(one_of_each(Config::ONE_SPAN), &[SpanTakenWhileSwept]),
    breaks(one_object(Config::ONE_SPAN), &[SpanTakenTwice]),
    breaks(Config::SMALL, &[CycleBeforeSweepEnds]),
    breaks(one_of_each(Config::SMALL), &[SweepInFlightNotAwaited]),
    breaks(ONE, &[DeadPinnedInDrop]),
    breaks(Config::SMALL, &[RootsNotWalked]),
    breaks(ONE, &[PinsNotWalked]),
    breaks(Config::SMALL, &[RootsWalkedBeforeHandshakeOne]),
    breaks(one_of_each(Config::PINS), &[PinsWalkedBeforeHandshakeOne]),
    breaks(ONE, &[PinFlagsTakenAfterHandshakeTwo]),
    breaks(ONE, &[PinFlagNotRaisedByWalk]),
    breaks(ONE, &[PinFlagsNotReadAgain]),
    breaks(ONE, &[PinWalkTrustsFlags]),
    breaks(ONE, &[PinFlagLoweredBySweep]),
    breaks(ONE, &[PinCountedBeforeFlag]),
    breaks(one_of_each(Config::SMALL), &[ColoursNotSwapped]),
    breaks(Config::SPARE, &[MomentNotHeld]),
    breaks(Config::SPARE, &[SpareNotAsked]),
    breaks(one_of_each(Config::WEAK), &[UpgradeNotShadedInMark]),
    breaks(one_of_each(Config::WEAK), &[UpgradeNotShadedInClose]),
    breaks(one_of_each(Config::WEAK), &[NoCloseHandshake]),
    breaks(one_of_each(Config::WEAK), &[UpgradeAfterDecision]),
    breaks(one_processor(Config::WEAK), &[DecisionWithoutLock]),
    breaks(one_of_each(Config::WEAK), &[UpgradeOutsideLock]),
    breaks(one_processor(Config::WEAK), &[UpgradeInCloseNotCounted]),
    breaks(one_of_each(Config::WEAK), &[WeakClearedTooEarly]),
    breaks(one_of_each(Config::WEAK), &[WeakClearedAfterOff]),
    breaks(one_of_each(Config::WEAK), &[WeakNeverCleared]),
    breaks(one_processor(Config::WEAK), &[WeakClearedByPlainStore]),
    breaks(one_of_each(Config::WEAK), &[WeakCopiedUnchecked]),
    breaks(Config::WEAK_FIELDS, &[WeakFieldsFoundByTracing]),
    breaks(one_of_each(Config::WEAK), &[WeakTargetTraced]),
    // What it leaves grey has a white object behind it as soon as there are three.
    breaks(NO_GREY_EPHEMERON, &[LookUpNotShadedInMark]),
    breaks(NO_GREY_EPHEMERON, &[LookUpNotShadedInClose]),
    breaks(NO_GREY_EPHEMERON, &[LookUpInCloseNotCounted]),
    breaks(one_processor(Config::EPHEMERON), &[EntryRemovedInMarkNotShaded]),
    breaks(one_processor(Config::EPHEMERON), &[EntryRemovedInCloseNotShaded]),
    breaks(Config::NEW_MAPS, &[EntryInsertedInArmNotShaded]),
    breaks(Config::NEW_MAPS, &[KeyInsertedInArmNotShaded]),
    breaks(one_processor(Config::EPHEMERON), &[EphemeronsNotTraced]),
    breaks(one_processor(Config::ENTRIES), &[EphemeronsBeforeRoundsOnly]),
    breaks(one_processor(Config::ENTRIES), &[EphemeronsTracedOnce]),
    breaks(one_processor(Config::ENTRIES), &[ShadedInPassNotCounted]),
    breaks(one_of_each(Config::ENTRIES), &[EntryClearedInPass]),
    breaks(one_of_each(Config::ENTRIES), &[EntryClearedAfterOff]),
    breaks(one_of_each(Config::EPHEMERON), &[EntryNeverCleared]),
    breaks(one_of_each(Config::EPHEMERON), &[ValueOfWhiteKeyTraced]),
    breaks(Config::LOCKS, &[LockTakenInMarkNotShaded]),
    breaks(Config::LOCKS, &[LockShadedAfterChange]),
    breaks(Config::LOCKS, &[LockTakenInArmNotShaded]),
    breaks(Config::LOCKS, &[LockGivenBackInArmNotShaded]),
    breaks(Config::LOCKS, &[LockTracedInArmRemembered]),
    breaks(Config::LOCKS, &[LockRemembersForEver]),
    breaks(Config::LOCKS, &[LockTracedByMarkerForgotten]),
    breaks(Config { locks: true, ..NO_GREY }, &[PassingByNotCounted]),
    breaks(Config::LOCKS, &[ForgottenContentsInUse]),
    breaks(one_processor(Config::MOVED_LOCKS), &[InnerLockLeftOutInMark]),
    breaks(one_processor(Config::MOVED_LOCKS), &[InnerLockShadedInMarkForgotten]),
    breaks(one_processor(Config::MOVED_LOCKS), &[InnerLockTracedByMarkerForgotten]),
    breaks(with_two(Config::MOVED_LOCKS), &[InnerLockTracedInArmRemembered]),
    breaks(with_two(Config::MOVED_LOCKS), &[InnerLockOfLastCycleKeptInArm]),
    breaks(with_two(Config::MOVED_LOCKS), &[InnerLockKeptWhenGivenBackInArm]),
    breaks(one_processor(Config::SHARED_LOCKS), &[InnerLockTakenInMarkNotShaded]),
    breaks(with_two(Config::SHARED_LOCKS), &[InnerLockTakenInArmNotShaded]),
    breaks(with_two(Config::SHARED_LOCKS), &[InnerLockGivenBackInArmNotShaded]),
    breaks(Config { fixed_root: false, ..NO_GREY_SHARED }, &[InnerPassingByNotCounted]),
    breaks(NO_GREY_SHARED, &[PassingByForWaitingNotCounted]),
    breaks(one_processor(Config { forgotten_guards: true, ..Config::SHARED_LOCKS }), &[InnerForgottenContentsInUse]),
];

/// Parts that can be left out, because another part does the same: each by itself is harmless.
///
/// * Roots and pins are walked when all have answered handshake 2. What a mutation in `Arm` has made is there to be
///   found then, or was shaded when it was dropped. So such roots and pins need no shade, *or* the walk need not wait.
/// * A value that is removed in `Arm` stays with whoever removed it, in `Arm`, where all that is done with it is shaded. Who has
///   looked it up before, in `Mark`, has shaded it. So removing it in `Arm` need not.
/// * What is white and found in `Close` after a round that brought nothing was found by a look-up or an upgrade, which puts the mark's end off
///   by itself. So a leaf need not be noted there either.
pub const HARMLESS: &[Verdict] = &[
    holds(Config::SMALL, &[RootMadeInArmNotShaded]),
    holds(Config::PINS, &[PinMadeInArmNotShaded]),
    holds(Config::SMALL, &[RootsWalkedBeforeHandshakeTwo]),
    holds(Config::PINS, &[PinsWalkedBeforeHandshakeTwo]),
    holds(Config::NEW_MAPS, &[EntryRemovedInArmNotShaded]),
    holds(Config::PINS, &[RootMadeInArmNotShaded, PinMadeInArmNotShaded]),
    holds(Config { leaf: true, ..Config::EPHEMERON }, &[LeafNotNotedInClose]),
    holds(one_processor(Config { leaf: true, ..Config::ENTRIES_AND_WEAK }), &[LeafNotNotedInClose]),
];

/// Harmless parts that cannot be left out together.
pub const BREAKING_PAIRS: &[Verdict] = &[
    breaks(one_object(Config::SMALL), &[RootMadeInArmNotShaded, RootsWalkedBeforeHandshakeTwo]),
    breaks(one_object(Config::PINS), &[PinMadeInArmNotShaded, PinsWalkedBeforeHandshakeTwo]),
];

/// Faults that break the protocol by themselves, but with three objects only, and locks behind locks: too much to search. So each
/// has its way written down, step by step; the last step breaks a promise.
pub const WALKS: &[(Verdict, &[Step])] = &[
    (breaks(THREE_MOVED, &[InnerLockOfThisCycleKeptInArm]), NEWBORN_AROUND_OLD_LOCK),
    (breaks(THREE_MOVED, &[InnerLockKeptWhenTakenInArm]), NEWBORN_AROUND_OLD_LOCK),
];

const THREE_MOVED: Config = Config { objects: 3, ..with_two(Config::MOVED_LOCKS) };

/// The root's object leads to another one, which the first processor has in hand in `Arm`, while the second one removes it, still in
/// `Off`, and then, in `Mark`, has the lock it was behind remember a trace. The first one takes out that lock, puts the other object
/// there, and makes a new object of it.
const NEWBORN_AROUND_OLD_LOCK: &[Step] = &{
    use CollectorStep::*;
    use MutatorStep::*;
    const ROOTED: Object = 0;
    const LOST: Object = 1;
    const NEWBORN: Object = 2;
    let born = Allocate { object: NEWBORN, value: Some(LOST), colour: Colour::White, around: Some(Memory::ThisCycle) };
    [
        Step::Mutator(1, Begin(Mode::Off)),
        Step::Collector(Flip),
        Step::Mutator(0, Answer(Mode::Arm)),
        Step::Mutator(0, Begin(Mode::Arm)),
        Step::Mutator(1, ChangeContents(ROOTED, None)),
        Step::Mutator(1, End),
        Step::Mutator(1, Answer(Mode::Arm)),
        Step::Collector(Goes(Stage::AwaitMark)),
        Step::Mutator(1, Answer(Mode::Mark)),
        Step::Mutator(1, Begin(Mode::Mark)),
        Step::Mutator(1, TakeLock(ROOTED, true)),
        Step::Mutator(1, PutBehindLock(ROOTED, None, false)),
        Step::Mutator(1, End),
        Step::Mutator(0, TakeLock(ROOTED, true)),
        Step::Mutator(0, SwapInnerLock(ROOTED, Memory::ThisCycle)),
        Step::Mutator(0, born),
        Step::Mutator(0, PutBehindLock(ROOTED, Some(NEWBORN), true)),
        Step::Mutator(0, Shade { object: NEWBORN, was: Colour::White }),
        Step::Mutator(0, Finish(Then::GiveLockBack(ROOTED))),
        Step::Mutator(0, End),
        Step::Mutator(0, Answer(Mode::Mark)),
        Step::Collector(Goes(Stage::MarkRoot)),
        Step::Collector(MarkRoot(Some(ROOTED))),
        Step::Collector(ListPins),
        Step::Collector(Trace(NEWBORN, Some(LOST))),
        Step::Collector(Trace(ROOTED, Some(NEWBORN))),
        Step::Collector(Goes(Stage::AwaitClose)),
        Step::Mutator(0, Answer(Mode::Close)),
        Step::Mutator(1, Answer(Mode::Close)),
        Step::Collector(EndMark),
    ]
};

/// Promises that see the same loss, and a variant that shows it: checked for none of them it seems to hold, and each of
/// them finds it alone. So each is checked for a reason, and can fail.
///
/// Something white at the end of a mark, a barrier that finds it later, and its freed slot in use: what loses an object
/// without the first is a sweep that frees too much, so all three are looked at.
pub const TOGETHER: &[(&[Promise], Verdict)] = &[
    (
        &[Promise::NothingWhiteAtEnd, Promise::NothingToShadeAfterMark, Promise::NoFreeSlotInUse],
        breaks(Config::SMALL, &[NoInsertionBarrierInArm]),
    ),
    (&[Promise::NothingGreyAtEnd], breaks(NO_GREY, &[NoFurtherRound])),
    (&[Promise::NoSlotTwice], breaks(one_object(Config::ONE_SPAN), &[SpanTakenTwice])),
    (&[Promise::AllSwept, Promise::GarbageFreed], breaks(one_processor(Config::ONE_SPAN), &[StaleSpanTakenInOff])),
    (&[Promise::GarbageFreed], breaks(ONE, &[PinWalkTrustsFlags])),
    (&[Promise::FlagsCoverPins], breaks(ONE, &[PinCountedBeforeFlag])),
    (
        &[Promise::NoUpgradeFailsInUse, Promise::NoUpgradeUndecides],
        breaks(one_of_each(Config::WEAK), &[WeakClearedTooEarly]),
    ),
];
