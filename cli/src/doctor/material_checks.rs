use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use protocol::{Group, Manifest};
use tempfile::TempDir;

use crate::{
    Error, Material, MaterialDir, Origin,
    doctor::{Check, Finding},
};

/// Where temporary material is in memory.
const MEMORY: &str = "/dev/shm";

/// What this machine can prove itself with.
pub(super) struct Proof {
    pub(super) manifest: Manifest,
    pub(super) materials: MaterialDir,
    /// Where it is not stored here.
    _temporary: Option<TempDir>,
}

/// The group: the one that is named, else that of the only material.
pub(super) fn group(named: Option<&Group>, folder: &Path) -> Result<Group, Finding> {
    if let Some(group) = named {
        return Ok(group.clone());
    }
    let found = match <[Group; 1]>::try_from(MaterialDir::new(folder).groups()) {
        Ok([group]) => return Ok(group),
        Err(groups) if groups.is_empty() => "no group is named, and there is no material to tell it from",
        Err(_) => "no group is named, and there is material of several",
    };
    Err(Check::Material.failed(found, "name it: --group, COUNTERSIGN_GROUP, or group of countersign.toml", 2))
}

/// The group's material on this machine: there, closed to others, whole.
pub(super) fn stored(group: &Group, folder: &Path, is_pulled: bool) -> (Finding, Option<Proof>) {
    let materials = MaterialDir::new(folder);
    let whole = materials.load(group).and_then(|stored| {
        stored.pool.check(&stored.manifest.pool)?;
        Ok(stored.manifest)
    });
    match whole {
        Ok(manifest) => {
            let found = format!("{group} generation {}, whole, in {}", manifest.generation, folder.display());
            (Check::Material.ok(found), Some(Proof { manifest, materials, _temporary: None }))
        }
        Err(error @ (Error::NoMaterial(_) | Error::Damaged { .. })) if is_pulled => {
            (Check::Material.warning(ports::chain(&error), "it is pulled when it is needed"), None)
        }
        Err(error) => (Check::Material.error(&error), None),
    }
}

/// The group's material where it is pulled from. It is not stored as the group's; where there is none, it is lent for the other checks.
pub(super) async fn origin(
    origin: &Origin,
    group: &Group,
    stored: Option<&Proof>,
    timeout: Duration,
) -> (Finding, Option<Proof>) {
    let fetched = tokio::time::timeout(timeout, origin.fetch(group)).await.unwrap_or(Err(Error::TimedOut));
    let material = match fetched {
        Ok(material) => material,
        Err(error) => return (Check::Origin.error(&error), None),
    };
    let finding = Check::Origin.ok(format!("gives {group} generation {}", material.manifest.generation));
    if stored.is_some() {
        return (finding, None);
    }
    match lend(&material) {
        Ok((materials, temporary)) => {
            let proof = Proof { manifest: material.manifest, materials, _temporary: Some(temporary) };
            (finding, Some(proof))
        }
        Err(error) => (Check::Origin.error(&error), None),
    }
}

/// A folder of this process alone, in memory where it can be.
fn lend(material: &Material) -> Result<(MaterialDir, TempDir), Error> {
    let folder = |parent: PathBuf| {
        let made = tempfile::Builder::new().prefix("countersign-doctor-").tempdir_in(&parent);
        made.map_err(|source| Error::File { action: "write", path: parent, source })
    };
    let temporary = folder(MEMORY.into()).or_else(|_| folder(std::env::temp_dir()))?;
    let materials = MaterialDir::new(temporary.path());
    materials.save(material)?;
    Ok((materials, temporary))
}
