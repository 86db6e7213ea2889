//! Symbols: texts that threads intern, each of which is one object for as long as anything leads to it; and objects behind a trait.

use linchpin::{Gc, GcCell, GcDyn, GcMutex, Heap, Interner, Mutator, Root, Trace, trait_object, unsize};

use super::ledger::Tracked;
use super::objects::{Maker, Shared};

/// Texts there are, so few that threads meet.
const TEXTS: usize = 64;

/// Objects behind the trait, at most.
const MOST: usize = 32;

/// Whatever can tell whether it is whole.
trait Whole {
    fn check_whole(&self) -> Result<(), String>;
}
trait_object!(dyn Whole);

/// A value with a `Drop`, and its serial number.
#[derive(Trace)]
struct Numbered {
    serial: u64,
    tracked: Tracked,
}

impl Whole for Numbered {
    fn check_whole(&self) -> Result<(), String> {
        self.tracked.check(self.serial)
    }
}

impl Whole for Shared<'_> {
    fn check_whole(&self) -> Result<(), String> {
        self.check()
    }
}

#[derive(Trace)]
struct Board<'gc> {
    symbols: Interner<'gc, str>,
    /// The symbol of each text, or nothing: then nothing keeps it.
    held: [GcCell<'gc, str>; TEXTS],
    whole: GcMutex<Vec<GcDyn<'gc, dyn Whole + 'gc>>>,
}

/// What all threads share of these.
pub(crate) struct Symbols {
    root: Root<Board<'static>>,
}

impl Symbols {
    /// None yet.
    pub(crate) fn new(heap: &Heap) -> Self {
        let root = heap.mutate(|mu| {
            let held = std::array::from_fn(|_| GcCell::null());
            mu.root(mu.alloc(Board { symbols: Interner::new(), held, whole: GcMutex::default() }))
        });
        Self { root }
    }

    /// Interns something, or does something to what is behind the trait, inside a mutation.
    pub(crate) fn change<'gc>(
        &self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: Option<Gc<'gc, Shared<'gc>>>,
    ) -> Result<(), String> {
        let board = self.root.get(mu).as_ref();
        if maker.numbers.once_in(3) {
            let mut whole = board.whole.lock(mu);
            let index = maker.numbers.below(MOST);
            let new = match hand {
                Some(object) if maker.numbers.once_in(2) => unsize!(object => dyn Whole),
                _ => {
                    let tracked = maker.tracked();
                    unsize!(mu.alloc(Numbered { serial: tracked.serial(), tracked }) => dyn Whole)
                }
            };
            let old = if index < whole.len() {
                Some(std::mem::replace(&mut whole[index], new))
            } else {
                whole.push(new);
                None
            };
            drop(whole);
            return old.map_or(Ok(()), |old| old.check_whole()).map_err(|problem| format!("behind a trait: {problem}"));
        }
        let number = maker.numbers.below(TEXTS);
        let (text, cell) = (format!("symbol {number}"), &board.held[number]);
        let symbol = board.symbols.intern(mu, &text);
        if *symbol != *text {
            return Err(format!("{text:?} was interned as {:?}", &*symbol));
        }
        match cell.compare_exchange(mu, None, Some(symbol)) {
            // Kept from here on.
            Ok(_) => Ok(()),
            Err(Some(held)) if !Gc::ptr_eq(held, symbol) => {
                Err(format!("{text:?} is two objects at a time, {held:p} and {symbol:p}"))
            }
            // Kept no more, now and then.
            Err(_) if maker.numbers.once_in(3) => {
                cell.clear(mu);
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }
}
