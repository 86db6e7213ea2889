//! One file: read into pinned buffers, compressed from there, published whole or not at all.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use indicatif::ProgressBar;
use linchpin::Heap;
use tempfile::NamedTempFile;

use super::deflate::Deflate;
use super::inflate::{self, Digest};
use super::pinned::{PinTally, PinnedBytes};
use super::plan::Plan;

/// The lengths of the buffers, in turn: some fit spans of small objects, some have a span of
/// their own, so that pins on both kinds are at work.
const BUFFER_LENGTHS: [usize; 4] = [16 << 10, 128 << 10, 32 << 10, 256 << 10];

/// Buffers pinned ahead of the one that zlib reads, so that pins of several ages overlap.
const READ_AHEAD: usize = 3;

/// What zlib may write in one step. Small, so that it comes back many times before it has read
/// a buffer to the end: the address it keeps must survive the cycles in between.
const OUTPUT_WINDOW: usize = 4 << 10;

/// What is common to all files of a run.
pub(crate) struct Job<'run> {
    /// Where the buffers are.
    pub(crate) heap: &'run Heap,
    /// Counts the pins.
    pub(crate) tally: &'run PinTally,
    /// Moves with the bytes read.
    pub(crate) progress: &'run ProgressBar,
    /// From 1 to 9.
    pub(crate) level: u8,
    /// Whether an existing output is overwritten.
    pub(crate) force: bool,
    /// Whether the output is decompressed and compared.
    pub(crate) verify: bool,
}

/// What became of a file.
pub(crate) struct Outcome {
    /// Bytes of the source.
    pub(crate) read: u64,
    /// Bytes of the output.
    pub(crate) written: u64,
}

impl<'run> Job<'run> {
    /// Compresses one file. On an error nothing of it is left, under any name.
    pub(crate) fn run(&self, plan: &Plan) -> anyhow::Result<Outcome> {
        let mut source = File::open(&plan.source).context("cannot read it")?;
        let metadata = source.metadata().context("cannot read it")?;
        ensure!(metadata.is_file(), "is no longer a regular file");

        let directory = plan.target.parent().expect("a target is a name in a directory");
        // Removed when dropped, unless it has been given its final name.
        let mut target = tempfile::Builder::new()
            .prefix(".linchpin-")
            .suffix(".gz.part")
            .tempfile_in(directory)
            .with_context(|| format!("cannot write in {}", directory.display()))?;

        let digest = self.compress(&mut source, &mut target, &plan.target)?;
        if self.verify {
            target.rewind().context("cannot read the output back")?;
            let found = inflate::digest_of_gzip(target.as_file_mut())?;
            ensure!(found == digest, "the output holds {found:?} where {digest:?} was read");
        }
        // As gzip does: the output is as readable and as old as its source.
        target.as_file().set_permissions(metadata.permissions()).with_context(|| cannot_write(&plan.target))?;
        if let Ok(modified) = metadata.modified() {
            target.as_file().set_modified(modified).with_context(|| cannot_write(&plan.target))?;
        }
        // Some file systems report a full disk only now; and a name must not outlive a power
        // failure that its content did not.
        target.as_file().sync_all().with_context(|| cannot_write(&plan.target))?;
        let written = target.as_file().metadata().with_context(|| cannot_write(&plan.target))?.len();
        self.publish(target, &plan.target)?;
        Ok(Outcome { read: digest.length, written })
    }

    /// Writes the whole stream to `target` and returns what was read from `source`.
    fn compress(&self, source: &mut File, target: &mut NamedTempFile, name: &Path) -> anyhow::Result<Digest> {
        let mut writer = BufWriter::with_capacity(64 << 10, target.as_file_mut());
        let mut deflate = Deflate::new(self.level)?;
        let mut ahead: VecDeque<PinnedBytes<'run>> = VecDeque::new();
        let mut lengths = BUFFER_LENGTHS.iter().copied().cycle();
        let mut window = [0; OUTPUT_WINDOW];
        let mut digest = Digest::default();
        let mut ended = false;
        loop {
            while !ended && ahead.len() < READ_AHEAD {
                let length = lengths.next().expect("a cycle has no end");
                let Some(bytes) = PinnedBytes::read(self.heap, self.tally, length, source)? else {
                    ended = true;
                    break;
                };
                self.progress.inc(bytes.length() as u64);
                self.account(&mut digest, &bytes);
                ahead.push_back(bytes);
            }
            if deflate.wants_input()
                && let Some(bytes) = ahead.pop_front()
            {
                deflate.feed(bytes);
            }
            let step = deflate.step(&mut window, ended && ahead.is_empty())?;
            writer.write_all(&window[..step.written]).with_context(|| cannot_write(name))?;
            if step.complete {
                break;
            }
        }
        writer.flush().with_context(|| cannot_write(name))?;
        Ok(digest)
    }

    /// Takes the bytes into the digest as soon as they are read: later, memory that was wrongly
    /// collected would be summed as wrongly as it was compressed.
    fn account(&self, digest: &mut Digest, bytes: &PinnedBytes<'run>) {
        if self.verify {
            digest.add(bytes.as_slice());
        } else {
            digest.length += bytes.length() as u64;
        }
    }

    /// Gives the output its name, in one step that either happens or does not.
    fn publish(&self, target: NamedTempFile, name: &Path) -> anyhow::Result<()> {
        let published = if self.force { target.persist(name) } else { target.persist_noclobber(name) };
        match published {
            Ok(_) => Ok(()),
            Err(failed) if failed.error.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!("{} exists already (--force overwrites it)", name.display())
            }
            Err(failed) => Err(anyhow!(failed.error).context(cannot_write(name))),
        }
    }
}

fn cannot_write(name: &Path) -> String {
    format!("cannot write {}", name.display())
}
