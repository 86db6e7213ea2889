//! After the end of a heap: what was let go of is freed by whoever lets go, one thread at a time, without anybody's waiting.

use crate::sync::{AtomicBool, Mutex, ordering};

/// Work that is due whenever something was let go of, and that is done once for any number of those.
#[derive(Default)]
pub(crate) struct Settling {
    /// Something was let go of since the work was last begun.
    unsettled: AtomicBool,
    /// Held by the thread that does the work. Only ever tried.
    working: Mutex<()>,
}

impl Settling {
    /// To be called when something has been let go of. Does `work`, here, unless another thread is at it: then that one does it
    /// once more. `work` may come back here; what it lets go of is seen to when it has returned. Gives whether the work was done here,
    /// by this call.
    pub(crate) fn settle(&self, work: impl Fn()) -> bool {
        let mut here = false;
        // Every change of the flag, and the last look at it, is a read-modify-write that acquires and releases. So they come one
        // after another, and each sees what was done before all that came sooner: who lowers the flag sees what was let go of
        // by everybody who had raised it. A plain store of another thread's between would cut that off.
        self.unsettled.swap(true, ordering!(AcqRel, "settle.raise"));
        // Who does not get the lock relies on its owner's last look, after giving it back. If that look came before the raising
        // above, the lock is seen to be free here; so it came, or comes, after it.
        while let Some(working) = self.working.try_lock() {
            here = true;
            while self.unsettled.swap(false, ordering!(AcqRel, "settle.lower")) {
                work();
            }
            drop(working);
            if !self.unsettled.fetch_or(false, ordering!(AcqRel, "settle.look")) {
                break;
            }
        }
        here
    }
}
