//! `Trace` decides what stays alive, so an implementation by hand is `unsafe`.

use linchpin::Trace;

struct Opaque;

impl Trace for Opaque {}

fn main() {}
