use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use super::*;

/// A store with one shard, so that it is sure what is evicted, and the clock to set.
fn store(max_entries: Option<usize>, max_bytes: Option<usize>) -> (Store, Arc<AtomicU64>) {
    let (clock, time) = Clock::manual();
    let options = StoreOptions { max_entries, max_bytes, shards: 1, clock, ..StoreOptions::default() };
    (Store::new(&options).unwrap(), time)
}

fn value(store: &Store, key: &str) -> Option<String> {
    store.get(key.as_bytes(), |value| String::from_utf8(value.to_vec()).unwrap())
}

fn set(store: &Store, key: &str, value: &str) {
    assert_eq!(store.set(key.as_bytes(), value.as_bytes(), SetOptions::default()), Ok(true));
}

fn set_for(store: &Store, key: &str, value: &str, milliseconds: u64) {
    let options = SetOptions { expires: Expires::In(milliseconds), ..SetOptions::default() };
    assert_eq!(store.set(key.as_bytes(), value.as_bytes(), options), Ok(true));
}

fn pass(time: &AtomicU64, milliseconds: u64) {
    time.fetch_add(milliseconds, Ordering::Relaxed);
}

/// Objects that a cycle leaves.
fn objects(store: &Store) -> u64 {
    store.heap().collect();
    store.heap().stats().live_objects
}

#[test]
fn what_was_not_used_for_longest_goes() {
    let (store, _) = store(Some(3), None);
    for key in ["a", "b", "c"] {
        set(&store, key, key);
    }
    assert!(value(&store, "a").is_some());
    set(&store, "b", "new");
    // To ask whether it is there is no use of it.
    assert!(store.contains(b"c"));
    set(&store, "d", "d");
    store.heap().collect();
    assert_eq!(value(&store, "c"), None);
    assert_eq!(["a", "b", "d"].map(|key| value(&store, key).unwrap()), ["a", "new", "d"]);
    assert_eq!(store.figures().evicted.get(), 1);
    assert_eq!(store.size().entries, 3);
}

#[test]
fn an_evicted_entry_has_a_second_chance_until_the_collector_takes_it() {
    let (store, time) = store(Some(2), None);
    set_for(&store, "a", "1", 500);
    set(&store, "b", "2");
    set(&store, "c", "3");
    assert_eq!(store.size().entries, 2);
    // It is put back with all it had, at the cost of the one that is the oldest now.
    assert_eq!(store.expires(b"a"), Some(Expires::In(500)));
    assert_eq!((store.figures().revived.get(), store.size().entries), (1, 2));
    store.heap().collect();
    assert_eq!(["a", "b", "c"].map(|key| value(&store, key)), [Some("1".to_owned()), None, Some("3".to_owned())]);
    pass(&time, 500);
    assert_eq!(store.expire_due(), 1);
    assert_eq!(value(&store, "a"), None);
}

/// The item of an entry that was evicted means nothing, and is purged; when the entry is put back, it has one again.
#[test]
fn what_is_put_back_expires() {
    let (store, time) = store(Some(2), None);
    set_for(&store, "a", "1", 500);
    set(&store, "b", "2");
    set(&store, "c", "3");
    for _ in 0..100 {
        set_for(&store, "c", "3", 1_000);
    }
    assert!(store.contains(b"a"));
    pass(&time, 500);
    assert_eq!(store.expire_due(), 1);
    assert_eq!(store.size().entries, 1);
}

#[test]
fn who_deletes_or_sets_what_was_evicted_is_not_told_otherwise_later() {
    let (store, time) = store(Some(2), None);
    for key in ["a", "b", "c"] {
        set(&store, key, "old");
    }
    assert!(store.remove(b"a"));
    assert_eq!(value(&store, "a"), None);
    assert!(!store.remove(b"a"));
    set(&store, "d", "d");
    set(&store, "b", "new");
    assert_eq!(value(&store, "b"), Some("new".to_owned()));
    // What expires after it was evicted is gone.
    set_for(&store, "e", "e", 10);
    set(&store, "f", "f");
    set(&store, "g", "g");
    pass(&time, 10);
    assert_eq!(value(&store, "e"), None);
    store.clear().unwrap();
    assert!(["b", "c", "d", "f", "g"].iter().all(|key| value(&store, key).is_none()));
}

#[test]
fn what_is_evicted_overwritten_deleted_or_expired_is_freed() {
    const VALUE: usize = 1_000;
    let (store, time) = store(Some(10), None);
    let empty = objects(&store);
    let empty_bytes = store.heap().stats().live_bytes;
    // So many entries, each with its key, its value and the handle of a weak pointer to it; and handles of entries that are dead,
    // of 16 bytes each: one for each item of the expiry index, one for each place for evicted entries.
    let is_no_more_than = |entries: usize| {
        let objects = objects(&store);
        let (items, stats) = (store.size().expiry_items, store.heap().stats());
        let dead = items + store.limits.second_chances;
        assert!(objects <= empty + (4 * entries + dead) as u64, "{objects} of {entries} entries, {items} items");
        assert!(stats.live_bytes <= empty_bytes + (entries * (VALUE + 400) + dead * 16) as u64, "{stats:?}");
        assert!(items <= 100, "{items} items");
    };
    let long = "x".repeat(VALUE);
    for number in 0..2_000 {
        set_for(&store, &number.to_string(), &long, 1_000);
    }
    is_no_more_than(10);
    for _ in 0..2_000 {
        set_for(&store, "1999", &long, 1_000);
    }
    is_no_more_than(10);
    for number in 1_990..1_995 {
        assert!(store.remove(number.to_string().as_bytes()));
    }
    is_no_more_than(5);
    pass(&time, 1_000);
    assert_eq!(store.expire_due(), 5);
    assert_eq!(store.size(), Size::default());
    is_no_more_than(0);
    for number in 0..10 {
        set(&store, &number.to_string(), &long);
    }
    store.clear().unwrap();
    assert_eq!((store.size(), objects(&store)), (Size::default(), empty));
}

#[test]
fn entries_expire_when_their_time_has_come() {
    let (store, time) = store(None, None);
    assert_eq!(store.expires(b"k"), None);
    set(&store, "k", "v");
    assert_eq!(store.expires(b"k"), Some(Expires::Never));
    assert_eq!(store.expire(b"k", Expires::In(100)), Ok(true));
    pass(&time, 99);
    assert_eq!((store.expires(b"k"), store.expire_due()), (Some(Expires::In(1)), 0));
    // Nobody sees it any more, though nobody has taken it out yet.
    pass(&time, 1);
    assert_eq!((value(&store, "k"), store.contains(b"k"), store.expires(b"k")), (None, false, None));
    assert_eq!(store.expire(b"k", Expires::In(100)), Ok(false));

    // A new value has no time, or another one; the old one means nothing.
    set_for(&store, "k", "v", 100);
    set(&store, "k", "v");
    set_for(&store, "l", "v", 100);
    set_for(&store, "l", "v", 200);
    pass(&time, 100);
    assert_eq!(store.expire_due(), 0);
    assert_eq!(store.expires(b"l"), Some(Expires::In(100)));
    // A sum keeps its time.
    set_for(&store, "n", "5", 300);
    assert_eq!(store.add(b"n", 2), Ok(7));
    assert_eq!(store.expires(b"n"), Some(Expires::In(300)));
    assert_eq!(store.expire(b"n", Expires::In(0)), Ok(true));
    assert_eq!(value(&store, "n"), None);
    // A time that no clock comes to.
    set_for(&store, "k", "v", u64::MAX);
    assert!(store.contains(b"k"));
    pass(&time, 100);
    assert_eq!((store.expire_due(), store.size().entries), (1, 1));
}

/// More at once than one mutation takes.
#[test]
fn many_expire_together() {
    let (store, time) = store(None, None);
    for number in 0..1_000 {
        set_for(&store, &number.to_string(), "v", 10 + number % 3);
    }
    pass(&time, 11);
    assert_eq!(store.expire_due(), 667);
    pass(&time, 1);
    assert_eq!((store.expire_due(), store.size()), (333, Size::default()));
}

#[test]
fn conditions_sums_and_what_is_too_large() {
    let (store, _) = store(None, Some(1_000));
    let only_if = |only_if| SetOptions { only_if: Some(only_if), ..SetOptions::default() };
    assert_eq!(store.set(b"k", b"1", only_if(OnlyIf::Exists)), Ok(false));
    assert_eq!(store.set(b"k", b"1", only_if(OnlyIf::Absent)), Ok(true));
    assert_eq!(store.set(b"k", b"2", only_if(OnlyIf::Absent)), Ok(false));
    assert_eq!(store.add(b"k", 1), Ok(2));
    assert_eq!(store.set(b"k", b"9223372036854775807", only_if(OnlyIf::Exists)), Ok(true));
    assert_eq!(store.add(b"k", 1), Err(SetError::Overflow));
    assert_eq!(store.add(b"new", -1), Ok(-1));
    for no_number in ["", "x", "1 ", " 1", "+1", "01", "-0", "1.5", "9223372036854775808"] {
        set(&store, "k", no_number);
        assert_eq!(store.add(b"k", 1), Err(SetError::NotANumber), "{no_number:?}");
    }
    assert_eq!(store.set(b"k", &[0; 1_000], SetOptions::default()), Err(SetError::TooLarge));
    assert_eq!(store.size().entries, 2);
    assert_eq!(store.set(b"k", &[0; 871], SetOptions::default()), Ok(true));
    // As large as all that may be there.
    assert_eq!(store.size(), Size { entries: 1, bytes: 1_000, expiry_items: 0 });
}

/// Against a map without limits: what is there is right, and what there is stays within the limits.
#[test]
fn random_work() {
    for (max_entries, max_bytes) in [(None, None), (Some(50), None), (None, Some(20_000))] {
        let (store, time) = store(max_entries, max_bytes);
        let mut mirror: HashMap<String, (String, u64)> = HashMap::new();
        let mut random = 7_u64;
        for step in 0..20_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let choice = random >> 33;
            let key = (choice % 211).to_string();
            let now = time.load(Ordering::Relaxed);
            match choice / 211 % 8 {
                0..3 => {
                    let text = step.to_string().repeat((choice % 40) as usize);
                    set(&store, &key, &text);
                    mirror.insert(key, (text, u64::MAX));
                }
                3 => {
                    set_for(&store, &key, "short", 1 + choice % 100);
                    mirror.insert(key, ("short".to_owned(), now + 1 + choice % 100));
                }
                4 => {
                    store.remove(key.as_bytes());
                    mirror.remove(&key);
                }
                5 => {
                    pass(&time, choice % 5);
                    if step % 3 == 0 {
                        store.expire_due();
                    }
                }
                _ => {
                    let expected = mirror.get(&key).filter(|(_, time)| *time > now).map(|(text, _)| text.clone());
                    let found = value(&store, &key);
                    if found.is_some() || (max_entries, max_bytes) == (None, None) {
                        assert_eq!(found, expected);
                    }
                }
            }
            if step % 1_000 == 0 {
                let size = store.size();
                assert!(size.entries <= max_entries.unwrap_or(211), "{size:?}");
                assert!(size.bytes <= max_bytes.unwrap_or(usize::MAX), "{size:?}");
                store.heap().collect();
            }
        }
        assert_eq!(store.figures().evicted.get() > 0, max_entries.is_some() || max_bytes.is_some());
    }
}

/// Threads on few keys and few shards, while the collector is busy: no sum is lost, and memory stays bounded.
#[test]
fn threads() {
    const STEPS: i64 = 5_000;
    let options = StoreOptions {
        max_bytes: Some(64 << 10),
        shards: 2,
        processors: Some(3),
        growth_percent: 20,
        ..StoreOptions::default()
    };
    let store = Store::new(&options).unwrap();
    thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for step in 0..STEPS {
                    // Used so often that it is never the oldest.
                    store.add(b"sum", 1).unwrap();
                    set_for(store, &format!("{thread} {step}"), "some value", 1_000_000);
                    assert!(store.get(b"sum", |_| ()).is_some());
                    if step % 100 == 0 {
                        store.expire_due();
                    }
                }
            });
        }
        store.heap().collect();
    });
    assert_eq!(value(&store, "sum"), Some((4 * STEPS).to_string()));
    assert!(store.size().bytes <= 64 << 10);
    assert!(store.figures().evicted.get() > 0);
    let size = store.size();
    assert!(size.expiry_items <= 2 * size.entries + 200, "{size:?}");
    // Of the places for evicted entries each may have a handle.
    let most = 4 * size.entries + size.expiry_items + 2 * store.limits.second_chances + 100;
    assert!(objects(&store) < most as u64, "{:?}", store.heap().stats());
}
