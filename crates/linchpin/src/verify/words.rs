//! The forgotten field: words of an object that look like pointers its type's `trace` did not report.
//!
//! A hand-written `Trace` that misses a field is found only when the object behind it is freed too early, far from the
//! cause. So each object that is traced again is also looked through word by word, and a word that is the start of an object
//! and is not among the pointers reported for the object is suspicious.
//!
//! **What is looked at.** `Trace::inspect` says: by default all the bytes of the value; derived implementations ask each field
//! of the variant at hand, containers their elements, and what can hold no pointer (integers, strings) has nothing to show.
//! So derived types never raise an alarm, unless a field's type has a `Trace` by hand. In one that has, padding, the unused part of
//! an enum, an integer that happens to be an address, and an address of a pinned object kept as a plain pointer all look like
//! what was forgotten. That is why a suspicion is no error by default, and each type and offset is told once. What is not found:
//! pointers in memory that a value with a hand-written `Trace` owns elsewhere (a forgotten `Vec`). Types without trace and
//! without drop share spans, where they have no name; in a heap that verifies itself each has spans of its own, and is looked
//! through like any other. (A heap that does not, and is asked by `Heap::verify`, has them shared.)
//!
//! **How words are read.** The bytes may be padding, which is not initialised, and may be stored to by mutations at the same
//! time, by atomics in correct programs. No load of Rust's own may do that to any byte at hand. So the load is one machine
//! instruction in assembly, which the compiler knows nothing of: it yields some value, without a promise to be fresh.
//! A suspicion is confirmed by tracing and reading again, so that a field that is just being changed raises no alarm.

use std::ptr::NonNull;

use super::Check;
use super::findings::FindingKind;
use crate::collector::mark::Tracer;
use crate::gc::slice;
use crate::memory::opaque_load::load_opaque;
use crate::memory::region::Region;
use crate::sync::Ordering;
use crate::trace::{Trace, TypeInfo};

const WORD: usize = size_of::<usize>();
/// How often a suspicion must be found again.
const CONFIRMATIONS: usize = 4;

/// Looks at the words of a value for the verifier; see [`Trace::inspect`](crate::Trace::inspect).
pub struct Inspector<'a> {
    check: &'a Check<'a>,
    /// The pointers that the object's `trace` has reported, sorted.
    reported: &'a [usize],
    suspects: Vec<(NonNull<usize>, usize)>,
    /// What it leads to by weak pointers.
    weak_targets: Vec<NonNull<u8>>,
}

impl Inspector<'_> {
    /// Takes note of what a weak pointer leads to, which must live as long as it does so.
    pub(crate) fn weak_target(&mut self, target: NonNull<u8>) {
        self.weak_targets.push(target);
    }

    /// Whether no mutation runs while it looks.
    pub(crate) fn nothing_moves(&self) -> bool {
        self.check.quiet
    }

    /// Looks at every word of a value, and at nothing it owns elsewhere.
    pub fn words<T: Trace>(&mut self, value: &T) {
        if size_of::<T>() < WORD {
            return;
        }
        let found_before = self.suspects.len();
        let start = NonNull::from(value).cast::<u8>();
        let mut offset = start.align_offset(align_of::<usize>());
        while offset + WORD <= size_of::<T>() {
            // SAFETY: the word lies inside the value.
            let word = unsafe { start.add(offset) }.cast::<usize>();
            // SAFETY: as above, and aligned.
            let address = unsafe { load_opaque(word.as_ptr()) };
            if self.reported.binary_search(&address).is_err() && self.check.is_object(address) {
                self.suspects.push((word, address));
            }
            offset += WORD;
        }
        if self.suspects.len() > found_before && passes_by_a_lock(&self.check.core.memory.region, value) {
            // What is behind a lock that somebody has is not reported, and is not forgotten. It may be any of these.
            self.suspects.truncate(found_before);
        }
    }
}

/// Whether a value has a lock that somebody has: behind that, nothing is reported.
fn passes_by_a_lock<T: Trace>(region: &Region, value: &T) -> bool {
    let mut tracer = Tracer::inspecting(region);
    value.trace(&mut tracer);
    tracer.take_passed_by()
}

impl Check<'_> {
    /// Whether an object starts at `address`, alive or to be swept.
    fn is_object(&self, address: usize) -> bool {
        let region = &self.core.memory.region;
        region.contains(address) && region.mark(address).load(Ordering::Relaxed) != 0 && self.is_slot(address)
    }
}

impl Check<'_> {
    /// Whether an unreported pointer at this offset of this type was not told of yet: in this check, or, as warnings go to the
    /// heap's sink, ever.
    fn is_new_suspicion(&mut self, info: &'static TypeInfo, offset: usize) -> bool {
        let key = (std::ptr::from_ref(info).addr(), offset);
        self.suspicions.insert(key) && (self.quiet || self.core.debug.findings.is_new(key))
    }
}

/// Looks for unreported pointers in an object, whose trace has just reported `reported`; gives what weak pointers in it lead to.
///
/// # Safety
/// `object` starts an initialised object of type `info`, which is not freed meanwhile.
pub(super) unsafe fn inspect(
    check: &mut Check<'_>,
    tracer: &mut Tracer<'_>,
    object: NonNull<u8>,
    info: &'static TypeInfo,
    reported: &[usize],
) -> Vec<NonNull<u8>> {
    let Some(look) = info.inspect else { return Vec::new() };
    let (suspects, weak_targets) = {
        let mut inspector = Inspector { check, reported, suspects: Vec::new(), weak_targets: Vec::new() };
        // SAFETY: the caller's promise.
        unsafe { look(object, &mut inspector) };
        (inspector.suspects, inspector.weak_targets)
    };
    for (word, address) in suspects {
        // SAFETY: the caller's promise; the word is part of the object, or of what it owns.
        if unsafe { is_confirmed(tracer, object, info, word, address, check.quiet) } {
            report(check, object, info, word.addr().get(), address);
        }
    }
    weak_targets
}

/// # Safety
/// As for [`inspect`]; `word` is a word of the object's.
unsafe fn is_confirmed(
    tracer: &mut Tracer<'_>,
    object: NonNull<u8>,
    info: &'static TypeInfo,
    word: NonNull<usize>,
    address: usize,
    nothing_moves: bool,
) -> bool {
    (0..CONFIRMATIONS).all(|_| {
        let reported = info.trace.is_some_and(|trace| {
            tracer.take_passed_by();
            // SAFETY: the caller's promise.
            unsafe { tracer.trace_one(trace, object) };
            let reported = tracer.take_reported();
            // A mutation may have taken a lock since `Inspector::words` looked.
            (tracer.take_passed_by() && !nothing_moves) || reported.iter().any(|child| child.addr().get() == address)
        });
        // SAFETY: the caller's promise; it is aligned.
        !reported && unsafe { load_opaque(word.as_ptr()) } == address
    })
}

fn report(check: &mut Check<'_>, object: NonNull<u8>, info: &'static TypeInfo, word: usize, address: usize) {
    let start = object.addr().get();
    let region = &check.core.memory.region;
    let within = region.contains(word);
    let (place, offset) = match info.element_offset(word.wrapping_sub(start)) {
        _ if !within => ("in memory that it owns elsewhere".to_owned(), usize::MAX),
        Some((element, offset)) => (format!("in element {element}, at offset {offset}"), offset),
        None => (format!("at offset {}", word - start), word - start),
    };
    if !check.is_new_suspicion(info, offset) {
        return;
    }
    let text = format!(
        "{place} it holds the address of {target}, which its `trace` does not report.\n\
         If that is a pointer, `trace` has forgotten a field, and the object behind it may be freed while it is used:\n\
         derive Trace, or report the field. If it is an integer or the address of something pinned, all is well.",
        target = check.describe(address),
    );
    check.find(FindingKind::UnreportedPointer, start, text);
}

/// # Safety
/// As [`inspect`].
pub(crate) unsafe fn inspect_value<T: crate::Trace>(object: NonNull<u8>, inspector: &mut Inspector<'_>) {
    // SAFETY: the caller's promise.
    unsafe { object.cast::<T>().as_ref() }.inspect(inspector);
}

/// # Safety
/// As [`inspect`], for a slice.
pub(crate) unsafe fn inspect_elements<T: crate::Trace>(object: NonNull<u8>, inspector: &mut Inspector<'_>) {
    if size_of::<T>() < WORD {
        return;
    }
    // SAFETY: the caller's promise.
    let elements = unsafe { slice::elements::<T>(object) };
    // SAFETY: the caller's promise.
    for index in 0..unsafe { slice::length(object) } {
        // SAFETY: so many elements are initialised.
        unsafe { elements.add(index).as_ref() }.inspect(inspector);
    }
}

/// How many bytes the object at `address` may take up.
pub(super) fn object_size(region: &Region, address: usize) -> Option<usize> {
    let span = region.span(region.span_at(address));
    span.info().map(|_| span.slot_bytes())
}

/// The offset at which the object at `start` holds the word `wanted`.
pub(super) fn find_word(start: NonNull<u8>, size: usize, wanted: usize) -> Option<usize> {
    (0..size / WORD).map(|index| index * WORD).find(|&offset| {
        // SAFETY: the word lies inside the object's slot, which is mapped; slots are aligned to a word.
        unsafe { load_opaque(start.add(offset).cast().as_ptr()) == wanted }
    })
}
