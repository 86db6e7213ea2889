//! Panics of the program's own code (a `Drop`, a leak hook) that must not get any further, and words to the user that must not
//! become one.

use std::any::Any;
use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Writes a line to the error stream, if that takes it.
///
/// Not by `eprintln!`, which panics where it does not (a full disk, a closed pipe): of what the library has to say something
/// is always about to follow, an abort or the end of a heap, that must not be skipped by unwinding.
pub(crate) fn tell(what: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "linchpin: {what}");
}

/// Runs `work`, and catches its panic.
pub(crate) fn caught(work: impl FnOnce()) -> Result<(), Payload> {
    catch_unwind(AssertUnwindSafe(work))
}

/// Runs `work`; gives whether it panicked. The program's panic hook has told of it then.
pub(crate) fn contained(work: impl FnOnce()) -> bool {
    caught(work).map_err(discard).is_err()
}

/// Drops the payload of a panic that goes no further. It may have a `Drop` that panics, too; what comes of that is left alone.
pub(crate) fn discard(payload: Payload) {
    if let Err(another) = caught(|| drop(payload)) {
        std::mem::forget(another);
    }
}
