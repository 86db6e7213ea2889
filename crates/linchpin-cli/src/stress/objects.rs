//! What the graphs are made of: several types and sizes, and where they come from.

use linchpin::{Gc, GcCell, HeaderSlice, Mutator, TaggedCell, Trace, WeakCell};

use super::ledger::{Ghost, Tracked};
use super::mirror::Shadow;
use super::numbers::{Numbers, Pattern, mix};
use super::words::Word;

/// Pointer fields of a node itself; a fan adds more.
pub(crate) const KIDS: usize = 3;

/// A node of a graph that one thread owns at a time. Each field may be replaced at any moment.
#[derive(Trace)]
pub(crate) struct Node<'gc> {
    pub(crate) id: u64,
    pub(crate) check: u64,
    pub(crate) kids: [GcCell<'gc, Node<'gc>>; KIDS],
    pub(crate) fan: GcCell<'gc, Fan<'gc>>,
    pub(crate) bytes: GcCell<'gc, [u8]>,
    pub(crate) tracked: GcCell<'gc, Tracked>,
    pub(crate) group: GcCell<'gc, Group>,
    pub(crate) heavy: GcCell<'gc, Heavy>,
    pub(crate) empty: GcCell<'gc, Empty>,
    pub(crate) ghost: GcCell<'gc, Ghost>,
    pub(crate) back: WeakCell<'gc, Node<'gc>>,
    pub(crate) word: TaggedCell<'gc, Word<'gc>>,
}

/// Values with a `Drop`: one, and behind it others.
pub(crate) type Group = HeaderSlice<Tracked, [Tracked]>;

/// A slice of pointer fields.
pub(crate) type Fan<'gc> = [GcCell<'gc, Node<'gc>>];

impl<'gc> Node<'gc> {
    /// Pointer field `slot`: the node's own fields first, then those of its fan.
    pub(crate) fn slot(&self, slot: usize) -> Option<&GcCell<'gc, Node<'gc>>> {
        if slot < KIDS {
            return Some(&self.kids[slot]);
        }
        self.fan.load().and_then(|fan| fan.as_ref().get(slot - KIDS))
    }

    /// Whether this memory is the node `id`.
    pub(crate) fn is_node(&self, id: u64) -> Result<(), String> {
        if self.id == id && self.check == mix(id) {
            return Ok(());
        }
        Err(format!("node {id:#x} was expected at {self:p}; its memory holds {:#x} and {:#x}", self.id, self.check))
    }
}

/// A value with a `Drop` too large for a span of small objects.
#[derive(Trace)]
pub(crate) struct Heavy {
    pub(crate) tracked: Tracked,
    filler: [u64; HEAVY_WORDS],
}

const HEAVY_WORDS: usize = 4500;

impl Heavy {
    /// Whether this is the value `serial`, whole.
    pub(crate) fn check(&self, serial: u64) -> Result<(), String> {
        self.tracked.check(serial)?;
        if self.filler.iter().any(|word| *word != serial) {
            return Err(format!("the filler of the large value {serial} was overwritten"));
        }
        Ok(())
    }
}

/// A value without size.
#[derive(Trace)]
pub(crate) struct Empty;

/// An object without pointers that others point to.
#[derive(Trace)]
pub(crate) struct Leaf {
    pub(crate) id: u64,
    pub(crate) check: u64,
}

/// An object that any thread may find, change and check: all it holds follows from its id, except
/// where its links lead.
#[derive(Trace)]
pub(crate) struct Shared<'gc> {
    pub(crate) id: u64,
    check: u64,
    bytes: Gc<'gc, [u8]>,
    body: Body<'gc>,
    pub(crate) links: [GcCell<'gc, Shared<'gc>>; 2],
}

#[derive(Trace)]
enum Body<'gc> {
    Plain(u64),
    Leaf(Gc<'gc, Leaf>),
    Pair { leaf: Option<Gc<'gc, Leaf>>, tracked: Gc<'gc, Tracked>, serial: u64 },
}

impl Shared<'_> {
    /// Whether all of it follows from the id.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.check != mix(self.id) {
            return Err(format!("a shared object at {self:p} holds {:#x} and {:#x}", self.id, self.check));
        }
        shared_pattern(self.id).check(&self.bytes)?;
        match &self.body {
            Body::Plain(number) if *number == !self.id => Ok(()),
            Body::Plain(number) => Err(format!("the plain body of shared object {:#x} is {number:#x}", self.id)),
            Body::Leaf(leaf) => self.check_leaf(leaf),
            Body::Pair { leaf, tracked, serial } => {
                leaf.as_ref().map_or(Ok(()), |leaf| self.check_leaf(leaf))?;
                tracked.check(*serial)
            }
        }
    }

    fn check_leaf(&self, leaf: &Leaf) -> Result<(), String> {
        if leaf.id == self.id && leaf.check == mix(self.id) {
            return Ok(());
        }
        Err(format!("the leaf of shared object {:#x} at {leaf:p} holds {:#x} and {:#x}", self.id, leaf.id, leaf.check))
    }
}

fn shared_pattern(id: u64) -> Pattern {
    Pattern { seed: mix(id), length: (mix(id) % 200) as usize }
}

/// Makes objects with ids of their own, on behalf of one worker.
pub(crate) struct Maker {
    /// The worker's random numbers.
    pub(crate) numbers: Numbers,
    /// Roughly how much was allocated since the worker last saw to a cycle.
    pub(crate) bytes_since_cycle: usize,
    worker: usize,
    next_id: u64,
}

impl Maker {
    /// The maker of worker number `worker`.
    pub(crate) fn new(seed: u64, worker: usize) -> Self {
        let numbers = Numbers::new(seed, worker as u64);
        Self { numbers, bytes_since_cycle: 0, worker, next_id: (worker as u64 + 1) << 40 }
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A node with these kids, given with their ids, and nothing else.
    pub(crate) fn node<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        kids: [Option<(Gc<'gc, Node<'gc>>, u64)>; KIDS],
    ) -> (Gc<'gc, Node<'gc>>, u64, Shadow) {
        let id = self.id();
        self.bytes_since_cycle += size_of::<Node<'_>>();
        let node = mu.alloc(Node {
            id,
            check: mix(id),
            kids: kids.map(|kid| kid.map_or_else(GcCell::null, |(node, _)| GcCell::new(Some(node)))),
            fan: GcCell::null(),
            bytes: GcCell::null(),
            tracked: GcCell::null(),
            group: GcCell::null(),
            heavy: GcCell::null(),
            empty: GcCell::null(),
            ghost: GcCell::null(),
            back: WeakCell::null(),
            word: TaggedCell::new(Word::Nothing),
        });
        (node, id, Shadow::with_kids(kids.map(|kid| kid.map(|(_, id)| id))))
    }

    /// A buffer: mostly small, sometimes empty, now and then larger than 32 KiB.
    pub(crate) fn bytes<'gc>(&mut self, mu: &Mutator<'gc>) -> (Gc<'gc, [u8]>, Pattern) {
        let numbers = &mut self.numbers;
        let length = match numbers.below(100) {
            0..60 => numbers.below(65),
            60..90 => numbers.below(2049),
            90..98 => numbers.below(32_769),
            _ => 32_769 + numbers.below(150_000),
        };
        let pattern = Pattern { seed: numbers.any(), length };
        self.bytes_since_cycle += length;
        let (bytes, ()) = mu.alloc_bytes_with(length, |buffer| pattern.fill(buffer));
        (bytes, pattern)
    }

    /// A value with a `Drop`, not in the heap yet.
    pub(crate) fn tracked(&mut self) -> Tracked {
        Tracked::new(self.worker)
    }

    /// Values with a `Drop`, and their numbers.
    pub(crate) fn group<'gc>(&mut self, mu: &Mutator<'gc>) -> (Gc<'gc, Group>, Vec<u64>) {
        let length = self.numbers.below(9);
        let mut serials = Vec::with_capacity(length + 1);
        let header = self.tracked();
        serials.push(header.serial());
        let group = mu.alloc_header_slice(header, length, |_| {
            let tracked = self.tracked();
            serials.push(tracked.serial());
            tracked
        });
        (group, serials)
    }

    /// A large value with a `Drop`, and its number.
    pub(crate) fn heavy<'gc>(&mut self, mu: &Mutator<'gc>) -> (Gc<'gc, Heavy>, u64) {
        let tracked = self.tracked();
        let serial = tracked.serial();
        self.bytes_since_cycle += size_of::<Heavy>();
        (mu.alloc(Heavy { tracked, filler: [serial; HEAVY_WORDS] }), serial)
    }

    /// An object for all threads, with links to these.
    pub(crate) fn shared<'gc>(
        &mut self,
        mu: &Mutator<'gc>,
        links: [Option<Gc<'gc, Shared<'gc>>>; 2],
    ) -> Gc<'gc, Shared<'gc>> {
        let id = self.id();
        let pattern = shared_pattern(id);
        let (bytes, ()) = mu.alloc_bytes_with(pattern.length, |buffer| pattern.fill(buffer));
        let leaf = || mu.alloc(Leaf { id, check: mix(id) });
        let body = match id % 4 {
            0 => Body::Plain(!id),
            1 => Body::Leaf(leaf()),
            kind => {
                let tracked = self.tracked();
                let serial = tracked.serial();
                let leaf = (kind == 2).then(leaf);
                Body::Pair { leaf, tracked: mu.alloc(tracked), serial }
            }
        };
        self.bytes_since_cycle += size_of::<Shared<'_>>() + pattern.length;
        let links = links.map(|link| link.map_or_else(GcCell::null, |to| GcCell::new(Some(to))));
        mu.alloc(Shared { id, check: mix(id), bytes, body, links })
    }
}
