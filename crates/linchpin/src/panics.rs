//! Panics of the program's own code (a `Drop`, a leak hook) that must not get any further.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

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
