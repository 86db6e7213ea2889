//! Arithmetic and nothing else: what the machine itself does to a latency.

use linchpin_peers::timing::{in_units, on_threads};
use linchpin_peers::{Args, Histogram, Outcome, Random, Usage, cannot_express};

fn main() {
    let args = Args::read();
    if args.workload != "hiccup" {
        cannot_express("a loop that allocates nothing has the hiccups only");
    }
    let (wall, done) = on_threads(vec![(); args.threads as usize], |thread, ()| {
        let mut random = Random::of_thread(thread);
        let mut last = 0;
        let (units, latencies) = in_units(args.limit, 1, || {
            for _ in 0..5_000 {
                last = random.next_number();
            }
            std::hint::black_box(last);
        });
        (units, latencies, last)
    });
    let usage = Usage::now();
    let (mut check, mut ops, mut all) = (0_u64, 0, Histogram::default());
    for (units, latencies, last) in &done {
        check = check.wrapping_add(*last);
        ops += units;
        all.add(latencies);
    }
    Outcome { wall, usage, ops, latencies: Some(all), check }.emit(&args)
}
