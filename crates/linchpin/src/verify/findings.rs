//! What the verifier finds, and who is told.

use std::collections::HashSet;
use std::fmt;

use super::settings::Verify;
use crate::panics::{caught, tell};
use crate::sync::{Arc, Mutex};

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// An object that roots or pins lead to was not marked, and would have been freed.
    LostObject,
    /// A marked object has a pointer to one that was not marked.
    BlackToWhite,
    /// A pointer that was reported by a type's `trace` leads to no object.
    StrayPointer,
    /// An object seems to hold a pointer that its type's `trace` does not report, or that its type has, by
    /// `NEEDS_TRACE = false`, said there could not be.
    ///
    /// Looked at are the words of values whose `Trace` was written by hand, wherever derived types and containers hold them.
    /// Not found is a pointer
    /// * in memory that such a value owns elsewhere (a forgotten `Vec<Gc<_>>` or `Box<Gc<_>>`);
    /// * that is not kept as an address: packed with other bits, or misaligned;
    /// * in a `GcMutex` or `GcRwLock` while mutations run ([`Heap::verify`](crate::Heap::verify) looks there);
    /// * in an object of a type with neither `Drop` nor trace, if only `Heap::verify` looks, and
    ///   [`DebugSettings::verify`](crate::DebugSettings::verify) was not asked for when the heap was built: such types share
    ///   their memory then, and what is of which type is not known;
    /// * that changes too often to be seen twice.
    UnreportedPointer,
    /// The table of weak pointers has an entry for an object that is dead, or whose handle is.
    WeakPointer,
    /// Grey objects were left when the mark had ended.
    GreyLeft,
    /// A mark byte of a colour that nothing has after a sweep, or where no object can be.
    MarkByte,
    /// A pin counter that does not agree with what is there, or with the pins that are recorded.
    PinCounter,
    /// A pinned object in a span that is not flagged.
    PinFlag,
    /// The record of a unit does not agree with its neighbours or its class.
    SpanRecord,
    /// A span in two lists, in none, or in the wrong one.
    SpanList,
    /// The free units do not agree with themselves or with the records.
    FreeUnits,
    /// A processor's run overlaps another one, or objects.
    Run,
    /// Figures that do not add up.
    Figures,
    /// Somebody wrote to memory that is free.
    WriteAfterFree,
}

/// Something that must not be so; see [`FindingKind`]. Shown, it tells what was found where, and why it is wrong.
#[derive(Debug, Clone)]
pub struct VerifyFinding {
    kind: FindingKind,
    heap: u64,
    cycle: u64,
    address: usize,
    type_name: Option<&'static str>,
    text: String,
}

impl VerifyFinding {
    pub(super) fn new(
        kind: FindingKind,
        heap: u64,
        cycle: u64,
        address: usize,
        type_name: Option<&'static str>,
        text: String,
    ) -> Self {
        Self { kind, heap, cycle, address, type_name, text }
    }

    /// What kind of thing is wrong.
    #[must_use]
    pub fn kind(&self) -> FindingKind {
        self.kind
    }

    /// The number of the heap ([`Heap::id`](crate::Heap::id)).
    #[must_use]
    pub fn heap(&self) -> u64 {
        self.heap
    }

    /// The last cycle whose mark had ended.
    #[must_use]
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// Where: the object, the slot or the unit; 0 if it concerns the heap as a whole.
    #[must_use]
    pub fn address(&self) -> usize {
        self.address
    }

    /// The type of the objects there; `None` in a free unit.
    #[must_use]
    pub fn type_name(&self) -> Option<&'static str> {
        self.type_name
    }
}

impl fmt::Display for VerifyFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, heap, cycle, address, type_name, text } = self;
        write!(f, "{kind:?} in heap {heap} after the mark of cycle {cycle}")?;
        if *address != 0 {
            write!(f, "\n  at {address:#x}, type {}", type_name.unwrap_or("none (free)"))?;
        }
        for line in text.lines() {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

/// Told of a finding.
pub(crate) type FindingHook = Arc<dyn Fn(&VerifyFinding) + Send + Sync>;

/// Who is told of a heap's findings.
pub(crate) struct Findings {
    hook: Option<FindingHook>,
    strict: bool,
    /// Types and offsets of the unreported pointers that were told of: each is told once.
    unreported: Mutex<HashSet<(usize, usize)>>,
}

impl Findings {
    pub(crate) fn new(hook: Option<FindingHook>, verify: Verify) -> Self {
        Self { hook, strict: verify == Verify::Strict, unreported: Mutex::default() }
    }

    /// Whether unreported pointers count as errors.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Whether an unreported pointer of this type and offset is a new one.
    pub(super) fn is_new(&self, key: (usize, usize)) -> bool {
        self.unreported.lock().insert(key)
    }

    /// Tells the hook; without one prints, and ends the process unless it is a mere suspicion. Never unwinds: who reports is in
    /// the middle of a cycle, or of an allocation whose memory nobody has on the books yet.
    pub(crate) fn report(&self, finding: &VerifyFinding) {
        if let Some(hook) = &self.hook {
            if caught(|| hook(finding)).is_err() {
                hook_panicked(finding);
            }
            return;
        }
        tell(format_args!("{finding}"));
        if finding.kind != FindingKind::UnreportedPointer || self.strict {
            tell(format_args!("aborting; HeapBuilder::on_finding can decide otherwise"));
            std::process::abort();
        }
    }
}

/// A hook that panics has not decided to go on. There is nobody whom the panic could reach in a cycle, and to contain it would
/// have a test pass whose hook asserts something.
#[cold]
fn hook_panicked(finding: &VerifyFinding) -> ! {
    tell(format_args!("{finding}"));
    tell(format_args!("the hook of HeapBuilder::on_finding panicked when it was told this; aborting"));
    std::process::abort();
}
