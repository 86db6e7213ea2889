//! 60 bits beside the tag.

#[derive(linchpin::Trace, linchpin::Tagged, Clone, Copy)]
enum Value {
    Nil,
    Number(f64),
}

fn main() {}
