//! Pins that are never undone: by a Pinner that is swept with the heap object that holds it, and
//! by pins that outlive the heap. The hook is told once, and no memory is lost or freed early.

#![cfg(not(loom))]

mod common;

use std::env;
use std::process::Command;
use std::sync::{Arc, Mutex};

use common::{Counted, Ledger, Triple, churn, full_test_name};
use linchpin::{Heap, PinLeak, PinLeakCause, Pinner, Trace};

/// A heap object that holds a Pinner.
#[derive(Trace)]
struct Holder {
    pinner: Mutex<Pinner>,
}

/// What the hook was told, copied out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Report {
    swept: bool,
    pins: usize,
    type_name: String,
    file: String,
    line: u32,
}

impl Report {
    fn of(leak: &PinLeak) -> Self {
        Self {
            swept: matches!(leak.cause(), PinLeakCause::PinnerSwept),
            pins: leak.pins(),
            type_name: leak.type_name().to_owned(),
            file: leak.location().file().to_owned(),
            line: leak.location().line(),
        }
    }
}

type Reports = Arc<Mutex<Vec<Report>>>;

/// A heap of one processor whose leak hook writes down what it is told.
fn listening_heap() -> (Heap, Reports) {
    let reports = Reports::default();
    let sink = Arc::clone(&reports);
    let heap = Heap::builder()
        .processors(1)
        .on_pin_leak(move |leak| sink.lock().expect("no hook panics").push(Report::of(leak)))
        .build()
        .expect("a heap of one processor");
    (heap, reports)
}

fn taken(reports: &Reports) -> Vec<Report> {
    std::mem::take(&mut *reports.lock().expect("no hook panics"))
}

/// Lets a heap object with a Pinner of `pins` pins become garbage. Gives the line of the pins.
fn leak(heap: &Heap, ledger: &Ledger, entry: usize, pins: usize) -> u32 {
    let (mut line, mut pinner) = (0, Pinner::new());
    heap.mutate(|mu| {
        let object = mu.alloc(ledger.counted(entry));
        for _ in 0..pins {
            line = line!() + 1;
            pinner.pin(mu, object);
        }
        mu.alloc(Holder { pinner: Mutex::new(pinner) });
    });
    line
}

#[test]
fn a_swept_pinner_is_reported_once() {
    let (heap, reports) = listening_heap();
    let ledger = Ledger::new(1);
    let line = leak(&heap, &ledger, 0, 3);
    assert_eq!(taken(&reports), []);

    heap.collect();
    let told = taken(&reports);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].swept);
    assert_eq!(told[0].pins, 3);
    assert!(told[0].type_name.ends_with("Counted"), "{}", told[0].type_name);
    assert!(told[0].file.ends_with("pinner_leak.rs"), "{}", told[0].file);
    assert_eq!(told[0].line, line);

    // A leaked pin ends with its Pinner, as any pin does.
    heap.collect();
    ledger.assert_each_once();
    drop(heap);
    assert_eq!(taken(&reports), [], "reported a second time");
}

#[test]
fn a_swept_pinner_with_a_cached_inner_is_reported_once() {
    let (heap, reports) = listening_heap();
    heap.mutate(|mu| {
        let mut pinner = Pinner::new();
        pinner.pin(mu, mu.alloc(Triple::of(1)));
        pinner.unpin();
    });
    let ledger = Ledger::new(1);
    let line = leak(&heap, &ledger, 0, 1);
    assert_eq!(heap.stats().pinners_created, 1, "the leaked Pinner's inner is not the cached one");

    heap.collect();
    let told = taken(&reports);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].swept);
    assert_eq!(told[0].pins, 1);
    assert_eq!(told[0].line, line, "the report is about the inner's earlier life");
    heap.collect();
    ledger.assert_each_once();
    drop(heap);
    assert_eq!(taken(&reports), []);
}

/// Type and cycle in the report are those of the first pin, whatever else was pinned.
#[test]
fn a_report_tells_of_the_first_pin() {
    let other = Heap::new();
    let told: Arc<Mutex<Vec<PinLeak>>> = Arc::default();
    let sink = Arc::clone(&told);
    let heap = Heap::builder()
        .on_pin_leak(move |leak| sink.lock().expect("no hook panics").push(leak.clone()))
        .build()
        .expect("a heap");
    let mut pinner = Pinner::new();
    for _ in 0..2 {
        heap.collect();
    }
    let first = line!() + 1;
    heap.mutate(|mu| pinner.pin(mu, mu.alloc(Triple::of(1))));
    heap.collect();
    for _ in 0..2 {
        heap.mutate(|mu| pinner.pin(mu, mu.alloc(2_u64)));
    }
    let second = line!() - 2;
    let id = heap.id();
    drop(heap);
    let told = told.lock().expect("no hook panics");
    let [leak] = &told[..] else { panic!("one report: {told:?}") };
    assert_eq!(leak.pins(), 3);
    assert_eq!(leak.type_name(), std::any::type_name::<Triple>());
    assert_eq!(leak.cycle(), 2, "the cycle before it");
    assert_eq!(leak.heap(), id);
    assert_ne!(leak.heap(), other.id());
    assert_eq!(leak.location().line(), first);
    let sites: Vec<_> = leak.sites().iter().map(|(location, count)| (location.line(), *count)).collect();
    assert_eq!(sites, [(first, 1), (second, 2)]);
    let said = leak.to_string();
    assert!(said.contains(&format!("pinner_leak.rs:{first}")), "{said}");
    assert!(said.contains("; 2 at ") && said.contains(&format!("pinner_leak.rs:{second}")), "{said}");
    drop(pinner);
}

#[test]
fn many_swept_pinners_are_reported_one_by_one() {
    let (heap, reports) = listening_heap();
    let ledger = Ledger::new(50);
    for entry in 0..50 {
        leak(&heap, &ledger, entry, entry % 5 + 1);
    }
    heap.collect();
    let told = taken(&reports);
    assert_eq!(told.len(), 50);
    assert!(told.iter().all(|report| report.swept));
    let expected: usize = (0..50).map(|entry| entry % 5 + 1).sum();
    assert_eq!(told.iter().map(|report| report.pins).sum::<usize>(), expected);
    heap.collect();
    ledger.assert_each_once();
}

#[test]
fn a_swept_pinner_without_pins_is_not_reported() {
    let (heap, reports) = listening_heap();
    heap.mutate(|mu| {
        let object = mu.alloc(Triple::of(2));
        // Never used; used and given back; used with the slot full, so that it kept its inner.
        let never_used = Pinner::new();
        let mut given_back = Pinner::new();
        let mut kept = Pinner::new();
        given_back.pin(mu, object);
        kept.pin(mu, object);
        given_back.unpin();
        kept.unpin();
        for pinner in [never_used, given_back, kept] {
            mu.alloc(Holder { pinner: Mutex::new(pinner) });
        }
    });
    heap.collect();
    heap.collect();
    assert_eq!(taken(&reports), []);
    assert_eq!(heap.stats().pinners_created, heap.stats().pinners_freed);
}

#[test]
fn a_reachable_holder_is_not_reported() {
    let (heap, reports) = listening_heap();
    let ledger = Ledger::new(1);
    let root = heap.mutate(|mu| {
        let mut pinner = Pinner::new();
        pinner.pin(mu, mu.alloc(ledger.counted(0)));
        mu.root(mu.alloc(Holder { pinner: Mutex::new(pinner) }))
    });
    heap.collect();
    heap.collect();
    ledger.assert_none();
    heap.mutate(|mu| root.get(mu).pinner.lock().expect("nobody panics with it").unpin());
    drop(root);
    heap.collect();
    ledger.assert_each_once();
    assert_eq!(taken(&reports), []);
}

#[test]
fn a_pinner_dropped_by_its_owner_is_not_reported() {
    let (heap, reports) = listening_heap();
    let mut pinner = Pinner::new();
    heap.mutate(|mu| pinner.pin(mu, mu.alloc(Triple::of(3))));
    drop(pinner);
    heap.collect();
    drop(heap);
    assert_eq!(taken(&reports), []);
}

#[test]
fn pins_that_outlive_the_heap_are_reported_and_stay_readable() {
    let (heap, reports) = listening_heap();
    let mut pinner = Pinner::new();
    let mut line = 0;
    let addresses: Vec<_> = heap.mutate(|mu| {
        (0..3)
            .map(|seed| {
                line = line!() + 1;
                pinner.pin(mu, mu.alloc(Triple::of(seed)))
            })
            .collect()
    });
    churn(&heap, 5000);
    drop(heap);

    let told = taken(&reports);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(!told[0].swept);
    assert_eq!(told[0].pins, 3);
    assert!(told[0].type_name.ends_with("Triple"), "{}", told[0].type_name);
    assert!(told[0].file.ends_with("pinner_leak.rs"), "{}", told[0].file);
    assert_eq!(told[0].line, line);

    for (seed, address) in addresses.iter().enumerate() {
        // SAFETY: the pins still stand, so the memory does too, and nothing writes to it.
        assert_eq!(unsafe { address.as_ref() }, &Triple::of(seed as i64));
    }
    assert_eq!(pinner.len(), 3);
    pinner.unpin();
    assert!(pinner.is_empty());
    pinner.unpin();
    drop(pinner);
    assert_eq!(taken(&reports), [], "a pin undone late is no further leak");
}

#[test]
fn a_value_pinned_beyond_its_heap_is_dropped_once_after_its_pin() {
    let (heap, reports) = listening_heap();
    let ledger = Ledger::new(3);
    let mut pinner = Pinner::new();
    let address = heap.mutate(|mu| {
        mu.alloc(ledger.counted(1));
        mu.alloc(ledger.counted(2));
        pinner.pin(mu, mu.alloc(ledger.counted(0)))
    });
    drop(heap);
    assert_eq!(taken(&reports).len(), 1);
    assert_eq!(ledger.drops_of(0), 0, "dropped under its pin");
    // SAFETY: the value is pinned and was not dropped.
    assert_eq!(unsafe { address.as_ref() }.entry(), 0);
    drop(pinner);
    ledger.assert_each_once();
}

#[test]
fn several_pinners_may_outlive_the_heap() {
    let (heap, reports) = listening_heap();
    let ledger = Ledger::new(20);
    let pinners: Vec<Pinner> = heap.mutate(|mu| {
        (0..20)
            .map(|entry| {
                let mut pinner = Pinner::new();
                pinner.pin(mu, mu.alloc(ledger.counted(entry)));
                pinner
            })
            .collect()
    });
    drop(heap);
    let told = taken(&reports);
    assert!(told.iter().all(|report| !report.swept));
    assert_eq!(told.iter().map(|report| report.pins).sum::<usize>(), 20);
    ledger.assert_none();
    std::thread::spawn(move || drop(pinners)).join().expect("the late unpins do not panic");
    ledger.assert_each_once();
}

#[test]
fn roots_may_outlive_the_heap() {
    let (heap, reports) = listening_heap();
    let ledger = Ledger::new(3);
    let (first, second) = heap.mutate(|mu| {
        mu.alloc(ledger.counted(2));
        (mu.root(mu.alloc(ledger.counted(0))), mu.root(mu.alloc(ledger.counted(1))))
    });
    let again = first.clone();
    drop(heap);
    assert_eq!(taken(&reports), [], "a root is no pin");
    assert_eq!(ledger.drops_of(0), 0, "dropped under its root");
    assert_eq!(ledger.drops_of(1), 0, "dropped under its root");
    drop(first);
    drop(second);
    std::thread::spawn(move || drop(again)).join().expect("the late drop does not panic");
    ledger.assert_each_once();
}

#[test]
fn a_heap_dropped_with_nothing_outstanding_drops_its_values_once() {
    let (heap, reports) = listening_heap();
    let ledger = Ledger::new(100);
    let root = heap.mutate(|mu| {
        for entry in 1..100 {
            mu.alloc(ledger.counted(entry));
        }
        mu.root(mu.alloc(ledger.counted(0)))
    });
    drop(root);
    drop(heap);
    ledger.assert_each_once();
    assert_eq!(taken(&reports), []);
}

/// Set in the child that is to die of its leak.
const CHILD: &str = "LINCHPIN_TEST_LEAK_WITH_DEFAULT_HOOK";

#[test]
fn the_default_hook_is_fatal() {
    if env::var_os(CHILD).is_some() {
        let heap = Heap::new();
        let line = leak(&heap, &Ledger::new(1), 0, 2);
        eprintln!("the pins are at line {line}.");
        heap.collect();
        eprintln!("the leak was survived");
        return;
    }
    let child = Command::new(env::current_exe().expect("a test knows its program"))
        .args([
            "--exact",
            &full_test_name(module_path!(), "the_default_hook_is_fatal"),
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, "1")
        .output()
        .expect("the test program starts again");
    let said = String::from_utf8_lossy(&child.stderr).into_owned();
    assert!(!child.status.success(), "the child lived: {said}");
    assert!(!said.contains("was survived"), "{said}");
    let line = said
        .split_once("at line ")
        .and_then(|(_, rest)| rest.split_once('.'))
        .map(|(line, _)| line)
        .unwrap_or_else(|| panic!("the child did not come to its leak: {said}"));
    assert!(said.contains("2 pin"), "no count: {said}");
    assert!(said.contains(std::any::type_name::<Counted>()), "no type: {said}");
    assert!(said.contains(&format!("pinner_leak.rs:{line}")), "no place: {said}");
}
