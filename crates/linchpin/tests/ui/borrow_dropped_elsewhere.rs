//! A value whose `Drop` looks at what it borrows cannot be an object: it would be dropped whenever the collector comes to
//! it, on another thread, after the borrow has ended (Alloy #83).

use linchpin::{Heap, Opaque};

struct Wrapper<'a>(&'a u64);

impl Drop for Wrapper<'_> {
    fn drop(&mut self) {
        println!("dropping {}", self.0);
    }
}

fn main() {
    let heap = Heap::new();
    {
        let number = Box::new(1_u64);
        heap.mutate(|mu| _ = mu.alloc(Opaque(Wrapper(&number))));
    }
    heap.collect();
}
