//! The supervisor on a terminal, which Python makes: as a session's leader, as in a container, and as a job of a shell.

use std::fs;

use crate::supervise::stub::{Order, Stub, StubItem, eventually};

/// Runs its arguments on a terminal of their own, and types there what is written to `typed`. It ends as they do.
const TERMINAL: &str = "
import os, pty, select, sys
os.mkfifo('typed')
process, terminal = pty.fork()
if process == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
typed = os.open('typed', os.O_RDWR)
while True:
    ready = select.select([terminal, typed], [], [])[0]
    if typed in ready:
        os.write(terminal, os.read(typed, 100))
    if terminal in ready:
        try:
            os.read(terminal, 10000)
        except OSError:
            break
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
";

/// A shell with job control, which continues its job in the foreground when it is allowed to.
const SHELL: &str = "set -m; \"$@\"; echo stopped > shell; until [ -e continue ]; do sleep 0.02; done; fg; exit $?";

/// Says what it gets, and what it reads from the terminal. It starts nothing: a process that is stopped between `vfork` and
/// `exec` would keep it from stopping.
const TOLD: &str = "for s in INT QUIT TERM; do trap \"echo $s >> log\" $s; done; echo began $PPID $$ >> log
    until read line; do :; done; echo read $line >> log; exit 3";

fn type_in(stub: &Stub, text: &str) {
    fs::write(stub.path("typed"), text).unwrap();
}

fn count(stub: &Stub, line: &str) -> usize {
    stub.read("log").lines().filter(|other| *other == line).count()
}

/// The states of the supervisor and of its child.
fn states(stub: &Stub) -> String {
    let began = stub.read("log").lines().find_map(|line| Some(line.strip_prefix("began ")?.to_owned())).unwrap();
    let state = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    };
    began.split(' ').map(state).collect()
}

#[test]
fn what_a_terminal_sends_comes_once_and_the_child_reads_from_it() {
    let mut stub = Order::sh(TOLD).start_by(&["python3", "-c", TERMINAL]);
    stub.until("log", "began");
    type_in(&stub, "\x03");
    stub.until("log", "INT");
    type_in(&stub, "\x1c");
    stub.until("log", "QUIT");
    stub.settle();
    assert_eq!((count(&stub, "INT"), count(&stub, "QUIT")), (1, 1));
    type_in(&stub, "hello\n");
    stub.until("log", "read hello");
    assert_eq!(stub.code(), 3);
}

#[test]
fn a_job_stops_and_continues_with_its_child() {
    let shell = ["python3", "-c", TERMINAL, "bash", "--norc", "-ic", SHELL, "bash"];
    let mut stub = Order::sh(TOLD).start_by(&shell);
    stub.until("log", "began");
    type_in(&stub, "\x1a");
    stub.until("shell", "stopped");
    eventually("both are stopped", || states(&stub) == "TT");
    stub.touch("continue");
    eventually("both go on", || !states(&stub).contains('T'));
    type_in(&stub, "\x03");
    stub.until("log", "INT");
    type_in(&stub, "hello\n");
    stub.until("log", "read hello");
    assert_eq!(stub.code(), 3);
    assert_eq!(count(&stub, "INT"), 1);
}

#[test]
fn a_child_on_a_terminal_is_restarted_alone() {
    let script = "trap '' TERM; echo began $DB >> log; until [ -e over ]; do sleep 0.02; done";
    let order = Order {
        on_change: "restart".into(),
        grace_ms: 100,
        items: vec![StubItem::variable("DB")],
        ..Order::sh(script)
    };
    let mut stub = order.start_by(&["python3", "-c", TERMINAL]);
    stub.until("log", "began one");
    stub.change("db", "two");
    stub.until("log", "began two");
    stub.touch("over");
    assert_eq!(stub.code(), 0, "the supervisor is of the same group, and goes on");
}

#[test]
fn the_stop_signal_goes_on_though_a_terminal_may_send_it() {
    let script = "trap 'exit 6' QUIT; echo began $PPID >> log; while :; do sleep 0.02; done";
    let mut stub = Order { stop_signal: "QUIT".into(), ..Order::sh(script) }.start_by(&["python3", "-c", TERMINAL]);
    stub.until("log", "began");
    let pid = stub.read("log").trim().trim_start_matches("began ").parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
    assert_eq!(stub.code(), 6);
}
