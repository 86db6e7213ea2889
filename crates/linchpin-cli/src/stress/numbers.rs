//! Random numbers that a seed repeats, and contents that are derived from a number.

/// A xorshift generator with a multiplied output.
pub(crate) struct Numbers {
    state: u64,
}

impl Numbers {
    /// The numbers of stream `stream` of `seed`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        // The state of a xorshift may not be zero.
        Self { state: mix(seed ^ mix(stream)) | 1 }
    }

    /// Any number.
    pub(crate) fn any(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        // The slight preference for small numbers does no harm here.
        (self.any() >> 16) as usize % limit
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A number that looks unrelated to `number` and is its alone.
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The contents of a byte buffer, by a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Buffers with different seeds differ nearly everywhere.
    pub(crate) seed: u64,
    /// How many bytes.
    pub(crate) length: usize,
}

impl Pattern {
    /// Writes the pattern over a buffer of its length.
    pub(crate) fn fill(self, buffer: &mut [u8]) {
        let mut words = buffer.chunks_exact_mut(WORD);
        let mut index = 0;
        for piece in &mut words {
            piece.copy_from_slice(&self.word(index).to_le_bytes());
            index += 1;
        }
        let rest = words.into_remainder();
        rest.copy_from_slice(&self.word(index).to_le_bytes()[..rest.len()]);
    }

    /// Whether the buffer holds the pattern and nothing else.
    pub(crate) fn check(self, buffer: &[u8]) -> Result<(), String> {
        if buffer.len() != self.length {
            return Err(format!("a buffer of {} bytes is {} long", self.length, buffer.len()));
        }
        // Whole words: most of a run's time would go into calls that compare eight bytes.
        let (words, rest) = buffer.as_chunks::<WORD>();
        for (index, word) in words.iter().enumerate() {
            if u64::from_le_bytes(*word) != self.word(index) {
                return Err(self.difference(buffer, index));
            }
        }
        if *rest != self.word(words.len()).to_le_bytes()[..rest.len()] {
            return Err(self.difference(buffer, words.len()));
        }
        Ok(())
    }

    fn difference(self, buffer: &[u8], index: usize) -> String {
        let begin = index * WORD;
        let found = &buffer[begin..buffer.len().min(begin + WORD)];
        format!(
            "a buffer of {} bytes at {:p} holds {found:02x?} where {:02x?} was written, {begin} \
             bytes in",
            self.length,
            buffer.as_ptr(),
            &self.word(index).to_le_bytes()[..found.len()]
        )
    }

    fn word(self, index: usize) -> u64 {
        let word = self.seed.wrapping_add((index as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93));
        word ^ (word >> 29)
    }
}

/// Bytes that are written and compared at a time.
const WORD: usize = size_of::<u64>();
