//! Tracing again what the mark has traced, and looking for what it missed.

use std::collections::HashMap;
use std::ptr::NonNull;

use super::findings::FindingKind;
use super::{Check, words};
use crate::collector::mark::Tracer;
use crate::memory::PIN_FLAG_RAISED;
use crate::sync::Ordering;

/// The longest path that a report shows.
const LONGEST_PATH: usize = 16;

/// Which objects are looked at beside those that roots and pins lead to.
#[derive(Clone, Copy)]
pub(super) enum Objects<'a> {
    /// The black ones in spans that were not made since the mark ended: they are initialised, though mutations run.
    OfStaleSpans,
    /// Those of these spans, which are all there are: no mutation runs.
    All(&'a [usize]),
}

/// How an object was reached first.
#[derive(Clone, Copy)]
enum From {
    Root,
    Pin,
    /// By a pointer in the object that starts there.
    Object(usize),
    /// By no path that is known: it was found in its span.
    Span,
}

struct Retrace<'check, 'a> {
    check: &'check mut Check<'a>,
    tracer: Tracer<'a>,
    reached: HashMap<usize, From>,
    to_trace: Vec<NonNull<u8>>,
}

/// Traces again. Between cycles, or between the handshake to `Off` and the opening of the sweep.
pub(super) fn run(check: &mut Check<'_>, objects: Objects<'_>) {
    let core = check.core;
    if !core.queue.is_empty() {
        let text =
            "The barrier buffers that were handed over with the handshake to Off held grey objects: something was\n\
                    white and in a mutation's hands after the closing rounds had found nothing."
                .to_owned();
        check.find(FindingKind::GreyLeft, 0, text);
    }
    check_handles(check);
    let tracer = Tracer::inspecting(&core.memory.region);
    let mut retrace = Retrace { check, tracer, reached: HashMap::new(), to_trace: Vec::new() };
    core.roots.visit_all(&mut retrace.tracer);
    retrace.reach_all(From::Root);
    retrace.reach_pinned();
    retrace.trace_all();
    match objects {
        Objects::All(spans) => spans.iter().for_each(|&unit| retrace.reach_black_of(unit)),
        Objects::OfStaleSpans => {
            for unit in core.memory.classes.all().into_iter().flat_map(|class| class.listed().all()) {
                if core.memory.region.span(unit).swept_cycle() != retrace.check.cycle {
                    retrace.reach_black_of(unit);
                }
            }
        }
    }
    retrace.check.objects += retrace.reached.len() as u64;
}

/// Checks the table of handles: it has entries of what lives only.
fn check_handles(check: &mut Check<'_>) {
    let (core, black) = (check.core, check.black());
    // Relaxed: the handshakes order the marks of the cycle before this; what has come since is black from its birth.
    let is_black = |address: usize| core.memory.region.mark(address).load(Ordering::Relaxed) == black;
    core.decision.handles.for_each(|target, handle| {
        let what = match (is_black(handle), is_black(target)) {
            (true, true) => return,
            (false, _) => "its handle is dead",
            (true, false) => "it is dead",
        };
        let text = format!("The table of weak pointers has an entry for this object, but {what} (handle {handle:#x}).");
        check.find(FindingKind::WeakPointer, target, text);
    });
}

impl Retrace<'_, '_> {
    /// Reaches what the tracer was told of.
    fn reach_all(&mut self, from: From) {
        for object in self.tracer.take_reported() {
            self.reach(object, from);
        }
    }

    fn reach_pinned(&mut self) {
        let region = &self.check.core.memory.region;
        for unit in 0..self.check.core.memory.frontier() {
            // Relaxed: a pin that is overlooked is one that was made just now, of an object that is black by other ways.
            if region.pin_flag(unit).load(Ordering::Relaxed) == PIN_FLAG_RAISED {
                for address in region.slots_of_unit(unit).filter(|&address| region.is_pinned(address)) {
                    self.reach(region.pointer(address), From::Pin);
                }
            }
        }
    }

    /// Every black object of a listed span: what it points to is black, too.
    fn reach_black_of(&mut self, unit: usize) {
        let region = &self.check.core.memory.region;
        let black = self.check.black();
        for address in region.slots(unit) {
            // Relaxed: the handshakes order the marks of the cycle before this.
            if region.mark(address).load(Ordering::Relaxed) == black && !self.reached.contains_key(&address) {
                self.reach(region.pointer(address), From::Span);
                self.trace_all();
            }
        }
    }

    fn reach(&mut self, object: NonNull<u8>, from: From) {
        let address = object.addr().get();
        if self.reached.contains_key(&address) {
            return;
        }
        self.reached.insert(address, from);
        if !self.check.core.memory.region.contains(address) || !self.check.is_slot(address) {
            let text = format!("A pointer leads here, where no object can start.\n{}", self.path_to(address));
            self.check.find(FindingKind::StrayPointer, address, text);
            return;
        }
        let black = self.check.black();
        let mark = self.check.core.memory.region.mark(address);
        // Relaxed: who loaded the pointer, with acquire, sees the colour the object was born with.
        let colour = mark.load(Ordering::Relaxed);
        if colour != black {
            self.report_white(address, colour);
            // So that the sweep leaves it alone, if the program goes on.
            mark.store(black, Ordering::Relaxed);
        }
        self.to_trace.push(object);
    }

    fn trace_all(&mut self) {
        while let Some(object) = self.to_trace.pop() {
            if self.check.is_full() {
                self.to_trace.clear();
                return;
            }
            let region = &self.check.core.memory.region;
            let Some(info) = region.span_of(object).info() else { continue };
            if let Some(trace) = info.trace {
                // SAFETY: the object was reached by a pointer that was published after it was initialised, or lies in a span
                // that nobody fills; it is of its span's type, and nothing is freed meanwhile.
                unsafe { self.tracer.trace_one(trace, object) };
            }
            let children = self.tracer.take_reported();
            let mut reported: Vec<usize> = children.iter().map(|child| child.addr().get()).collect();
            reported.sort_unstable();
            // SAFETY: as above.
            let weak_targets = unsafe { words::inspect(self.check, &mut self.tracer, object, info, &reported) };
            // Weak pointers to what is dead have been cleared, so these are not to lead to anything white either.
            for child in children.into_iter().chain(weak_targets) {
                self.reach(child, From::Object(object.addr().get()));
            }
        }
    }

    fn report_white(&mut self, address: usize, colour: u8) {
        let path = self.path_to(address);
        let state = if colour == 0 { "free".to_owned() } else { format!("not marked (colour {colour})") };
        let (kind, text) = if self.is_rooted(address) {
            let text = format!(
                "Roots or pins lead to this object, but it is {state}: the mark has lost it, and the sweep would free it while\n\
                 it is used.\n{path}"
            );
            (FindingKind::LostObject, text)
        } else {
            (FindingKind::BlackToWhite, format!("A marked object leads to this one, which is {state}.\n{path}"))
        };
        self.check.find(kind, address, text);
    }

    /// Whether the path on which it was reached begins at a root or a pin.
    fn is_rooted(&self, mut address: usize) -> bool {
        loop {
            match self.reached.get(&address) {
                Some(From::Root | From::Pin) => return true,
                Some(From::Object(parent)) => address = *parent,
                Some(From::Span) | None => return false,
            }
        }
    }

    /// How it was reached, from the object backwards.
    fn path_to(&self, mut address: usize) -> String {
        let mut path = String::from("Path to it, backwards:");
        for _ in 0..LONGEST_PATH {
            match self.reached.get(&address) {
                Some(From::Object(parent)) => {
                    let offset = self.offset_of(*parent, address);
                    path += &format!("\n  from {}{offset}", self.check.describe(*parent));
                    address = *parent;
                }
                Some(From::Root) => return path + "\n  from a root",
                Some(From::Pin) => return path + "\n  from a pin",
                Some(From::Span) | None => return path + "\n  (nothing is known to lead there)",
            }
        }
        path + "\n  and so on"
    }

    /// Where in `parent` the pointer to `child` is, if it is in the object itself.
    fn offset_of(&self, parent: usize, child: usize) -> String {
        let region = &self.check.core.memory.region;
        let Some(size) = words::object_size(region, parent) else { return String::new() };
        words::find_word(region.pointer(parent), size, child)
            .map_or_else(String::new, |offset| format!(", offset {offset}"))
    }
}
