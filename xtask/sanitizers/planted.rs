//! Errors that are planted: each must be reported by the tool that is there for it, before the tool is trusted. And orders
//! that the standard library keeps, in which nothing must be reported.
//!
//! Compiled by the tasks `asan`, `tsan` and `valgrind`, under their tools; the argument says what to do.

use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Barrier, Condvar, Mutex, OnceLock, mpsc};
use std::thread;

/// Memory with no order of its own, which threads share.
#[derive(Clone, Copy)]
struct Shared(NonNull<u64>);

// SAFETY: none; that is what is planted.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn new() -> Self {
        static mut WORD: u64 = 1;
        Self(NonNull::new(&raw mut WORD).expect("a static has an address"))
    }

    fn write(self, value: u64) {
        // SAFETY: the memory is a static. Whether another thread accesses it is the question.
        unsafe { self.0.write(value) }
    }

    /// Of two accesses at the very same moment the thread sanitizer may see neither, so not once.
    fn write_often(self, value: u64) {
        for _ in 0..100 {
            self.write(value);
            thread::yield_now();
        }
    }

    fn read(self) -> u64 {
        // SAFETY: as above.
        unsafe { self.0.read() }
    }
}

/// Writes when it is dropped.
struct WritesAtEnd(Shared);

impl Drop for WritesAtEnd {
    fn drop(&mut self) {
        self.0.write(9);
    }
}

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let shared = Shared::new();
    match what.as_str() {
        // What memory is for.
        "use-after-free" => {
            let layout = Layout::new::<u64>();
            // SAFETY: none for the second read; that is what is planted.
            unsafe {
                let memory = alloc(layout).cast::<u64>();
                memory.write(1);
                dealloc(black_box(memory).cast(), layout);
                println!("{}", black_box(memory).read_volatile());
            }
        }
        "leak" => leak(),
        "uninitialised" => {
            // SAFETY: none for the read of what was never written; that is what is planted.
            let value = unsafe { black_box(alloc(Layout::new::<u64>())).cast::<u64>().read_volatile() };
            if value == 1 {
                println!("one");
            }
        }
        // Races, each beside an order that does not concern it.
        "race" => {
            let other = thread::spawn(move || shared.write_often(2));
            shared.write_often(3);
            other.join().expect("it does not panic");
        }
        "race-in-scope" => two_at_once(|number| shared.write_often(number)),
        "race-beside-mutex" => {
            let mutex = Mutex::new(());
            two_at_once(|number| {
                for _ in 0..1000 {
                    drop(mutex.lock().expect("nobody panics"));
                    shared.write(number);
                }
            });
        }
        "race-beside-condvar" => {
            let pair = (Mutex::new(false), Condvar::new());
            thread::scope(|scope| {
                scope.spawn(|| {
                    wait(&pair);
                    shared.write_often(2);
                });
                // After it has let the other go on.
                notify(&pair);
                shared.write_often(3);
            });
        }
        "race-after-barrier" => {
            let barrier = Barrier::new(2);
            two_at_once(|number| {
                barrier.wait();
                shared.write_often(number);
            });
        }
        "race-after-once" => {
            let once = OnceLock::new();
            two_at_once(|number| {
                once.get_or_init(|| 1);
                shared.write_often(number);
            });
        }
        "race-after-arc" => {
            two_at_once(|number| {
                // The last owner of something else.
                drop(black_box(Arc::new(number)));
                shared.write_often(number);
            });
        }
        "race-in-arc" => {
            // Written to after one owner has given it up, and by the drop of the last, which so is no order.
            let arcs = Mutex::new(vec![Arc::new(WritesAtEnd(shared)); 2]);
            let written = AtomicUsize::new(0);
            two_at_once(|number| {
                let arc = arcs.lock().expect("nobody panics").pop();
                if number == 0 {
                    drop(arc);
                    shared.write(3);
                    written.store(1, Relaxed);
                } else {
                    while written.load(Relaxed) == 0 {
                        thread::yield_now();
                    }
                    drop(arc);
                }
            });
        }
        // No error.
        "clean" => {}
        // No race.
        "ordered" => {
            for _ in 0..100 {
                ordered(shared);
            }
        }
        other => panic!("{other:?} is not planted"),
    }
    black_box(shared.read());
}

/// Loses memory.
#[inline(never)]
fn leak() {
    std::mem::forget(black_box(vec![1_u8; 1000]));
}

/// Runs `act` on two threads, which have both begun when it begins. What they tell each other orders nothing.
fn two_at_once(act: impl Fn(u64) + Sync) {
    let begun = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..2 {
            let (begun, act) = (&begun, &act);
            scope.spawn(move || {
                begun.fetch_add(1, Relaxed);
                while begun.load(Relaxed) < 2 {
                    thread::yield_now();
                }
                act(number);
            });
        }
    });
}

fn wait((mutex, condvar): &(Mutex<bool>, Condvar)) {
    let mut told = mutex.lock().expect("nobody panics");
    while !*told {
        told = condvar.wait(told).expect("nobody panics");
    }
}

fn notify((mutex, condvar): &(Mutex<bool>, Condvar)) {
    *mutex.lock().expect("nobody panics") = true;
    condvar.notify_all();
}

/// What the standard library orders, one after the other.
fn ordered(shared: Shared) {
    // A scope ends after its threads.
    thread::scope(|scope| {
        scope.spawn(|| shared.write(2));
    });
    shared.write(3);
    // So do those who join.
    thread::spawn(move || shared.write(4)).join().expect("it does not panic");
    // One after the other has the mutex.
    let mutex = Mutex::new(());
    thread::scope(|scope| {
        for number in 0..4 {
            let mutex = &mutex;
            scope.spawn(move || {
                for _ in 0..100 {
                    let _guard = mutex.lock().expect("nobody panics");
                    shared.write(number);
                }
            });
        }
    });
    // Who is told comes after who tells.
    let pair = (Mutex::new(false), Condvar::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            wait(&pair);
            shared.write(5);
        });
        shared.write(6);
        notify(&pair);
    });
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            barrier.wait();
            shared.write(7);
        });
        shared.write(8);
        barrier.wait();
    });
    // Whoever finds it made comes after who made it.
    let once = OnceLock::new();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let made = once.get_or_init(|| {
                    shared.write(10);
                    Box::new(10)
                });
                assert_eq!((**made, shared.read()), (10, 10));
            });
        }
    });
    // The last owner comes after the others.
    let arc = Arc::new(WritesAtEnd(shared));
    thread::scope(|scope| {
        for _ in 0..3 {
            let arc = Arc::clone(&arc);
            scope.spawn(move || black_box(arc.0.read()));
        }
        drop(arc);
    });
    // What was sent comes after what was done before.
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            shared.write(11);
            sender.send(()).expect("it is received");
        });
        receiver.recv().expect("it is sent");
        shared.write(12);
    });
}
