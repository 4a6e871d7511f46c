use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::supervise::stub::{Mode, Order, StubItem, eventually};

/// What a child of each of the passed signals writes.
const TRAPS: &str = "for s in HUP INT QUIT TERM USR1 USR2 WINCH; do trap \"echo $s >> log\" $s; done; echo ready >> log; \
                     until [ -e over ]; do sleep 0.02; done";

/// Leaves orphans that end, and looks for those that nobody waited for.
const ORPHANS: &str = "for i in 1 2 3 4 5; do (sleep 0.1 & sleep 0.1 &); done
    (sh -c 'sleep 0.2; grep ^PPid: /proc/$$/status > adopted' &)
    sleep 1; for stat in /proc/[0-9]*/stat; do cat $stat; done 2>/dev/null | sed 's/.*) //' > stats";

fn run(order: Order) -> i32 {
    order.start().code()
}

#[test]
fn it_ends_as_its_command_ends() {
    assert_eq!(run(Order::new(&["true"])), 0);
    assert_eq!(run(Order::sh("exit 3")), 3);
    assert_eq!(run(Order::sh("kill -9 $$")), 128 + 9);
    assert_eq!(run(Order::sh("kill -SEGV $$")), 128 + 11);
}

#[test]
fn a_command_that_cannot_begin_ends_it_as_a_shell() {
    for mode in [Mode::Supervise, Mode::Replace] {
        let run = |line: &[&str]| run(Order { mode, ..Order::new(line) });
        assert_eq!(run(&["no-such-command"]), 127);
        assert_eq!(run(&["/no/such/command"]), 127);
        assert_eq!(run(&["/etc/passwd"]), 126, "not executable");
        assert_eq!(run(&["/"]), 126, "a folder");
    }
}

#[test]
fn every_signal_goes_on_to_the_child() {
    let mut stub = Order::sh(TRAPS).start();
    stub.until("log", "ready");
    let signals = [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
        (Signal::TERM, "TERM"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::WINCH, "WINCH"),
    ];
    for (signal, name) in signals {
        stub.signal(signal);
        stub.until("log", name);
    }
    stub.touch("over");
    assert_eq!(stub.code(), 0);
    assert_eq!(stub.read("log").lines().count(), 1 + signals.len(), "each once");
}

#[test]
fn a_child_that_a_passed_signal_ends_ends_it_with_its_number() {
    let mut stub = Order::sh("echo ready > log; exec sleep 100").start();
    stub.until("log", "ready");
    stub.signal(Signal::TERM);
    assert_eq!(stub.code(), 128 + 15);
}

#[test]
fn a_stop_and_a_continuation_go_on_to_the_child() {
    let mut stub = Order::sh("echo $$ > pid; exec sleep 100").start();
    eventually("a pid", || stub.read("pid").ends_with('\n'));
    let pid: u32 = stub.read("pid").trim().parse().unwrap();
    let state = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    };
    let own = stub.pid();
    stub.signal(Signal::TSTP);
    eventually("both are stopped", || (state(own), state(pid)) == ('T', 'T'));
    stub.signal(Signal::CONT);
    eventually("both go on", || (state(own), state(pid)) == ('S', 'S'));
    stub.signal(Signal::TERM);
    assert_eq!(stub.code(), 128 + 15);
}

#[test]
fn a_signal_before_there_is_a_command_ends_at_once() {
    for (signal, code) in [(Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131), (Signal::TERM, 143)] {
        let mut stub = Order { mode: Mode::Begin, ..Order::new(&["true"]) }.start();
        stub.signal(Signal::USR1);
        stub.signal(Signal::WINCH);
        stub.signal(signal);
        assert_eq!(stub.code(), code);
    }
}

#[test]
fn a_command_begins_with_signals_as_at_a_fresh_start() {
    for mode in [Mode::Supervise, Mode::Replace] {
        let mut stub =
            Order { mode, ..Order::new(&["sh", "-c", "grep -E '^Sig(Blk|Ign)' /proc/self/status > log"]) }.start();
        assert_eq!(stub.code(), 0);
        let masks = stub.read("log");
        assert_eq!(masks.lines().count(), 2);
        for line in masks.lines() {
            assert_eq!(standard_signals(line), 0, "{line}");
        }
    }
}

#[test]
fn what_it_was_started_to_ignore_is_ignored_below_it_too() {
    for mode in [Mode::Supervise, Mode::Replace] {
        let order = Order { mode, ..Order::sh("grep ^SigIgn /proc/self/status > log; kill -HUP $$; exit 4") };
        let mut stub = order.start_by(&["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]);
        assert_eq!(stub.code(), 4);
        assert_eq!(standard_signals(&stub.read("log")), 1 << (Signal::HUP.as_raw() - 1));
    }
}

/// The signals in a mask of a process's status, but for those that are not the system's own: who runs the tests may ignore some.
fn standard_signals(line: &str) -> u64 {
    let mask = line.trim().rsplit_once('\t').unwrap().1;
    u64::from_str_radix(mask, 16).unwrap() & 0x7fff_ffff
}

#[test]
fn orphans_that_end_are_waited_for() {
    let mut stub = Order::sh(ORPHANS).start();
    let pid = stub.pid();
    assert_eq!(stub.code(), 0);
    assert_eq!(stub.read("adopted"), format!("PPid:\t{pid}\n"));
    assert_eq!(zombies(&stub.read("stats"), pid), 0);
}

#[test]
fn as_the_first_process_of_a_container_it_waits_for_orphans_and_passes_signals_on() {
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc"];
    // Root in a container may not.
    let mut probe = Command::new(unshare[0]);
    probe.args(&unshare[1..]).arg("true").stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        #[expect(clippy::print_stderr, reason = "who reads the tests' output is to know")]
        {
            eprintln!("not tried as PID 1: this user may make no namespace");
        }
        return;
    }
    let script = format!("{ORPHANS}; trap 'exit 5' TERM; kill -TERM 1; while :; do sleep 0.02; done");
    let mut stub = Order::sh(&script).start_by(&unshare);
    assert_eq!(stub.code(), 5);
    assert_eq!(stub.read("adopted"), "PPid:\t1\n");
    assert_eq!(zombies(&stub.read("stats"), 1), 0);
}

/// How many of these processes ended and were not waited for by this parent.
fn zombies(stats: &str, parent: u32) -> usize {
    let of_parent: Vec<_> = stats.lines().filter(|line| line.split(' ').nth(1) == Some(&parent.to_string())).collect();
    assert!(!of_parent.is_empty(), "the child at least is one: {stats}");
    of_parent.iter().filter(|line| line.starts_with('Z')).count()
}

#[test]
fn the_child_leads_a_group_of_its_own() {
    let mut stub = Order::sh("echo $$ $(ps -o pgid= -p $$) > log").start();
    assert_eq!(stub.code(), 0);
    let log = stub.read("log");
    let (pid, group) = log.trim().split_once(' ').unwrap();
    assert_eq!(pid, group.trim());
}

#[test]
fn a_command_takes_the_place_of_the_process() {
    let item = StubItem { stdin: true, ..StubItem::variable("DB") };
    let line = ["sh", "-c", "echo $$ $DB $(cat) > log; exit 6"];
    let mut stub = Order { mode: Mode::Replace, items: vec![item], ..Order::new(&line) }.start();
    let pid = stub.pid();
    assert_eq!(stub.code(), 6);
    assert_eq!(stub.read("log").trim(), format!("{pid} one one"));
}

#[test]
fn a_commands_memory_is_as_the_system_makes_it() {
    for mode in [Mode::Supervise, Mode::Replace] {
        let dumpable = "import ctypes, sys; sys.exit(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))";
        assert_eq!(run(Order { mode, ..Order::new(&["python3", "-c", dumpable]) }), 1);
    }
}
