//! One field beside the tag.

#[derive(linchpin::Trace, linchpin::Tagged, Clone, Copy)]
enum Value {
    Nil,
    Pair(u8, u8),
}

#[derive(linchpin::Trace, linchpin::Tagged, Clone, Copy)]
struct NoEnum(u8);

fn main() {}
