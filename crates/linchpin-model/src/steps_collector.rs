//! What the collector does, from the flip of the colours to the last swept slot.
//!
//! Its answers for idle processors are among the steps of the processors: who answers makes no difference to anybody.

use crate::config::{Config, Violation};
use crate::fault::Fault::*;
use crate::memory::Memory;
use crate::object::{Colour, MOST_OBJECTS, Object, Objects};
use crate::processor::{Mode, Processor};
use crate::report::{CollectorStep, Step};
use crate::search::Successor;
use crate::state::{Stage, State};
use crate::steps_ephemeron::{clear_entry, has_pass, pass, value_to_trace};
use crate::steps_weak::{cell_of, fail};

/// Adds every step that the collector can do in `state`.
pub(crate) fn steps(config: &Config, state: &State, successors: &mut Vec<Successor>) {
    let mut add = |step: CollectorStep, change: &dyn Fn(&mut State) -> Option<Violation>| {
        let mut next = *state;
        let violation = change(&mut next);
        successors.push(Successor { step: Step::Collector(step), state: next, violation });
    };
    let asked = config.processors - usize::from(config.has(SpareNotAsked));
    let all_answered = state.processors[..asked].iter().all(Processor::has_answered);
    if state.stage != Stage::Sweep
        && config.has(SweepInFlightNotAwaited)
        && let Some(object) = state.sweeping
    {
        add(CollectorStep::WriteByte(object, state.byte_read), &|next| write_byte(config, next, object));
    }
    for object in state.taken_by_helpers().each() {
        let step = CollectorStep::HelperTraces(object, state.field[object as usize]);
        add(step, &|next| trace(config, next, object));
        add(CollectorStep::HelperLeaves(object), &|next| {
            next.to_visit.remove(object);
            next.queue.add(object);
            None
        });
    }
    match state.stage {
        Stage::Rest => add(CollectorStep::Flip, &|next| flip(config, next)),
        Stage::AwaitArm if all_answered || config.has(HandshakeOneNotAwaited) => {
            let stage = after_arm(config);
            add(CollectorStep::Goes(stage), &|next| {
                // The snapshot: what is in no way to be reached is garbage, unless it was noted before.
                // So is a leaf that was shaded, which is not noted.
                let leaf = next.coloured(Colour::Black).each().find(|&object| config.is_leaf(object));
                let noticed = next.reachable_from(next.noticed().and(Objects::of(leaf)));
                next.garbage = next.garbage.and(next.coloured(Colour::White).without(noticed));
                enter(next, stage)
            });
        }
        Stage::AwaitMark if all_answered || config.has(HandshakeTwoNotAwaited) => {
            let stage = after_mark(config);
            add(CollectorStep::Goes(stage), &|next| enter(next, stage));
        }
        Stage::MarkRoot => add(CollectorStep::MarkRoot(state.root), &|next| {
            let root = state.root.filter(|_| !config.has(RootsNotWalked));
            let violation = root.and_then(|object| visit(next, object));
            enter(next, after_root(config));
            let weak = state.weak[MOST_OBJECTS].filter(|_| config.has(WeakTargetTraced));
            violation.or(weak.and_then(|object| visit(next, object)))
        }),
        Stage::ListPins => add(CollectorStep::ListPins, &|next| {
            list_pins(config, next);
            None
        }),
        Stage::WalkPins => {
            for object in state.to_visit.each() {
                add(CollectorStep::WalkPin(object, state.pinned.has(object)), &|next| walk_pin(config, next, object));
            }
        }
        Stage::Trace if state.queue.is_empty() && !state.to_visit.is_empty() && !config.has(HelpersNotAwaited) => {}
        Stage::Trace if state.queue.is_empty() => {
            let had_round = state.processors.iter().any(|each| each.mode == Mode::Close);
            let early = config.has(EphemeronsBeforeRoundsOnly) && !had_round;
            if early && value_to_trace(config, state).is_some() {
                add(CollectorStep::LookAtEntry(state.entry_looked_at()), &|next| pass(config, next));
            } else if config.has(NoFinalRound) || (config.has(NoFurtherRound) && had_round) {
                add(CollectorStep::EndMark, &|next| end_mark(config, next));
            } else {
                add(CollectorStep::Goes(Stage::AwaitClose), &|next| {
                    enter(next, Stage::AwaitClose);
                    let owners = (0..config.objects as Object).map(Some).chain([None]);
                    let mut early = owners.filter(|_| config.has(WeakClearedTooEarly));
                    early.find_map(|owner| clear_weak(next, owner))
                });
            }
        }
        Stage::Trace => {
            for object in state.queue.each() {
                add(CollectorStep::Trace(object, state.field[object as usize]), &|next| trace(config, next, object));
                if config.helpers {
                    add(CollectorStep::Take(object), &|next| {
                        next.queue.remove(object);
                        next.to_visit.add(object);
                        None
                    });
                }
            }
        }
        Stage::AwaitClose | Stage::AwaitCloseAgain if all_answered => {
            let again = state.stage == Stage::AwaitClose && config.two_quiet_rounds;
            if state.queue.is_empty() && state.assisted && !config.has(AssistNotCounted) {
                add(CollectorStep::Goes(Stage::AwaitClose), &|next| enter(next, Stage::AwaitClose));
                return;
            }
            if state.queue.is_empty() && state.passed_by && !config.has(PassingByNotCounted) {
                add(CollectorStep::Goes(Stage::AwaitClose), &|next| {
                    next.passed_by = false;
                    enter(next, Stage::AwaitClose)
                });
                return;
            }
            if state.queue.is_empty() && again {
                add(CollectorStep::Goes(Stage::AwaitCloseAgain), &|next| enter(next, Stage::AwaitCloseAgain));
            } else if state.queue.is_empty() && config.has(DecisionWithoutLock) {
                add(CollectorStep::Goes(Stage::Decide), &|next| enter(next, Stage::Decide));
            } else if state.queue.is_empty() && has_pass(config, state) {
                add(CollectorStep::Goes(Stage::Ephemerons), &|next| enter(next, Stage::Ephemerons));
            } else if state.queue.is_empty() {
                add(CollectorStep::EndMark, &|next| end_mark(config, next));
            } else {
                add(CollectorStep::Goes(Stage::Trace), &|next| enter(next, Stage::Trace));
            }
        }
        Stage::Ephemerons => add(CollectorStep::LookAtEntry(state.entry_looked_at()), &|next| pass(config, next)),
        // An upgrade or a look-up has shaded something since the round began.
        Stage::Decide if config.ephemeron && !state.queue.is_empty() && !config.has(ShadedInPassNotCounted) => {
            add(CollectorStep::Goes(Stage::Trace), &|next| enter(next, Stage::Trace));
        }
        Stage::Decide => add(CollectorStep::EndMark, &|next| end_mark(config, next)),
        Stage::ClearWeakRoot => clear_weak_root(config, state, &mut add),
        Stage::ClearWeakFields => {
            for object in state.to_visit.each() {
                let step = CollectorStep::LookAtWeak(Some(object), state.weak[object as usize]);
                add(step, &|next| {
                    let violation = clear_weak(next, Some(object));
                    next.to_visit.remove(object);
                    if next.to_visit.is_empty() {
                        after_weak(config, next);
                    }
                    violation
                });
            }
        }
        Stage::ClearEntry => add(CollectorStep::ClearEntry(state.entry_looked_at()), &|next| {
            let violation = clear_entry(next);
            next.to_visit = Objects::first(config.objects);
            enter(next, if config.has(EntryClearedAfterOff) { Stage::Sweep } else { Stage::AwaitOff });
            violation
        }),
        Stage::AwaitOff if all_answered && config.has(EntryClearedAfterOff) => {
            add(CollectorStep::Goes(Stage::ClearEntry), &|next| enter(next, Stage::ClearEntry));
        }
        Stage::AwaitOff if all_answered && config.has(WeakClearedAfterOff) => {
            add(CollectorStep::Goes(Stage::ClearWeakRoot), &|next| enter(next, Stage::ClearWeakRoot));
        }
        Stage::AwaitOff if all_answered || config.has(SweepBeforeOff) => {
            add(CollectorStep::Goes(Stage::Sweep), &|next| open_sweep(config, next));
        }
        Stage::Sweep => match state.sweeping {
            Some(object) => {
                add(CollectorStep::WriteByte(object, state.byte_read), &|next| write_byte(config, next, object));
                if config.has(DeadPinnedInDrop) && config.pins > 0 && state.byte_read == Colour::Free {
                    add(CollectorStep::PinDead(object), &|next| {
                        next.pinned.add(object);
                        None
                    });
                }
                if config.has(SweepInFlightNotAwaited) && state.to_visit == Objects::of(Some(object)) {
                    add(CollectorStep::Goes(Stage::Rest), &rest);
                }
            }
            None if state.to_visit.is_empty() => add(CollectorStep::Goes(Stage::Rest), &rest),
            None => {
                if config.has(CycleBeforeSweepEnds) {
                    add(CollectorStep::Goes(Stage::Rest), &rest);
                }
                for object in state.to_visit.each() {
                    add(CollectorStep::ReadByte(object, state.colour_of(object)), &|next| {
                        next.sweeping = Some(object);
                        next.byte_read =
                            if next.colour_of(object) == Colour::Black { Colour::Black } else { Colour::Free };
                        None
                    });
                }
            }
        },
        Stage::AwaitArm | Stage::AwaitMark | Stage::AwaitClose | Stage::AwaitCloseAgain | Stage::AwaitOff => {}
    }
}

/// Ends the cycle: all that was garbage at its beginning is freed.
fn rest(next: &mut State) -> Option<Violation> {
    next.traced = Objects::NONE;
    next.to_visit = Objects::NONE;
    enter(next, Stage::Rest).or(next.garbage.each().next().map(Violation::Kept))
}

/// Begins to sweep: what processors hold is swept, or fresh.
fn open_sweep(config: &Config, next: &mut State) -> Option<Violation> {
    let is_held = next.processors.iter().any(|each| each.holds_span);
    if config.one_span && (is_held || !next.stale) {
        next.to_visit = Objects::NONE;
    }
    enter(next, Stage::Sweep)
}

/// Goes to a stage; one that begins a handshake asks every processor.
pub(crate) fn enter(next: &mut State, stage: Stage) -> Option<Violation> {
    next.stage = stage;
    next.assisted &= stage != Stage::AwaitClose;
    let is_handshake = matches!(
        stage,
        Stage::AwaitArm | Stage::AwaitMark | Stage::AwaitClose | Stage::AwaitCloseAgain | Stage::AwaitOff
    );
    if is_handshake {
        for processor in &mut next.processors {
            processor.answered = false;
        }
    }
    None
}

/// The colours swap, the flags are taken, handshake 1 is asked for.
fn flip(config: &Config, next: &mut State) -> Option<Violation> {
    let unswept = next.coloured(Colour::White);
    if next.byte_read == Colour::Black {
        // Of a sweep that should have ended.
        next.byte_read = Colour::White;
    }
    let noticed = next.reachable_from(next.noticed());
    next.garbage = next.coloured(Colour::Black).without(noticed);
    for colour in next.colour.iter_mut().filter(|_| !config.has(ColoursNotSwapped)) {
        *colour = match colour {
            Colour::Free => Colour::Free,
            Colour::White => Colour::Black,
            Colour::Black => Colour::White,
        };
    }
    next.map_is_new = false;
    if !config.has(LockRemembersForEver) {
        next.lock_traced.swap(0, 1);
        next.inner.iter_mut().for_each(Memory::grow_old);
        for processor in &mut next.processors {
            processor.in_hand.grow_old();
        }
    }
    next.to_visit = match config.pins {
        0 => Objects::NONE,
        _ if config.pin_flags => next.flagged,
        _ => Objects::first(config.objects),
    };
    if !config.has(PinFlagsTakenAfterHandshakeTwo) {
        next.flagged = Objects::NONE;
    }
    let mut violation = unswept.each().next().map(Violation::Unswept);
    if config.has(RootsWalkedBeforeHandshakeOne) {
        violation = violation.or(next.root.and_then(|object| visit(next, object)));
    }
    if config.has(PinsWalkedBeforeHandshakeOne) {
        for object in next.pinned.each() {
            violation = violation.or(walk_pin(config, next, object));
        }
        next.to_visit = Objects::NONE;
    }
    enter(next, Stage::AwaitArm);
    violation
}

fn after_arm(config: &Config) -> Stage {
    if config.has(NoSecondHandshake) {
        after_mark(config)
    } else if config.has(RootsWalkedBeforeHandshakeTwo) {
        Stage::MarkRoot
    } else if config.has(PinsWalkedBeforeHandshakeTwo) {
        Stage::ListPins
    } else {
        Stage::AwaitMark
    }
}

fn after_mark(config: &Config) -> Stage {
    if !config.has(RootsWalkedBeforeHandshakeTwo) && !config.has(RootsWalkedBeforeHandshakeOne) {
        Stage::MarkRoot
    } else if !config.has(PinsWalkedBeforeHandshakeTwo) && !config.has(PinsWalkedBeforeHandshakeOne) {
        Stage::ListPins
    } else {
        Stage::Trace
    }
}

fn after_root(config: &Config) -> Stage {
    match (config.has(RootsWalkedBeforeHandshakeTwo), config.has(PinsWalkedBeforeHandshakeTwo)) {
        (false, false) if config.has(PinsWalkedBeforeHandshakeOne) => Stage::Trace,
        (false, false) | (true, true) => Stage::ListPins,
        (true, false) => Stage::AwaitMark,
        (false, true) => Stage::Trace,
    }
}

fn after_pins(config: &Config) -> Stage {
    if config.has(PinsWalkedBeforeHandshakeTwo) { Stage::AwaitMark } else { Stage::Trace }
}

/// What was flagged before the cycle, and what is flagged now.
fn list_pins(config: &Config, next: &mut State) {
    if config.has(PinsNotWalked) {
        next.to_visit = Objects::NONE;
    } else if config.has(PinFlagsTakenAfterHandshakeTwo) {
        next.to_visit = next.flagged;
        next.flagged = Objects::NONE;
    } else if !config.has(PinFlagsNotReadAgain) {
        next.to_visit = next.to_visit.and(next.flagged);
    }
    let stage = if next.to_visit.is_empty() { after_pins(config) } else { Stage::WalkPins };
    enter(next, stage);
}

/// Looks at one counter.
fn walk_pin(config: &Config, next: &mut State, object: Object) -> Option<Violation> {
    next.to_visit.remove(object);
    if next.to_visit.is_empty() {
        enter(next, after_pins(config));
    }
    let believed = config.has(PinWalkTrustsFlags) && next.colour_of(object) != Colour::Free;
    if !next.pinned.has(object) && !believed {
        return None;
    }
    if config.pin_flags && !config.has(PinFlagNotRaisedByWalk) {
        next.flagged.add(object);
    }
    visit(next, object)
}

/// Marks an object; one that was white is grey now.
pub(crate) fn visit(next: &mut State, object: Object) -> Option<Violation> {
    match next.colour_of(object) {
        Colour::Free => return Some(Violation::FreeSlotMarked(object)),
        Colour::White => {
            next.colour[object as usize] = Colour::Black;
            next.queue.add(object);
        }
        Colour::Black => {}
    }
    None
}

pub(crate) fn trace(config: &Config, next: &mut State, object: Object) -> Option<Violation> {
    next.queue.remove(object);
    if next.taken_by_helpers().has(object) {
        next.to_visit.remove(object);
    }
    if config.has(GreyNotTraced) {
        return None;
    }
    if config.has(WeakFieldsFoundByTracing) {
        next.traced.add(object);
    }
    if config.locks && next.passes_by(object, !config.has(LockTracedByMarkerForgotten), config) {
        return None;
    }
    if config.has_inner_locks() && next.passes_by_inner(config, object) {
        return None;
    }
    let violation = next.field[object as usize].and_then(|child| visit(next, child));
    let weak = next.weak[object as usize].filter(|_| config.has(WeakTargetTraced));
    violation.or(weak.and_then(|child| visit(next, child)))
}

/// Ends the mark, which decides about weak pointers. This is where the promise is due.
fn end_mark(config: &Config, next: &mut State) -> Option<Violation> {
    let live = next.reachable_from(next.held());
    let lost = live.each().find(|&object| next.colour_of(object) == Colour::White);
    let grey = next.processors.iter().fold(next.queue, |set, each| set.and(each.buffer).and(each.taken));
    let left = grey.and(next.to_visit).each().next().filter(|_| config.grey_at_end_counts);
    next.stale = config.one_span;
    next.passed_by = false;
    next.assisted = false;
    next.had_pass = false;
    if !config.is_weak() || config.has(WeakNeverCleared) || config.has(WeakClearedAfterOff) {
        next.to_visit = Objects::first(config.objects);
        enter(next, Stage::AwaitOff);
    } else if config.weak_root {
        enter(next, Stage::ClearWeakRoot);
    } else {
        begin_weak_fields(config, next);
    }
    lost.map(Violation::WhiteAtEnd).or(left.map(Violation::GreyAtEnd))
}

/// Takes note of a step that is possible.
type Add<'a> = dyn FnMut(CollectorStep, &dyn Fn(&mut State) -> Option<Violation>) + 'a;

/// Looks at the weak root: if it leads to what was white in the decision, it is cleared by a compare-and-swap.
fn clear_weak_root(config: &Config, state: &State, add: &mut Add<'_>) {
    let target = state.weak[MOST_OBJECTS];
    if !config.has(WeakClearedByPlainStore) {
        add(CollectorStep::LookAtWeak(None, target), &|next| {
            let violation = clear_weak(next, None);
            begin_weak_fields(config, next);
            violation
        });
    } else if let Some(seen) = state.sweeping {
        add(CollectorStep::ClearWeakRoot(seen), &|next| {
            let violation = next.weak[MOST_OBJECTS].take().and_then(|held| fail(next, held));
            next.sweeping = None;
            begin_weak_fields(config, next);
            violation
        });
    } else {
        add(CollectorStep::LookAtWeak(None, target), &|next| {
            next.sweeping = target.filter(|&target| next.colour_of(target) == Colour::White);
            if next.sweeping.is_none() {
                begin_weak_fields(config, next);
            }
            None
        });
    }
}

/// Clears one weak pointer if it leads to something white.
fn clear_weak(next: &mut State, owner: Option<Object>) -> Option<Violation> {
    let cell = cell_of(owner);
    let dead = next.weak[cell].filter(|&target| next.colour_of(target) == Colour::White)?;
    next.weak[cell] = None;
    fail(next, dead)
}

/// Goes on to the weak fields of all that lives.
fn begin_weak_fields(config: &Config, next: &mut State) {
    next.to_visit = match config.weak_fields {
        true if config.has(WeakFieldsFoundByTracing) => next.traced,
        true => next.coloured(Colour::Black),
        false => Objects::NONE,
    };
    next.stage = Stage::ClearWeakFields;
    if next.to_visit.is_empty() {
        after_weak(config, next);
    }
}

/// No weak pointer leads to anything dead any more.
fn after_weak(config: &Config, next: &mut State) {
    if config.ephemeron && !config.has(EntryNeverCleared) && !config.has(EntryClearedAfterOff) {
        enter(next, Stage::ClearEntry);
        return;
    }
    next.to_visit = Objects::first(config.objects);
    enter(next, if config.has(WeakClearedAfterOff) { Stage::Sweep } else { Stage::AwaitOff });
}

/// Writes back what the sweeper has read; free, if that was white.
fn write_byte(config: &Config, next: &mut State, object: Object) -> Option<Violation> {
    next.sweeping = None;
    next.colour[object as usize] = std::mem::take(&mut next.byte_read);
    if next.stage == Stage::Sweep {
        next.to_visit.remove(object);
        next.stale &= !next.to_visit.is_empty();
    }
    if next.colour_of(object) == Colour::Free {
        next.garbage.remove(object);
        next.failed.remove(object);
        next.renew_lock(object);
    }
    if next.colour_of(object) == Colour::Free || config.has(PinFlagLoweredBySweep) {
        // Of an empty span only.
        next.flagged.remove(object);
    }
    None
}
