//! A program that has its heap to itself does what the model says.

use proptest::prelude::*;

use crate::cases;
use crate::program::{Setting, program};
use crate::world::World;

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn a_program_agrees_with_its_model(program in program(Setting::Alone, 60)) {
        let mut world = World::alone(&program.settings);
        for action in &program.actions {
            world.run(action);
        }
        world.finish(program.heap_first);
    }
}
