//! Four bits of tag.

#[derive(linchpin::Trace, linchpin::Tagged, Clone, Copy)]
enum Value {
    V0, V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12, V13, V14, V15,
    V16(u8),
}

fn main() {}
