//! A leak hook that panics: no leak is lost, and the panic goes on where there is somebody to whom it can. And the default hook,
//! where nobody hears it: what it says is lost, what it does is not.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, Weak};

use crate::common::{Ledger, Triple, assert_nothing_live, churn, panic_text};
use crate::process::{in_own_process, unheard_in_own_process};
use linchpin::{Heap, Pinner, Root, Trace};

/// A heap of one processor whose leak hook panics with the number of pins; and how often it was called.
fn panicking_heap() -> (Heap, Arc<Mutex<Vec<usize>>>) {
    let told = Arc::<Mutex<Vec<usize>>>::default();
    let sink = Arc::clone(&told);
    let heap = Heap::builder()
        .processors(1)
        .on_pin_leak(move |leak| {
            sink.lock().expect("it panics after that").push(leak.pins());
            panic!("a hook that panics about {} pins", leak.pins());
        })
        .build()
        .expect("a heap of one processor");
    (heap, told)
}

fn taken(told: &Mutex<Vec<usize>>) -> Vec<usize> {
    std::mem::take(&mut *told.lock().expect("it panics after that"))
}

/// An object with several pinners, each of which leaks.
#[derive(Trace)]
struct Holder {
    _first: Mutex<Pinner>,
    _second: Mutex<Pinner>,
    _more: Vec<Mutex<Pinner>>,
}

/// Makes a holder of five pinners with 1, 2, 3, 4, 5 pins of as many objects of the ledger.
fn holder(heap: &Heap, ledger: &Ledger) -> Root<Holder> {
    heap.mutate(|mu| {
        let mut pins = 0;
        let mut pinner = || {
            pins += 1;
            let mut pinner = Pinner::new();
            let object = mu.alloc(ledger.counted(pins - 1));
            for _ in 0..pins {
                pinner.pin(mu, object);
            }
            Mutex::new(pinner)
        };
        let holder = Holder { _first: pinner(), _second: pinner(), _more: (0..3).map(|_| pinner()).collect() };
        mu.root(mu.alloc(holder))
    })
}

#[test]
fn a_hook_that_panics_in_a_sweep_is_contained_for_each_pinner() {
    let (heap, told) = panicking_heap();
    let ledger = Ledger::new(5);
    drop(holder(&heap, &ledger));
    heap.collect();
    let mut pins = taken(&told);
    pins.sort_unstable();
    assert_eq!(pins, [1, 2, 3, 4, 5]);
    assert_eq!(heap.stats().drop_panics, 5);
    // Nothing stays pinned, and the collector goes on.
    heap.collect();
    ledger.assert_each_once();
    churn(&heap, 1000);
    heap.collect();
    assert_nothing_live(&heap);
    let stats = heap.stats();
    assert_eq!(stats.pinners_created, stats.pinners_freed);
    drop(heap);
    assert_eq!(taken(&told), [0_usize; 0]);
}

#[test]
fn what_a_hook_that_panics_was_told_is_printed() {
    let said = in_own_process("leak_hook::what_a_hook_that_panics_was_told_is_printed", || {
        let (heap, _) = panicking_heap();
        drop(holder(&heap, &Ledger::new(5)));
        heap.collect();
        let mut pinner = Pinner::new();
        heap.mutate(|mu| _ = pinner.pin(mu, mu.alloc(Triple::of(1))));
        assert_eq!(panic_text(|| drop(heap)), "a hook that panics about 1 pins");
    })
    .well();
    let prefix = "linchpin: the hook of HeapBuilder::on_pin_leak panicked when it was told this: ";
    let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix(prefix)).collect();
    assert_eq!(lines.len(), 6, "{said}");
    for pins in 1..=5 {
        let text = format!("a Pinner was swept with {pins} pins outstanding");
        assert!(lines.iter().any(|line| line.starts_with(&text) && line.contains("leak_hook.rs:")), "{said}");
    }
    assert!(lines[5].contains("was dropped with 1 pins of one Pinner outstanding"), "{said}");
}

/// The thread that drops the heap is the program's: it gets the panic, after every leak was told.
#[test]
fn a_hook_that_panics_when_the_heap_is_dropped_reaches_the_caller() {
    let (heap, told) = panicking_heap();
    let ledger = Ledger::new(4);
    let mut pinners: Vec<Pinner> = (0..3).map(|_| Pinner::new()).collect();
    let addresses: Vec<_> = heap.mutate(|mu| {
        mu.alloc(ledger.counted(3));
        pinners.iter_mut().enumerate().map(|(entry, pinner)| pinner.pin(mu, mu.alloc(ledger.counted(entry)))).collect()
    });
    assert_eq!(panic_text(|| drop(heap)), "a hook that panics about 1 pins");
    assert_eq!(taken(&told), [1, 1, 1], "each is told, also after the first panic");
    for (entry, address) in addresses.iter().enumerate() {
        assert_eq!(ledger.drops_of(entry), 0, "dropped under its pin");
        // SAFETY: the value is pinned and was not dropped.
        assert_eq!(unsafe { address.as_ref() }.entry(), entry);
    }
    drop(pinners);
    ledger.assert_each_once();
}

#[test]
fn a_hook_that_panics_while_the_heap_is_dropped_by_unwinding_is_contained() {
    let (heap, told) = panicking_heap();
    let ledger = Ledger::new(1);
    let mut pinner = Pinner::new();
    let text = panic_text(|| {
        let heap = heap;
        heap.mutate(|mu| _ = pinner.pin(mu, mu.alloc(ledger.counted(0))));
        panic!("another panic");
    });
    assert_eq!(text, "another panic");
    assert_eq!(taken(&told), [1]);
    drop(pinner);
    ledger.assert_each_once();
}

/// The heap may end on the collector's own thread, when a value that it drops has the last handle. Nobody is there whom the
/// panic of the hook could reach then.
#[test]
fn a_hook_that_panics_on_the_collectors_thread_at_the_end_is_contained() {
    #[derive(Trace)]
    struct LastHolder {
        heap: Weak<Heap>,
        upgraded: Mutex<std::sync::mpsc::Sender<()>>,
        go_on: Mutex<std::sync::mpsc::Receiver<()>>,
    }
    impl Drop for LastHolder {
        fn drop(&mut self) {
            let heap = self.heap.upgrade();
            let _ = self.upgraded.lock().expect("nobody panics with it").send(());
            let _ = self.go_on.lock().expect("nobody panics with it").recv();
            drop(heap);
        }
    }
    let (heap, told) = panicking_heap();
    let heap = Arc::new(heap);
    let ledger = Ledger::new(2);
    let mut pinner = Pinner::new();
    let (upgraded, is_upgraded) = channel();
    let (go_on, may_go_on) = channel();
    heap.mutate(|mu| {
        pinner.pin(mu, mu.alloc(ledger.counted(0)));
        mu.alloc(ledger.counted(1));
        mu.alloc(LastHolder {
            heap: Arc::downgrade(&heap),
            upgraded: Mutex::new(upgraded),
            go_on: Mutex::new(may_go_on),
        });
    });
    // `collect` would keep a handle until the cycle has ended, so a cycle is brought about by garbage.
    let mut rounds = 0;
    while is_upgraded.try_recv().is_err() {
        churn(&heap, 10_000);
        rounds += 1;
        assert!(rounds < 100_000, "gigabytes of garbage started no cycle");
    }
    drop(heap);
    go_on.send(()).expect("the drop waits");
    while told.lock().expect("it panics after that").is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(taken(&told), [1]);
    assert_eq!((ledger.drops_of(0), ledger.drops_of(1)), (0, 1));
    // The last pin ends what is left of the heap.
    drop(pinner);
    while ledger.drops_of(0) == 0 {
        std::thread::yield_now();
    }
    ledger.assert_each_once();
}

#[test]
fn a_swept_pinner_ends_the_process_unheard() {
    let test = "leak_hook::a_swept_pinner_ends_the_process_unheard";
    unheard_in_own_process(test, &[], || {
        let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
        // A single one: a second panic would abort by itself.
        heap.mutate(|mu| {
            let mut pinner = Pinner::new();
            pinner.pin(mu, mu.alloc(Triple::of(1)));
            mu.alloc(Mutex::new(pinner));
        });
        heap.collect();
    })
    .by_abort();
}

/// What is reported when a heap is dropped is no reason to panic there, and one report none to leave out the next: here the
/// second one, of the pins, comes by way of a hook that counts.
#[test]
fn a_heap_with_roots_and_pins_is_dropped_unheard() {
    let test = "leak_hook::a_heap_with_roots_and_pins_is_dropped_unheard";
    unheard_in_own_process(test, &[], || {
        for default_hook in [true, false] {
            let told = Arc::<Mutex<Vec<usize>>>::default();
            let sink = Arc::clone(&told);
            let mut builder = Heap::builder().processors(1);
            if !default_hook {
                builder = builder.on_pin_leak(move |leak| sink.lock().expect("no panics").push(leak.pins()));
            }
            let heap = builder.build().expect("a heap of one processor");
            let ledger = Ledger::new(2);
            let mut pinner = Pinner::new();
            let root = heap.mutate(|mu| {
                pinner.pin(mu, mu.alloc(ledger.counted(0)));
                mu.root(mu.alloc(ledger.counted(1)))
            });
            drop(heap);
            ledger.assert_none();
            assert_eq!(taken(&told).len(), usize::from(!default_hook));
            drop((root, pinner));
            ledger.assert_each_once();
        }
    })
    .well();
}
