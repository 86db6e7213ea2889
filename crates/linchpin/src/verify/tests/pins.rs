//! Pin counters and pin flags.

use super::*;
use crate::Pinner;
use crate::memory::{GRANULE, PIN_FLAG_CLEAR, PIN_FLAG_RAISED, PIN_FLAG_TOUCHED};
use crate::pin::counter::Bias;
use crate::pin::inner::Inner;

#[test]
fn a_counter_on_a_free_slot_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let region = &verified.core().memory.region;
    let unit = region.unit_of(address);
    let free = region.slots_of_unit(unit).find(|&slot| region.mark(slot).load(Ordering::Relaxed) == 0).unwrap();
    region.pin_flag(unit).store(PIN_FLAG_RAISED, Ordering::Relaxed);
    // Touched, though it counts nothing: the next object would begin with an owner.
    region.pin_counter(free).pin(Bias::of_processor(3), &region.stripes).unwrap();
    region.pin_counter(free).unpin(Bias::of_processor(3));
    let finding = verified.assert_verify_finds(FindingKind::PinCounter);
    assert!(finding.address() == free && finding.to_string().contains("free"), "{finding}");
    region.pin_counter(free).reset(&region.stripes);
    verified.assert_in_order();
}

#[test]
fn a_counter_that_no_pinner_accounts_for_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    let region = &verified.core().memory.region;
    region.pin_flag(region.unit_of(address)).store(PIN_FLAG_RAISED, Ordering::Relaxed);
    region.pin_counter(address).pin(Bias::of_processor(0), &region.stripes).unwrap();
    assert_eq!(verified.assert_verify_finds(FindingKind::PinCounter).address(), address);
    region.pin_counter(address).unpin(Bias::of_processor(0));
    verified.assert_in_order();
}

#[test]
fn a_pin_that_was_lost_from_its_counter_is_found() {
    let verified = Verified::new();
    let mut pinner = Pinner::new();
    let (root, address) = verified.rooted();
    verified.heap.mutate(|mu| pinner.pin(mu, root.get(mu)));
    let counter = verified.core().memory.region.pin_counter(address);
    counter.unpin(Bias::of_processor(0));
    assert_eq!(verified.assert_verify_finds(FindingKind::PinCounter).address(), address);
    counter.pin(Bias::of_processor(0), &verified.core().memory.region.stripes).unwrap();
    verified.assert_in_order();
}

#[test]
fn a_lowered_flag_over_a_pin_is_found() {
    for flag in [PIN_FLAG_TOUCHED, PIN_FLAG_CLEAR] {
        let verified = Verified::new();
        let mut pinner = Pinner::new();
        let address = verified.heap.mutate(|mu| pinner.pin(mu, mu.alloc(node(None))).addr().get());
        let region = &verified.core().memory.region;
        let of_unit = region.pin_flag(region.unit_of(address));
        of_unit.store(flag, Ordering::Relaxed);
        assert_eq!(verified.assert_verify_finds(FindingKind::PinFlag).address(), address);
        of_unit.store(PIN_FLAG_RAISED, Ordering::Relaxed);
        verified.assert_in_order();
    }
}

/// Has every pin of the heap recorded for this address.
fn record_pins_at(core: &Core, address: usize) {
    // SAFETY: the pinners of the heap are this test's, which does not use them meanwhile.
    core.pinners.for_each(|inner| unsafe { Inner::set_counters(inner, core.memory.region.pin_counter(address)) });
}

#[test]
fn a_pin_that_is_recorded_where_no_object_can_start_is_found() {
    let verified = Verified::new();
    let core = verified.core();
    let mut pinner = Pinner::new();
    let address = verified.heap.mutate(|mu| pinner.pin(mu, mu.alloc(node(None))).addr().get());
    let middle = address + GRANULE;
    record_pins_at(core, middle);
    let outcome = verified.heap.verify();
    // Mended before anything may fail: the pinner of a failed test is dropped, too.
    record_pins_at(core, address);
    let error = outcome.expect_err("it was sabotaged");
    // Nobody has recorded the pin that the object's own counter counts, either.
    assert_eq!(kinds_of(&error), [FindingKind::PinCounter; 2], "{error}");
    assert_eq!([0, 1].map(|index| error.findings()[index].address()), [address, middle], "{error}");
    assert!(error.findings()[1].to_string().contains("no object can start"), "{error}");
    verified.assert_in_order();
}

/// A place whose object does not know that it has one; and a stripe of it that counts, though it is not in use.
#[test]
fn stripes_that_nobody_has_are_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    let region = &verified.core().memory.region;
    region.pin_flag(region.unit_of(address)).store(PIN_FLAG_RAISED, Ordering::Relaxed);
    let (counter, bias) = (region.pin_counter(address), Bias::of_processor(0));
    region.stripes.stripe(counter);
    verified.heap.verify().unwrap();
    counter.set_striped();
    assert_eq!(verified.assert_verify_finds(FindingKind::PinCounter).address(), 0);
    counter.set_striped();
    verified.heap.verify().unwrap();
    let stripe = counter.pin(bias, &region.stripes).unwrap();
    // SAFETY: it is a stripe of the region, which is there.
    let stripe = unsafe { stripe.as_ref() };
    stripe.unpin(bias);
    verified.heap.verify().unwrap();
    counter.reset(&region.stripes);
    stripe.pin(bias, &region.stripes).unwrap();
    let finding = verified.assert_verify_finds(FindingKind::PinCounter);
    assert!(finding.address() == 0 && finding.to_string().contains("nobody has"), "{finding}");
    stripe.unpin(bias);
    stripe.reset(&region.stripes);
    verified.assert_in_order();
}
