//! That every command's transcripts are there: `tests/transcripts`.

use std::{collections::BTreeSet, fs, path::Path};

use clap::CommandFactory as _;

use crate::{args::Args, help_tests::each};

/// A command line of a transcript, and its exit code.
struct Step {
    line: String,
    code: u8,
}

/// The lines of a transcript that run this command.
fn steps(transcript: &str, name: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for line in transcript.lines() {
        if let Some(line) = line.strip_prefix("$ ") {
            steps.push(Step { line: line.to_owned(), code: 0 });
        } else if let (Some(code), Some(step)) = (line.strip_prefix("? "), steps.last_mut()) {
            step.code = code.trim().parse().unwrap();
        }
    }
    steps.retain(|step| step.line.contains(name));
    steps
}

#[test]
fn every_command_has_a_transcript_of_help_success_and_failure() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut known = BTreeSet::new();
    each(&Args::command(), "countersign", &mut |name, command| {
        let file = format!("{}.trycmd", name.strip_prefix("countersign ").unwrap_or(name).replace(' ', "-"));
        let transcript = fs::read_to_string(folder.join(&file)).unwrap_or_else(|_| panic!("{name}: no {file}"));
        let steps = steps(&transcript, name);
        let is_help = |step: &Step| step.line == format!("{name} --help") && step.code == 0;
        assert!(steps.iter().any(is_help), "{name}: no help");
        // A group of commands does nothing by itself.
        let succeeds = command.is_subcommand_required_set() && command.get_name() != "countersign";
        assert!(succeeds || steps.iter().any(|step| step.code == 0 && !is_help(step)), "{name}: no success");
        assert!(steps.iter().any(|step| step.code != 0), "{name}: no failure");
        known.insert(file);
    });
    let there = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let stale: Vec<String> = there.filter(|file| !known.contains(file)).collect();
    assert!(stale.is_empty(), "of no command: {stale:?}");
}
