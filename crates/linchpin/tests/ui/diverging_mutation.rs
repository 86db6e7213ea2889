//! Two brands do not become one because the code behind never returns (generativity #15, #16: brands made by a macro
//! were told apart by drops at the end of a scope, which is dead code then; ours are a closure's lifetime).

use linchpin::Heap;

fn main() {
    let (here, there) = (Heap::new(), Heap::new());
    here.mutate(|mu_here| {
        there.mutate(|mu_there| {
            let mut either = mu_here.alloc(1_u64);
            either = mu_there.alloc(2_u64);
            assert_eq!(*either, 2);
            loop {}
        })
    })
}
