//! Tables by address: how addresses are spread over them, and when they give room back.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::table::{AddressHasher, give_room_back, part_of};

type Table = HashMap<usize, (), BuildHasherDefault<AddressHasher>>;

const KEPT: usize = 64;

/// A table with room for a thousand, and more by the standard library's choice, that has `len(room)` entries.
fn table(len: impl FnOnce(usize) -> usize) -> (Table, usize) {
    let mut table = Table::with_capacity_and_hasher(1000, BuildHasherDefault::default());
    let room = table.capacity();
    assert!(room >= 1000 && room.is_multiple_of(4));
    table.extend((0..len(room)).map(|number| (number * 16, ())));
    assert_eq!(table.capacity(), room);
    (table, room)
}

#[test]
fn a_table_that_is_filled_by_a_quarter_keeps_its_room() {
    let (mut table, room) = table(|room| room / 4);
    give_room_back(&mut table, KEPT);
    assert_eq!(table.capacity(), room);
    table.remove(&0);
    give_room_back(&mut table, KEPT);
    assert!(table.capacity() < room, "one less is less than a quarter");
}

/// Enough is left for as many again, so that a table which grows soon does not move at once.
#[test]
fn what_is_left_is_twice_what_is_there() {
    let (mut table, room) = table(|room| room / 4 - 48);
    give_room_back(&mut table, KEPT);
    assert!((2 * table.len()..room).contains(&table.capacity()), "{}", table.capacity());
}

#[test]
fn a_small_table_keeps_its_room() {
    let (mut table, room) = table(|_| 0);
    give_room_back(&mut table, room);
    assert_eq!(table.capacity(), room);
    give_room_back(&mut table, room - 1);
    assert!(table.capacity() < room / 4);
}

/// How many of the numbers are the one that occurs most often, of so many that there may be.
fn most_often(numbers: impl Iterator<Item = usize>, of: usize) -> usize {
    let mut counts = vec![0; of];
    numbers.for_each(|number| counts[number] += 1);
    counts.into_iter().max().unwrap()
}

/// Objects of whatever size, one behind the other: in no part, and in no place of a part's table, are very many more than in others. The
/// standard library's table goes by the lowest bits of a hash, and tells entries apart by the topmost seven.
#[test]
fn addresses_are_spread_evenly() {
    const OBJECTS: usize = 1 << 14;
    for bytes in [16, 32, 48, 64, 80, 112, 128, 256, 512, 1024, 4096, 8192, 1 << 16, 1 << 20] {
        let addresses = || (0..OBJECTS).map(move |number| (1 << 42) + number * bytes);
        let hash = |address: usize| {
            let mut hasher = AddressHasher::default();
            hasher.write_usize(address);
            hasher.finish() as usize
        };
        for (most, places) in [
            (most_often(addresses().map(|address| hash(address) % 1024), 1024), 1024),
            (most_often(addresses().map(|address| hash(address) >> 57), 128), 128),
            (most_often(addresses().map(|address| part_of(address, 64)), 64), 64),
        ] {
            let evenly = OBJECTS / places;
            assert!(
                most <= 8 * evenly,
                "of objects of {bytes} bytes, {most} are in one of {places} places, not {evenly}"
            );
        }
    }
}

#[test]
#[should_panic(expected = "only addresses are hashed")]
fn only_addresses_are_hashed() {
    AddressHasher::default().write(b"text");
}
