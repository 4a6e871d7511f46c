use std::{env, ffi::OsString, sync::Arc};

use countersign::{
    Error,
    config::{Inherit, Signal as Named},
    enrollment::{
        CertificateFiles, EnrollmentError, FileRenewal, OnRenew, Receiver, Renewable as _, Renewal, Validity,
    },
    supervise::{CommandLine, Environment, Hook, ProcessGroup, Reaper, Signals},
};
use ports::{Clock as _, SystemClock, chain};
use protocol::SystemRandom;
use rustix::process::Signal;
use tokio::sync::{Notify, mpsc};

use crate::{
    cert_args::{Renew, RenewFiles},
    cert_commands::CA,
    commands::{print, usage},
    log,
    progress::waiting_for,
    token_commands::time,
};

/// What the command after a renewal does not get, besides what [`Environment`] leaves out.
const SECRET: [&str; 4] =
    ["NPM_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"];

/// Renews once, or as long as it lives, and gives the exit code.
pub(crate) async fn renew(order: Renew) -> Result<u8, Error> {
    let after = After::new(&order);
    if order.daemon || after.needs_log() {
        log::start();
    }
    // A signal that comes from now on is not lost.
    let signals = if order.daemon { Some(Signals::listen()?) } else { None };
    let renewal = renewal(&order);
    match signals {
        Some(signals) => stay(renewal, after, signals, order.force).await,
        None => once(&renewal, after, order.force).await,
    }
}

fn renewal(Renew { folder, files, timeout, .. }: &Renew) -> FileRenewal {
    if let Some(folder) = folder {
        return FileRenewal::in_folder(folder, *timeout);
    }
    let RenewFiles { certificate, chain_file, key_file, root, ca_url } = files;
    let (Some(key), Some(root), Some(url)) = (key_file, root, ca_url) else {
        usage("--key-file, --root and --ca-url are required without a folder");
    };
    let files = CertificateFiles {
        key: key.clone(),
        certificate: certificate.clone(),
        chain: chain_file.clone(),
        root: root.clone(),
    };
    FileRenewal::of_files(files, url.clone(), *timeout)
}

async fn once(renewal: &FileRenewal, mut after: After, now: bool) -> Result<u8, Error> {
    let validity = renewal.validity()?;
    let due = validity.two_thirds();
    if !now && SystemClock.unix_seconds() < due {
        let until = validity.until;
        let text = format!("valid until {}, due for renewal after {}: --force renews now\n", time(until), time(due));
        print(text.as_bytes())?;
        return Ok(0);
    }
    let reaper = if after.needs_log() { Some(Reaper::new()?) } else { None };
    let Validity { until, .. } = waiting_for(CA, renewal.renew()).await?;
    print(format!("renewed, valid until {}\n", time(until)).as_bytes())?;
    after.renewed()?;
    if let (After::Run(hook, _), Some(mut reaper)) = (&mut after, reaper) {
        while hook.is_running() {
            let (pid, end) = reaper.next().await;
            if hook.ended(pid, end, || Ok(environment())) && !end.is_success() {
                return Err(EnrollmentError::Hook(end.to_string()).into());
            }
        }
    }
    Ok(0)
}

async fn stay(renewal: FileRenewal, mut after: After, mut signals: Signals, force: bool) -> Result<u8, Error> {
    let mut reaper = Reaper::new()?;
    let now = Notify::new();
    if force {
        now.notify_one();
    }
    let renewal = Renewal::new(renewal, Arc::new(SystemClock), Arc::new(SystemRandom));
    let (sender, mut renewed) = mpsc::channel(1);
    let mut renewing = std::pin::pin!(renewal.run(&now, &sender));
    let ended = loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::INT | Signal::QUIT | Signal::TERM => {
                    tracing::info!("the command ends");
                    break Ok(0);
                }
                Signal::HUP => {
                    tracing::info!("the certificate is renewed now");
                    now.notify_one();
                }
                _ => {}
            },
            error = &mut renewing => break Err(error),
            Some(_) = renewed.recv() => if let Err(error) = after.renewed() {
                tracing::error!(error = chain(&error), "nobody is told of the renewal");
            },
            (pid, end) = reaper.next() => if let After::Run(hook, _) = &mut after {
                hook.ended(pid, end, || Ok(environment()));
            },
        }
    };
    if let After::Run(hook, _) = &mut after {
        hook.stop();
    }
    ended
}

/// What is done after a renewal.
enum After {
    Nothing,
    Run(Hook, String),
    Signal(Named, Receiver),
}

impl After {
    fn new(Renew { on_renew, pid_file, .. }: &Renew) -> Self {
        match (on_renew, pid_file) {
            (None, _) => Self::Nothing,
            (Some(OnRenew::Run(words)), None) => {
                let program = words.first().cloned().unwrap_or_default();
                let line = CommandLine::new(words).unwrap_or_else(|| usage("--on-renew run: names no command"));
                Self::Run(Hook::new(line, ProcessGroup::Own), program)
            }
            (Some(OnRenew::Signal(signal, Some(process))), None) => Self::Signal(*signal, Receiver::Process(*process)),
            (Some(OnRenew::Signal(signal, None)), Some(path)) => Self::Signal(*signal, Receiver::File(path.clone())),
            (Some(OnRenew::Signal(_, None)), None) => {
                usage("--on-renew signal:NAME is sent to a process: signal:NAME:PID, or --pid-file")
            }
            (Some(_), Some(_)) => usage("--pid-file is for --on-renew signal:NAME, without a process's id"),
        }
    }

    /// Whether what becomes of it is told by the log alone.
    const fn needs_log(&self) -> bool {
        matches!(self, Self::Run(..))
    }

    fn renewed(&mut self) -> Result<(), Error> {
        match self {
            Self::Nothing => Ok(()),
            Self::Run(hook, program) => {
                hook.changed(|| Ok(environment()));
                let is_running = hook.is_running();
                if is_running { Ok(()) } else { Err(EnrollmentError::Hook(format!("{program} does not run")).into()) }
            }
            Self::Signal(signal, receiver) => receiver.send(*signal),
        }
    }
}

/// The variables of the command after a renewal.
fn environment() -> Environment {
    let is_secret = |name: &OsString| SECRET.iter().any(|secret| name == secret);
    Environment::new(&Inherit::All, env::vars_os().filter(|(name, _)| !is_secret(name)))
}
