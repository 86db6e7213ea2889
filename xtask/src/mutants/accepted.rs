//! Survivors that are accepted, by name, each with the reason.

const AGAIN: &str = "who is overlooked looks again by himself after a millisecond: speed";
const WALK_LATER: &str =
    "harmless alone, as the model shows (its verdicts): the walk comes after the handshake to Mark";

const HINT: &str = "asks for other memory, or none: speed";
const LOOM_ONLY: &str = "differs only where it is built for loom, as what loom is shown to notice";
const NO_COMMON_BIT: &str = "the parts of a phase have no bit in common: the same";
const SHADES_MORE: &str = "shades what is marked already, or need not be in this cycle: speed";

const ACCEPTED: &[(&str, &str)] = &[
    // By hand.
    ("collector/barrier.rs: shade after the swap", "a race of a few instructions; the model finds it (ShadeAfterSwap)"),
    (
        "collector/barrier.rs: shade after the store",
        "a race of a few instructions; the model finds it (ShadeAfterSwap)",
    ),
    (
        "collector/steps.rs: what a closing round pushed is not looked at",
        "the decision compares the count again, and what it refuses ends in another round",
    ),
    (
        "collector/handshake.rs: a processor that was retired counts as answered",
        "differs only if the limit is raised between two instructions",
    ),
    (
        "collector/barrier.rs: a plain store instead of the compare-and-swap",
        "a race of two instructions; the model finds it (PlainStoreInArm)",
    ),
    (
        "collector/barrier.rs: a value that has changed is not read again",
        "a race of a few instructions, which ends in a loop without end: barriers::two_who_swap_at_the_same_time_lose_nothing \
         hangs if its threads run side by side",
    ),
    (
        "processor/acquire.rs: the spare is used without an answer",
        "as if that moment had come before the handshake, which waits for the spare's answer as for any other",
    ),
    (
        "pin/counter.rs: the first pin on a processor is not exclusive",
        "a race of two instructions; loom finds it (counter::two_first_pins_are_both_counted)",
    ),
    ("gc/root.rs: a root made in Arm is not shaded", WALK_LATER),
    ("pin/mod.rs: a pin made in Arm is not shaded", WALK_LATER),
    ("processor/waiting.rs: who was handed a processor is not woken", AGAIN),
    ("processor/waiting.rs: who leaves wakes nobody", AGAIN),
    ("memory/sweep.rs: a flag outlives its span", "the counters are the truth; a flag too many costs a walk"),
    // By cargo-mutants.
    (
        "collector/cycle.rs: replace + with * in Marker<'a>::trace",
        "one marker too few is counted, so that markers share less and end sooner: speed, as the closing round looks at the \
         queue again",
    ),
    (
        "collector/handshake.rs: delete ! in is_answered",
        "answers again for who has answered already, and is idle: speed; and who is beyond a limit that was lowered meanwhile is \
         retired in the next handshake",
    ),
    ("collector/mark/ahead.rs: replace < with <= in Ahead::next (2)", "one byte further is as near: speed"),
    ("collector/mark/pending.rs: replace Pending::look_ahead with ()", HINT),
    (
        "collector/mark/pending.rs: replace + with - in Pending::room",
        "the small part of the room counts otherwise: speed",
    ),
    (
        "collector/mark/pending.rs: replace * with / in Pending::room (2)",
        "the small part of the room counts otherwise: speed",
    ),
    ("collector/mark/window.rs: replace / with %", HINT),
    ("collector/mark/window.rs: replace / with *", HINT),
    ("collector/mark/window.rs: replace * with + (2)", HINT),
    ("collector/mark/window.rs: replace * with / (2)", HINT),
    ("collector/mark/window.rs: replace * with + in Tracer<'_>::scan_window (2)", HINT),
    ("collector/mark/window.rs: replace * with / in Tracer<'_>::scan_window (2)", HINT),
    ("collector/mark/window.rs: replace fetch_all with ()", HINT),
    ("collector/mark/window.rs: replace Window::fetch with ()", HINT),
    ("collector/mark/window.rs: replace && with || in Tracer<'_>::scan_window", HINT),
    ("collector/mark/window.rs: replace >= with < in Tracer<'_>::scan_window", HINT),
    ("collector/mark/window.rs: replace >= with < in Tracer<'_>::scan_window (2)", HINT),
    ("collector/workers.rs: replace Workers::may_have_idle -> bool with true", "locks in vain: speed"),
    ("collector/report.rs: replace > with >= in Longest::note", "the maximum of equal values is the same"),
    ("gc/cell.rs: replace GcCell<'gc, T>::null -> Self with Default::default() (2)", LOOM_ONLY),
    ("gc/lock/mod.rs: replace Traced::never -> Self with Default::default() (2)", LOOM_ONLY),
    ("gc/lock/mod.rs: replace Traced::is_due -> bool with true", SHADES_MORE),
    ("gc/lock/mod.rs: replace && with || in after_change (2)", SHADES_MORE),
    ("gc/lock/mod.rs: replace != with == in after_change", LOOM_ONLY),
    (
        "gc/tagged.rs: replace | with ^ in Tagged::__pack",
        "an address without its low bits, and a tag of these: no bit in common, the same",
    ),
    (
        "memory/sweep.rs: delete match arm slots @..= FEW_SLOTS in Memory::sweep_span",
        "the other arm does the same to all bytes of the span: speed",
    ),
    (
        "memory/sweep.rs: replace - with + in Memory::sweep_span",
        "the colours alternate, so the next cycle's is the last one's",
    ),
    (
        "pin/counter.rs: replace | with & in PinCounter::is_pinned",
        "a race of a few instructions; loom finds it (counter::a_pin_that_changes_halves_is_seen)",
    ),
    (
        "pin/counter.rs: replace == with != in PinCounter::sum",
        "a race of a few instructions; loom finds it (counter::a_pin_that_changes_halves_is_seen)",
    ),
    ("processor/phase.rs: replace | with ^ in Phase::next", NO_COMMON_BIT),
    ("processor/phase.rs: replace | with ^ in Phase::next (2)", NO_COMMON_BIT),
    ("processor/waiting.rs: replace Waiter::wake_up with ()", AGAIN),
];

/// Why a mutant may survive, if it may.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    ACCEPTED.iter().find(|(accepted, _)| *accepted == name).map(|(_, reason)| *reason)
}
