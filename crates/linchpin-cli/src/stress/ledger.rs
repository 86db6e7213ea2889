//! Births and drops of every value with a `Drop`: each must be dropped once, never twice.
//!
//! The ledger is a static, and a value carries nothing but its number: `drop` is given no context,
//! and if memory was freed too early it must still find its way to a report instead of following
//! a pointer that is no longer one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use linchpin::Trace;

use super::numbers::mix;

/// Parts of the ledger, so that threads seldom meet at a lock.
const PARTS: usize = 16;

/// How often each value was dropped, by part and number; any thread, under the lock.
static PARTS_OF_LEDGER: [Mutex<Vec<u8>>; PARTS] = [const { Mutex::new(Vec::new()) }; PARTS];

/// What was found wrong, for the end of the run.
static PROBLEMS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Births and drops of [`Ghost`]s, which have no room for a number. Relaxed: they are read when
/// all threads have ended and all sweeping is done.
static GHOSTS_BORN: AtomicU64 = AtomicU64::new(0);
static GHOSTS_DROPPED: AtomicU64 = AtomicU64::new(0);

/// A value with a `Drop`.
#[derive(Trace)]
pub(crate) struct Tracked {
    serial: u64,
    check: u64,
}

impl Tracked {
    /// A new one, in the part of the ledger that `hint` picks.
    pub(crate) fn new(hint: usize) -> Self {
        let part = hint % PARTS;
        let mut drops = locked(&PARTS_OF_LEDGER[part]);
        let serial = (drops.len() * PARTS + part) as u64;
        drops.push(0);
        Self { serial, check: mix(serial) }
    }

    /// What tells it from all others.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// Whether this is the value `serial`, alive and whole.
    pub(crate) fn check(&self, serial: u64) -> Result<(), String> {
        if self.serial != serial || self.check != mix(serial) {
            return Err(format!(
                "the value {serial} with a Drop at {self:p} holds {} and {:#x}",
                self.serial, self.check
            ));
        }
        match drops_of(serial) {
            Some(0) => Ok(()),
            drops => Err(format!("the value {serial} was dropped while in use ({drops:?} drops)")),
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if self.check != mix(self.serial) {
            return problem(format!(
                "a value with a Drop at {self:p} was overwritten before its drop: {}, {:#x}",
                self.serial, self.check
            ));
        }
        let mut drops = locked(&PARTS_OF_LEDGER[self.serial as usize % PARTS]);
        match drops.get_mut(self.serial as usize / PARTS) {
            Some(0) => drops[self.serial as usize / PARTS] = 1,
            Some(count) => {
                *count = count.saturating_add(1);
                let times = *count;
                drop(drops);
                problem(format!("the value {} was dropped {times} times", self.serial));
            }
            None => {
                drop(drops);
                problem(format!("the value {} was dropped and never born", self.serial));
            }
        }
    }
}

/// A value with a `Drop` and no size.
#[derive(Trace)]
pub(crate) struct Ghost;

impl Ghost {
    /// A new one.
    pub(crate) fn new() -> Self {
        GHOSTS_BORN.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Ghost {
    fn drop(&mut self) {
        GHOSTS_DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// Births and drops so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// Values made.
    pub(crate) born: u64,
    /// Values dropped, each counted once.
    pub(crate) dropped: u64,
}

/// Births and drops of both kinds so far.
pub(crate) fn count() -> Count {
    let mut count =
        Count { born: GHOSTS_BORN.load(Ordering::Relaxed), dropped: GHOSTS_DROPPED.load(Ordering::Relaxed) };
    for part in &PARTS_OF_LEDGER {
        let drops = locked(part);
        count.born += drops.len() as u64;
        count.dropped += drops.iter().filter(|drops| **drops > 0).count() as u64;
    }
    count
}

/// What is wrong when nothing may be alive any more.
pub(crate) fn check_all_dropped() -> Result<(), String> {
    let born = GHOSTS_BORN.load(Ordering::Relaxed);
    let dropped = GHOSTS_DROPPED.load(Ordering::Relaxed);
    let mut never = Vec::new();
    for (part, drops) in PARTS_OF_LEDGER.iter().enumerate() {
        let drops = locked(drops);
        let missed = drops.iter().enumerate().filter(|(_, drops)| **drops == 0);
        never.extend(missed.map(|(index, _)| index * PARTS + part));
    }
    if !never.is_empty() {
        let some = &never[..never.len().min(5)];
        return Err(format!("{} values were never dropped, such as {some:?}", never.len()));
    }
    if born != dropped {
        return Err(format!("of {born} values without size, {dropped} were dropped"));
    }
    Ok(())
}

/// Takes the problems that drops have met so far.
pub(crate) fn take_problems() -> Vec<String> {
    std::mem::take(&mut *locked(&PROBLEMS))
}

/// Whether the value `serial` was dropped already.
pub(crate) fn was_dropped(serial: u64) -> bool {
    drops_of(serial) != Some(0)
}

fn drops_of(serial: u64) -> Option<u8> {
    let drops = locked(&PARTS_OF_LEDGER[serial as usize % PARTS]);
    drops.get(serial as usize / PARTS).copied()
}

/// Notes what is wrong, for the run to find.
pub(crate) fn problem(text: String) {
    let mut problems = locked(&PROBLEMS);
    // The first ones tell the story.
    if problems.len() < 20 {
        problems.push(text);
    }
}

/// A panic that is injected elsewhere does not spoil plain numbers.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
