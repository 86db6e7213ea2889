//! The figures at the end.

use std::io::Write;
use std::time::Duration;

use super::job::Outcome;

/// What a run did.
pub(crate) struct Totals<'run> {
    /// One for each file that was compressed.
    pub(crate) outcomes: &'run [Outcome],
    /// Files that were not.
    pub(crate) failed: usize,
    /// From the first byte read to the last name given.
    pub(crate) elapsed: Duration,
    /// Cycles that ended meanwhile.
    pub(crate) cycles: u64,
    /// Pins taken.
    pub(crate) taken: u64,
    /// The most pins held at one time.
    pub(crate) most_at_once: u64,
    /// Pins still held.
    pub(crate) outstanding: u64,
    /// Whether the outputs were decompressed and compared.
    pub(crate) verified: bool,
}

impl Totals<'_> {
    /// Prints the figures on standard output.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let read: u64 = self.outcomes.iter().map(|outcome| outcome.read).sum();
        let written: u64 = self.outcomes.iter().map(|outcome| outcome.written).sum();
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let seconds = self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE);

        let mut out = std::io::stdout().lock();
        let verified = if self.verified { ", each decompressed again and compared" } else { "" };
        writeln!(out, "files     {} compressed{verified}, {} failed", self.outcomes.len(), self.failed)?;
        write!(out, "bytes     {:.2} MB in, {:.2} MB out", megabytes(read), megabytes(written))?;
        if read > 0 && written > 0 {
            write!(out, ", ratio {:.2}", read as f64 / written as f64)?;
        }
        writeln!(out)?;
        writeln!(out, "speed     {:.2} MB/s in {seconds:.2} s", megabytes(read) / seconds)?;
        writeln!(out, "cycles    {} run meanwhile", self.cycles)?;
        writeln!(
            out,
            "pins      {} taken, at most {} at once, {} outstanding",
            self.taken, self.most_at_once, self.outstanding
        )?;
        Ok(())
    }
}
