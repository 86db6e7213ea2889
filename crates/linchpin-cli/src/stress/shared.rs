//! What all threads share: a table of roots, a rooted slice of pointer fields that any thread
//! changes at any time, objects behind locks and behind weak pointers and in weak maps, and a place where whole graphs change hands.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use linchpin::{Gc, GcCell, Heap, Mutator, Root};

use super::cleanups;
use super::maps::Maps;
use super::mirror::Graph;
use super::objects::{Maker, Shared};
use super::shelves::Shelves;
use super::symbols::Symbols;
use super::weak::{Keepsakes, Notes, downgrade};

/// Entries of the table.
const ENTRIES: usize = 32;

/// Fields of the slice. Few, so that threads often have the same object in hand.
const CELLS: usize = 12;

/// Shared objects that a mutation keeps in hand, while other threads may cut every path to them.
/// Storing, rooting or pinning one after that is what the insertion barrier is for.
pub(crate) type SharedHand<'gc> = Vec<Gc<'gc, Shared<'gc>>>;

/// More are not kept in hand.
const HAND: usize = 6;

/// The shared state of a run.
pub(crate) struct Table {
    /// Each lock guards its own entry; held for a moment, and never while another is wanted.
    roots: Vec<Mutex<Option<Root<Shared<'static>>>>>,
    /// Never replaced; its fields are changed without any lock.
    cells: Root<[GcCell<'static, Shared<'static>>]>,
    /// Objects behind locks.
    shelves: Shelves,
    /// Weak pointers to objects.
    notes: Notes,
    /// Weak maps of objects.
    maps: Maps,
    /// Interned texts, and objects behind a trait.
    symbols: Symbols,
    /// A graph that some worker left for another, with its mirror.
    left: Mutex<Graph>,
    /// Weak roots of those that have ended.
    keepsakes: Mutex<Keepsakes>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(heap: &Heap) -> Self {
        let cells = heap.mutate(|mu| {
            let cells = mu.alloc_slice_with(CELLS, |_| GcCell::<Shared<'_>>::null());
            mu.root(cells)
        });
        let roots = (0..ENTRIES).map(|_| Mutex::new(None)).collect();
        let (shelves, notes, maps) = (Shelves::new(heap), Notes::new(heap), Maps::new(heap));
        let symbols = Symbols::new(heap);
        Self { roots, cells, shelves, notes, maps, symbols, left: Mutex::default(), keepsakes: Mutex::default() }
    }

    /// Some root of the table, cloned.
    pub(crate) fn some_root(&self, maker: &mut Maker) -> Option<Root<Shared<'static>>> {
        locked(&self.roots[maker.numbers.below(ENTRIES)]).clone()
    }

    /// Leaves one graph and takes the other.
    pub(crate) fn trade(&self, graph: &mut Graph) {
        std::mem::swap(graph, &mut *locked(&self.left));
    }

    /// Takes the graph that was left last.
    pub(crate) fn take_left(&self) -> Graph {
        std::mem::take(&mut *locked(&self.left))
    }

    /// Keeps the weak roots of a graph that is given up.
    pub(crate) fn keep(&self, graph: &mut Graph) {
        let mut keepsakes = locked(&self.keepsakes);
        keepsakes.nodes.append(&mut graph.weak);
        keepsakes.maps.extend(graph.map.take());
    }

    /// Ends the table. What it leaves are weak roots that must lead nowhere then.
    pub(crate) fn into_keepsakes(self, heap: &Heap) -> Keepsakes {
        let mut kept = self.keepsakes.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.notes.keep_all(heap, &mut kept);
        kept.shared_maps = Some(self.maps.root);
        kept
    }

    /// Does something to the table of roots.
    pub(crate) fn use_roots(&self, heap: &Heap, maker: &mut Maker) -> Result<(), String> {
        let entry = &self.roots[maker.numbers.below(ENTRIES)];
        match maker.numbers.below(4) {
            0 => {
                let new = heap.mutate(|mu| {
                    let links = [self.load(mu, maker, &mut SharedHand::new()), None];
                    mu.root(maker.shared(mu, links))
                });
                let old = locked(entry).replace(new);
                // Used and dropped on this thread, which may not be the one that made it.
                match old {
                    Some(old) => heap.mutate(|mu| retire(mu, old.get(mu))),
                    None => Ok(()),
                }
            }
            1 => {
                // Dropped outside any mutation.
                let taken = locked(entry).take();
                drop(taken);
                Ok(())
            }
            2 => {
                let Some(root) = locked(entry).clone() else { return Ok(()) };
                let copy = root.clone();
                drop(root);
                heap.mutate(|mu| wander(mu, maker, copy.get(mu)))
            }
            _ => {
                // From one of the two places to the other.
                let Some(root) = self.some_root(maker) else { return Ok(()) };
                heap.mutate(|mu| {
                    let cell = maker.numbers.below(CELLS);
                    let old = self.cells.get(mu)[cell].swap(mu, Some(root.get(mu)));
                    old.map_or(Ok(()), |old| retire(mu, old))
                })
            }
        }
    }

    /// Does something to the slice of pointer fields, to what is behind locks, to weak pointers or to weak maps, inside a mutation.
    pub(crate) fn use_cells<'gc>(
        &self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut SharedHand<'gc>,
    ) -> Result<(), String> {
        let cells = self.cells.get(mu);
        let cell = &cells[maker.numbers.below(CELLS)];
        match maker.numbers.below(17) {
            0 | 1 => {
                let links = [self.load(mu, maker, hand), self.load(mu, maker, hand)];
                let old = cell.swap(mu, Some(maker.shared(mu, links)));
                old.map_or(Ok(()), |old| retire(mu, old))
            }
            2 => {
                let old = cell.load();
                let new = maker.shared(mu, [None, old]);
                match cell.compare_exchange(mu, old, Some(new)) {
                    Ok(old) => old.map_or(Ok(()), |old| retire(mu, old)),
                    // Another thread was first; what it put there must be whole too.
                    Err(now) => now.map_or(Ok(()), |now| now.check()),
                }
            }
            3 => {
                cell.store(mu, self.load(mu, maker, hand));
                Ok(())
            }
            4 => {
                // Link two objects that others hold as well.
                let Some(from) = cell.load() else { return Ok(()) };
                from.check()?;
                let to = self.load(mu, maker, hand);
                let old = from.links[maker.numbers.below(2)].swap(mu, to);
                old.map_or(Ok(()), |old| old.check())
            }
            5 => {
                let Some(object) = self.load(mu, maker, hand) else { return Ok(()) };
                object.check()?;
                let new = mu.root(object);
                let old = locked(&self.roots[maker.numbers.below(ENTRIES)]).replace(new);
                drop(old);
                Ok(())
            }
            6..9 => {
                self.load(mu, maker, hand);
                self.shelves.change(mu, maker, hand)
            }
            9..12 => self.notes.change(mu, maker, hand),
            12..15 => {
                self.load(mu, maker, hand);
                self.maps.change(mu, maker, hand)
            }
            16 => self.symbols.change(mu, maker, hand.last().copied()),
            15 => hand.last().map_or(Ok(()), |&object| cleanups::of_shared(mu, maker, object)),
            _ => cell.load().map_or(Ok(()), |start| wander(mu, maker, start)),
        }
    }

    /// A mutation that stays open over handshakes, with objects in hand that others unlink
    /// meanwhile, and then stores, roots and pins them.
    ///
    /// The barriers of `Arm` are for this only: the object was unlinked before the snapshot by a
    /// mutation that logged nothing, and comes back in an object that is black from birth.
    pub(crate) fn linger<'gc>(
        &self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        mut pin: impl FnMut(Gc<'gc, Shared<'gc>>) -> Result<(), String>,
    ) -> Result<(), String> {
        let cells = self.cells.get(mu);
        let hand: Vec<_> = cells.iter().filter_map(GcCell::load).collect();
        // Sometimes long enough for a whole handshake to pass by, all its waiting included.
        let rounds = if maker.numbers.once_in(4) { 10 } else { 1 + maker.numbers.below(4) };
        for _ in 0..rounds {
            std::thread::sleep(Duration::from_micros(20 + maker.numbers.below(300) as u64));
            for object in &hand {
                object.check()?;
                let cell = &cells[maker.numbers.below(CELLS)];
                match maker.numbers.below(17) {
                    // Into an object that may be younger than the handshake this mutation holds up.
                    0..4 => {
                        if let Some(younger) = cell.load() {
                            younger.links[maker.numbers.below(2)].store(mu, *object);
                        }
                    }
                    4 | 5 => cell.store(mu, maker.shared(mu, [Some(*object), None])),
                    6 => cell.store(mu, None),
                    7 => pin(*object)?,
                    // In hand since long before, in whatever phase it is now.
                    11 => self.notes.note(mu, maker, *object)?,
                    12 => _ = downgrade(mu, *object)?,
                    13 => self.notes.change(mu, maker, &mut SharedHand::new())?,
                    14 => self.maps.change(mu, maker, &mut vec![*object])?,
                    9 | 10 => self.shelves.put(mu, maker, *object)?,
                    8 => {
                        let new = mu.root(*object);
                        let old = locked(&self.roots[maker.numbers.below(ENTRIES)]).replace(new);
                        drop(old);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// An object from the hand or from the slice.
    fn load<'gc>(
        &self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut SharedHand<'gc>,
    ) -> Option<Gc<'gc, Shared<'gc>>> {
        if !hand.is_empty() && maker.numbers.once_in(2) {
            return Some(hand[maker.numbers.below(hand.len())]);
        }
        let loaded = self.cells.get(mu).as_ref()[maker.numbers.below(CELLS)].load();
        if hand.len() < HAND {
            hand.extend(loaded);
        }
        loaded
    }
}

/// Checks an object that leaves the table, and cuts its links: otherwise each object would keep
/// all those before it.
pub(crate) fn retire<'gc>(mu: &Mutator<'gc>, object: Gc<'gc, Shared<'gc>>) -> Result<(), String> {
    object.check()?;
    for link in &object.links {
        if let Some(linked) = link.swap(mu, None) {
            linked.check()?;
        }
    }
    Ok(())
}

/// Follows links from object to object, checking each.
fn wander<'gc>(_: &Mutator<'gc>, maker: &mut Maker, start: Gc<'gc, Shared<'gc>>) -> Result<(), String> {
    let mut object = start;
    for _ in 0..16 {
        object.check()?;
        match object.links[maker.numbers.below(2)].load() {
            Some(next) => object = next,
            None => break,
        }
    }
    Ok(())
}

/// An injected panic never happens under these locks; a real one has been reported already.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
