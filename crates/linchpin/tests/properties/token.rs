//! Tokens: values whose drop is booked, one by one. A token names its ledger by number rather than by pointer, so that
//! one that is dropped twice, or was overwritten, is an entry in a book and not a wild pointer.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use linchpin::Trace;
use parking_lot::Mutex;

static LEDGERS: LazyLock<Mutex<HashMap<u64, Arc<Book>>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(1);
/// Tokens whose contents made no sense when they were dropped, of any ledger: a corrupt one does not say whose it was.
static CORRUPT: AtomicUsize = AtomicUsize::new(0);

const DEAD: u64 = 0xDEAD_DEAD_DEAD_DEAD;

#[derive(Default)]
struct Book {
    drops: Mutex<Vec<u32>>,
}

/// Gives out tokens and knows how often each was dropped.
pub(crate) struct Ledger {
    number: u64,
    book: Arc<Book>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let book = Arc::<Book>::default();
        LEDGERS.lock().insert(number, Arc::clone(&book));
        Self { number, book }
    }

    pub(crate) fn token(&self) -> Token {
        let mut drops = self.book.drops.lock();
        drops.push(0);
        let entry = drops.len() - 1;
        Token { ledger: self.number, entry, check: AtomicU64::new(check_of(self.number, entry)) }
    }

    /// The entry of the next token.
    pub(crate) fn next_entry(&self) -> usize {
        self.book.drops.lock().len()
    }

    pub(crate) fn drops_of(&self, entry: usize) -> u32 {
        self.book.drops.lock()[entry]
    }

    /// Tells, later and on any thread, whether these are dropped.
    pub(crate) fn watch(&self, entries: Range<usize>) -> impl Fn() -> bool + Send + 'static {
        let book = Arc::clone(&self.book);
        move || book.drops.lock()[entries.clone()].iter().all(|&drops| drops != 0)
    }

    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        assert_eq!(CORRUPT.load(Ordering::SeqCst), 0, "a token was dropped that was none any more");
        for (entry, &drops) in self.book.drops.lock().iter().enumerate() {
            assert!(drops <= 1, "token {entry} was dropped {drops} times");
        }
    }

    #[track_caller]
    pub(crate) fn assert_each_once(&self) {
        self.assert_sound();
        for (entry, &drops) in self.book.drops.lock().iter().enumerate() {
            assert_eq!(drops, 1, "token {entry} was never dropped");
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        LEDGERS.lock().remove(&self.number);
    }
}

fn check_of(ledger: u64, entry: usize) -> u64 {
    (ledger << 32 ^ entry as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A value whose drop is booked.
#[derive(Trace)]
pub(crate) struct Token {
    ledger: u64,
    entry: usize,
    check: AtomicU64,
}

impl Token {
    pub(crate) fn entry(&self) -> usize {
        self.entry
    }

    /// Fails unless this is a token that has not been dropped.
    #[track_caller]
    pub(crate) fn assert_live(&self) {
        assert_eq!(self.check.load(Ordering::SeqCst), check_of(self.ledger, self.entry), "a token is corrupt or dead");
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let check = self.check.swap(DEAD, Ordering::SeqCst);
        // A token that was dropped before still says whose it was.
        if check != check_of(self.ledger, self.entry) && check != DEAD {
            CORRUPT.fetch_add(1, Ordering::SeqCst);
            return;
        }
        // A failed program's heap may outlive its ledger.
        let book = LEDGERS.lock().get(&self.ledger).cloned();
        if let Some(book) = book {
            book.drops.lock()[self.entry] += 1;
        }
    }
}
