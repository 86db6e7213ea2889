//! Objects: their names, sets of them, and their colours.

use std::fmt;

/// The most objects a configuration can have.
pub const MOST_OBJECTS: usize = 3;
/// The number of an object, which is that of its slot.
pub type Object = u8;

/// A set of objects.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Objects(pub u8);

impl Objects {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// The first `count` objects.
    #[must_use]
    pub fn first(count: usize) -> Self {
        Self((1 << count) - 1)
    }

    /// The set of one object, or of none.
    #[must_use]
    pub fn of(pointer: Option<Object>) -> Self {
        pointer.map_or(Self::NONE, |object| Self(1 << object))
    }

    /// Whether `object` is in it.
    #[must_use]
    pub fn has(self, object: Object) -> bool {
        self.0 & (1 << object) != 0
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many are in it.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// What is in either.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Puts `object` in.
    pub fn add(&mut self, object: Object) {
        self.0 |= 1 << object;
    }

    /// Takes `object` out.
    pub fn remove(&mut self, object: Object) {
        self.0 &= !(1 << object);
    }

    /// Each object in turn.
    #[must_use]
    pub fn each(self) -> Each {
        Each(self.0)
    }
}

/// The objects of a set, one after another.
#[derive(Clone, Debug)]
pub struct Each(u8);

impl Iterator for Each {
    type Item = Object;

    fn next(&mut self) -> Option<Object> {
        if self.0 == 0 {
            return None;
        }
        let object = self.0.trailing_zeros() as Object;
        self.0 &= self.0 - 1;
        Some(object)
    }
}

/// What a slot's mark byte says. The two colours swap at the flip, so they are kept by their meaning.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Colour {
    /// 0: no object is there.
    #[default]
    Free,
    /// The colour of the last cycle: not reached yet in this one.
    White,
    /// The colour of this cycle.
    Black,
}

impl Colour {
    pub(crate) fn from_bits(bits: u32) -> Self {
        [Self::Free, Self::White, Self::Black][bits as usize]
    }
}

/// A renaming: the new name of each object.
pub(crate) type Names = [Object; MOST_OBJECTS];

/// Every renaming of one, two and three objects.
pub(crate) const RENAMINGS: [&[Names]; MOST_OBJECTS] =
    [&[[0, 1, 2]], &[[0, 1, 2], [1, 0, 2]], &[[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]];

pub(crate) fn pointer_to_bits(pointer: Option<Object>) -> u32 {
    pointer.map_or(0, |object| u32::from(object) + 1)
}

pub(crate) fn pointer_from_bits(bits: u32) -> Option<Object> {
    (bits != 0).then(|| (bits - 1) as Object)
}

pub(crate) fn renamed_set(set: Objects, names: &Names) -> Objects {
    if set.is_empty() {
        return set;
    }
    Objects((set.0 & 1) << names[0] | (set.0 >> 1 & 1) << names[1] | (set.0 >> 2 & 1) << names[2])
}

/// The name of an object in a report.
pub(crate) struct Named(pub(crate) Option<Object>);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "null",
            Some(object) => ["A", "B", "C"][object as usize],
        })
    }
}
