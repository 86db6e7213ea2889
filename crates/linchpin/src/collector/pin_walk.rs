//! The walk over pins: what is pinned is alive. The counters are the truth; the flags of their spans tell where to look.

use super::mark::Tracer;
use crate::heap::Core;
use crate::memory::{PIN_FLAG_RAISED, PIN_FLAG_TOUCHED};
use crate::sync::Ordering;

/// Lowers the flag of every span that may hold pins; returns those spans.
///
/// From here on a pin raises the flag again, unless its mutation saw it still raised; that mutation ends before
/// handshake 2 is through, so its pin is found when the returned spans are walked.
pub(crate) fn take_pin_flags(core: &Core) -> Vec<usize> {
    let region = &core.memory.region;
    let units = 0..core.memory.frontier();
    units
        .filter(|&unit| {
            let flag = region.pin_flag(unit);
            // Relaxed: the handshakes order these bytes with pins (above).
            let raised = flag.load(Ordering::Relaxed) == PIN_FLAG_RAISED;
            if raised {
                flag.store(PIN_FLAG_TOUCHED, Ordering::Relaxed);
            }
            raised
        })
        .collect()
}

/// The spans whose flags are raised.
pub(crate) fn raised_pin_flags(core: &Core) -> impl Iterator<Item = usize> {
    (0..core.memory.frontier()).filter(|&unit| {
        // Relaxed: a flag that the walk needs was raised before some processor's answer to handshake 2 (below), and was seen with
        // that.
        core.memory.region.pin_flag(unit).load(Ordering::Relaxed) == PIN_FLAG_RAISED
    })
}

/// Marks every pinned object: the counters are the truth.
///
/// Called when handshake 2 is through, and not sooner. Who pins is a mutation with the object in hand, or one to which such a
/// mutation has *lent* it: a reference that a scoped thread pins by [`pin_ref`](crate::Pinner::pin_ref). Where an object comes
/// from a mutation that began before the snapshot, it may have been unlinked in `Off`, without a word. Then
///
/// * if the pinning mutation is in `Off`, its pin comes before its processor's answer to handshake 1, and is found here;
/// * if it is in `Arm`, it shades, and its pin comes before its processor's answer to handshake 2;
/// * if it is in `Mark`, nothing is shaded, and its own processor has answered already. It can only have borrowed the object, and
///   the first lender, in `Arm` still, does not end before the borrowing thread has been joined. So flag and count come before the
///   join, that before the lender's processor's answer to handshake 2, and that before this walk, which alone saves the object
///   (`protocol_tests::what_arm_lends_and_mark_pins_survives`).
///
/// Whatever else is pinned is part of the snapshot, or was born black.
pub(crate) fn visit_pins(core: &Core, taken: Vec<usize>, tracer: &mut Tracer<'_>) {
    let region = &core.memory.region;
    let mut units = taken;
    units.extend(raised_pin_flags(core));
    units.sort_unstable();
    units.dedup();
    for unit in units {
        for address in region.slots_of_unit(unit) {
            // A pin that this walk needs is seen by way of the handshakes, like its flag.
            if region.is_pinned(address) {
                // Relaxed: as where it is lowered; whoever begins the next cycle has seen this one end, by the lock of the slot.
                region.pin_flag(unit).store(PIN_FLAG_RAISED, Ordering::Relaxed);
                tracer.visit_root(region.pointer(address));
            }
        }
    }
}
