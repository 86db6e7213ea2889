//! The verifier: checks a heap's invariants while it works, and disturbs it so that what is wrong shows.
//!
//! Everything here is off unless [`DebugSettings`](settings::DebugSettings) or the environment variable `LINCHPIN` ask for
//! it, and costs nothing then: no fast path has a test for it; slow ones load one flag.
//!
//! With `verify`, the collector checks at two points of each cycle, with mutations going on:
//!
//! 1. *After the handshake to `Off`, before the sweep opens* ([`retrace`]). The mark has ended, so whatever can be reached is
//!    black, and so is what is born from now on. Mutations may store pointers meanwhile; but a pointer that the verifier
//!    loads leads to an object that was reachable or in hand when it was stored, hence black: the check is exact though
//!    nothing stands still. Nothing is freed meanwhile, and no mark byte is accessed plainly. Two ways to look:
//!    * everything that roots and pins lead to is traced again, with a record of how it was reached;
//!    * in every span that was not made since the mark ended, each black object's pointers must lead to black ones. All
//!      those spans were given back in the handshake, so every object in them is initialised; those that a mutation may be
//!      filling at this moment are left out.
//! 2. *After the sweep* ([`metadata`], [`spans`]), before anybody may begin a mark or a sweep again: mark bytes, pin counters
//!    and flags, records, lists and the free units agree. A counter is read before the mark byte and the flag it must agree
//!    with, which were written before it.
//!
//! [`Heap::verify`](crate::Heap::verify) takes every processor for the moment and checks the rest, which is exact only then
//! ([`exact`]): runs, the pins that inner pinners record, figures.
//!
//! A white object that is found reachable is marked after it was reported, so that a program whose hook goes on is sound.

pub(crate) mod disturb;
pub(crate) mod exact;
pub(crate) mod findings;
pub(crate) mod metadata;
pub(crate) mod poison;
pub(crate) mod retrace;
pub(crate) mod settings;
pub(crate) mod spans;
#[cfg(all(test, not(loom)))]
mod tests;
pub(crate) mod words;

use std::collections::HashSet;

use crate::heap::Core;
#[cfg(test)]
use crate::sync::Mutex;
use crate::sync::{AtomicU64, Ordering};
use crate::trace::TypeInfo;
use disturb::Dice;
use findings::{FindingKind, Findings, VerifyFinding};
use settings::Verify;

/// A check stops to record after so many findings: what follows is mostly consequence.
const MOST_FINDINGS: usize = 24;

/// What a heap has for its verifier and its disturbances.
pub(crate) struct Debugging {
    pub(crate) findings: Findings,
    pub(crate) dice: Dice,
    /// Handshakes that were delayed.
    pub(crate) delays: AtomicU64,
    /// Cycles verified, and objects that were checked in them and in `Heap::verify`.
    pub(crate) verifications: AtomicU64,
    pub(crate) objects: AtomicU64,
    /// What a test does to the heap after the mark, to see it found.
    #[cfg(test)]
    pub(crate) sabotage: Mutex<Option<Sabotage>>,
}

#[cfg(test)]
pub(crate) type Sabotage = Box<dyn FnOnce(&Core) + Send>;

impl Debugging {
    pub(crate) fn new(findings: Findings, seed: u64) -> Self {
        Self {
            findings,
            dice: Dice::new(seed),
            delays: AtomicU64::new(0),
            verifications: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            #[cfg(test)]
            sabotage: Mutex::new(None),
        }
    }
}

/// One check in progress: where, and what it has found.
pub(crate) struct Check<'a> {
    core: &'a Core,
    cycle: u64,
    found: Vec<VerifyFinding>,
    /// Objects looked at.
    objects: u64,
    /// Types and offsets of the unreported pointers found.
    suspicions: HashSet<(usize, usize)>,
    /// Its findings do not go to the heap's sink.
    quiet: bool,
}

impl<'a> Check<'a> {
    fn new(core: &'a Core) -> Self {
        Self {
            core,
            cycle: core.memory.marked_cycle(),
            found: Vec::new(),
            objects: 0,
            suspicions: HashSet::new(),
            quiet: false,
        }
    }

    /// The colour that everything alive has.
    fn black(&self) -> u8 {
        crate::processor::phase::colour_of_cycle(self.cycle)
    }

    fn is_full(&self) -> bool {
        self.found.len() >= MOST_FINDINGS
    }

    /// Records a finding about the object, slot or unit at `address`.
    fn find(&mut self, kind: FindingKind, address: usize, text: String) {
        if self.is_full() {
            return;
        }
        let name = self.info_at(address).map(|info| (info.name)());
        self.found.push(VerifyFinding::new(kind, self.core.id, self.cycle, address, name, text));
    }

    /// The type of the object at or around `address`.
    fn info_at(&self, address: usize) -> Option<&'static TypeInfo> {
        let region = &self.core.memory.region;
        let start = self.core.object_at(address)?;
        region.span(region.span_at(start)).info()
    }

    /// How the object at `address` is called in a report.
    fn describe(&self, address: usize) -> String {
        let name = self.info_at(address).map_or("no object", |info| (info.name)());
        format!("{name} at {address:#x}")
    }

    /// Whether an object of a span in use may start at `address`, which lies in the region.
    fn is_slot(&self, address: usize) -> bool {
        let region = &self.core.memory.region;
        region.span(region.span_at(address)).info().is_some() && self.core.object_at(address) == Some(address)
    }

    fn count(&self) {
        self.core.debug.objects.fetch_add(self.objects, Ordering::Relaxed);
    }

    /// Tells the heap's sink of everything found.
    fn report(self) {
        self.count();
        self.found.iter().for_each(|finding| self.core.debug.findings.report(finding));
    }
}

/// The first point of a cycle: every processor is in `Off`, and the sweep has not opened.
pub(crate) fn after_mark(core: &Core) {
    #[cfg(test)]
    if let Some(sabotage) = core.debug.sabotage.lock().take() {
        sabotage(core);
    }
    if core.config.debug.verify == Verify::Off {
        return;
    }
    let mut check = Check::new(core);
    retrace::run(&mut check, retrace::Objects::OfStaleSpans);
    check.report();
}

/// The second point of a cycle: everything is swept.
pub(crate) fn after_sweep(core: &Core) {
    if core.config.debug.verify == Verify::Off {
        return;
    }
    let mut check = Check::new(core);
    let listed = spans::check_lists(&mut check);
    metadata::check_spans(&mut check, listed.iter().copied());
    spans::check_free(&mut check);
    core.debug.verifications.fetch_add(1, Ordering::Relaxed);
    check.report();
}
