//! What a marker has come to and not traced yet, by the units it lies in.
//!
//! Where objects lie at random, what a mark costs is not instructions but memory. So a marker does not trace objects in the order in which it comes
//! to them: it notes each as a bit of its unit, and units wait in a queue, first in, first out. While one waits, more of its
//! objects are come to; when it is its turn, all are traced in the order of their addresses, [window](super::window) by window: a word of bits, whose objects are
//! fetched together before. This is the idea of Go's Green Tea collector (`mgcmark_greenteagc.go`), whose spans are our units; there the bits are part of a span, and
//! all markers share them, here they are the marker's own, and it shares batches of objects ([`sharing`](super::sharing)).
//!
//! A single object with nothing else pending is traced at once: the way of a list.
//!
//! The bits of a unit take half a kilobyte, and there are as many as there are units that wait. ARCHITECTURE.md has the figures.

use std::collections::VecDeque;

use super::window::{WINDOW_BYTES, Window};
use crate::collector::queue::Grey;
use crate::memory::prefetch::prefetch;
use crate::memory::region::Region;
use crate::memory::{GRANULE, SPAN_GRANULES};

const WORD_BITS: usize = u64::BITS as usize;
const WORDS: usize = SPAN_GRANULES.div_ceil(WORD_BITS);

/// How many objects a batch has that is given away, about: whole units, until there are so many.
const BATCH: usize = 512;

/// Of how many units of large objects, at most. (Few, as what nobody takes waits in the queue until the end.)
const LARGE_UNITS: usize = 8;

/// When a unit has its turn, the memory of the one so far behind it is asked for: where few objects of a unit are pending, those of the next ones
/// are on their way meanwhile.
const UNITS_AHEAD: usize = 3;

/// And so many objects of that, of its lowest word.
const OBJECTS_AHEAD: usize = 4;

/// The room for no more units than so many is kept for the next cycle: half a gigabyte.
pub(crate) const MOST_KEPT: usize = 1 << 13;

/// In bytes, the table of places being as long as the next power of two.
const MOST_KEPT_BYTES: usize = MOST_KEPT * (size_of::<UnitBits>() + 2 * size_of::<u32>());

/// The objects of one unit that are pending: a bit for each granule that one starts at.
struct UnitBits {
    unit: u32,
    /// A bit for each word that is not 0.
    summary: u64,
    words: [u64; WORDS],
}

impl UnitBits {
    /// None of a unit.
    fn none_of(unit: u32) -> Self {
        Self { unit, summary: 0, words: [0; WORDS] }
    }

    fn take_window(&mut self, region: &Region, index: usize) -> Window {
        self.summary &= !(1 << index);
        Window { address: self.address_of_window(region, index), bits: std::mem::take(&mut self.words[index]) }
    }

    fn address_of_window(&self, region: &Region, index: usize) -> usize {
        region.unit_start(self.unit as usize).addr().get() + index * WINDOW_BYTES
    }
}

/// The objects that a marker has to trace.
#[derive(Default)]
pub(crate) struct Pending {
    /// For each unit the place of its bits, and one more; 0 if it has none. As long as needed.
    places: Vec<u32>,
    bits: Vec<UnitBits>,
    /// Places of bits that no unit has.
    unused: Vec<u32>,
    /// Places of bits of units that wait.
    waiting: VecDeque<u32>,
    /// And of those in which large objects lie. They come first, as they lead to many: the more is known when a unit has its turn, the more
    /// of it is traced at once.
    large: VecDeque<u32>,
    /// The place of the bits of the unit whose turn it is.
    current: Option<u32>,
}

const _: () = assert!(WORDS <= WORD_BITS, "a bit of the summary for each word");

impl Pending {
    /// What to trace next, after all that lies on the stack was added; `None` if there is nothing.
    #[inline(always)]
    pub(super) fn next(&mut self, region: &Region, stack: &mut Vec<Grey>) -> Option<Window> {
        if let Some(grey) = stack.pop() {
            if stack.is_empty() && self.is_done() {
                return Some(Window::of(grey));
            }
            self.add(region, grey);
            self.add_all(region, stack);
        }
        self.take_window(region)
    }

    /// Adds all that lies on the stack.
    #[inline(always)]
    pub(super) fn add_all(&mut self, region: &Region, stack: &mut Vec<Grey>) {
        while let Some(grey) = stack.pop() {
            self.add(region, grey);
        }
    }

    /// Makes room for so many units, and writes to it, if there is less: who traces a little at a time should not have to wait for the system to give it.
    pub(crate) fn make_room(&mut self, units: usize) {
        let there = self.bits.len();
        let Some(missing) = units.checked_sub(there) else { return };
        self.bits.reserve_exact(missing);
        self.bits.resize_with(units, || UnitBits::none_of(0));
        self.unused.extend((there as u32..units as u32).rev());
        self.waiting.reserve(units);
        self.have_places_for(units);
    }

    /// The units below this have a place each in the table.
    fn have_places_for(&mut self, units: usize) {
        if self.places.len() < units {
            self.places.resize(units.next_power_of_two(), 0);
        }
    }

    /// The same, with nothing pending, for the next cycle; without the room it has, if that is much. (To ask for it anew in each cycle costs page
    /// faults, and to give it back holds a lock of the system's allocator for a millisecond, for which mutations would wait.)
    pub(crate) fn kept(self) -> Self {
        debug_assert!(self.is_done(), "what is pending would be lost");
        if self.room() <= MOST_KEPT_BYTES { self } else { Self::default() }
    }

    /// The bytes that it takes up, whatever is pending.
    pub(super) fn room(&self) -> usize {
        self.bits.capacity() * size_of::<UnitBits>() + self.places.capacity() * size_of::<u32>()
    }

    /// Whether so many units may wait, and nothing is asked of the system.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn has_room_for(&self, units: usize) -> bool {
        let waiting = self.waiting.capacity() >= units;
        waiting && self.places.len() >= units && self.bits.len() >= units && self.unused.len() == self.bits.len()
    }

    /// Whether nothing is pending.
    #[inline(always)]
    pub(crate) fn is_done(&self) -> bool {
        self.waiting.is_empty()
            && self.large.is_empty()
            && self.current.is_none_or(|place| self.bits[place as usize].summary == 0)
    }

    #[inline(always)]
    fn add(&mut self, region: &Region, Grey(object): Grey) {
        let unit = region.unit_of(object.addr().get());
        let place = match self.places.get(unit) {
            Some(&place) if place != 0 => place - 1,
            _ => self.open(region, unit),
        };
        let granule = object.addr().get() / GRANULE % SPAN_GRANULES;
        let bits = &mut self.bits[place as usize];
        bits.words[granule / WORD_BITS] |= 1 << (granule % WORD_BITS);
        bits.summary |= 1 << (granule / WORD_BITS);
    }

    /// Gives a unit bits, and has it wait; gives their place.
    #[inline(never)]
    fn open(&mut self, region: &Region, unit: usize) -> u32 {
        self.have_places_for(unit + 1);
        let number = unit as u32;
        let place = match self.unused.pop() {
            Some(place) => {
                self.bits[place as usize].unit = number;
                place
            }
            None => {
                // No more than is kept for the next cycle, if that is enough.
                let (there, kept) = (self.bits.len(), MOST_KEPT.saturating_sub(self.bits.len()));
                if there == self.bits.capacity() && kept != 0 {
                    self.bits.reserve_exact(there.clamp(1, kept));
                }
                self.bits.push(UnitBits::none_of(number));
                (self.bits.len() - 1) as u32
            }
        };
        self.places[unit] = place + 1;
        let span = region.span(unit);
        let queue = if span.back() != 0 || span.units() > 1 { &mut self.large } else { &mut self.waiting };
        queue.push_back(place);
        place
    }

    /// Takes the bits of a unit back, none of which is left.
    fn close(&mut self, place: u32) {
        self.places[self.bits[place as usize].unit as usize] = 0;
        self.unused.push(place);
    }

    /// Takes the next window, of the unit whose turn it is or of the next one, and asks for the memory of its objects.
    fn take_window(&mut self, region: &Region) -> Option<Window> {
        loop {
            let Some(place) = self.current else {
                self.current = self.large.pop_front().or_else(|| self.waiting.pop_front());
                self.current?;
                self.look_ahead(region);
                continue;
            };
            let bits = &mut self.bits[place as usize];
            if bits.summary == 0 {
                self.close(place);
                self.current = None;
                continue;
            }
            let index = bits.summary.trailing_zeros() as usize;
            let window = bits.take_window(region, index);
            window.fetch(region);
            return Some(window);
        }
    }

    /// Asks for the memory of some objects whose turn it will be soon.
    #[inline(always)]
    fn look_ahead(&self, region: &Region) {
        if let Some(&place) = self.waiting.get(UNITS_AHEAD) {
            let bits = &self.bits[place as usize];
            let index = bits.summary.trailing_zeros() as usize;
            if let Some(&word) = bits.words.get(index) {
                let window = Window { address: bits.address_of_window(region, index), bits: word };
                window.objects(region).take(OBJECTS_AHEAD).for_each(|Grey(object)| prefetch(object.as_ptr()));
            }
        }
    }

    /// Gives objects away, in `given`: those of the units that have waited longest, of half of them at most; if none waits, those of half the words of the unit
    /// whose turn it is. But if units of large objects wait, some of these, the last ones: they lead to enough.
    pub(super) fn give_half(&mut self, region: &Region, mut given: Vec<Grey>) -> Vec<Grey> {
        if !self.large.is_empty() {
            for _ in 0..(self.large.len() / 4).clamp(1, LARGE_UNITS) {
                if let Some(place) = self.large.pop_back() {
                    self.give_unit(region, place, &mut given);
                }
            }
            return given;
        }
        if self.waiting.is_empty()
            && let Some(place) = self.current
        {
            let words = self.bits[place as usize].summary.count_ones() / 2;
            self.give_words(region, place, words, &mut given);
        }
        for _ in 0..self.waiting.len().div_ceil(2) {
            if given.len() >= BATCH {
                break;
            }
            let Some(place) = self.waiting.pop_front() else { break };
            self.give_unit(region, place, &mut given);
        }
        given
    }

    /// Puts everything on the stack.
    pub(super) fn give_all(&mut self, region: &Region, stack: &mut Vec<Grey>) {
        let waiting = std::mem::take(&mut self.large).into_iter().chain(std::mem::take(&mut self.waiting));
        for place in self.current.take().into_iter().chain(waiting) {
            self.give_unit(region, place, stack);
        }
    }

    fn give_unit(&mut self, region: &Region, place: u32, given: &mut Vec<Grey>) {
        self.give_words(region, place, u64::BITS, given);
        self.close(place);
    }

    /// Gives so many words of a unit away, the last ones, or all that are not 0.
    fn give_words(&mut self, region: &Region, place: u32, words: u32, given: &mut Vec<Grey>) {
        let bits = &mut self.bits[place as usize];
        for _ in 0..words {
            let Some(index) = bits.summary.checked_ilog2() else { break };
            given.extend(bits.take_window(region, index as usize).objects(region));
        }
    }
}
