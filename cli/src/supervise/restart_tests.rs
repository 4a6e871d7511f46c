use rustix::process::Signal;

use crate::supervise::stub::{Order, Stub, StubItem, eventually};

/// Says with which value it began, and stays.
const STAYS: &str = "echo began $DB >> log; while :; do sleep 0.02; done";

/// The same, but takes its time to end, until it is allowed to.
const LINGERS: &str = "trap 'echo asked >> log; until [ -e allowed ]; do sleep 0.02; done; rm allowed; exit 0' TERM
    echo began $DB >> log; while :; do sleep 0.02; done";

/// Ends at no signal that can be refused, and neither does what it starts.
const IGNORES: &str = "trap '' TERM; sh -c 'while :; do sleep 0.02; done' in-group & echo began $DB >> log
    while :; do sleep 0.02; done";

/// Leaves a process behind when it ends.
const LEAVES: &str = "sh -c 'trap \"\" TERM; echo left >> left; while :; do sleep 0.02; done' in-group &
    trap 'exit 0' TERM; while :; do sleep 0.02; done";

/// Says what it is told.
const TOLD: &str = "trap 'echo told >> log' HUP; echo began >> log; until [ -e over ]; do sleep 0.02; done";

fn restarts(script: &str) -> Order {
    Order { on_change: "restart".into(), items: vec![StubItem::variable("DB")], ..Order::sh(script) }
}

/// A hook of this script over a child that stays.
fn hooked(script: &str) -> Order {
    let hook = ["sh", "-c", script].map(str::to_owned).to_vec();
    Order { on_change: "run".into(), hook, ..restarts(STAYS) }
}

fn lines(stub: &Stub, name: &str) -> Vec<String> {
    stub.read(name).lines().map(str::to_owned).collect()
}

/// How many processes of the stub's there are of those that `IGNORES` and `LEAVES` start.
fn in_group(stub: &Stub) -> usize {
    stub.processes().iter().filter(|(_, line)| line.ends_with("\0in-group\0")).count()
}

#[test]
fn a_child_that_ends_when_asked_is_started_anew_with_what_there_is_then() {
    let mut stub = restarts(STAYS).start();
    stub.until("log", "began one\n");
    stub.change("db", "two");
    stub.until("log", "began two\n");
    stub.change("db", "three");
    stub.until("log", "began three\n");
    assert!(!stub.has_ended(), "the end of a child that is restarted is not the end");
    stub.signal(Signal::TERM);
    assert_eq!(stub.code(), 128 + 15);
    assert_eq!(lines(&stub, "log").len(), 3);
}

#[test]
fn standard_input_is_new_after_a_restart() {
    let items = vec![StubItem { stdin: true, ..StubItem::variable("DB") }];
    let mut stub = Order { items, ..restarts("echo read $(cat) >> log; while :; do sleep 0.02; done") }.start();
    stub.until("log", "read one\n");
    stub.change("db", "two");
    stub.until("log", "read two\n");
}

#[test]
fn a_child_that_does_not_end_is_killed_after_the_grace_with_its_group() {
    let mut stub = Order { grace_ms: 200, ..restarts(IGNORES) }.start();
    stub.until("log", "began one\n");
    eventually("one in the group", || in_group(&stub) == 1);
    stub.change("db", "two");
    stub.until("log", "began two\n");
    eventually("the second one alone", || in_group(&stub) == 1);
}

#[test]
fn what_a_restarted_child_leaves_behind_is_ended() {
    let mut stub = restarts(LEAVES).start();
    stub.until("left", "left\n");
    stub.change("db", "two");
    stub.until("left", "left\nleft\n");
    eventually("the second one alone", || in_group(&stub) == 1);
}

#[test]
fn what_changes_during_a_restart_makes_no_other() {
    let mut stub = restarts(LINGERS).start();
    stub.until("log", "began one\n");
    stub.change("db", "two");
    stub.until("log", "asked\n");
    stub.change("db", "three");
    stub.change("db", "four");
    stub.settle();
    stub.touch("allowed");
    stub.until("log", "began four\n");
    stub.settle();
    assert_eq!(lines(&stub, "log"), ["began one", "asked", "began four"]);
}

#[test]
fn the_stop_signal_is_the_configured_one() {
    let script =
        "trap 'echo quit >> log; exit 0' QUIT; trap '' TERM; echo began $DB >> log; while :; do sleep 0.02; done";
    let mut stub = Order { stop_signal: "QUIT".into(), ..restarts(script) }.start();
    stub.until("log", "began one\n");
    stub.change("db", "two");
    stub.until("log", "began two\n");
    assert_eq!(lines(&stub, "log")[1], "quit");
}

#[test]
fn a_restart_waits_for_what_is_past_its_use_by() {
    let items = vec![StubItem::variable("DB"), StubItem::variable("KEY")];
    let mut stub = Order { items, ..restarts("echo began $DB $KEY >> log; while :; do sleep 0.02; done") }.start();
    stub.until("log", "began one one\n");
    stub.end("key");
    stub.change("db", "two");
    stub.settle();
    assert_eq!(lines(&stub, "log").len(), 1, "the child goes on with what it has");
    stub.change("key", "two");
    stub.until("log", "began two two\n");
}

#[test]
fn a_restart_that_is_under_way_waits_too_and_a_signal_ends_the_wait() {
    let mut stub = restarts(LINGERS).start();
    stub.until("log", "began one\n");
    stub.change("db", "two");
    stub.until("log", "asked\n");
    stub.end("db");
    stub.settle();
    stub.touch("allowed");
    eventually("the first one's end", || !stub.path("allowed").exists());
    stub.settle();
    assert_eq!(lines(&stub, "log"), ["began one", "asked"], "there is nothing to begin with");
    stub.change("db", "three");
    stub.until("log", "began three\n");
    stub.change("db", "four");
    eventually("asked twice", || lines(&stub, "log").iter().filter(|line| *line == "asked").count() == 2);
    stub.end("db");
    stub.settle();
    stub.touch("allowed");
    eventually("the second one's end", || !stub.path("allowed").exists());
    stub.settle();
    stub.signal(Signal::TERM);
    assert_eq!(stub.code(), 128 + 15);
}

#[test]
fn who_is_asked_to_end_during_a_restart_is_not_started_again() {
    let mut stub = restarts(LINGERS).start();
    stub.until("log", "began one\n");
    stub.change("db", "two");
    stub.until("log", "asked\n");
    stub.signal(Signal::TERM);
    stub.settle();
    stub.touch("allowed");
    assert_eq!(stub.code(), 0, "the child's own");
    assert!(!stub.read("log").contains("two"));
}

#[test]
fn who_is_asked_to_end_is_not_restarted_by_a_change() {
    let mut stub = restarts(LINGERS).start();
    stub.until("log", "began one\n");
    stub.signal(Signal::TERM);
    stub.until("log", "asked\n");
    stub.change("db", "two");
    stub.settle();
    stub.touch("allowed");
    assert_eq!(stub.code(), 0);
    assert_eq!(lines(&stub, "log"), ["began one", "asked"]);
}

#[test]
fn a_child_may_be_told_by_a_signal() {
    let items = vec![StubItem::file("conf")];
    let mut stub = Order { on_change: "signal:HUP".into(), items, ..Order::sh(TOLD) }.start();
    stub.until("log", "began\n");
    assert_eq!(stub.read("conf"), "one", "files are there when the child begins");
    stub.change("conf", "two");
    stub.until("log", "told\n");
    assert_eq!(stub.read("conf"), "two", "and are new before it is told");
    stub.touch("over");
    assert_eq!(stub.code(), 0);
    assert!(!stub.path("conf").exists(), "they are gone afterwards");
}

#[test]
fn a_signal_that_would_end_the_child_waits_until_it_does_not() {
    let script = format!("echo began >> log; until [ -e allowed ]; do sleep 0.02; done; {TOLD}");
    let items = vec![StubItem::file("conf")];
    let mut stub = Order { on_change: "signal:HUP".into(), items, ..Order::sh(&script) }.start();
    stub.until("log", "began\n");
    stub.change("conf", "two");
    stub.until("conf", "two");
    stub.settle();
    assert!(!stub.has_ended());
    stub.touch("allowed");
    stub.until("log", "told\n");
    stub.touch("over");
    assert_eq!(stub.code(), 0);
    assert_eq!(lines(&stub, "log").iter().filter(|line| *line == "told").count(), 1);
}

#[test]
fn who_sees_no_change_is_not_told() {
    let unseen = StubItem { name: "unseen".into(), ..StubItem::default() };
    let items = vec![StubItem::file("conf"), unseen];
    let mut stub = Order { on_change: "signal:HUP".into(), items, ..Order::sh(TOLD) }.start();
    stub.until("log", "began\n");
    stub.change("conf", "one");
    stub.change("unseen", "two");
    stub.settle();
    stub.touch("over");
    assert_eq!(stub.code(), 0);
    assert_eq!(lines(&stub, "log"), ["began"]);
}

#[test]
fn what_is_not_to_be_told_of_is_rewritten_alone() {
    let quiet = |item: StubItem| StubItem { is_quiet: true, ..item };
    let items = vec![quiet(StubItem::file("token")), quiet(StubItem::variable("DB")), StubItem::file("conf")];
    let mut stub = Order { on_change: "signal:HUP".into(), items, ..Order::sh(TOLD) }.start();
    stub.until("log", "began\n");
    stub.change("token", "two");
    stub.until("token", "two");
    stub.change("db", "two");
    stub.settle();
    assert_eq!(lines(&stub, "log"), ["began"]);
    stub.change("conf", "two");
    stub.until("log", "told\n");
    stub.touch("over");
    assert_eq!(stub.code(), 0);
    assert_eq!(lines(&stub, "log"), ["began", "told"]);
}

#[test]
fn a_command_is_run_on_a_change_with_what_there_is_then() {
    let mut stub = hooked("echo $DB >> hook").start();
    stub.until("log", "began one\n");
    stub.change("db", "two");
    stub.until("hook", "two\n");
    stub.change("db", "three");
    stub.until("hook", "three\n");
    assert_eq!(lines(&stub, "log"), ["began one"], "the child is the same");
}

#[test]
fn a_command_that_fails_on_a_change_changes_nothing_else() {
    let mut stub = hooked("echo $DB >> hook; exit 1").start();
    stub.change("db", "two");
    stub.until("hook", "two\n");
    stub.change("db", "three");
    stub.until("hook", "three\n");
    assert!(!stub.has_ended());
    let mut stub = Order { hook: vec!["no-such-command".into()], ..hooked("") }.start();
    stub.change("db", "two");
    stub.settle();
    assert!(!stub.has_ended());
}

#[test]
fn what_changes_while_the_command_on_a_change_runs_makes_one_more_run() {
    let mut stub = hooked("echo $DB >> hook; until [ -e allowed ]; do sleep 0.02; done").start();
    stub.change("db", "two");
    stub.until("hook", "two\n");
    for value in ["three", "four", "five"] {
        stub.change("db", value);
    }
    stub.settle();
    stub.touch("allowed");
    stub.until("hook", "five\n");
    stub.settle();
    assert_eq!(lines(&stub, "hook"), ["two", "five"]);
}

#[test]
fn at_a_use_by_the_child_goes_on_without_the_file() {
    let items = vec![StubItem::file("conf"), StubItem::variable("DB")];
    let mut stub = Order { items, ..Order::sh(STAYS) }.start();
    stub.until("log", "began one\n");
    stub.end("conf");
    eventually("the file's end", || !stub.path("conf").exists());
    stub.end("db");
    stub.settle();
    assert!(!stub.has_ended());
    stub.change("conf", "two");
    stub.until("conf", "two");
}

#[test]
fn at_a_use_by_the_child_is_ended_where_that_is_configured() {
    let unseen = StubItem { name: "unseen".into(), ..StubItem::default() };
    let items = vec![unseen, StubItem::variable("DB")];
    let mut stub = Order { stops_at_use_by: true, items, ..restarts(LINGERS) }.start();
    stub.until("log", "began one\n");
    stub.end("unseen");
    stub.settle();
    assert!(!stub.has_ended(), "the child does not have it");
    stub.end("db");
    stub.until("log", "asked\n");
    stub.touch("allowed");
    assert_eq!(stub.code(), 7);
    let mut stub = Order { stops_at_use_by: true, grace_ms: 100, ..restarts(IGNORES) }.start();
    stub.until("log", "began one\n");
    stub.end("db");
    assert_eq!(stub.code(), 7, "it has no more than its grace");
}

#[test]
fn what_a_template_speaks_of_is_given_to_the_child_as_well() {
    let spoken_of = || StubItem { name: "user".into(), ..StubItem::default() };
    let conf = || StubItem { template: Some("{{ items.user }} {{ value }}".into()), ..StubItem::file("conf") };
    let items = vec![spoken_of(), conf(), StubItem::variable("DB")];
    let mut stub = Order { items: items.clone(), ..restarts(STAYS) }.start();
    stub.until("log", "began one\n");
    stub.end("user");
    eventually("the file's end", || !stub.path("conf").exists());
    stub.change("db", "two");
    stub.settle();
    assert_eq!(lines(&stub, "log"), ["began one"], "the restart waits");
    stub.change("user", "three");
    stub.until("log", "began two\n");
    assert_eq!(stub.read("conf"), "three one");
    let mut stub = Order { stops_at_use_by: true, items, ..restarts(STAYS) }.start();
    stub.until("log", "began one\n");
    stub.end("user");
    assert_eq!(stub.code(), 7);
}
