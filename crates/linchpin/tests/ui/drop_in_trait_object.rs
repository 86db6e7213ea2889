//! A trait object that an object owns cannot hold pointers for its `Drop` to look through: it would have to be `'static`.

use linchpin::{Gc, Heap, Opaque};

struct Looks<'gc>(Gc<'gc, String>);

impl Drop for Looks<'_> {
    fn drop(&mut self) {
        println!("{}", *self.0);
    }
}

trait Anything: Send + Sync {}

impl Anything for Looks<'_> {}

fn main() {
    Heap::new().mutate(|mu| {
        let looks = Looks(mu.alloc(String::from("swept before")));
        mu.alloc(Opaque(Box::new(looks) as Box<dyn Anything>));
    });
}
