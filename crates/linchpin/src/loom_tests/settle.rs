//! What is let go of after the end of a heap is freed by somebody.

use super::{explore, spawn};
use crate::settle::Settling;
use crate::sync::{Arc, AtomicBool, Ordering};

#[derive(Default)]
struct Shared {
    settling: Settling,
    let_go: [AtomicBool; 2],
    freed: [AtomicBool; 2],
}

impl Shared {
    fn let_go_of(&self, index: usize) {
        // Relaxed: the settling must do.
        self.let_go[index].store(true, Ordering::Relaxed);
        self.settling.settle(|| {
            for (let_go, freed) in self.let_go.iter().zip(&self.freed) {
                if let_go.load(Ordering::Relaxed) {
                    freed.store(true, Ordering::Relaxed);
                }
            }
        });
    }
}

/// Two threads let go at the same time, and do not wait for each other: one of them sees to what each has let go of.
#[test]
fn nothing_that_is_let_go_of_is_overlooked() {
    explore("nothing_that_is_let_go_of_is_overlooked", 3, || {
        let shared = Arc::new(Shared::default());
        let lent = Arc::clone(&shared);
        let other = spawn(move || lent.let_go_of(1));
        shared.let_go_of(0);
        other.join().unwrap();
        assert!(shared.freed.iter().all(|freed| freed.load(Ordering::Relaxed)));
    });
}
