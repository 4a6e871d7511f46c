use crate::{
    Error,
    config::Config,
    deliver::{Doubts, RuntimeTrial, Trial},
    doctor::{Check, Finding},
};

/// The runtime folder, and the files that items go to.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let runtime = match RuntimeTrial::new(config.runtime.as_deref()) {
        Ok(runtime) => runtime,
        Err(error) => return vec![Check::Permissions.error(&error)],
    };
    let found = format!("runtime folder {}", runtime.folder().path().display());
    let mut findings = vec![Check::Permissions.ok(found)];
    findings.extend(runtime.try_out(&config.items).into_iter().map(finding));
    findings
}

fn finding(Trial { path, outcome }: Trial) -> Finding {
    let path = path.display();
    match outcome {
        Err(error) => Check::Permissions.error(&Error::from(error)),
        Ok(Doubts { shared: Some(folder), .. }) => Check::Permissions.warning(
            format!("others can put theirs in the place of {path}"),
            format!("{} is open to them: close it, or mount it for this container alone", folder.display()),
        ),
        Ok(Doubts { on_disk: true, .. }) => Check::Permissions.warning(
            format!("{path} is not in memory: a disk may keep it"),
            "give a path below the runtime folder, or mount a tmpfs there",
        ),
        Ok(_) => Check::Permissions.ok(format!("{path} can be written")),
    }
}
