use std::{
    io::{IsTerminal as _, Write as _, stdout},
    path::PathBuf,
};

use clap::{CommandFactory as _, error::ErrorKind};
use countersign::{Client, Error, Grant, Group, MaterialDir, Secret, SecretGrant, Want};

use crate::args::{Args, Command, Common, Get, Pull};

pub(crate) async fn run(args: Args) -> Result<(), Error> {
    match args.command {
        Command::Pull(pull) => self::pull(pull).await,
        Command::Get(get) => self::get(get).await,
    }
}

async fn pull(Pull { common }: Pull) -> Result<(), Error> {
    if common.from.is_none() {
        usage("--from is required: the place that material is pulled from");
    }
    let folder = common.folder();
    let material = client(common).pull().await?;
    let manifest = &material.manifest;
    let line = format!(
        "{} generation {}, pool {}, in {}\n",
        manifest.group,
        manifest.generation,
        manifest.pool.id,
        folder.display()
    );
    print(line.as_bytes())
}

async fn get(get: Get) -> Result<(), Error> {
    let want = Want::Secret { id: get.secret, version_id: get.version_id, version_stage: get.version_stage };
    let answer = client(get.common).exchange(&[want]).await?;
    let Some(Grant::Secret(secret)) = answer.granted.first() else { return Err(Error::Unexpected { status: 200 }) };
    if get.json { print(json(secret).expose()) } else { print(secret.value.expose()) }
}

fn json(secret: &SecretGrant) -> Secret<Vec<u8>> {
    Secret::new(serde_json::to_vec_pretty(secret).expect("a grant serializes"))
}

fn client(common: Common) -> Client {
    let materials = MaterialDir::new(common.folder());
    let group = match common.group {
        Some(group) => group,
        None => only_group(&materials),
    };
    Client::new(materials, group).pull_from(common.from).url(common.url).timeout(common.timeout)
}

fn only_group(materials: &MaterialDir) -> Group {
    let groups = materials.groups();
    match <[Group; 1]>::try_from(groups) {
        Ok([group]) => group,
        Err(groups) if groups.is_empty() => usage("--group is required: there is no material yet to tell it from"),
        Err(_) => usage("--group is required: there is material of several groups"),
    }
}

/// Ends the process with the usage error that clap would give.
fn usage(message: &str) -> ! {
    Args::command().error(ErrorKind::MissingRequiredArgument, message).exit()
}

/// Writes to standard output, with a newline at the end where a person reads it.
fn print(bytes: &[u8]) -> Result<(), Error> {
    let mut out = stdout().lock();
    let newline = out.is_terminal() && !bytes.ends_with(b"\n");
    out.write_all(bytes)
        .and_then(|()| if newline { out.write_all(b"\n") } else { Ok(()) })
        .and_then(|()| out.flush())
        .map_err(|source| Error::File { action: "write", path: PathBuf::from("standard output"), source })
}
