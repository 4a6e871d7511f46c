//! What holds of every command's help.

use clap::{Command, CommandFactory as _};

use crate::args::Args;

/// Calls this with every command and its name, as `countersign token get`.
pub(crate) fn each(command: &Command, name: &str, act: &mut impl FnMut(&str, &Command)) {
    act(name, command);
    for subcommand in command.get_subcommands() {
        each(subcommand, &format!("{name} {}", subcommand.get_name()), act);
    }
}

#[test]
fn the_commands_are_well_formed() {
    Args::command().debug_assert();
}

#[test]
fn every_command_has_a_long_help_that_ends_with_examples() {
    each(&Args::command(), "countersign", &mut |name, command| {
        let help = command.get_long_about().map(ToString::to_string).unwrap_or_default();
        let examples = help.split_once("\nExample:\n").or_else(|| help.split_once("\nExamples:\n"));
        let (_, examples) = examples.unwrap_or_else(|| panic!("{name}: no examples"));
        assert!(examples.contains(name), "{name}: the examples are of something else");
        assert!(
            examples.lines().all(|line| line.is_empty() || line.starts_with("  ")),
            "{name}: more follows the examples"
        );
        let wide = help.lines().find(|line| line.chars().count() > 100);
        assert_eq!(wide, None, "{name}: wider than what is printed");
    });
}
