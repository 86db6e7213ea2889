//! Weak pointers: those that threads share, those of a graph, and what must be true of each upgrade.
//!
//! What a mutation has in hand can be upgraded, and gives that very object. What the ledger says was dropped cannot; what
//! could not be upgraded once never can. What the mirror says is reachable can be upgraded, to the address at which the walk
//! finds it. Between these the collector decides, and what an upgrade gave must be whole then, and stay so.

use std::sync::atomic::{AtomicU64, Ordering};

use linchpin::{Gc, GcCell, Heap, Mutator, Object, Root, Trace, Weak, WeakCell, WeakMap, WeakRoot};

use super::ledger::{Tracked, was_dropped};
use super::maps::{NodeMap, SharedMap};
use super::objects::{Maker, Node, Shared};
use super::shared::{SharedHand, retire};

/// Places that all threads use. Few, so that they meet.
const SLOTS: usize = 16;

/// Upgrades that gave an object, and those that did not. Relaxed: they are read when all threads have ended.
static UPGRADED: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Upgrades so far that gave an object, and that did not.
pub(crate) fn upgrades() -> (u64, u64) {
    (UPGRADED.load(Ordering::Relaxed), REFUSED.load(Ordering::Relaxed))
}

/// Upgrades a weak pointer and compares what it gives with the pointer; what was refused must be refused again.
pub(crate) fn upgrade<'gc, T: ?Sized + Object>(
    mu: &Mutator<'gc>,
    weak: Weak<'gc, T>,
) -> Result<Option<Gc<'gc, T>>, String> {
    let found = weak.upgrade(mu);
    let count = if found.is_some() { &UPGRADED } else { &REFUSED };
    count.fetch_add(1, Ordering::Relaxed);
    match found {
        Some(object) if mu.downgrade(object) != weak => {
            Err(format!("the object at {:p} has two weak pointers that differ", Gc::as_ptr(object)))
        }
        None if weak.upgrade(mu).is_some() => Err("an upgrade failed, and the next one did not".to_owned()),
        found => Ok(found),
    }
}

/// A weak pointer to something in hand, which can be upgraded.
pub(crate) fn downgrade<'gc, T: ?Sized + Object>(
    mu: &Mutator<'gc>,
    object: Gc<'gc, T>,
) -> Result<Weak<'gc, T>, String> {
    let weak = mu.downgrade(object);
    match upgrade(mu, weak)? {
        Some(found) if Gc::ptr_eq(found, object) => Ok(weak),
        found => {
            let (object, found) = (Gc::as_ptr(object), found.map(Gc::as_ptr));
            Err(format!("the object at {object:p} is in hand, and the upgrade of its weak pointer gave {found:?}"))
        }
    }
}

/// A weak pointer, with what it was made for; never changed.
#[derive(Trace)]
enum Note<'gc> {
    Shared { id: u64, weak: Weak<'gc, Shared<'gc>> },
    Tracked { serial: u64, weak: Weak<'gc, Tracked> },
}

/// A place for each kind of weak pointer.
#[derive(Trace)]
struct Slot<'gc> {
    /// Behind it, one whose object is known.
    note: GcCell<'gc, Note<'gc>>,
    /// One to any shared object.
    cell: WeakCell<'gc, Shared<'gc>>,
}

/// Weak pointers that any thread changes and upgrades at any time.
pub(crate) struct Notes {
    root: Root<[Slot<'static>]>,
}

impl Notes {
    /// Empty ones.
    pub(crate) fn new(heap: &Heap) -> Self {
        let root = heap.mutate(|mu| {
            let slots = mu.alloc_slice_with(SLOTS, |_| Slot { note: GcCell::null(), cell: WeakCell::null() });
            mu.root(slots)
        });
        Self { root }
    }

    /// Does something to a place, inside a mutation.
    pub(crate) fn change<'gc>(
        &self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut SharedHand<'gc>,
    ) -> Result<(), String> {
        let (slot, other) = (self.some(mu, maker), self.some(mu, maker));
        match maker.numbers.below(8) {
            0 => match hand.last() {
                Some(&object) => self.note(mu, maker, object),
                None => Ok(()),
            },
            1 => {
                // Nothing else will lead to it.
                let new = maker.shared(mu, [hand.first().copied(), None]);
                self.note(mu, maker, new)
            }
            2 => {
                let tracked = maker.tracked();
                let serial = tracked.serial();
                let weak = downgrade(mu, mu.alloc(tracked))?;
                slot.note.store(mu, mu.alloc(Note::Tracked { serial, weak }));
                Ok(())
            }
            3 => {
                slot.note.store(mu, other.note.load());
                Ok(())
            }
            4 => {
                let held = slot.cell.load();
                // Another thread may be first; what it put there is as good.
                let (Ok(held) | Err(held)) = slot.cell.compare_exchange(mu, held, other.cell.load());
                held.map_or(Ok(()), |weak| take(mu, maker, weak, None, hand))
            }
            5 => slot.cell.load().map_or(Ok(()), |weak| take(mu, maker, weak, None, hand)),
            _ => match slot.note.load().as_deref() {
                None => Ok(()),
                Some(&Note::Shared { id, weak }) => take(mu, maker, weak, Some(id), hand),
                Some(&Note::Tracked { serial, weak }) => {
                    let dropped = was_dropped(serial);
                    match upgrade(mu, weak)? {
                        Some(_) if dropped => Err(format!("the value {serial} was dropped, and then upgraded")),
                        Some(tracked) => tracked.check(serial),
                        None => Ok(()),
                    }
                }
            },
        }
    }

    /// Puts a weak pointer to something in hand somewhere.
    pub(crate) fn note<'gc>(
        &self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        object: Gc<'gc, Shared<'gc>>,
    ) -> Result<(), String> {
        let weak = downgrade(mu, object)?;
        let slot = self.some(mu, maker);
        if maker.numbers.once_in(2) {
            slot.note.store(mu, mu.alloc(Note::Shared { id: object.id, weak }));
            return Ok(());
        }
        match slot.cell.swap(mu, weak) {
            Some(old) => take(mu, maker, old, None, &mut SharedHand::new()),
            None => Ok(()),
        }
    }

    /// Weak roots of whatever the places lead to, for the end.
    pub(crate) fn keep_all(&self, heap: &Heap, kept: &mut Keepsakes) {
        heap.mutate(|mu| {
            for slot in self.root.get(mu).as_ref() {
                kept.shared.extend(slot.cell.load().map(|weak| weak.root(mu)));
                match slot.note.load().as_deref() {
                    Some(Note::Shared { weak, .. }) => kept.shared.push(weak.root(mu)),
                    Some(Note::Tracked { weak, .. }) => kept.tracked.push(weak.root(mu)),
                    None => {}
                }
            }
        });
    }

    fn some<'gc>(&self, mu: &Mutator<'gc>, maker: &mut Maker) -> &'gc Slot<'gc> {
        &self.root.get(mu).as_ref()[maker.numbers.below(SLOTS)]
    }
}

/// Takes into hand what a weak pointer leads to, if that is still there. From then on it goes wherever what is in hand goes.
fn take<'gc>(
    mu: &Mutator<'gc>,
    maker: &mut Maker,
    weak: Weak<'gc, Shared<'gc>>,
    id: Option<u64>,
    hand: &mut SharedHand<'gc>,
) -> Result<(), String> {
    let Some(object) = upgrade(mu, weak)? else { return Ok(()) };
    object.check().map_err(|problem| format!("behind a weak pointer: {problem}"))?;
    if id.is_some_and(|id| id != object.id) {
        return Err(format!("a weak pointer to shared object {id:#x?} led to {:#x}", object.id));
    }
    if maker.numbers.once_in(4) {
        // Else each object would keep all those before it.
        return retire(mu, object);
    }
    hand.insert(0, object);
    hand.truncate(6);
    Ok(())
}

/// A weak root of a node, in a graph.
pub(crate) struct WeakNode {
    pub(crate) root: WeakRoot<Node<'static>>,
    pub(crate) id: u64,
    /// An upgrade has failed.
    pub(crate) dead: bool,
}

impl WeakNode {
    /// The node, if it is still there.
    pub(crate) fn upgrade<'gc>(&mut self, mu: &Mutator<'gc>) -> Result<Option<Gc<'gc, Node<'gc>>>, String> {
        let found = upgrade(mu, self.root.get(mu))?;
        check_found(found, self.id, &mut self.dead)
    }
}

/// Whether an upgrade gave node `id`, or nothing, and that for good.
pub(crate) fn check_found<'gc>(
    found: Option<Gc<'gc, Node<'gc>>>,
    id: u64,
    dead: &mut bool,
) -> Result<Option<Gc<'gc, Node<'gc>>>, String> {
    match found {
        Some(_) if *dead => Err(format!("node {id:#x} was upgraded after an upgrade had failed")),
        Some(node) => {
            node.is_node(id).map_err(|problem| format!("behind a weak pointer: {problem}"))?;
            Ok(Some(node))
        }
        None => {
            *dead = true;
            Ok(None)
        }
    }
}

/// Weak roots, and weak maps, that outlive all else.
#[derive(Default)]
pub(crate) struct Keepsakes {
    pub(crate) nodes: Vec<WeakNode>,
    shared: Vec<WeakRoot<Shared<'static>>>,
    tracked: Vec<WeakRoot<Tracked>>,
    pub(crate) maps: Vec<Root<NodeMap<'static>>>,
    pub(crate) shared_maps: Option<Root<[SharedMap<'static>]>>,
}

impl Keepsakes {
    /// With every other root and pin given up, and a cycle after that, none leads anywhere.
    pub(crate) fn check_all_dead(&self, heap: &Heap) -> Result<(), String> {
        heap.mutate(|mu| {
            let nodes = self.nodes.iter().filter(|weak| weak.root.upgrade(mu).is_some()).count();
            let shared = self.shared.iter().filter(|weak| weak.upgrade(mu).is_some()).count();
            let tracked = self.tracked.iter().filter(|weak| weak.upgrade(mu).is_some()).count();
            let shared_maps = self.shared_maps.iter().flat_map(|maps| maps.get(mu).as_ref()).map(WeakMap::len);
            let entries: usize = shared_maps.chain(self.maps.iter().map(|map| map.get(mu).len())).sum();
            if entries != 0 {
                return Err(format!("{entries} entries of weak maps were left"));
            }
            match (nodes, shared, tracked) {
                (0, 0, 0) => Ok(()),
                counts => Err(format!("{counts:?} nodes, shared objects and values with a Drop could be upgraded")),
            }
        })
    }
}
