use std::{fs, path::PathBuf};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use countersign::Error;

use crate::{args::Args, commands::print};

/// Write the manual's pages, one for each command.
///
/// Examples:
///   countersign man /usr/local/share/man/man1
///   countersign man pages && man -l pages/countersign-get.1
#[derive(Debug, clap::Args)]
#[command(name = "man", verbatim_doc_comment)]
pub(crate) struct Manual {
    /// The folder, which is made where it is missing. What is there under the pages' names is replaced.
    folder: PathBuf,
}

pub(crate) fn man(Manual { folder }: &Manual) -> Result<(), Error> {
    let pages = pages();
    let failed = |path: PathBuf| move |source| Error::File { action: "write", path, source };
    fs::create_dir_all(folder).map_err(failed(folder.clone()))?;
    for (name, page) in &pages {
        let path = folder.join(name);
        fs::write(&path, page).map_err(failed(path))?;
    }
    print(format!("{} pages in {}\n", pages.len(), folder.display()).as_bytes())
}

/// The pages with their files' names.
fn pages() -> Vec<(String, String)> {
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(&command, &mut pages);
    pages
}

fn add(command: &Command, pages: &mut Vec<(String, String)>) {
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text).expect("memory takes all that is written");
    pages.push((page.get_filename(), with_whole_lines(&String::from_utf8_lossy(&text))));
    for subcommand in command.get_subcommands() {
        add(subcommand, pages);
    }
}

/// The page with its indented lines as they are (`.nf`, groff_man(7)): examples and tables are not to be filled.
fn with_whole_lines(page: &str) -> String {
    let (mut whole, mut is_indented) = (String::with_capacity(page.len() + 64), false);
    for line in page.lines() {
        if line.starts_with("  ") != is_indented {
            is_indented = !is_indented;
            whole.push_str(if is_indented { ".nf\n" } else { ".fi\n" });
        }
        whole.push_str(line);
        whole.push('\n');
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_options_and_examples() {
        let pages = pages();
        let page = |name: &str| {
            let found = pages.iter().find(|(found, _)| found == name);
            found.unwrap_or_else(|| panic!("no {name}")).1.clone()
        };
        assert!(page("countersign.1").contains("countersign\\-device(1)"));
        let bulk = page("countersign-device-bulk-start.1");
        assert!(bulk.contains("\\-\\-group\\-path"), "{bulk}");
        assert!(bulk.contains("countersign device bulk start"), "{bulk}");
        assert!(!pages.iter().any(|(name, _)| name.contains("help")));
        let examples = "Examples:\n.nf\n  countersign get app/db\n";
        assert!(page("countersign-get.1").contains(examples), "examples keep their lines");
    }
}
