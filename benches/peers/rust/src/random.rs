//! Random numbers: xorshift of 64 bits, the same in every program.

/// A generator.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// The generator of the set-up.
    pub fn of_setup() -> Random {
        Random(88_172_645_463_325_252)
    }

    /// The generator of a thread.
    pub fn of_thread(thread: u64) -> Random {
        Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(thread + 1))
    }

    /// The next number.
    #[inline]
    pub fn next_number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
