//! Nor can a pointer leave through a channel that was there before its mutation.

use std::sync::mpsc::channel;

use linchpin::Heap;

fn main() {
    let heap = Heap::new();
    let (sender, receiver) = channel();
    heap.mutate(|mu| sender.send(mu.alloc(1_u64)).unwrap());
    assert_eq!(*receiver.recv().unwrap(), 1);
}
