//! Pins that nobody will undo: what the leak hook is told.

use std::fmt;
use std::panic::Location;
use std::ptr::NonNull;

use super::inner::Inner;
use crate::heap::Core;
use crate::panics::{self, Payload, caught, discard};
use crate::processor::{Holding, Processor};
use crate::sync::{Arc, Ordering};

/// How pins came to be leaked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PinLeakCause {
    /// A [`Pinner`](crate::Pinner) with pins was part of a heap object that became unreachable, and was swept.
    /// It has been unpinned.
    PinnerSwept,
    /// The heap was dropped while pins were outstanding. What they pin, and the heap's region, stays until they are
    /// undone; for a `Pinner` that somebody still has this may be in order, for a forgotten one it is for ever.
    HeapDropped,
}

/// A leak of pins: how many, of what, pinned where and when.
#[derive(Debug, Clone)]
pub struct PinLeak {
    cause: PinLeakCause,
    heap: u64,
    pins: usize,
    type_name: &'static str,
    location: &'static Location<'static>,
    cycle: u64,
    sites: Vec<(&'static Location<'static>, usize)>,
}

impl PinLeak {
    /// The report of an inner pinner that has pins.
    ///
    /// # Safety
    /// The inner pinner is alive, and nobody uses it meanwhile.
    pub(super) unsafe fn of(inner: NonNull<Inner>, cause: PinLeakCause) -> Self {
        // Fields only: another one is the registry's.
        // SAFETY: the caller's promise.
        let (pins, heap, first_type, first_cycle) = unsafe {
            let inner = inner.as_ptr();
            (
                &(*inner).pins,
                (*Inner::core(NonNull::new_unchecked(inner))).id,
                (*inner).first_type,
                (*inner).first_cycle,
            )
        };
        let mut sites: Vec<(&'static Location<'static>, usize)> = Vec::new();
        for pin in pins {
            match sites.iter_mut().find(|(location, _)| *location == pin.location) {
                Some((_, count)) => *count += 1,
                None => sites.push((pin.location, 1)),
            }
        }
        Self {
            cause,
            heap,
            pins: pins.len(),
            type_name: first_type(),
            location: sites.first().map_or_else(Location::caller, |(location, _)| location),
            cycle: first_cycle,
            sites,
        }
    }

    /// How they came to be leaked.
    #[must_use]
    pub fn cause(&self) -> PinLeakCause {
        self.cause
    }

    /// The number of the heap ([`Heap::id`](crate::Heap::id)).
    #[must_use]
    pub fn heap(&self) -> u64 {
        self.heap
    }

    /// How many pins the pinner holds.
    #[must_use]
    pub fn pins(&self) -> usize {
        self.pins
    }

    /// The type of the first one's object.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Where the first one was made.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// The last cycle whose mark had ended when the first one was made.
    #[must_use]
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// Every place in the program where pins of this pinner were made, and how many.
    #[must_use]
    pub fn sites(&self) -> &[(&'static Location<'static>, usize)] {
        &self.sites
    }
}

impl fmt::Display for PinLeak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { heap, pins, type_name, location, cycle, .. } = self;
        match self.cause {
            PinLeakCause::PinnerSwept => {
                write!(f, "a Pinner was swept with {pins} pins outstanding in heap {heap}; was unpin forgotten?")?;
            }
            PinLeakCause::HeapDropped => {
                write!(f, "heap {heap} was dropped with {pins} pins of one Pinner outstanding")?;
            }
        }
        write!(f, " First: {type_name}, pinned at {location} after cycle {cycle}")?;
        for (location, count) in self.sites.iter().skip(1) {
            write!(f, "; {count} at {location}")?;
        }
        Ok(())
    }
}

/// What happens without a hook: a report, and for a swept pinner the end of the process.
pub(crate) fn default_hook(leak: &PinLeak) {
    panics::tell(format_args!("{leak}"));
    if leak.cause() == PinLeakCause::PinnerSwept {
        panics::tell(format_args!("aborting; HeapBuilder::on_pin_leak can decide otherwise"));
        std::process::abort();
    }
}

/// Tells the heap's hook of a leak. If that panics, the leak is not lost: it is printed, and the panic is the caller's.
fn tell(core: &Core, leak: &PinLeak) -> Result<(), Payload> {
    let hook = Arc::clone(&core.config.leak_hook);
    caught(|| hook(leak)).inspect_err(|_| {
        panics::tell(format_args!("the hook of HeapBuilder::on_pin_leak panicked when it was told this: {leak}"));
    })
}

/// Tells of a pinner that was swept, within that sweep. A panic of the hook ends here, and counts as one of the `Drop` that a
/// pinner has.
pub(super) fn tell_of_swept(core: &Core, leak: &PinLeak) {
    if let Err(payload) = tell(core, leak) {
        discard(payload);
        core.memory.swept.drop_panics.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reports every pinner with pins, when the heap ends. An error is the hook's first panic, after all have been told.
pub(crate) fn report_outstanding(core: &Core, cause: PinLeakCause) -> Result<(), Payload> {
    let mut leaks = Vec::new();
    {
        // Who unpins holds a processor; with all of them held, every inner pinner stands still.
        let _all: Vec<Holding<'_>> = core.processors.all().filter_map(Processor::hold).collect();
        core.pinners.for_each(|inner| {
            // SAFETY: what is registered is alive and, with all processors held, not used by anybody.
            unsafe {
                if Inner::len(inner) != 0 {
                    leaks.push(PinLeak::of(inner, cause));
                }
            }
        });
    }
    let mut outcome = Ok(());
    for leak in &leaks {
        if let Err(payload) = tell(core, leak) {
            match outcome {
                Ok(()) => outcome = Err(payload),
                Err(_) => discard(payload),
            }
        }
    }
    outcome
}
