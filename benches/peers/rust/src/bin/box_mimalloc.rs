//! `Box` on mimalloc.

use linchpin_peers::{BUFFER, counted};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Boxes;

impl counted::Owner for Boxes {
    type To<T> = Box<T>;

    #[inline]
    fn allocate<T>(value: T) -> Box<T> {
        Box::new(value)
    }

    #[inline]
    fn buffer(byte: u8) -> Box<[u8; BUFFER]> {
        let mut buffer = Box::new_uninit();
        // SAFETY: the buffer is this long, and set as a whole.
        unsafe {
            std::ptr::write_bytes::<[u8; BUFFER]>(buffer.as_mut_ptr(), byte, 1);
            buffer.assume_init()
        }
    }
}

fn main() {
    counted::main::<Boxes>()
}
