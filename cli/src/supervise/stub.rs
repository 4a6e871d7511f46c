//! A supervisor in a process of its own, which a test feeds with events: this test binary, run again.
//!
//! A reaper waits for every child of its process, and signals are for the whole process: neither can share one with other
//! tests.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio, exit},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ports::Clock;
use protocol::{Grant, Secret, SecretGrant, SecretValue};
use rustix::process::{DumpableBehavior, Pid, Signal, dumpable_behavior, kill_process};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::{runtime::Builder, sync::mpsc};

use crate::{
    closed,
    config::{AtUseBy, ChildSettings, FileMode, FileSink, Inherit, Item, OnChange, Source},
    deliver::{Delivery, RuntimeFolder},
    endpoint::Unwritten,
    refresh::{Event, Holdings, ItemValue},
    supervise::{CommandLine, Environment, Files, Given, Signals, Supervisor, hide_memory},
};

const VARIABLE: &str = "SUPERVISOR_STUB";
const NAME: &str = "supervise::stub::stub";
const PATIENCE: Duration = Duration::from_secs(30);

/// The line that is answered once the supervisor has taken what was told before.
const SETTLE: &str = "settle";

/// What a stub is to be. It works in a folder of its own, so that names of files in commands are short.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) mode: Mode,
    pub(crate) line: Vec<String>,
    /// `signal:NAME`, `restart`, or `run`.
    pub(crate) on_change: String,
    pub(crate) hook: Vec<String>,
    pub(crate) stop_signal: String,
    pub(crate) grace_ms: u64,
    pub(crate) stops_at_use_by: bool,
    pub(crate) items: Vec<StubItem>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// A supervisor and its child.
    Supervise,
    /// A command in this process's place.
    Replace,
    /// The time before there is a command.
    Begin,
}

/// An item, whose value is `one` at first.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct StubItem {
    pub(crate) name: String,
    pub(crate) variable: Option<String>,
    pub(crate) file: Option<String>,
    /// The text of the template that makes the file.
    #[serde(default)]
    pub(crate) template: Option<String>,
    pub(crate) stdin: bool,
    /// Whether the child is not told where it changed.
    pub(crate) is_quiet: bool,
}

/// A running stub. What it reads and writes is in a folder that goes with it.
pub(crate) struct Stub {
    process: Child,
    events: UnixStream,
    folder: TempDir,
}

impl StubItem {
    pub(crate) fn variable(name: &str) -> Self {
        Self { name: name.to_lowercase(), variable: Some(name.into()), ..Self::default() }
    }

    pub(crate) fn file(name: &str) -> Self {
        Self { name: name.into(), file: Some(name.into()), ..Self::default() }
    }

    fn item(&self, folder: &Path) -> Item {
        let template = self.template.as_ref().map(|text| {
            let path = folder.join(format!("{}.j2", self.name));
            closed::write(&path, text);
            path
        });
        let sink = |name: &String| FileSink {
            path: folder.join(name),
            mode: FileMode::OWNER_READS,
            owner: None,
            template: template.clone(),
        };
        Item {
            name: self.name.parse().unwrap(),
            source: Source::Secret { id: self.name.clone(), version_id: None, version_stage: None, member: None },
            variable: self.variable.as_ref().map(|name| name.parse().unwrap()),
            file: self.file.as_ref().map(sink),
            stdin: self.stdin,
            keep: Duration::from_secs(86_400),
            on_change: !self.is_quiet,
        }
    }
}

impl Order {
    pub(crate) fn new(line: &[&str]) -> Self {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Self {
            mode: Mode::Supervise,
            line: words(line),
            on_change: String::new(),
            hook: Vec::new(),
            stop_signal: "TERM".into(),
            grace_ms: 20_000,
            stops_at_use_by: false,
            items: Vec::new(),
        }
    }

    /// A shell's script.
    pub(crate) fn sh(script: &str) -> Self {
        Self::new(&["sh", "-c", script])
    }

    pub(crate) fn start(self) -> Stub {
        self.start_by(&[])
    }

    /// Starts it by a command before its own: a shell that prepares it, or `unshare`.
    pub(crate) fn start_by(self, before: &[&str]) -> Stub {
        let folder = closed::folder();
        let listener = UnixListener::bind(folder.path().join("events")).unwrap();
        let own = env::current_exe().unwrap();
        let own = own.to_str().unwrap();
        let mut words = before.iter().copied().chain([own, NAME, "--exact", "--nocapture"]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).env(VARIABLE, serde_json::to_string(&self).unwrap());
        command.current_dir(folder.path());
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let events = connection(&listener, &mut process);
        events.set_read_timeout(Some(PATIENCE)).unwrap();
        Stub { process, events, folder }
    }
}

/// The connection of the process that was started.
fn connection(listener: &UnixListener, process: &mut Child) -> UnixStream {
    listener.set_nonblocking(true).unwrap();
    let begun = Instant::now();
    loop {
        // Looked at first: one that has ended may have connected before.
        let ended = process.try_wait().unwrap();
        if let Ok((events, _)) = listener.accept() {
            return events;
        }
        if ended.is_some() || begun.elapsed() > PATIENCE {
            let _ = process.kill();
            panic!("the stub did not connect; it ended: {ended:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

impl Stub {
    /// Tells the supervisor that an item has another value, or has one again.
    pub(crate) fn change(&mut self, item: &str, value: &str) {
        self.tell(&format!("set {item} {value}"));
    }

    /// Tells it that an item is past its use-by.
    pub(crate) fn end(&mut self, item: &str) {
        self.tell(&format!("end {item}"));
    }

    fn tell(&mut self, line: &str) {
        self.events.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits until the supervisor has done what there was to do: it has taken all that it was told. Nothing tells a test that nothing
    /// happens then: it gives it time.
    pub(crate) fn settle(&mut self) {
        self.tell(SETTLE);
        self.events.read_exact(&mut [0]).unwrap();
        thread::sleep(Duration::from_millis(200));
    }

    /// Makes a file of its folder.
    pub(crate) fn touch(&self, name: &str) {
        fs::write(self.path(name), "").unwrap();
    }

    /// The processes that work in its folder, and their command lines.
    pub(crate) fn processes(&self) -> Vec<(Pid, String)> {
        let folder = fs::canonicalize(self.path("")).unwrap();
        let of_folder = |process: fs::DirEntry| {
            let pid = Pid::from_raw(process.file_name().to_str()?.parse().ok()?)?;
            let works_in = fs::read_link(process.path().join("cwd")).ok()?;
            let line = fs::read_to_string(process.path().join("cmdline")).ok()?;
            (works_in == folder).then_some((pid, line))
        };
        fs::read_dir("/proc").unwrap().flatten().filter_map(of_folder).collect()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// A file of its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a file of its folder holds; nothing where it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Waits until a file of its folder holds this.
    pub(crate) fn until(&self, name: &str, text: &str) {
        eventually(&format!("{text:?} in {name}"), || self.read(name).contains(text));
    }

    /// Waits for its end, and gives its exit code.
    pub(crate) fn code(&mut self) -> i32 {
        self.status().code().unwrap()
    }

    pub(crate) fn status(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the stub's end", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        // What a failed or hasty test left.
        let _ = self.process.kill();
        let _ = self.process.wait();
        for (pid, _) in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Waits until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

struct StandingClock(AtomicU64);

impl Clock for StandingClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// Not a test: the process that tests start, which has the order in its environment.
#[test]
fn stub() {
    let Ok(order) = env::var(VARIABLE) else { return };
    let order: Order = serde_json::from_str(&order).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(act(order)) {
        Ok(code) => exit(code.into()),
        Err(error) => exit(error.exit_code().into()),
    }
}

async fn act(order: Order) -> Result<u8, crate::Error> {
    hide_memory()?;
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    let mut signals = Signals::listen()?;
    let folder = env::current_dir().unwrap();
    let items: Vec<Item> = order.items.iter().map(|item| item.item(&folder)).collect();
    let holdings = Holdings::new(items, Arc::new(StandingClock(AtomicU64::new(1_000))));
    for item in &order.items {
        set(&holdings, &item.name, "one");
    }
    let runtime = RuntimeFolder::new(Some(&folder))?;
    let delivery = Delivery::new(holdings.clone(), &runtime)?;
    let own = env::vars_os().filter(|(name, _)| name != VARIABLE);
    let environment = Environment::new(&Inherit::All, own);
    let events = UnixStream::connect("events").unwrap();
    let line = CommandLine::new(order.line).unwrap();
    match order.mode {
        Mode::Begin => Ok(signals.end().await),
        Mode::Replace => Err(line.replace(Given::new(&environment, &delivery)?).into()),
        Mode::Supervise => {
            let settings = ChildSettings {
                stop_signal: order.stop_signal.parse().unwrap(),
                grace: Duration::from_millis(order.grace_ms),
                at_use_by: if order.stops_at_use_by { AtUseBy::Stop } else { AtUseBy::Keep },
                inherit: Inherit::All,
            };
            let on_change = match order.on_change.split_once(':') {
                Some((_, signal)) => Some(OnChange::Signal(signal.parse().unwrap())),
                None if order.on_change == "restart" => Some(OnChange::Restart),
                None if order.on_change == "run" => Some(OnChange::Run(order.hook)),
                None => None,
            };
            let events = feed(events, holdings.clone());
            let files = Files::new(delivery, Unwritten::default());
            Supervisor { line, environment, settings, on_change, holdings, files, events, signals }.run().await
        }
    }
}

/// Turns the test's lines into events.
fn feed(lines: UnixStream, holdings: Holdings) -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(16);
    thread::spawn(move || {
        for line in BufReader::new(&lines).lines() {
            let line = line.unwrap();
            if line == SETTLE {
                while sender.capacity() < sender.max_capacity() && !sender.is_closed() {
                    thread::sleep(Duration::from_millis(1));
                }
                (&lines).write_all(b".").unwrap();
                continue;
            }
            let words: Vec<&str> = line.split(' ').collect();
            let names = vec![words[1].parse().unwrap()];
            let event = if let Some(value) = words.get(2) {
                set(&holdings, words[1], value);
                Event::Changed(names)
            } else {
                holdings.update(&names[0], |state| state.value = None);
                Event::Ended(names)
            };
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

fn set(holdings: &Holdings, name: &str, value: &str) {
    let name = name.parse().unwrap();
    let secret = SecretGrant {
        id: "app/db".into(),
        version_id: value.into(),
        version_stages: Vec::new(),
        value: SecretValue::Text(Secret::new(value.into())),
    };
    let source = Source::Secret { id: "app/db".into(), version_id: None, version_stage: None, member: None };
    let value = ItemValue::new(&source, Arc::new(Grant::Secret(secret))).unwrap();
    holdings.update(&name, |state| state.value = Some(Arc::new(value)));
}
