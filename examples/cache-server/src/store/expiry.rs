//! When entries expire.

use std::collections::BTreeMap;

use linchpin::{Gc, Mutator, OutOfMemory, Trace, Weak};

use super::entry::Entry;

/// So many items are kept without a look at whether they still mean anything.
const LEAST_PURGE: usize = 64;

/// The entries that expire, by when they do.
///
/// The pointers are weak: who deletes, evicts or overwrites an entry need not look for it here, and it is freed all the same. What
/// is left over means nothing, is passed over when its time comes, and is purged when there may be more of that than of the rest. To
/// purge what the collector has found to be dead would not do: between two cycles there may be any number of the others.
#[derive(Default, Trace)]
pub(super) struct ExpiryIndex<'gc> {
    /// By time, and by a number that tells an entry's last item from the earlier ones.
    items: BTreeMap<(u64, u32), Weak<'gc, Entry<'gc>>>,
    last_number: u32,
    purge_at: usize,
}

impl<'gc> ExpiryIndex<'gc> {
    /// Has an entry expire when it says. Under the lock of the entries.
    pub(super) fn add(&mut self, mu: &Mutator<'gc>, entry: Gc<'gc, Entry<'gc>>) -> Result<(), OutOfMemory> {
        let weak = mu.try_downgrade(entry)?;
        if self.items.len() >= self.purge_at.max(LEAST_PURGE) {
            self.items
                .retain(|&(time, number), entry| entry.upgrade(mu).is_some_and(|entry| entry.is_of_item(time, number)));
            self.purge_at = 2 * self.items.len();
        }
        // It comes round; what it meets then is an item that means nothing, or will be taken for one that does.
        self.last_number = self.last_number.wrapping_add(1);
        entry.set_expiry_item(self.last_number);
        self.items.insert((entry.expires_at(), self.last_number), weak);
        Ok(())
    }

    /// Takes out up to `most` items whose time has come, and gives those entries that are still there and expire then; and whether
    /// there may be more.
    pub(super) fn take_due(&mut self, mu: &Mutator<'gc>, now: u64, most: usize) -> (Vec<Gc<'gc, Entry<'gc>>>, bool) {
        let mut due = Vec::new();
        for _ in 0..most {
            let Some(first) = self.items.first_entry() else { return (due, false) };
            let (time, number) = *first.key();
            if time > now {
                return (due, false);
            }
            let entry = first.remove().upgrade(mu);
            due.extend(entry.filter(|entry| entry.is_of_item(time, number)));
        }
        (due, true)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}
