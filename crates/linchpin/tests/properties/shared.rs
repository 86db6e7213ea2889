//! Cells that all threads share. Of what is in them a thread's model knows nothing but that each object is whole.

use std::sync::atomic::{AtomicU64, Ordering};

use linchpin::{Gc, GcCell, Heap, Mutator, Root, Trace, WeakCell};

use crate::contents::byte_of;
use crate::model::Pin;
use crate::program::{NAMES, Pick, SHARED_CELLS, SharedStep};
use crate::state::State;
use crate::token::{Ledger, Token};

/// An object that goes from thread to thread.
#[derive(Trace)]
pub(crate) struct Stranger<'gc> {
    number: u64,
    bytes: Gc<'gc, [u8]>,
    next: GcCell<'gc, Stranger<'gc>>,
    check: u64,
    token: Token,
}

fn check_of(number: u64) -> u64 {
    !number.wrapping_mul(0xA24B_AED4_963E_E407)
}

impl Stranger<'_> {
    #[track_caller]
    fn assert_whole(&self) {
        self.token.assert_live();
        assert_eq!(self.check, check_of(self.number), "an object that threads share is corrupt");
    }

    /// With what its pointers lead to, in a mutation.
    #[track_caller]
    fn assert_all_whole(&self) {
        self.assert_whole();
        let number = self.number as usize;
        let right = self.bytes.iter().enumerate().all(|(index, &byte)| byte == byte_of(number, index));
        assert!(right, "the bytes of an object that threads share are corrupt");
    }
}

/// What the threads share.
pub(crate) struct Common {
    cells: Root<[GcCell<'static, Stranger<'static>>]>,
    weak_cells: Root<[WeakCell<'static, Stranger<'static>>]>,
    next_number: AtomicU64,
    pub(crate) ledger: Ledger,
}

impl Common {
    pub(crate) fn new(heap: &Heap) -> Self {
        let (cells, weak_cells) = heap.mutate(|mu| {
            let cells = mu.alloc_slice_with(SHARED_CELLS, |_| GcCell::<Stranger<'_>>::null());
            let weak_cells = mu.alloc_slice_with(SHARED_CELLS, |_| WeakCell::<Stranger<'_>>::null());
            (mu.root(cells), mu.root(weak_cells))
        });
        Self { cells, weak_cells, next_number: AtomicU64::new(0), ledger: Ledger::new() }
    }

    /// Lets go of all objects; their drops are booked in what it returns.
    pub(crate) fn into_ledger(self) -> Ledger {
        self.ledger
    }
}

/// A pinned address of a stranger.
struct Held(std::ptr::NonNull<Stranger<'static>>);

// SAFETY: objects are shared between threads; while it is pinned, any thread may read it.
unsafe impl Send for Held {}

pub(crate) fn step<'gc>(
    common: &Common,
    state: &mut State,
    mu: &Mutator<'gc>,
    hand: &mut Option<Gc<'gc, Stranger<'gc>>>,
    step: &SharedStep,
) {
    let cells = common.cells.get(mu).as_ref();
    let cell = |pick: Pick| &cells[usize::from(pick) % SHARED_CELLS];
    let weak_cell = |pick: Pick| &common.weak_cells.get(mu).as_ref()[usize::from(pick) % SHARED_CELLS];
    match *step {
        SharedStep::Make { bytes } => {
            // Relaxed: a number that no other object has.
            let number = common.next_number.fetch_add(1, Ordering::Relaxed);
            let (bytes, ()) = mu.alloc_bytes_with(bytes, |bytes| {
                bytes.iter_mut().enumerate().for_each(|(index, byte)| *byte = byte_of(number as usize, index));
            });
            let token = common.ledger.token();
            let next = GcCell::new(*hand);
            *hand = Some(mu.alloc(Stranger { number, bytes, next, check: check_of(number), token }));
        }
        SharedStep::Load { cell: from, depth } => {
            *hand = cell(from).load();
            for _ in 0..depth {
                let Some(stranger) = *hand else { break };
                stranger.assert_all_whole();
                *hand = stranger.next.load();
            }
        }
        SharedStep::Store(to) => cell(to).store(mu, *hand),
        SharedStep::Swap(with) => *hand = cell(with).swap(mu, *hand),
        SharedStep::Exchange { cell: with, expect } => {
            let expected = cell(expect).load();
            let (Ok(held) | Err(held)) = cell(with).compare_exchange(mu, expected, *hand);
            *hand = held;
        }
        SharedStep::Link => {
            if let Some(stranger) = *hand {
                *hand = stranger.next.swap(mu, cells[0].load());
            }
        }
        SharedStep::Clear(at) => cell(at).clear(mu),
        SharedStep::Pin(pinner) => {
            if let Some(stranger) = *hand {
                let named = &mut state.pinners[usize::from(pinner) % NAMES];
                let held = Held(named.pinner.pin(mu, stranger));
                assert!(mu.is_pinned(stranger));
                named.pins.push(Pin::of_stranger(move || {
                    let held = &held;
                    // SAFETY: this is called while the pin lasts.
                    unsafe { held.0.as_ref() }.assert_whole();
                }));
            }
        }
        SharedStep::Downgrade(to) => {
            let weak = hand.map(|stranger| mu.downgrade(stranger));
            weak_cell(to).store(mu, weak);
            if let (Some(weak), Some(stranger)) = (weak, *hand) {
                assert!(weak.upgrade(mu).is_some_and(|found| Gc::ptr_eq(found, stranger)), "it is in hand");
            }
        }
        SharedStep::CopyWeak { from, to } => weak_cell(to).store(mu, weak_cell(from).load()),
        SharedStep::Upgrade(from) => {
            if let Some(weak) = weak_cell(from).load() {
                *hand = weak.upgrade(mu);
                match *hand {
                    Some(stranger) => assert!(mu.downgrade(stranger) == weak, "an object has two weak pointers"),
                    None => assert!(weak.upgrade(mu).is_none(), "an upgrade fails for good"),
                }
            }
        }
    }
    if let Some(stranger) = *hand {
        stranger.assert_all_whole();
    }
}
