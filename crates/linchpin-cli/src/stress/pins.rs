//! Pins that outlive mutations, cycles and threads, and what must be found at their addresses.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use linchpin::{Gc, GcCell, Heap, Mutator, Pinner, Root};

use super::ledger::{Ghost, Tracked};
use super::mirror::{Graph, Shadow};
use super::numbers::Pattern;
use super::objects::{Empty, Heavy, KIDS, Leaf, Maker, Node, Shared};

/// Pins taken in the run. Relaxed: a figure.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// What foreign memory is pinned as.
static FOREIGN: u64 = 0x0F0E_1661;

/// How often an object is pinned and unpinned that is to be striped.
const PINNED_OFTEN: u32 = 600;

/// Pins taken so far.
pub(crate) fn taken() -> u64 {
    TAKEN.load(Ordering::Relaxed)
}

/// The address of something pinned. It lies in a [`Held`], beside the pinner that pins it.
struct Address<T: ?Sized>(NonNull<T>);

// SAFETY: a raw address may be read on any thread while the object is pinned, because heap objects
// are `Sync`; `Held` keeps the pinner as long as the address, and its pin holds on every thread.
unsafe impl<T: ?Sized + Sync> Send for Address<T> {}

impl<T: ?Sized> Address<T> {
    /// What is there. `pinner` must be the one beside the address, and is borrowed so that nobody
    /// gives its pins back meanwhile.
    fn get<'pin>(&self, _pinner: &'pin Pinner) -> &'pin T {
        // SAFETY: the object is pinned by the pinner in the same `Held`, so it is alive and in place: this module alone makes
        // addresses (`Held::pin`), reads them with the pinner beside them, and lets both go together (`Held::release`).
        // Objects in the heap change through cells and atomics only.
        unsafe { self.0.as_ref() }
    }
}

/// What should be found at an address.
enum Claim {
    /// Bytes that nothing else leads to, or that a graph leads to as well.
    Bytes(Address<[u8]>, Pattern),
    /// A chain of nodes over their first kids, of which the first is pinned and nothing is rooted.
    Chain(Address<Node<'static>>, Vec<u64>),
    /// An object of the shared ones.
    Shared(Address<Shared<'static>>),
    /// A value with a `Drop`, pinned alone.
    Tracked(Address<Tracked>, u64),
    /// A large one.
    Heavy(Address<Heavy>, u64),
    /// A node that a graph leads to, and may stop leading to at any time.
    Node(Address<Node<'static>>, u64),
    /// A field in the middle of an object.
    Inside(Address<u64>, u64),
    /// A static.
    Foreign(Address<u64>),
    /// Something without size.
    Empty(Address<Empty>),
    /// Something without size that is dropped.
    Ghost(Address<Ghost>),
}

/// A pinner and what it holds. May move to another thread and be given back there.
pub(crate) struct Held {
    pinner: Pinner,
    claims: Vec<Claim>,
    /// How many of the claims need a pin to be true.
    needed: usize,
}

impl Held {
    /// Nothing pinned yet.
    pub(crate) fn new() -> Self {
        Self { pinner: Pinner::new(), claims: Vec::new(), needed: 0 }
    }

    /// Whether nothing was pinned.
    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Pins one more thing, mostly new and otherwise unreachable.
    pub(crate) fn pin(
        &mut self,
        mu: &Mutator<'_>,
        maker: &mut Maker,
        graph: &Graph,
        shared: Option<&Root<Shared<'static>>>,
    ) -> Result<(), String> {
        let claim = match maker.numbers.below(15) {
            // Whatever comes by, for as long as it happens to be held.
            12.. => match graph.walk(mu, maker)? {
                Some((node, id)) => Claim::Node(Address(self.pinner.pin(mu, node).cast()), id),
                None => return Ok(()),
            },
            0..4 => {
                let (bytes, pattern) = maker.bytes(mu);
                Claim::Bytes(Address(self.pinner.pin(mu, bytes)), pattern)
            }
            4 | 5 => self.pin_chain(mu, maker),
            6 => {
                let tracked = maker.tracked();
                let serial = tracked.serial();
                Claim::Tracked(Address(self.pinner.pin(mu, mu.alloc(tracked))), serial)
            }
            7 if maker.numbers.once_in(8) => {
                let (heavy, serial) = maker.heavy(mu);
                Claim::Heavy(Address(self.pinner.pin(mu, heavy)), serial)
            }
            7 => {
                let id = maker.numbers.any();
                let leaf = mu.alloc(Leaf { id: !id, check: id });
                Claim::Inside(Address(self.pinner.pin_ref(mu, &leaf.as_ref().check)), id)
            }
            8 => Claim::Foreign(Address(self.pinner.pin_ref(mu, &FOREIGN))),
            9 if maker.numbers.once_in(2) => Claim::Empty(Address(self.pinner.pin(mu, mu.alloc(Empty)))),
            9 => Claim::Ghost(Address(self.pinner.pin(mu, mu.alloc(Ghost::new())))),
            10 => match shared {
                Some(root) => {
                    let object = root.get(mu);
                    object.check()?;
                    if maker.numbers.once_in(16) {
                        // So often that the heap counts its pins by the processor from then on.
                        (0..PINNED_OFTEN).for_each(|_| _ = Pinner::new().pin(mu, object));
                    }
                    Claim::Shared(Address(self.pinner.pin(mu, object).cast()))
                }
                None => return Ok(()),
            },
            // Something that a graph may lose while it is pinned.
            _ => match graph.walk(mu, maker)? {
                Some((node, id)) => match (node.bytes.load(), graph.shadow(id)?.bytes) {
                    (Some(bytes), Some(pattern)) => Claim::Bytes(Address(self.pinner.pin(mu, bytes)), pattern),
                    _ => Claim::Inside(Address(self.pinner.pin_ref(mu, &node.as_ref().id)), id),
                },
                None => return Ok(()),
            },
        };
        self.claim(claim)
    }

    /// Pins a shared object that the mutation has in hand.
    pub(crate) fn pin_shared<'gc>(&mut self, mu: &Mutator<'gc>, object: Gc<'gc, Shared<'gc>>) -> Result<(), String> {
        object.check()?;
        let claim = Claim::Shared(Address(self.pinner.pin(mu, object).cast()));
        self.claim(claim)
    }

    fn claim(&mut self, claim: Claim) -> Result<(), String> {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        self.needed += usize::from(claim.needs_pin());
        self.claims.push(claim);
        if self.pinner.len() < self.needed {
            return Err(format!("a pinner of {} pins counts {}", self.needed, self.pinner.len()));
        }
        Ok(())
    }

    fn pin_chain(&mut self, mu: &Mutator<'_>, maker: &mut Maker) -> Claim {
        let mut ids = Vec::new();
        let mut first = None;
        for _ in 0..=maker.numbers.below(6) {
            let mut kids = [None; KIDS];
            kids[0] = first;
            let (node, id, _) = maker.node(mu, kids);
            ids.push(id);
            first = Some((node, id));
        }
        ids.reverse();
        let (node, _) = first.expect("a chain has a first node");
        Claim::Chain(Address(self.pinner.pin(mu, node).cast()), ids)
    }

    /// Whether everything is still there. Enters a mutation only to follow pointers.
    pub(crate) fn check(&self, heap: &Heap) -> Result<(), String> {
        for claim in &self.claims {
            claim.check(heap, &self.pinner)?;
        }
        Ok(())
    }

    /// Takes the rest of a pinned chain over into a graph, as a thread does with what C returns.
    /// To be released next: the graph changes what it owns.
    pub(crate) fn adopt(&self, heap: &Heap, graph: &mut Graph) -> Result<(), String> {
        for claim in &self.claims {
            let Claim::Chain(address, ids) = claim else { continue };
            let Some(second) = ids.get(1) else { continue };
            heap.mutate(|mu| {
                let kid = rebrand(mu, address).get(&self.pinner).kids[0].load();
                let kid = kid.ok_or("a pinned chain lost its second node")?;
                kid.is_node(*second)?;
                graph.roots.push((mu.root(kid), *second));
                Ok::<(), String>(())
            })?;
            for (place, id) in ids.iter().enumerate().skip(1) {
                let kid = ids.get(place + 1).copied();
                graph.shadows.insert(*id, Shadow::with_kids([kid, None, None]));
            }
            return Ok(());
        }
        Ok(())
    }

    /// Gives all pins back, and checks that the pinner says so.
    pub(crate) fn release(mut self, heap: &Heap) -> Result<(), String> {
        self.check(heap)?;
        self.pinner.unpin();
        if self.pinner.is_empty() {
            return Ok(());
        }
        Err(format!("a pinner holds {} pins after unpin", self.pinner.len()))
    }
}

impl Claim {
    fn needs_pin(&self) -> bool {
        match self {
            Self::Foreign(_) | Self::Empty(_) | Self::Ghost(_) => false,
            Self::Bytes(_, pattern) => pattern.length > 0,
            _ => true,
        }
    }

    fn check(&self, heap: &Heap, pinner: &Pinner) -> Result<(), String> {
        let address: *const u8 = match self {
            Self::Bytes(at, pattern) => {
                pattern.check(at.get(pinner))?;
                at.0.as_ptr().cast()
            }
            Self::Chain(at, ids) => {
                heap.mutate(|mu| check_chain(rebrand(mu, at).get(pinner), ids))?;
                at.0.as_ptr().cast()
            }
            Self::Shared(at) => {
                heap.mutate(|mu| check_shared(rebrand_shared(mu, at).get(pinner)))?;
                at.0.as_ptr().cast()
            }
            Self::Node(at, id) => {
                at.get(pinner).is_node(*id)?;
                at.0.as_ptr().cast()
            }
            Self::Tracked(at, serial) => {
                at.get(pinner).check(*serial)?;
                at.0.as_ptr().cast()
            }
            Self::Heavy(at, serial) => {
                at.get(pinner).check(*serial)?;
                at.0.as_ptr().cast()
            }
            Self::Inside(at, expected) => {
                let found = *at.get(pinner);
                if found != *expected {
                    return Err(format!("a pinned field holds {found:#x}, not {expected:#x}"));
                }
                at.0.as_ptr().cast()
            }
            Self::Foreign(at) => at.0.as_ptr().cast(),
            Self::Empty(at) => at.0.as_ptr().cast(),
            Self::Ghost(at) => at.0.as_ptr().cast(),
        };
        if !heap.is_pinned(address) {
            return Err(format!("what is pinned at {address:p} is not said to be"));
        }
        if self.needs_pin() && heap.pin_count(address) == 0 {
            return Err(format!("the pin at {address:p} is not counted"));
        }
        Ok(())
    }
}

/// The address, for use in this mutation of the run's only heap.
fn rebrand<'gc>(_: &Mutator<'gc>, address: &Address<Node<'static>>) -> Address<Node<'gc>> {
    Address(address.0.cast())
}

/// The same for a shared object.
fn rebrand_shared<'gc>(_: &Mutator<'gc>, address: &Address<Shared<'static>>) -> Address<Shared<'gc>> {
    Address(address.0.cast())
}

/// The first node and its link. The rest may have been adopted by a graph and changed since.
fn check_chain(first: &Node<'_>, ids: &[u64]) -> Result<(), String> {
    first.is_node(ids[0])?;
    match (first.kids[0].load(), ids.get(1)) {
        (None, None) => Ok(()),
        (Some(kid), Some(id)) => kid.is_node(*id),
        (found, _) => Err(format!("a pinned chain's first link is there: {}", found.is_some())),
    }
}

/// The object and what it links to at the moment.
fn check_shared(object: &Shared<'_>) -> Result<(), String> {
    object.check()?;
    object.links.iter().filter_map(GcCell::load).try_for_each(|linked| linked.check())
}

/// Pins of an object that nobody else can know must be counted one by one.
pub(crate) fn count_exactly(heap: &Heap, maker: &mut Maker) -> Result<(), String> {
    let mut pinners = [const { Pinner::new() }; 3];
    heap.mutate(|mu| {
        let object = mu.alloc(Leaf { id: 1, check: 2 });
        let mut expected = 0;
        let count = |expected: u32| {
            let (is, count) = (mu.is_pinned(object), mu.pin_count(object));
            if count == expected && is == (expected > 0) {
                return Ok(());
            }
            Err(format!("an object pinned {expected} times has {count} pins, is pinned: {is}"))
        };
        count(0)?;
        for pinner in &mut pinners {
            for _ in 0..maker.numbers.below(9) {
                pinner.pin(mu, object);
                expected += 1;
                TAKEN.fetch_add(1, Ordering::Relaxed);
            }
            count(expected)?;
        }
        for pinner in &mut pinners {
            expected -= u32::try_from(pinner.len()).expect("a few pins");
            pinner.unpin();
            count(expected)?;
            // Nothing is left to give back.
            pinner.unpin();
            count(expected)?;
        }
        Ok(())
    })
}
