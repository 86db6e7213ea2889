//! Sabotage: each test breaks one invariant from inside, and the verifier must find that, where it was done, and no more.

mod hooks;
mod marks;
mod pins;
mod reach;
mod runs;
mod spans;
mod units;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::exact::VerifyError;
use super::findings::{FindingKind, VerifyFinding};
use super::settings::{DebugSettings, Verify};
use crate::heap::Core;
use crate::memory::class::Class;
use crate::memory::sweep::Memory;
use crate::processor::phase::colour_of_cycle;
use crate::{Gc, Heap, Root, Trace};

/// Three words and a pointer: slots of 32 bytes, so that a granule lies in the middle.
#[derive(Trace)]
struct Node<'gc> {
    numbers: [u64; 3],
    next: Option<Gc<'gc, Node<'gc>>>,
}

const fn node<'gc>(next: Option<Gc<'gc, Node<'gc>>>) -> Node<'gc> {
    Node { numbers: [7, 8, 9], next }
}

/// A heap that verifies itself, and what its hook was told.
struct Verified {
    heap: Heap,
    told: Arc<Mutex<Vec<VerifyFinding>>>,
}

impl Verified {
    fn new() -> Self {
        Self::with(DebugSettings::new())
    }

    fn with(settings: DebugSettings) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&told);
        let heap = Heap::builder()
            .processors(1)
            .region_size(1 << 20)
            .debug(settings.verify(Verify::Strict))
            .on_finding(move |finding| sink.lock().unwrap().push(finding.clone()))
            .build()
            .unwrap();
        Self { heap, told }
    }

    fn core(&self) -> &Core {
        self.heap.core()
    }

    /// Runs a cycle in which this is done between the mark and the sweep.
    fn collect_sabotaged(&self, sabotage: impl FnOnce(&Core) + Send + 'static) {
        *self.core().debug.sabotage.lock() = Some(Box::new(sabotage));
        self.heap.collect();
    }

    /// What the hook has been told since this was last asked.
    fn take_told(&self) -> Vec<VerifyFinding> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    /// Fails unless the hook was told of this kind of thing and no other; gives the first finding.
    #[track_caller]
    fn assert_told(&self, kind: FindingKind) -> VerifyFinding {
        assert_all(&self.take_told(), kind)
    }

    /// Fails unless `Heap::verify` finds this kind of thing and no other; gives the first finding.
    #[track_caller]
    fn assert_verify_finds(&self, kind: FindingKind) -> VerifyFinding {
        assert_all(self.heap.verify().expect_err("it was sabotaged").findings(), kind)
    }

    /// Fails unless everything is in order.
    #[track_caller]
    fn assert_in_order(&self) {
        self.heap.verify().unwrap();
        self.heap.collect();
        let told = self.take_told();
        assert!(told.is_empty(), "{told:?}");
    }

    /// A node behind a root, and its address.
    fn rooted(&self) -> (Root<Node<'static>>, usize) {
        self.heap.mutate(|mu| {
            let object = mu.alloc(node(None));
            (mu.root(object), Gc::as_ptr(object).addr())
        })
    }
}

#[track_caller]
fn assert_all(findings: &[VerifyFinding], kind: FindingKind) -> VerifyFinding {
    let kinds: BTreeSet<String> = findings.iter().map(|finding| format!("{:?}", finding.kind())).collect();
    assert_eq!(kinds, BTreeSet::from([format!("{kind:?}")]), "{findings:#?}");
    findings[0].clone()
}

fn kinds_of(error: &VerifyError) -> Vec<FindingKind> {
    error.findings().iter().map(VerifyFinding::kind).collect()
}

fn set_mark(core: &Core, address: usize, mark: u8) {
    core.memory.region.mark(address).store(mark, Ordering::Relaxed);
}

/// The colour that is dead after the mark of the cycle that is on.
fn white(core: &Core) -> u8 {
    colour_of_cycle(core.memory.marked_cycle() + 1)
}

/// The class in whose lists the span is.
fn listing_class(memory: &Memory, unit: usize) -> &Class {
    let lists_it = |class: &&Class| class.listed().all().any(|each| each == unit);
    memory.classes.all().into_iter().find(lists_it).expect("after the sweep it is listed")
}

/// Takes a span out of the lists, as a processor would; whether there was one.
fn take_listed(memory: &Memory, class: &Class) -> bool {
    class.take(&memory.region, &memory.classes, memory.marked_cycle(), false, false, true).is_some()
}

/// The class that a span in use belongs to, whoever has it.
fn class_of(memory: &Memory, unit: usize) -> &Class {
    let span = memory.region.span(unit);
    let is_its = |class: &&Class| {
        span.info().is_some_and(|info| std::ptr::eq(class.info(), info)) && class.slot_bytes() == span.slot_bytes()
    };
    memory.classes.all().into_iter().find(is_its).expect("the span is in use")
}
