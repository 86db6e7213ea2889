//! Shared objects behind locks, which any thread takes at any time; and a place that is written once, over and over anew.

use linchpin::{Gc, GcCell, GcMutex, GcOnce, GcRwLock, Heap, Mutator, Root, Trace};

use super::objects::{Maker, Shared};
use super::shared::{SharedHand, retire};

/// Few, so that threads often want the same one.
const SHELVES: usize = 4;

/// Objects in one place, at most.
const PLACES: usize = 6;

type Object<'gc> = Gc<'gc, Shared<'gc>>;

/// A lock that moves between the contents of others.
type Drawer<'gc> = Box<GcMutex<Option<Object<'gc>>>>;

/// Objects behind each kind of lock.
#[derive(Trace)]
struct Shelf<'gc> {
    mutex: GcMutex<Vec<Object<'gc>>>,
    rw_lock: GcRwLock<Vec<Object<'gc>>>,
    drawers: GcRwLock<Vec<Drawer<'gc>>>,
    note: GcCell<'gc, GcOnce<Object<'gc>>>,
}

/// All the shelves of a run. No mutation holds more than one lock at a time, but for a drawer and what that is in.
pub(crate) struct Shelves {
    root: Root<[Shelf<'static>]>,
}

impl Shelves {
    /// Empty ones.
    pub(crate) fn new(heap: &Heap) -> Self {
        let root = heap.mutate(|mu| {
            let shelves = mu.alloc_slice_with(SHELVES, |_| Shelf {
                mutex: GcMutex::default(),
                rw_lock: GcRwLock::default(),
                drawers: GcRwLock::default(),
                note: GcCell::null(),
            });
            mu.root(shelves)
        });
        Self { root }
    }

    /// Puts an object somewhere, and takes another one out if the place is full.
    pub(crate) fn put<'gc>(&self, mu: &Mutator<'gc>, maker: &mut Maker, object: Object<'gc>) -> Result<(), String> {
        let shelf = self.some(mu, maker);
        let out = match maker.numbers.below(3) {
            0 => exchange(maker, &mut shelf.mutex.lock(mu), object),
            1 => exchange(maker, &mut shelf.rw_lock.write(mu), object),
            _ => exchange_drawer(mu, maker, shelf, object),
        };
        out.map_or(Ok(()), |out| retire(mu, out))
    }

    /// Does something to what is behind a lock.
    pub(crate) fn change<'gc>(
        &self,
        mu: &Mutator<'gc>,
        maker: &mut Maker,
        hand: &mut SharedHand<'gc>,
    ) -> Result<(), String> {
        let (shelf, other) = (self.some(mu, maker), self.some(mu, maker));
        match maker.numbers.below(8) {
            0 => {
                let new = maker.shared(mu, [hand.first().copied(), None]);
                self.put(mu, maker, new)
            }
            1 => {
                // What is in hand may be nowhere else by now.
                let Some(&object) = hand.first() else { return Ok(()) };
                self.put(mu, maker, object)
            }
            2 => {
                // All of it at once, from one lock to the other.
                let taken = std::mem::take(&mut *shelf.mutex.lock(mu));
                taken.iter().try_for_each(|object| object.check())?;
                let left = std::mem::replace(&mut *other.rw_lock.write(mu), taken);
                left.into_iter().try_for_each(|object| retire(mu, object))
            }
            3 => {
                let taken = std::mem::take(&mut *shelf.rw_lock.write(mu));
                let Some(mut mutex) = other.mutex.try_lock(mu) else {
                    return taken.into_iter().try_for_each(|object| retire(mu, object));
                };
                let left = std::mem::replace(&mut *mutex, taken);
                drop(mutex);
                left.into_iter().try_for_each(|object| retire(mu, object))
            }
            4 => {
                let read = shelf.rw_lock.read(mu);
                read.iter().try_for_each(|object| object.check())?;
                hand.extend(read.first());
                // Once more, as readers may.
                shelf.rw_lock.read(mu).iter().try_for_each(|object| object.check())
            }
            5 => {
                let Some(mut drawer) = shelf.drawers.write(mu).pop() else { return Ok(()) };
                if let Some(object) = *drawer.get_mut() {
                    object.check()?;
                }
                other.drawers.write(mu).push(drawer);
                Ok(())
            }
            6 => {
                // To read the outer lock is enough for the inner one.
                let drawers = shelf.drawers.read(mu);
                let Some(drawer) = drawers.first() else { return Ok(()) };
                let out = std::mem::replace(&mut *drawer.lock(mu), hand.last().copied());
                out.map_or(Ok(()), |out| out.check())
            }
            _ => write_once(mu, maker, shelf, hand.first().copied()),
        }
    }

    fn some<'gc>(&self, mu: &Mutator<'gc>, maker: &mut Maker) -> &'gc Shelf<'gc> {
        &self.root.get(mu).as_ref()[maker.numbers.below(SHELVES)]
    }
}

/// Puts an object among these; in place of one of them, if there is no room.
fn exchange<'gc>(maker: &mut Maker, among: &mut Vec<Object<'gc>>, object: Object<'gc>) -> Option<Object<'gc>> {
    if among.len() < PLACES {
        among.push(object);
        return None;
    }
    Some(std::mem::replace(&mut among[maker.numbers.below(PLACES)], object))
}

/// Puts an object into a drawer of the shelf.
fn exchange_drawer<'gc>(
    mu: &Mutator<'gc>,
    maker: &mut Maker,
    shelf: &Shelf<'gc>,
    object: Object<'gc>,
) -> Option<Object<'gc>> {
    let drawers = &mut *shelf.drawers.write(mu);
    if drawers.len() < PLACES {
        drawers.push(Box::new(GcMutex::new(Some(object))));
        return None;
    }
    drawers.truncate(PLACES);
    // Past the inner lock, which nobody else can have now.
    drawers[maker.numbers.below(PLACES)].get_mut().replace(object)
}

/// Writes an object once; if it was written already, begins anew.
fn write_once<'gc>(
    mu: &Mutator<'gc>,
    maker: &mut Maker,
    shelf: &Shelf<'gc>,
    object: Option<Object<'gc>>,
) -> Result<(), String> {
    let Some(note) = shelf.note.load() else {
        shelf.note.store(mu, mu.alloc(GcOnce::new()));
        return Ok(());
    };
    let mut made = None;
    let value = note.get_or_init(mu, || object.unwrap_or_else(|| *made.insert(maker.shared(mu, [None; 2]))));
    value.check()?;
    if maker.numbers.once_in(2) {
        shelf.note.clear(mu);
    }
    Ok(())
}
