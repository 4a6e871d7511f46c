use clap::CommandFactory as _;
use clap_complete::{Shell, generate};
use countersign::Error;

use crate::{args::Args, commands::print};

/// Print what completes this command in a shell.
///
/// Examples:
///   countersign completions bash > /etc/bash_completion.d/countersign
///   countersign completions zsh > "${fpath[1]}/_countersign"
///   countersign completions fish > ~/.config/fish/completions/countersign.fish
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

pub(crate) fn completions(Completions { shell }: &Completions) -> Result<(), Error> {
    let mut script = Vec::new();
    generate(*shell, &mut Args::command(), "countersign", &mut script);
    print(&script)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_is_told_of_every_command() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            generate(*shell, &mut Args::command(), "countersign", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in Args::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
