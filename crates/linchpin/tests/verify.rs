//! A heap that verifies and disturbs itself, as a program asks for it: by the builder, or by the environment.

#![cfg(not(loom))]

mod common;

use std::env;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use common::{Stop, Triple, churn, full_test_name, panic_text};
use linchpin::{
    BuildError, DebugSettings, FindingKind, GcCell, Heap, HeapBuilder, Pinner, Root, Trace, Verify, VerifyFinding,
};

#[derive(Trace)]
struct Link<'gc> {
    number: u64,
    next: GcCell<'gc, Link<'gc>>,
}

/// All disturbances at once.
fn disturbed(seed: u64) -> DebugSettings {
    DebugSettings::new()
        .verify(Verify::Strict)
        .poison(true)
        .collect_every(50)
        .delay_handshakes(20)
        .move_mutations(true)
        .seed(seed)
}

/// What the hook of a heap has been told.
type Told = Arc<Mutex<Vec<VerifyFinding>>>;

fn listening(builder: HeapBuilder) -> (Heap, Told) {
    let told = Told::default();
    let sink = Arc::clone(&told);
    let heap = builder.on_finding(move |finding| sink.lock().unwrap().push(finding.clone())).build().unwrap();
    (heap, told)
}

#[test]
fn a_quiet_heap_is_in_order_and_counted() {
    let heap = Heap::builder().processors(2).build().unwrap();
    let empty = heap.verify().unwrap();
    assert_eq!((empty.objects, empty.pins, empty.spans), (0, 0, 0));
    let mut pinner = Pinner::new();
    let _roots: Vec<Root<Triple>> = heap.mutate(|mu| {
        (0..1000)
            .map(|number| {
                let object = mu.alloc(Triple::of(number));
                if number % 4 == 0 {
                    pinner.pin(mu, object);
                }
                mu.root(object)
            })
            .collect()
    });
    let _large = heap.mutate(|mu| mu.root(mu.alloc_slice_copy(&[7_u8; 200_000])));
    for _ in 0..3 {
        let report = heap.verify().unwrap();
        assert_eq!((report.objects, report.pins), (1001, 250));
        assert!(report.spans >= 2 && report.suspicions.is_empty(), "{report:?}");
        heap.collect();
    }
    pinner.unpin();
    assert_eq!(heap.verify().unwrap().pins, 0);
}

#[test]
fn every_cycle_is_verified_when_asked_for() {
    let (heap, told) = listening(Heap::builder().processors(1).debug(DebugSettings::new().verify(Verify::On)));
    let root = heap.mutate(|mu| mu.root(mu.alloc(Triple::of(1))));
    for cycles in 1..=3 {
        heap.collect();
        let stats = heap.stats();
        assert_eq!((stats.cycles, stats.verifications), (cycles, cycles));
        assert!(stats.verified_objects >= cycles, "the rooted one each time");
    }
    assert!(told.lock().unwrap().is_empty());
    drop(root);
}

#[test]
fn nothing_is_verified_when_not_asked_for() {
    let heap = Heap::builder().debug(DebugSettings::new().verify(Verify::Off)).build().unwrap();
    heap.collect();
    assert_eq!(heap.stats().verifications, 0);
}

/// One thread per processor and one more rewire a ring each, whatever disturbs them, while another one verifies everything.
#[test]
fn a_busy_disturbed_heap_is_in_order() {
    for processors in [1, 2, 4] {
        let (heap, told) = listening(Heap::builder().processors(processors).debug(disturbed(processors as u64)));
        let stop = Stop::default();
        let rounds = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..=processors {
                scope.spawn(|| {
                    let root: Root<Link<'static>> =
                        heap.mutate(|mu| mu.root(mu.alloc(Link { number: 0, next: GcCell::null() })));
                    stop.until(|| {
                        heap.mutate(|mu| {
                            let head = root.get(mu);
                            let link = mu.alloc(Link { number: 1, next: GcCell::null() });
                            if let Some(behind) = head.next.load().and_then(|next| next.next.load()) {
                                link.next.store(mu, behind);
                            }
                            head.next.store(mu, link);
                            mu.alloc_slice_copy(&[1_u8; 100]);
                        });
                        rounds.fetch_add(1, Ordering::Relaxed);
                    });
                    heap.mutate(|mu| assert_eq!(root.get(mu).next.load().unwrap().number, 1));
                });
            }
            let _stop = stop.on_drop();
            while rounds.load(Ordering::Relaxed) < 2000 || heap.stats().verifications < 10 {
                heap.verify().unwrap();
            }
        });
        heap.collect();
        assert_eq!(heap.verify().unwrap().objects, 0);
        assert!(told.lock().unwrap().is_empty(), "{told:?}");
    }
}

/// A processor that is made or revived while the others are held for a check would allocate behind its back.
#[test]
fn a_verify_sees_every_processor_however_their_number_changes() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let stop = Stop::default();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                stop.until(|| {
                    heap.mutate(|mu| _ = mu.alloc(Triple::of(1)));
                    thread::yield_now();
                });
            });
        }
        scope.spawn(|| {
            let mut count = 1;
            stop.until(|| {
                count = count % 4 + 1;
                heap.set_processors(count).unwrap();
            });
        });
        let _stop = stop.on_drop();
        for round in 0..50 {
            heap.verify().unwrap();
            if round % 20 == 0 {
                heap.collect();
            }
        }
    });
}

#[test]
fn cycles_begin_every_so_many_allocations() {
    let settings = DebugSettings::new().collect_every(10);
    let heap = Heap::builder().processors(1).debug(settings).build().unwrap();
    // Each batch asks for a cycle; so cycles go on as long as there are batches.
    while heap.stats().cycles < 5 {
        churn(&heap, 10);
    }
    assert!(heap.stats().allocated_bytes < 64 << 20, "long before the heap has grown so far that it would by itself");
}

/// With one thread and several processors, a thread keeps its processor, unless it is moved.
#[test]
fn mutations_change_processors_when_asked_to() {
    let used = |settings: DebugSettings| {
        let heap = Heap::builder().processors(4).debug(settings).build().unwrap();
        let mut seen: Vec<String> = (0..200).map(|_| heap.mutate(|mu| format!("{mu:?}"))).collect();
        seen.sort();
        seen.dedup();
        seen.len()
    };
    assert_eq!(used(DebugSettings::new().move_mutations(false)), 1);
    assert_eq!(used(DebugSettings::new().move_mutations(true)), 4);
}

#[test]
fn a_dangling_write_is_told_of() {
    let (heap, told) = listening(Heap::builder().processors(1).debug(DebugSettings::new().poison(true)));
    let _kept = heap.mutate(|mu| mu.root(mu.alloc(Triple::of(1))));
    let address = heap.mutate(|mu| {
        let mut pinner = Pinner::new();
        // What a program does wrong: it keeps the address beyond the pin.
        pinner.pin(mu, mu.alloc(Triple::of(2)))
    });
    heap.collect();
    assert!(told.lock().unwrap().is_empty());
    // SAFETY: none; the object is gone. Its memory is mapped all the same, and nobody allocates meanwhile.
    unsafe { address.cast::<u64>().as_ptr().write(0xBAD) };
    let found = heap.verify().unwrap_err();
    assert_eq!(found.findings()[0].kind(), FindingKind::WriteAfterFree);
    assert!(found.to_string().contains("0xbad"), "{found}");
    heap.mutate(|mu| _ = mu.alloc(Triple::of(3)));
    let told = told.lock().unwrap();
    assert!(told.iter().any(|finding| finding.kind() == FindingKind::WriteAfterFree), "{told:?}");
}

#[test]
fn a_verify_in_the_wrong_place_is_refused() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let text = panic_text(|| heap.mutate(|_| _ = heap.verify()));
    assert!(text.contains("verify") && text.contains("mutat"), "{text}");
    heap.verify().unwrap();
}

/// Verifying must wait for a mutation, however long it is, and not keep it from its own business.
#[test]
fn a_verify_waits_for_mutations() {
    let heap = Heap::builder().processors(2).build().unwrap();
    thread::scope(|scope| {
        let (entered, wait) = std::sync::mpsc::channel();
        let (leave, told) = std::sync::mpsc::channel();
        let heap = &heap;
        scope.spawn(move || {
            heap.mutate(|mu| {
                entered.send(()).unwrap();
                told.recv().unwrap();
                // Roots and pins can be dropped, and other mutations nested, though somebody waits to verify.
                drop(mu.root(mu.alloc(Triple::of(1))));
                heap.mutate(|mu| _ = mu.alloc(Triple::of(2)));
            });
        });
        wait.recv().unwrap();
        let verifying = scope.spawn(move || heap.verify().unwrap().objects);
        // Another thread mutates meanwhile, however often the verifier has taken its processor for a moment.
        for _ in 0..100 {
            heap.mutate(|mu| _ = mu.alloc(Triple::of(3)));
        }
        leave.send(()).unwrap();
        assert_eq!(verifying.join().unwrap(), 102);
    });
}

/// Names the test of this program that a child is to run.
const CHILD: &str = "LINCHPIN_VERIFY_CHILD";

/// Runs the test `name` in a child with this in its environment; there `None`.
fn child_with(name: &str, settings: &str) -> Option<Output> {
    if env::var_os(CHILD).is_some() {
        return None;
    }
    let program = env::current_exe().unwrap();
    let mut command = Command::new(program);
    let name = full_test_name(module_path!(), name);
    command.args(["--exact", &name, "--nocapture", "--test-threads=1"]).env(CHILD, "1").env("LINCHPIN", settings);
    Some(command.output().unwrap())
}

#[test]
fn the_environment_turns_it_on() {
    if let Some(output) = child_with("the_environment_turns_it_on", "verify,collect_every=5, poison") {
        return assert!(output.status.success(), "{output:?}");
    }
    let heap = Heap::new();
    heap.collect();
    assert_eq!(heap.stats().verifications, heap.stats().cycles);
    assert!(heap.stats().verifications > 0);
    let quiet = Heap::builder().debug(DebugSettings::new().verify(Verify::Off)).build().unwrap();
    quiet.collect();
    assert_eq!(quiet.stats().verifications, 0, "what the builder says goes first");
}

#[test]
fn a_bad_setting_in_the_environment_is_a_clear_error() {
    if let Some(output) = child_with("a_bad_setting_in_the_environment_is_a_clear_error", "verify,poisn=1") {
        return assert!(output.status.success(), "{output:?}");
    }
    let Err(error @ BuildError::DebugSetting(_)) = Heap::builder().build() else {
        panic!("`poisn` is not a setting");
    };
    let text = error.to_string();
    assert!(text.contains("`poisn`") && text.contains("poison") && text.contains("LINCHPIN"), "{text}");
    let panic = panic_text(|| _ = Heap::new());
    assert!(panic.contains("`poisn`"), "{panic}");
}

/// Without a hook, what is found ends the process, by default.
#[test]
fn a_finding_without_a_hook_ends_the_process() {
    if let Some(output) = child_with("a_finding_without_a_hook_ends_the_process", "poison") {
        assert!(!output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        return assert!(text.contains("WriteAfterFree") && text.contains("on_finding"), "{text}");
    }
    let heap = Heap::builder().processors(1).build().unwrap();
    let _kept = heap.mutate(|mu| mu.root(mu.alloc(Triple::of(1))));
    let address = heap.mutate(|mu| Pinner::new().pin(mu, mu.alloc(Triple::of(2))));
    heap.collect();
    // SAFETY: none, as above.
    unsafe { address.cast::<u64>().as_ptr().write(0xBAD) };
    for number in 0..10_000 {
        heap.mutate(|mu| _ = mu.alloc(Triple::of(number)));
    }
}
