//! Mutations that assist: they trace for the collector.
//!
//! What an assist has taken, and what that has led to, nobody else sees until it is traced or given back; nor does the mutation do
//! anything else meanwhile.

use crate::fault::Fault::*;
use crate::processor::Mode;
use crate::report::MutatorStep;
use crate::state::Stage;
use crate::steps_collector::trace;
use crate::steps_mutator::Mutation;

impl Mutation<'_> {
    /// Begins to assist, if that is allowed and anything is grey.
    pub(crate) fn assist(&mut self) {
        let (config, mode) = (self.config, self.me().mode);
        let by_mode = mode == Mode::Mark || (mode == Mode::Close && config.has(AssistInClose));
        let by_stage = match self.state.stage {
            Stage::AwaitMark => config.has(AssistBeforeHandshakeTwo),
            Stage::AwaitArm => false,
            stage => stage.is_marking(),
        };
        if config.assists && by_mode && by_stage {
            self.take_grey();
        }
    }

    /// Traces one more object, or takes one more, or ends.
    pub(crate) fn go_on_assisting(&mut self) {
        let taken = self.me().taken;
        for object in taken.each() {
            let step = MutatorStep::AssistTraces(object, self.state.field[object as usize]);
            let config = self.config;
            self.add(step, |next, index| {
                let shared = std::mem::take(&mut next.queue);
                next.processors[index].taken.remove(object);
                let violation = trace(config, next, object);
                let found = std::mem::replace(&mut next.queue, shared);
                let me = &mut next.processors[index];
                me.taken = me.taken.and(found);
                // It has ended, or it takes another batch, which comes to the same.
                next.assisted |= me.taken.is_empty();
                violation
            });
        }
        self.take_grey();
        let is_lost = self.config.has(AssistLeftLost);
        self.add_sound(MutatorStep::AssistGivesBack, |next, me| {
            let left = std::mem::take(&mut me.taken);
            if !is_lost {
                next.queue = next.queue.and(left);
            }
            next.assisted = true;
        });
    }

    fn take_grey(&mut self) {
        for object in self.state.queue.each() {
            self.add_sound(MutatorStep::AssistTakes(object), |next, me| {
                next.queue.remove(object);
                me.taken.add(object);
            });
        }
    }
}
