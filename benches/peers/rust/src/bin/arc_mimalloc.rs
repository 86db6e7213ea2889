//! `Arc` on mimalloc.

use std::sync::Arc;

use linchpin_peers::{BUFFER, counted};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Arcs;

impl counted::Owner for Arcs {
    type To<T> = Arc<T>;

    #[inline]
    fn allocate<T>(value: T) -> Arc<T> {
        Arc::new(value)
    }

    #[inline]
    fn buffer(byte: u8) -> Arc<[u8; BUFFER]> {
        let mut buffer = Arc::new_uninit();
        let own = Arc::get_mut(&mut buffer).expect("nobody else has it yet");
        // SAFETY: the buffer is this long, and set as a whole.
        unsafe {
            std::ptr::write_bytes::<[u8; BUFFER]>(own.as_mut_ptr(), byte, 1);
            buffer.assume_init()
        }
    }
}

fn main() {
    counted::main::<Arcs>()
}
