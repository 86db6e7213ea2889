//! The model of a heap: objects by number, the pointers between them, and who is reachable, computed naively.
//!
//! A pinner or a root that lives in an object (a *vault*) goes when the object is swept. When that happens is the
//! collector's affair, so reachability comes in two kinds: what certainly must be there, and what may be.

use std::collections::BTreeMap;
use std::ops::Range;

/// The number of an object, in the order of allocation.
pub(crate) type Id = usize;

/// One pin, as the program remembers it.
pub(crate) struct Pin {
    /// What it pins; `None` for an object that other threads made.
    pub(crate) id: Option<Id>,
    look: Box<dyn Fn(&Thing) + Send>,
}

impl Pin {
    /// A pin; `look` checks the object through its pinned address.
    pub(crate) fn new(id: Id, look: impl Fn(&Thing) + Send + 'static) -> Self {
        Self { id: Some(id), look: Box::new(look) }
    }

    /// A pin of an object that the model does not know.
    pub(crate) fn of_stranger(look: impl Fn() + Send + 'static) -> Self {
        Self { id: None, look: Box::new(move |_| look()) }
    }

    /// Looks at the pinned memory.
    #[track_caller]
    pub(crate) fn look(&self, things: &[Thing]) {
        match self.id {
            Some(id) => (self.look)(&things[id]),
            None => (self.look)(&Thing::default()),
        }
    }
}

/// What a vault keeps.
#[derive(Default)]
pub(crate) struct Keeps {
    pub(crate) pins: Vec<Pin>,
    pub(crate) root: Option<Id>,
}

/// An entry of a weak map, beside its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) value: Id,
    /// The entry in the ledger of what the value owns.
    pub(crate) token: usize,
}

/// An object.
#[derive(Default)]
pub(crate) struct Thing {
    pub(crate) id: Id,
    pub(crate) address: usize,
    pub(crate) bytes: usize,
    /// The number of elements of a slice; of characters, for a text.
    pub(crate) length: usize,
    /// Entries in the ledger.
    pub(crate) tokens: Range<usize>,
    /// Whether the collector has something to drop.
    pub(crate) has_drop: bool,
    /// Pointers that change.
    pub(crate) cells: Vec<Option<Id>>,
    /// Pointers that do not.
    pub(crate) fixed: Vec<Option<Id>>,
    /// The number in the tagged field of a node, if that holds one.
    pub(crate) number: Option<i32>,
    /// Weak pointers: first those that change.
    pub(crate) weak: Vec<Option<Id>>,
    /// What a weak map holds, by key. Those of keys that are gone are among them until that is known.
    pub(crate) entries: BTreeMap<Id, Entry>,
    pub(crate) keeps: Option<Keeps>,
    /// Known to have been freed.
    pub(crate) gone: bool,
    /// An upgrade has failed: it is dead, whether it has been freed or not.
    pub(crate) dead: bool,
}

impl Thing {
    pub(crate) fn pointer(&self, index: usize) -> Option<Id> {
        if index < self.cells.len() { self.cells[index] } else { self.fixed[index - self.cells.len()] }
    }

    pub(crate) fn pointers(&self) -> usize {
        self.cells.len() + self.fixed.len()
    }

    /// What its pins and its root lead to, while it is there.
    fn kept(&self) -> impl Iterator<Item = Id> {
        let keeps = self.keeps.iter();
        keeps.flat_map(|keeps| keeps.pins.iter().filter_map(|pin| pin.id).chain(keeps.root))
    }
}

/// All objects that a program has made, and what its mutations have in hand.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) things: Vec<Thing>,
    /// By mutation (the program's own, and the one beside it): all that it has made or loaded.
    pub(crate) in_hand: [Vec<Id>; 2],
    /// Pointers that were made weak, each of which may have made a handle.
    pub(crate) downgrades: u64,
    /// Pins of vaults that were swept.
    pub(crate) swept_pins: usize,
}

impl Model {
    /// What `roots` lead to and, with `vaults`, what every vault that may still be there does.
    pub(crate) fn reach(&self, roots: impl Iterator<Item = Id>, vaults: bool) -> Vec<bool> {
        let mut reached = vec![false; self.things.len()];
        let mut todo: Vec<Id> = roots.chain(self.in_hand.iter().flatten().copied()).collect();
        if vaults {
            todo.extend(self.things.iter().filter(|thing| !thing.gone).flat_map(Thing::kept));
        }
        let mut maps: Vec<&Thing> = Vec::new();
        loop {
            while let Some(id) = todo.pop() {
                if !std::mem::replace(&mut reached[id], true) {
                    let thing = &self.things[id];
                    todo.extend(thing.cells.iter().chain(&thing.fixed).flatten());
                    todo.extend(thing.kept());
                    maps.extend(Some(thing).filter(|thing| !thing.entries.is_empty()));
                }
            }
            // A value is kept by its map and its key together.
            let entries = maps.iter().flat_map(|map| &map.entries);
            todo.extend(
                entries.filter(|(key, _)| reached[**key]).map(|(_, entry)| entry.value).filter(|&id| !reached[id]),
            );
            if todo.is_empty() {
                return reached;
            }
        }
    }

    /// Each entry of each weak map: the map, the key and the entry.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Id, Id, Entry)> {
        let maps = self.things.iter().filter(|thing| !thing.entries.is_empty());
        maps.flat_map(|map| map.entries.iter().map(|(&key, &entry)| (map.id, key, entry)))
    }

    /// Pins that `vaults` have of each object.
    pub(crate) fn pins_by_vaults(&self, of: impl Fn(&Thing) -> bool) -> Vec<u32> {
        let mut pins = vec![0; self.things.len()];
        for thing in self.things.iter().filter(|thing| of(thing)) {
            for id in thing.keeps.iter().flat_map(|keeps| &keeps.pins).filter_map(|pin| pin.id) {
                pins[id] += 1;
            }
        }
        pins
    }

    /// Notes that an object is known to be freed.
    pub(crate) fn mark_gone(&mut self, id: Id) {
        let thing = &mut self.things[id];
        if !std::mem::replace(&mut thing.gone, true)
            && let Some(keeps) = &thing.keeps
        {
            self.swept_pins += keeps.pins.len();
        }
    }
}
