//! Mutants made by hand, for what `cargo mutants` leaves alone: `unsafe` functions, and statements left out, doubled or
//! moved. Each is a fault that somebody could make.

/// A change of the source that some test must notice.
pub(super) struct HandMade {
    /// What it does, in a few words; with the file it is the mutant's name.
    pub(super) what: &'static str,
    /// The file, under the library's `src`.
    pub(super) file: &'static str,
    /// The text that is replaced; it stands in the file exactly once.
    pub(super) find: &'static str,
    pub(super) replace: &'static str,
    /// One of the few that stand for all, for a short run.
    pub(super) quick: bool,
}

const fn mutant(file: &'static str, what: &'static str, find: &'static str, replace: &'static str) -> HandMade {
    HandMade { what, file, find, replace, quick: false }
}

const fn quick(file: &'static str, what: &'static str, find: &'static str, replace: &'static str) -> HandMade {
    HandMade { what, file, find, replace, quick: true }
}

const BARRIER: &str = "collector/barrier.rs";
const CYCLE: &str = "collector/cycle.rs";
const STEPS: &str = "collector/steps.rs";
const HANDSHAKE: &str = "collector/handshake.rs";
const PIN_WALK: &str = "collector/pin_walk.rs";
const CONTROL: &str = "collector/mod.rs";
const RELAY: &str = "collector/relay.rs";
const MARK: &str = "collector/mark.rs";
const SHARING: &str = "collector/mark/sharing.rs";
const PENDING: &str = "collector/mark/pending.rs";
const WINDOW: &str = "collector/mark/window.rs";
const ROOM: &str = "collector/room.rs";
const WORKERS: &str = "collector/workers.rs";
const PROCESSOR: &str = "processor/mod.rs";
const SAFEPOINT: &str = "processor/safepoint.rs";
const ACQUIRE: &str = "processor/acquire.rs";
const WAITING: &str = "processor/waiting.rs";
const SWEEP: &str = "memory/sweep.rs";
const REGION: &str = "memory/region.rs";
const LOCK: &str = "gc/lock/mod.rs";
const MUTEX: &str = "gc/lock/mutex.rs";
const RW_LOCK: &str = "gc/lock/rw_lock.rs";
const ONCE: &str = "gc/lock/once.rs";
const CELL: &str = "gc/cell.rs";
const WEAK: &str = "gc/weak/mod.rs";
const WEAK_MAP: &str = "gc/weak/map.rs";
const ROOT: &str = "gc/root.rs";
const ROOT_TABLE: &str = "gc/root_table.rs";
const PIN: &str = "pin/mod.rs";
const INNER: &str = "pin/inner.rs";
const COUNTER: &str = "pin/counter.rs";
const STRIPES: &str = "pin/stripes.rs";
const REGISTRY: &str = "pin/registry.rs";

pub(super) const HAND_MADE: &[HandMade] = &[
    // The barrier.
    quick(BARRIER, "a store does not shade the old value", "            shade(old);\n        }\n        // Release: pairs", "            let _ = (old, &shade);\n        }\n        // Release: pairs"),
    quick(BARRIER, "no shade of the old value", "            shade(old);\n        }\n        // Acquire and release: pairs", "            let _ = old;\n        }\n        // Acquire and release: pairs"),
    mutant(BARRIER, "no shade of the new value in Arm", "&& self.mode() == Mode::Arm", "&& self.mode() == Mode::Off"),
    mutant(BARRIER, "a store in Arm is as in Mark", "        if self.mode() == Mode::Arm {\n", "        if self.mode() == Mode::Off {\n"),
    mutant(BARRIER, "a leaf is not shaded", "let blacken = |leaf| _ = self.local().blacken(self.core(), leaf);", "let blacken = |leaf: NonNull<u8>| _ = leaf;"),
    mutant(BARRIER, "a leaf is not noted in Close", "        if self.mode() == Mode::Close {\n", "        if false {\n"),
    mutant(
        BARRIER,
        "shade after the swap",
        "        // SAFETY: the caller's promise.
        if let Some(old) = unsafe { target(expected) } {
            shade(old);
        }
        // Acquire and release: pairs with the changes of the field before and the loads after.
        let outcome = field.compare_exchange(expected, new, ordering!(AcqRel, \"barrier.replace\"), Ordering::Acquire);
",
        "        let outcome = field.compare_exchange(expected, new, ordering!(AcqRel, \"barrier.replace\"), Ordering::Acquire);
        if let Some(old) = unsafe { target(expected) } {
            shade(old);
        }
",
    ),
    mutant(
        BARRIER,
        "shade after the store",
        "        // SAFETY: as above.
        if let Some(old) = unsafe { target(old) } {
            shade(old);
        }
        // Release: pairs with the acquire of who loads it.
        field.store(new, ordering!(Release, \"barrier.store\"));
",
        "        field.store(new, ordering!(Release, \"barrier.store\"));
        if let Some(old) = unsafe { target(old) } {
            shade(old);
        }
",
    ),
    mutant(
        BARRIER,
        "a plain store instead of the compare-and-swap",
        "field.compare_exchange(expected, new, ordering!(AcqRel, \"barrier.replace\"), Ordering::Acquire);",
        "match field.load(Ordering::Acquire) {
            held if held == expected => {
                field.store(new, Ordering::Release);
                Ok(expected)
            }
            held => Err(held),
        };",
    ),
    mutant(BARRIER, "a value that has changed is not read again", "Err(held) => expected = held,", "Err(held) => { let _ = (held, &mut expected); }"),
    // The cycle: handshakes and the end of the mark.
    mutant(STEPS, "the colours do not swap", "black: colour_of_cycle(number),", "black: colour_of_cycle(0),"),
    mutant(STEPS, "no handshake to Arm", "                    self.ask(core, Mode::Arm, Stage::Arm);\n", "                    self.stage = Stage::Arm;\n"),
    quick(STEPS, "no handshake to Mark", "Stage::Arm => self.ask(core, Mode::Mark, Stage::Mark),", "Stage::Arm => self.stage = Stage::Mark,"),
    mutant(STEPS, "roots are not visited", "        core.roots.visit_all(&mut tracer);\n", ""),
    mutant(STEPS, "pins are not visited", "        visit_pins(core, std::mem::take(&mut self.may_hold_pins), &mut tracer);\n", "        let _ = visit_pins;\n"),
    mutant(STEPS, "one closing round, whatever it brings", "            self.stage = Stage::Trace;\n        } else if", "            self.stage = Stage::Decided;\n        } else if"),
    mutant(STEPS, "a closing round without a handshake", "        self.ask(core, Mode::Close, Stage::Close);\n", "        self.stage = Stage::Close;\n"),
    mutant(STEPS, "what a closing round pushed is not looked at", "if Some(core.queue.pushed()) != self.pushed || ", "if self.pushed.is_none() || "),
    mutant(STEPS, "no handshake to Off", "            self.ask(core, Mode::Off, Stage::Off);\n", "            self.stage = Stage::Off;\n"),
    mutant(
        STEPS,
        "the sweep opens before the handshake to Off",
        "            self.ask(core, Mode::Off, Stage::Off);\n",
        "            core.memory.open_sweep(self.number);\n            self.is_open = true;\n            self.ask(core, Mode::Off, Stage::Off);\n",
    ),
    mutant(STEPS, "the end of the mark is not declared", "        if !reordered!(\"cycle.end_mark\") {\n            core.memory.end_mark(self.number);\n        }\n", ""),
    mutant(STEPS, "no sweep", "            core.memory.sweep_all(self.number);\n", ""),
    mutant(STEPS, "what is pending does not count as grey", "self.pending.is_done() && core.queue.is_empty()", "core.queue.is_empty()"),
    mutant(HANDSHAKE, "a processor in a mutation counts as answered", "None => all_answered &= answered,", "None => {}"),
    mutant(HANDSHAKE, "a processor that was retired counts as answered", "                all_answered = false;\n", ""),
    mutant(
        STEPS,
        "a pin flag is lowered and its span not walked",
        "                        self.may_hold_pins = take_pin_flags(core);\n                    }\n                    self.ask",
        "                        let _ = take_pin_flags(core);\n                    }\n                    self.ask",
    ),
    mutant(PIN_WALK, "a span that still holds pins stays unflagged", "                region.pin_flag(unit).store(PIN_FLAG_RAISED, Ordering::Relaxed);\n", ""),
    mutant(
        PIN_WALK,
        "a flag raised since it was lowered is not walked",
        "region.pin_flag(unit).load(Ordering::Relaxed) == PIN_FLAG_RAISED",
        "region.pin_flag(unit).load(Ordering::Relaxed) == u8::MAX",
    ),
    mutant(PIN_WALK, "a lowered flag does not tell of pins before", "flag.store(PIN_FLAG_TOUCHED,", "flag.store({ let _ = PIN_FLAG_TOUCHED; crate::memory::PIN_FLAG_CLEAR },"),
    mutant(PIN_WALK, "pins are found and not marked", "                tracer.visit_root(region.pointer(address));\n", ""),
    mutant(STEPS, "a lock that was passed by makes no more round", "} else if core.queue.take_passed_by() {", "} else if false {"),
    mutant(CYCLE, "no pass over ephemerons", "match marker.trace_ephemerons() {", "match false {"),
    mutant(STEPS, "an upgrade does not put the decision off", "        if !is_decided {\n", "        if !is_decided && false {\n"),
    mutant(WEAK_MAP, "who inserts a key in Arm does not shade it", "    unsafe { mu.shade(key) };\n", "    let _ = key;\n"),
    mutant(STEPS, "what is weak is not cleared", "        core.decision.clear(&core.memory.region, self.black);\n", ""),
    mutant(STEPS, "a decision is for ever", "        core.decision.end();\n", ""),
    mutant(STEPS, "no cleanup is ever due", "        core.cleanups.take_dead(&core.memory.region, self.black);\n", ""),
    mutant(STEPS, "what is due is not queued", "        core.cleanups.queue_due();\n", ""),
    // Quarters.
    mutant("memory/quarters.rs", "a unit is whole again though a quarter of it is in use", "quarters_of(unit).all(|span|", "quarters_of(unit).any(|span|"),
    mutant("memory/quarters.rs", "a quarter that comes back is free twice", "            quarters_of(unit).for_each(|span| _ = self.free.remove(&(span as u32)));\n", ""),
    mutant(SWEEP, "the pin flag of a unit is lowered with one quarter", "        if pins_touched && live == 0 && quarter_of(unit).is_none() {", "        if pins_touched && live == 0 {"),
    mutant("memory/sweep/opening.rs", "the pin flag of a unit that was split stays", "            self.region.pin_flag(unit).store(PIN_FLAG_CLEAR, Ordering::Relaxed);\n", ""),
    mutant("memory/span.rs", "a unit that is whole again says that it is split", "        self.is_split.store(false, Ordering::Relaxed);\n", ""),
    mutant("memory/sweep/opening.rs", "free quarters are of no use where no unit is free", "if whole.is_none() && class.fits_quarter() {", "if false {"),
    mutant("memory/class.rs", "what a class had once counts for ever", "            self.quarters.fetch_sub(quarters_in(span), Ordering::Relaxed);\n", ""),
    mutant("memory/region.rs", "pins are looked for in the first quarter only", "let quarters = self.span(unit).is_split().then(|| quarters_of(unit));", "let quarters = self.span(unit).is_split().then(|| quarters_of(unit).take(1));"),
    // The relay.
    mutant(RELAY, "mutations decide about what is weak", "Due::Decision if !core.decision.is_about_weak() =>", "Due::Decision =>"),
    mutant(WEAK, "a weak pointer is not noted", "                self.core().decision.note_weak();\n", ""),
    mutant(RELAY, "nobody is told that values are left to be dropped", "Left::Drops => break true,", "Left::Drops => break false,"),
    mutant("collector/steps.rs", "a mutation walks over all slots of roots", "core.roots.slots() > MOST_ROOT_SLOTS || ", ""),
    mutant(RELAY, "mutations take what is large", "core.pace.is_small() && ", ""),
    mutant(RELAY, "a thread that is late is waited for", "core.pace.is_overdue() || ", ""),
    mutant(SHARING, "a mutation traces all it may, however long that takes", "            if is_long() {\n                break;\n            }\n", "            is_long();\n"),
    mutant("collector/pacer/mod.rs", "small marks take as long as the goal is far", "bytes.saturating_mul(STEEPEST_RELAYED).min(MOST_RELAYED)", "self.assist_for(bytes)"),
    mutant(RELAY, "the mark of a large cycle is left to mutations that do not trace it", "Due::Trace if is_small || is_mark_left || steps.is_closing()", "Due::Trace if is_small || steps.is_closing()"),
    mutant(RELAY, "a mark is left to mutations because the last one was", "        self.note_mark_left(false);\n", ""),
    mutant(RELAY, "a mark is left to mutations instead of several markers", "            && core.control.markers(core.processors.limit()) == 1\n", ""),
    mutant(RELAY, "a mark is left to mutations though they have begun to allocate fast", "            && core.pace.is_mark_calm(self.steps().age())\n", ""),
    mutant(RELAY, "who has left a large mark is told nothing", "(is_small || is_mark_left)", "is_small"),
    mutant(CYCLE, "a mark is left to mutations though somebody waits for the next one", " || core.control.is_awaited()", ""),
    mutant("collector/pacer/mod.rs", "a mark is left to mutations though there is little room", " && self.allocated.load(Ordering::Relaxed) < self.room_trigger.load(Ordering::Relaxed)", ""),
    mutant(RELAY, "a mark is left to mutations however far the goal is behind", "            && !core.pace.is_overdue()\n", ""),
    mutant("collector/pacer/mod.rs", "a mark is left to mutations however fast they allocate", "allocated <= calm_in(rest) && ", ""),
    mutant("collector/pacer/mod.rs", "a mutation that traces a large mark traces all there is", "(STEEPEST_SHORT).min(MOST_SHORT)", "(STEEPEST_SHORT).saturating_mul(64)"),
    mutant("collector/assist.rs", "who traces a large mark looks as seldom as else", "if self.traces_the_mark() {\n            let", "if bytes >= LOOK_AFTER && self.traces_the_mark() {\n            let"),
    mutant("collector/assist.rs", "who finds somebody at a large mark forgets what is owed", "            self.local().owe(look - look / 4);\n", ""),
    mutant("collector/assist.rs", "runs are long while a large mark is left to mutations", "            self.short_look() as usize\n", "            usize::MAX\n"),
    mutant("collector/assist.rs", "runs are long while mutations trace much", "            LOOK_SOON as usize\n", "            usize::MAX\n"),
    mutant("collector/assist.rs", "runs are short while mutations trace little", "            && self.core().pace.is_much_to_trace()\n", ""),
    mutant("collector/assist.rs", "runs are short while the collector's thread traces", "            && self.core().relay.is_mark_relayed()\n", ""),
    mutant("collector/cycle.rs", "runs stay short when the collector's thread goes on", "                    core.relay.note_mark_is_not_theirs();\n", ""),
    mutant("collector/pacer/mod.rs", "what is garbage takes no room", "last.ended + self.room(self.live())", "last.ended + self.room(last.old)"),
    mutant("mutator.rs", "the pacer is told of a large object with the next one", "        self.tell_of_allocated();\n        Some(start)\n", "        Some(start)\n"),
    mutant(RELAY, "what one mark was traced by another is, too", "        self.note_mark_relayed(false);\n", ""),
    mutant("collector/pacer/mod.rs", "what is born early counts as live", "        last.old = live.saturating_sub(born).saturating_sub(self.born_early.swap(0, Ordering::Relaxed));", "        last.old = live.saturating_sub(born);"),
    mutant("mutator.rs", "what is born in a mark is born early", "self.mode() == Mode::Mark && !core.queue.may_assist()", "self.mode() == Mode::Mark"),
    mutant("mutator.rs", "what is born in Arm is black", "self.mode() == Mode::Mark && !core.queue.may_assist()", "self.mode() != Mode::Off && !core.queue.may_assist()"),
    mutant("processor/runs.rs", "runs are as long as there is room", "> most_bytes {", "> most_bytes && most_bytes == 0 {"),
    mutant("processor/runs.rs", "a span with objects is taken for a fresh one", "run.is_fresh = fresh;", "run.is_fresh = true;"),
    mutant(MARK, "only the first part of each unit of a large slice is traced", "            self.split(part, PART_BYTES..SPAN_BYTES, PART_BYTES);\n", ""),
    mutant(MARK, "only the first unit of each group of a large slice is traced", "                self.split(part, SPAN_BYTES..GROUP_BYTES.min(bytes - before), SPAN_BYTES);\n", ""),
    mutant(MARK, "only the first group of units of a large slice is traced", "                self.split(part, GROUP_BYTES..bytes, GROUP_BYTES);\n", ""),
    mutant(MARK, "the first part of a large slice has all units wait", "SPAN_BYTES..GROUP_BYTES.min(bytes - before), SPAN_BYTES", "SPAN_BYTES..bytes - before, SPAN_BYTES"),
    mutant("collector/pacer/mod.rs", "a mark that mutations trace ends at the goal", "last.runway.min(last.snapshot)\n", "last.runway.min(last.snapshot + self.traced())\n"),
    mutant("collector/pacer/mod.rs", "what is born in short marks does not count", "last.born = if self.was_relayed(&last) { born.min(self.traced()) } else { 0 };", "last.born = 0;"),
    mutant("collector/pacer/mod.rs", "what is born counts, however much", "born.min(self.traced())", "born"),
    mutant("memory/unit_set.rs", "what comes back is not looked for", "*lowest = start.min(*lowest)", "_ = lowest"),
    mutant("memory/free_spans.rs", "the frontier stays where it was", "        let start = self.free.start_of_run(range.start);\n", "        let start = range.start;\n"),
    mutant("mutator.rs", "the collector's thread is started when it is wanted", "        core.control.start_early(core);\n", ""),
    mutant(RELAY, "mutations look through what is large", "core.memory.frontier() > MOST_UNITS || ", ""),
    mutant(RELAY, "cycles of large heaps are begun by mutations", "    core.pace.is_small() && core.memory.frontier() <= MOST_UNITS\n", "    core.pace.is_small()\n"),
    mutant("collector/steps.rs", "to open a large sweep is no step of its own", "            return Left::Spans;\n", ""),
    mutant(RELAY, "the end of a cycle that is not small waits for the collector", "let (is_small, is_mark_left) = (core.pace.is_small(), core.relay.is_mark_left());\n", "let (is_small, is_mark_left) = (core.pace.is_small(), core.relay.is_mark_left());\n    if !is_small {\n        return false;\n    }\n"),
    mutant(RELAY, "mutations take what is the collector's, a core being free", "count() >= cores", "count() > 0"),
    mutant(RELAY, "nobody is told that mutations have ended a cycle", "break core.control.end_cycle();", "break false;"),
    mutant(CONTROL, "a cycle that is asked for already is left to who has asked", "            relay::begin(core);\n            return Ok(());", "            return Ok(());"),
    mutant("collector/leaving.rs", "a mark is left to mutations whether they go on or not", "if self.free < most_free && self.slow < most_slow {", "if self.free < most_free {"),
    mutant("collector/leaving.rs", "a mark that was left is left though a core is free", "Kind::Calm => (LOOK_AFTER_CALM, LEAST_TRACED_CALM, MISSES, MISSES),", "Kind::Calm => (LOOK_AFTER_CALM, LEAST_TRACED_CALM, u32::MAX, MISSES),"),
    mutant("collector/leaving.rs", "whose a mark is stays unknown where a core is free", "cores == Cores::Some && self.free < LOOKS_AT_FIRST {", "cores == Cores::Some {"),
    mutant("collector/leaving.rs", "a mark that was left is taken back for one look", "        self.slow = again(self.slow, is_slow);\n", "        self.slow = MISSES * again(0, is_slow);\n"),
    mutant("collector/assist.rs", "a mark that is late is traced as before", "if self.core().pace.is_late() { SHORTEST_LOOK } else { SHORT_LOOK }", "if self.core().pace.is_overdue() { SHORTEST_LOOK } else { SHORT_LOOK }"),
    mutant(SWEEP, "a processor sweeps all that lives", "                    in_vain += 1;\n", "                    in_vain += 0;\n"),
    mutant(SWEEP, "a processor that has swept in vain finds the region full", "while let Some(supply) = class.take(&self.region, &self.classes, cycle, sweeping, stale, false) {", "while let Some(supply) = class.take(&self.region, &self.classes, cycle, sweeping && in_vain < MOST_IN_VAIN, stale, false) {"),
    mutant(SWEEP, "mutations end a sweep that has values to drop", "        if has_drops {\n", "        if has_drops && false {\n"),
    mutant("processor/runs.rs", "a displaced run gives a slot twice", "        self.cursor = slot.wrapping_add(self.slot_bytes);\n", ""),
    mutant("processor/runs.rs", "a displaced run has no end", "        if run.cursor == run.end {\n            return None;\n        }\n        run.take()", "        run.take()"),
    mutant("mutator.rs", "what a displaced run gives has no colour", "            self.give_birth_colour(start);\n            return Some(start);", "            return Some(start);"),
    mutant("memory/backing.rs", "nothing is populated, but said to be", "            unsafe { populate(start, bytes) }\n                .map_err(|error| BuildError::PopulateFailed { bytes, errno: error.raw_os_error() })?;\n", ""),
    mutant("memory/backing.rs", "what is populated is used like all else", "        self.note_populated(units);\n", ""),
    mutant("memory/free_spans.rs", "what was populated is surplus", "self.retained.max(self.populated) as usize", "self.retained as usize"),
    mutant("memory/sweep.rs", "what was populated is not poisoned", "        unsafe { memory.poison_again(0..populated) };\n", ""),
    mutant("memory/size_class.rs", "an odd slot begins with its granule", "    (offset / GRANULE * GRANULE + WORD) / slot_bytes * slot_bytes\n", "    (offset / GRANULE * GRANULE) / slot_bytes * slot_bytes\n"),
    mutant(WINDOW, "an odd object is traced from where its granule begins", "odd_slot_in_granule(in_unit + granule * GRANULE, slot_bytes) - in_unit", "(in_unit + granule * GRANULE) * slot_bytes / slot_bytes - in_unit"),
    mutant("memory/quarters.rs", "odd slots of a quarter are counted from its beginning", "            within.next_multiple_of(slot_bytes) - within\n", "            0 * within\n"),
    mutant("memory/quarters.rs", "a quarter has a slot more than there is room for", "    (bytes - lead(span, slot_bytes)) / slot_bytes\n", "    bytes / slot_bytes\n"),
    mutant(REGION, "an odd slot is handed out that is not free", "        while slot < end && self.mark(slot).load(Ordering::Relaxed) != 0 {\n", "        while slot < end && false {\n"),
    mutant(REGION, "free odd slots end a granule too late", "            slot_in_granule((start / GRANULE + granules) * GRANULE, slot_bytes)\n", "            slot_in_granule((start / GRANULE + granules) * GRANULE, slot_bytes) + slot_bytes\n"),
    mutant(REGION, "what comes before the first odd slot is part of it", "        (slot >= start).then_some(slot)\n", "        Some(slot.max(start))\n"),
    mutant(REGION, "an odd object with pins begins with its granule", "self.pointer(slot_in_granule(granule, slot_bytes))", "self.pointer(granule)"),
    mutant("heap/core.rs", "what ends where a pinned object begins is pinned, too", "region.is_pinned(address) && !is_odd(region.span(region.span_at(address)).slot_bytes())", "region.is_pinned(address)"),
    mutant("mutator.rs", "a slice of pointers has odd slots", "let bytes = if info.is_plain() { bytes } else { bytes.next_multiple_of(GRANULE) };\n", ""),
    mutant("gc/tagged.rs", "tags are the lowest four bits", "const TAG_MASK: usize = (TAGS - 1).rotate_right(1);", "const TAG_MASK: usize = TAGS - 1;"),
    // Marking.
    mutant(SHARING, "what a marker gives away is lost", "queue.push(pending.give_half(region, queue.empty_batch()));", "drop(pending.give_half(region, queue.empty_batch()));"),
    mutant(PENDING, "a window has one object", "bits: std::mem::take(&mut self.words[index]) }", "bits: std::mem::take(&mut self.words[index]) & 1 }"),
    mutant(PENDING, "the last window of a unit is lost", "if bits.summary == 0 {", "if bits.summary & bits.summary.wrapping_sub(1) == 0 {"),
    mutant(WINDOW, "what is come to in a window is lost", "        while let Some(granule) = take_lowest(&mut self.window_bits) {", "        let mut bits = std::mem::take(&mut self.window_bits);\n        while let Some(granule) = take_lowest(&mut bits) {"),
    mutant("collector/mark/ahead.rs", "of what waits together one is given back", ".flat_map(|window| window.objects(region))", ".flat_map(|window| window.objects(region).take(1))"),
    mutant(MARK, "a window has a part below it", "let offset = object.addr().get().wrapping_sub(self.window);", "let offset = object.addr().get().abs_diff(self.window);"),
    mutant(WINDOW, "a window stays one when it is left", "                self.window = NO_WINDOW;\n", ""),
    mutant(WINDOW, "objects of any window go together", "let is_same = other.address == self.address;", "let is_same = true;"),
    mutant(MARK, "a window has no end", "if offset < WINDOW_BYTES {", "if self.window != NO_WINDOW {"),
    mutant(PENDING, "what lies on the stack is lost where something is pending", "            self.add(region, grey);\n            self.add_all", "            self.add_all"),
    mutant(PENDING, "a unit that was done is not opened again", "        self.places[self.bits[place as usize].unit as usize] = 0;\n", ""),
    mutant(SHARING, "what others have put in the queue waits until all is done", "            take_in(queue, tracer, usize::MAX);\n", ""),
    mutant(SHARING, "a piece ends with all batches that others have left", "take_in(queue, tracer, pieces.batches);", "take_in(queue, tracer, usize::MAX);"),
    mutant(PENDING, "room grows to more than is kept", "self.bits.reserve_exact(there.clamp(1, kept));", "self.bits.reserve_exact(there);"),
    mutant(PENDING, "room that was made is not made use of", "        self.unused.extend((there as u32..units as u32).rev());\n", ""),
    mutant("collector/relay.rs", "a large mark is left to mutations without room for what is pending", "            self.steps().make_room(units);\n", ""),
    mutant("collector/assist.rs", "what an assist leaves is forgiven", "                    self.local().owe(owed);\n", ""),
    mutant("mutator.rs", "a run is long though an assist is owed", "most_bytes.min(self.longest_run())", "self.longest_run()"),
    mutant("collector/assist.rs", "what an assist leaves that took long is forgiven", "if was_long.get() || tracer.traced_parts() != 0 {", "if tracer.traced_parts() != 0 {"),
    mutant(SHARING, "an assist is long", "            if is_to_stop() {\n", "            if false {\n"),
    mutant(SHARING, "an assist does not ask after each part whether it is long", ">= ASK_AFTER || tracer.traced_parts() != asked.1 {", ">= ASK_AFTER {"),
    mutant(SHARING, "a mutation that takes steps does not ask after each part whether it is long", ">= pieces.bytes || tracer.traced_parts() != asked.1 {", ">= pieces.bytes {"),
    mutant("collector/pacer/mod.rs", "a long snapshot is forgotten at once", "last.snapshot = expected_after(snapshot, last.snapshot);", "last.snapshot = snapshot;"),
    mutant("collector/mod.rs", "the collector's thread is woken late", "    handshake::wake_in_time();\n", ""),
    mutant("collector/assist.rs", "a mutation looks no sooner where a mark is long", " || bytes >= LOOK_SOON && self.core().pace.is_mark_long()", ""),
    mutant(SHARING, "an assist traces part after part", "        && tracer.traced_parts() < MOST_PARTS\n", ""),
    mutant(PENDING, "large objects wait for their turn", "if span.back() != 0 || span.units() > 1 {", "if span.back() == usize::MAX {"),
    mutant(PENDING, "what large objects wait is lost where all is given away", "std::mem::take(&mut self.large).into_iter()", "VecDeque::new().into_iter()"),
    mutant(PENDING, "what is left of the unit whose turn it is does not count as pending", "is_none_or(|place| self.bits[place as usize].summary == 0)", "is_none_or(|place| self.bits[place as usize].summary != 0)"),
    mutant(PENDING, "nothing is pending though large objects wait", "            && self.large.is_empty()\n", ""),
    mutant(SHARING, "what waits when an assist ends is lost", "    ahead.give_back(tracer);\n", ""),
    mutant(SHARING, "what an assist leaves beyond a batch is lost", "while !tracer.stack.is_empty() {\n        let mut batch", "if !tracer.stack.is_empty() {\n        let mut batch"),
    mutant(SHARING, "what a piece leaves on the stack is lost", "    at_hand.add_all(tracer.region, &mut tracer.stack);\n", ""),
    mutant(SHARING, "what a piece leaves pending is lost", "    *pending = at_hand;\n    tell", "    tell"),
    mutant(SHARING, "what an assist leaves is lost", "        queue.push(batch);\n    }\n    tell", "        drop(batch);\n    }\n    tell"),
    mutant(SHARING, "what an idle helper leaves is lost", "            queue.push(tracer.take_grey());\n", "            drop(tracer.take_grey());\n"),
    mutant(SHARING, "what is pending is lost when an idle helper leaves", "pending.give_all(tracer.region, &mut tracer.stack);", ""),
    mutant(SHARING, "an idle helper stays", "if !go_on() {", "if false {"),
    mutant(ROOM, "idle helpers are called whatever is in use", "match self.in_use() + markers < self.room() {", "match true {"),
    mutant(WORKERS, "an idle helper runs a job uncalled", "Helper::Idle => state.calls != 0,", "Helper::Idle => true,"),
    mutant(WORKERS, "a call without a job is counted", "if state.job.is_none() {\n            // A call", "if false {\n            // A call"),
    mutant(ROOM, "there is room for more than there are cores", "self.processors.limit().min(self.workers.most_markers())", "self.processors.limit()"),
    mutant(WORKERS, "a call that nobody has followed is awaited", "        state.unfinished -= state.calls;\n", ""),
    mutant(SHARING, "a batch is taken and not traced", "Some(batch) => add(queue, tracer, batch),", "Some(batch) => drop(batch),"),
    mutant(MARK, "an object is traced and its children are not", "unsafe { trace(object, self) };", "let _ = (trace, object);"),
    // Processors: answers, what they hand over, taking and retiring.
    mutant(PROCESSOR, "the runs stay over Off", "let spans = self.runs.surrender();", "let spans = Vec::new();"),
    mutant(
        PROCESSOR,
        "a cached inner pinner stays over Off",
        "            return self.local.empty();\n",
        "            return Surrendered {
                grey: self.local.barrier_buffer.take(),
                spans: self.local.runs.surrender(),
                pinner: None,
            };
",
    ),
    mutant(PROCESSOR, "the barrier buffer is thrown away", "core.queue.push(self.grey);", "drop(self.grey);"),
    mutant(PROCESSOR, "spans are surrendered to nobody", "            span.give_back();\n", "            std::mem::forget(span);\n"),
    mutant(PROCESSOR, "shaded and not noted", "        self.note_grey(core, std::iter::once(Grey(object)));\n", "        let _ = core;\n"),
    mutant(PROCESSOR, "contents are shaded and not noted", "        self.note_grey(core, tracer.take_grey());\n", "        let _ = (core, tracer.take_grey());\n"),
    mutant(PROCESSOR, "a full barrier buffer is thrown away", "core.queue.push(std::mem::take(&mut *buffer));", "drop(std::mem::take(&mut *buffer));"),
    mutant(PROCESSOR, "what was shaded stays white", "        mark.store(black, Ordering::Relaxed);\n", ""),
    mutant(PROCESSOR, "newborns of Arm are black", "self.birth_colour.set(phase.birth_colour());", "self.birth_colour.set(phase.colour());"),
    mutant(
        SAFEPOINT,
        "handshake 2 is answered inside a mutation",
        "(Mode::Off, Mode::Off | Mode::Arm) |",
        "(Mode::Off, Mode::Off | Mode::Arm) | (Mode::Arm, Mode::Mark) |",
    ),
    mutant(SAFEPOINT, "a handshake is answered in the midst of an allocation", "allowed && self.busy.get() == 0", "allowed"),
    mutant(SAFEPOINT, "no handshake is answered inside a mutation", "            holding.answer_running(core, phase);\n", "            let _ = holding;\n"),
    mutant(PROCESSOR, "the mode is not adopted", "        self.mode.set(phase.mode());\n", ""),
    mutant(PROCESSOR, "the colour is not adopted", "        self.colour.set(phase.colour());\n", ""),
    mutant(
        PROCESSOR,
        "answered before it has handed over",
        "        surrendered.hand_over(core);
        core.delay_handshake();
        // Release: pairs with the acquire by which the collector sees the phase answered.
        self.processor.state.store(state.to_bits(), ordering!(Release, \"processor.answer\"));
",
        "        self.processor.state.store(state.to_bits(), ordering!(Release, \"processor.answer\"));
        core.delay_handshake();
        surrendered.hand_over(core);
",
    ),
    mutant(
        PROCESSOR,
        "the collector answers within a mutation",
        "if state.status() != Status::Idle {",
        "if state.status() != Status::Idle && (status, state.status()) != (Status::Held, Status::Running) {",
    ),
    mutant(ACQUIRE, "a mutation begins without an answer", "            if !holding.answer_running(core, self.phase()) {\n", "            if true {\n"),
    quick(
        ACQUIRE,
        "a nested mutation answers",
        "return Entered { processor: unsafe { &*current }, nested: true };",
        "let holding = unsafe { Holding::of(&*current) };
            holding.answer_running(core, self.phase());
            return Entered { processor: holding.keep(), nested: true };",
    ),
    mutant(ACQUIRE, "the spare takes part in no handshake", ".chain(std::iter::once(&self.spare))", ""),
    mutant(ACQUIRE, "the spare is used without an answer", "        holding.answer_running(core, self.phase());\n        holding\n", "        holding\n"),
    mutant(ACQUIRE, "a processor is retired with all that it keeps", "holding.empty(core);", "let _ = core;"),
    mutant(ACQUIRE, "a processor is retired though it is in use again", "        if self.must_retire(holding.processor()) {
            holding.retire();
        }
", "        holding.retire();\n"),
    mutant(ACQUIRE, "a resize does not end the fast path", "            self.phase.store(phase.to_bits(), Ordering::Release);\n        }\n        for", "        }\n        for"),
    mutant(WAITING, "a processor handed over too many is lost", "                    self.pass_on(granted);\n", "                    let _ = granted.keep();\n"),
    mutant(WAITING, "a starving thread is not handed a processor", "queue.starving.push_back(Arc::clone(&waiter));", ""),
    mutant(WAITING, "who was handed a processor is not woken", "            waiter.wake_up();\n            return;\n", "            return;\n"),
    mutant(WAITING, "who leaves wakes nobody", "        if let Some(waiter) = queue.fresh.front() {\n            waiter.wake_up();\n        }\n", ""),
    // The sweep.
    quick(SWEEP, "the wrong colour is dead", "colour_of_cycle(cycle - 1);", "colour_of_cycle(cycle);"),
    mutant(SWEEP, "a dropped value stays marked", "            mark.store(0, Ordering::Relaxed);\n", ""),
    mutant(SWEEP, "the dead are not dropped", "contained(|| unsafe { drop_value(value) });", "{ let _ = (drop_value, value); contained(|| ()) };"),
    mutant(SWEEP, "the dead are dropped twice", "contained(|| unsafe { drop_value(value) });", "contained(|| unsafe { drop_value(value); drop_value(value) });"),
    mutant(SWEEP, "the dead keep their pin counters", "self.region.pin_counter(address).reset(&self.region.stripes);", ""),
    mutant(SWEEP, "a flag is cleared while its span has objects", "if pins_touched && live == 0 && quarter_of(unit).is_none() {", "if pins_touched && quarter_of(unit).is_none() {"),
    mutant(SWEEP, "a flag outlives its span", "            pin_flag.store(PIN_FLAG_CLEAR, Ordering::Relaxed);\n", ""),
    mutant(SWEEP, "an empty span is not closed", "            self.close_span(unit, class);\n", "            let _ = Self::close_span;\n"),
    mutant(SWEEP, "a span with live objects is closed", "class.give_back(unit, outcome.free > 0);", "self.close_span(unit, class);"),
    mutant(SWEEP, "of few slots the dead stay marked", "            *mark = 0;\n            count.freed += 1;\n", "            count.freed += 1;\n"),
    mutant(SWEEP, "a swept span is lost", "            class.give_back(unit, outcome.free > 0);\n", ""),
    mutant(SWEEP, "a span does not note that it was swept", "        span.set_swept_cycle(cycle);\n", ""),
    mutant(SWEEP, "the end of the sweep is not noted", "        self.swept_cycle.swap(cycle, Ordering::AcqRel);\n", ""),
    mutant(SWEEP, "processors may not sweep", "        self.sweepable_cycle.store(cycle, ordering!(Release, \"sweep.open\"));\n", ""),
    mutant(SWEEP, "sweeps in flight are not waited for", "while self.classes.sweeps_in_flight() != 0 {", "while false {"),
    mutant(SWEEP, "unswept spans are not gathered", "            class.gather_unswept(&self.region, cycle);\n", "            let _ = class;\n"),
    // Cells and roots.
    mutant(CELL, "a cell is not traced", "            tracer.visit(gc);\n", "            let _ = (gc, &tracer);\n"),
    mutant(CELL, "a swap passes no barrier", "            self.swap_marking(mu, new)\n        };", "            self.start.swap(new, Ordering::AcqRel)\n        };"),
    mutant(CELL, "a store passes no barrier", "unsafe { mu.store_marking(&self.start, new) };", "self.start.store(new, Ordering::Release);"),
    mutant(CELL, "a store of a leaf passes no barrier", "unsafe { mu.store_leaf_marking(&self.start, new) };", "self.start.store(new, Ordering::Release);"),
    mutant(CELL, "all that is stored over counts as a leaf", "} else if T::NEEDS_TRACE {", "} else if false {"),
    mutant(
        CELL,
        "a compare-and-swap passes no barrier",
        "unsafe { mu.replace_marking(&self.start, expected, new) }",
        "self.start.compare_exchange(expected, new, Ordering::AcqRel, Ordering::Acquire)",
    ),
    quick(ROOT, "a dropped root is not shaded", "unsafe { local.shade(&self.core, self.object()) };", ""),
    mutant(ROOT, "a root made in Arm is not shaded", "unsafe { local.shade(core, object) };", ""),
    mutant(ROOT, "a root changes without the barrier", "unsafe { mu.swap_marking(self.slot(), new) };", "self.slot().store(new, crate::sync::Ordering::Release);"),
    mutant(ROOT, "a dropped root keeps its slot", "            self.core.roots.remove(self.slot);\n", ""),
    mutant(ROOT_TABLE, "the walk skips the first slot of a chunk", "for slot in &*chunk {", "for slot in chunk.iter().skip(1) {"),
    mutant(ROOT_TABLE, "the walk sees the first chunk only", "for chunk in chunks {", "for chunk in chunks.into_iter().take(1) {"),
    mutant(ROOT_TABLE, "a freed slot keeps its object", "unsafe { slot.as_ref() }.store(std::ptr::null_mut(), Ordering::Relaxed);", ""),
    mutant(ROOT_TABLE, "a slot is freed twice", "        table.free.push(slot);\n", "        table.free.push(slot);\n        table.free.push(slot);\n"),
    mutant(ROOT_TABLE, "a freed slot is not used again", "        table.free.push(slot);\n", ""),
    // Locks around contents.
    quick(LOCK, "no shade before a change", "            self.shade_before_change(mu, contents);\n", "            let _ = (contents, Self::shade_before_change::<T>);\n"),
    mutant(LOCK, "a lock that is taken in Arm is traced already", "if mu.mode() == Mode::Arm || self.is_due(", "if self.is_due("),
    mutant(LOCK, "what a lock remembers is never outdated", "self.0.load(Ordering::Relaxed) != colour;", "self.0.load(Ordering::Relaxed) == 0;"),
    mutant(LOCK, "no shade before the lock is given back", "(mu.mode() == Mode::Arm || (reordered!", "(mu.mode() == Mode::Off && mu.mode() == Mode::Arm || (reordered!"),
    mutant(MARK, "a lock behind one that was taken in Arm keeps what it remembers", "{ LockMemory::Forgets }", "{ LockMemory::Keeps }"),
    mutant(SHARING, "a marker tells nobody that it has passed by", "                    tell_passed_by(queue, tracer);\n", ""),
    mutant(SHARING, "who assists tells nobody that it has passed by", "        queue.push(batch);\n    }\n    tell_passed_by(queue, tracer);\n", "        queue.push(batch);\n    }\n"),
    mutant(MUTEX, "who takes it shades nothing", "        self.traced.before_change(mu, unsafe { self.contents.read() });\n", ""),
    mutant(MUTEX, "who gives it back shades nothing", "        after_change(self.mu, &**self);\n", ""),
    mutant(MUTEX, "a marker does not take it", "        if self.raw.try_lock() || reordered!(\"lock.look\") {\n", "        if !self.raw.is_locked() {\n            self.traced.trace(tracer, unsafe { self.contents.read() });\n        } else if false {\n"),
    mutant(MUTEX, "a marker does not care who has it", "        if self.raw.try_lock() || reordered!(\"lock.look\") {\n", "        if true {\n            self.traced.trace(tracer, unsafe { self.contents.read() });\n        } else if false {\n"),
    mutant(MUTEX, "a marker that passes by does not say so", "            tracer.pass_by();\n", ""),
    mutant(MUTEX, "a marker keeps it", "            unsafe { self.raw.unlock() }\n        } else {", "        } else {"),
    mutant(MUTEX, "get_mut does not refuse", "pub fn get_mut(&mut self) -> &mut T {\n        if self.raw.is_locked() {", "pub fn get_mut(&mut self) -> &mut T {\n        if false {"),
    mutant(MUTEX, "into_inner does not refuse", "pub fn into_inner(self) -> T {\n        if self.raw.is_locked() {", "pub fn into_inner(self) -> T {\n        if false {"),
    mutant(RW_LOCK, "who takes it to write shades nothing", "        self.traced.before_change(mu, unsafe { self.contents.read() });\n", ""),
    mutant(RW_LOCK, "who gives it back shades nothing", "        after_change(self.mu, &**self);\n", ""),
    mutant(RW_LOCK, "a marker does not take it", "        if self.raw.try_lock_shared() {\n            // SAFETY: the lock is taken, so nobody changes the contents.\n", "        if !self.raw.is_locked_exclusive() {\n            self.traced.trace(tracer, unsafe { self.contents.read() });\n        } else if false {\n"),
    mutant(RW_LOCK, "a marker does not care who has it", "        if self.raw.try_lock_shared() {\n            // SAFETY: the lock is taken, so nobody changes the contents.\n", "        if true {\n            self.traced.trace(tracer, unsafe { self.contents.read() });\n        } else if false {\n"),
    mutant(RW_LOCK, "a marker that passes by does not say so", "            tracer.pass_by();\n", ""),
    mutant(RW_LOCK, "a marker keeps it", "            unsafe { self.raw.unlock_shared() }\n        } else {", "        } else {"),
    mutant(RW_LOCK, "get_mut does not refuse", "pub fn get_mut(&mut self) -> &mut T {\n        if self.raw.is_locked_exclusive() {", "pub fn get_mut(&mut self) -> &mut T {\n        if false {"),
    mutant(RW_LOCK, "into_inner does not refuse", "pub fn into_inner(self) -> T {\n        if self.raw.is_locked_exclusive() {", "pub fn into_inner(self) -> T {\n        if false {"),
    mutant(ONCE, "what is written in Arm is not shaded", "            after_change(mu, &value);\n", "            let _ = (mu, after_change::<T>);\n"),
    // Pins.
    quick(PIN, "a pin does not raise the flag", "        flag.store(PIN_FLAG_RAISED, Ordering::Relaxed);\n", ""),
    mutant(PIN, "a pin made in Arm is not shaded", "unsafe { mu.shade(object) };", ""),
    mutant(PIN, "a pin is not counted", "let Ok(counter) = counter.pin(mu.local().bias(), &region.stripes) else { too_many_pins() };", "let _ = too_many_pins;\n    let counter = NonNull::from(counter);"),
    mutant(PIN, "a pin is counted twice", "let Ok(counter) = counter.pin(", "let _ = counter.pin(mu.local().bias(), &region.stripes);\n    let Ok(counter) = counter.pin("),
    mutant(PIN, "a pin is not recorded", "unsafe { Inner::record(inner, core, record, type_name) };", "let _ = (inner, core, record, type_name);"),
    mutant(PIN, "a value that is being dropped can be pinned", "!core.memory.is_being_dropped(object, local.mode(), local.colour()),", "local.mode() != Mode::Off || local.mode() == Mode::Off,"),
    mutant(PIN, "a reference to nothing pins what lies behind", "if size_of_val(reference) == 0 {", "if size_of_val(reference) == usize::MAX {"),
    mutant(PIN, "an inner is cached where one is already", " && local.pinner_cache_is_empty() {", " {"),
    mutant(PIN, "an inner is cached and kept", "                    self.inner = None;\n                    local.cache_inner(inner);\n", "                    local.cache_inner(inner);\n"),
    mutant(PIN, "an inner is given away and not cached", "                    local.cache_inner(inner);\n", ""),
    mutant(PIN, "a pinner that goes away does not unpin", "    pinner.unpin();\n    if let", "    if let"),
    mutant(PIN, "a pinner that goes away keeps its inner", "drop(unsafe { InnerBox::from_raw(inner) });\n    }\n    if let", "let _ = inner;\n    }\n    if let"),
    mutant(PROCESSOR, "a cached inner is taken and stays", "        self.pinner_cache.take()\n    }", "        self.pinner_cache.get()\n    }"),
    mutant(INNER, "unpinning counts nothing down", "        counter.unpin(bias);\n", "        let _ = bias;\n"),
    mutant(INNER, "unpinning shades nothing", "            shade_all(core, pins, local);\n", "            let _ = (core, shade_all);\n"),
    mutant(INNER, "unpinning shades the first pin only", "shade_all(core, pins, local);", "shade_all(core, &pins[..pins.len().min(1)], local);"),
    mutant(INNER, "what was unpinned stays recorded", "unsafe { pins.set_len(0) };", ""),
    mutant(INNER, "each pin counts as the first", "if count == 0 {", "if true {"),
    mutant(INNER, "an outsized list is kept", "is_outsized = all.len() > KEEP_RECORDS;", "let _ = KEEP_RECORDS;"),
    mutant(COUNTER, "a reset leaves the owner", "        self.local.store(0, Ordering::Relaxed);\n", ""),
    mutant(COUNTER, "a reset leaves the shared half", "        self.shared.store(0, Ordering::Relaxed);\n", ""),
    mutant(COUNTER, "the first pin on a processor is not exclusive", "self.local.compare_exchange(0, bias.0 + 1, ordering!(Release, \"pin.first\"), Ordering::Relaxed).is_ok()", "{ self.local.store(bias.0 + 1, Ordering::Release); true }"),
    mutant(COUNTER, "a refused pin stays counted", "            self.unpin_shared();\n            return Err(TooManyPins);", "            return Err(TooManyPins);"),
    mutant(COUNTER, "pins in stripes are not counted", "if self.is_striped() { stripes.count(self) } else { here }", "{ let _ = stripes; here }"),
    mutant(COUNTER, "pins in stripes do not count", "self.is_pinned_here() || (self.is_striped() && stripes.is_pinned(self))", "{ let _ = stripes; self.is_pinned_here() }"),
    mutant(COUNTER, "nobody sees that it is striped", "        if self.is_striped() {\n            return stripes.pin(self, bias);\n        }\n", ""),
    mutant(COUNTER, "the dead keep their place", "        if self.is_striped() {\n            stripes.take_back(self);\n        } else {\n            self.reset_here();\n        }\n", "        let _ = stripes;\n        self.reset_here();\n"),
    mutant(STRIPES, "once is enough to be striped", "if times < ENOUGH {", "if times == 0 {"),
    mutant(STRIPES, "what is noted is not striped", "            self.stripe(counter);\n", ""),
    mutant(STRIPES, "any two notes count together", "let is_same = noted >> NOTED_BITS == address;", "let is_same = true;"),
    mutant(STRIPES, "a place is given to two", "        if *taken_by != 0 {\n", "        if false {\n"),
    mutant(STRIPES, "a stripe leads to who had it before", "            stripe.of.store(NonNull::from(counter).as_ptr(), Ordering::Relaxed);\n", "            if stripe.of.load(Ordering::Relaxed).is_null() {\n                stripe.of.store(NonNull::from(counter).as_ptr(), Ordering::Relaxed);\n            }\n"),
    mutant(STRIPES, "a stripe that comes into use is not looked at", "            place.used.fetch_max(number + 1, Ordering::Relaxed);\n", ""),
    mutant(STRIPES, "the last stripe is used like the others", "if number == LAST {", "if number > LAST {"),
    mutant(STRIPES, "a place given back keeps its counts", "            stripe.counter.reset_here();\n", ""),
    mutant(STRIPES, "a place given back keeps its versions", "            stripe.version.store(0, Ordering::Relaxed);\n", ""),
    mutant(STRIPES, "a place given back counts as in use", "        place.used.store(0, Ordering::Relaxed);\n", ""),
    mutant(STRIPES, "the dead are striped when their place is free", "        counter.reset_here();\n        *taken_by", "        *taken_by"),
    mutant(STRIPES, "a place is not given back", "        *taken_by = 0;\n", "        let _ = &mut taken_by;\n"),
    mutant(REGISTRY, "the inner that moves does not learn its place", "unsafe { (*moved.0.as_ptr()).position = position };", "let _ = moved;"),
];
