use std::path::PathBuf;

use crate::{
    Error, Group, Origin,
    config::Config,
    doctor::{
        Check, Finding, Report,
        broker_checks::{self, Answered},
        item_checks,
        material_checks::{self, Proof},
        network_checks::{self, Way},
        permission_checks,
    },
};

/// Looks at everything that this configuration needs, and tells of each finding at once. `material` is the folder of the material
/// where the configuration names none.
///
/// What is found is what this user finds, with this environment, where this runs.
pub async fn examine(config: Result<Config, Error>, material: PathBuf, tell: impl FnMut(&Finding)) -> Report {
    let mut examination = Examination { findings: Vec::new(), tell };
    match config {
        Ok(config) => examination.of(&config, material).await,
        Err(error) => {
            examination.add(Check::Configuration.error(&error));
            examination.skip_from(Check::Permissions, "the configuration is wrong");
        }
    }
    Report::new(examination.findings)
}

struct Examination<T> {
    findings: Vec<Finding>,
    tell: T,
}

impl<T: FnMut(&Finding)> Examination<T> {
    async fn of(&mut self, config: &Config, material: PathBuf) {
        self.add(configuration(config));
        self.add_all(permission_checks::check(config));
        let broker = &config.broker;
        let folder = broker.material.clone().unwrap_or(material);
        let mut proof = None;
        match material_checks::group(broker.group.as_ref(), &folder) {
            Err(finding) => {
                self.add(finding);
            }
            Ok(group) => {
                let (finding, stored) = material_checks::stored(&group, &folder, broker.from.is_some());
                self.add(finding);
                proof = stored;
                if let Some(origin) = &broker.from {
                    let pulled = self.origin(config, origin, &group, proof.as_ref()).await;
                    proof = proof.or(pulled);
                }
            }
        }
        let Some(url) = broker.url.as_deref().or_else(|| Some(proof.as_ref()?.manifest.url.as_str())) else {
            return self.skip_from(Check::Name, "there is no material to tell the broker's url from");
        };
        match Way::to(url) {
            Ok(way) => {
                if let Some(answered) = self.reach(&way).await {
                    self.ask(config, &way, &answered, proof).await;
                }
            }
            Err(error) => {
                self.add(Check::Name.error(&error));
                self.skip_from(Check::Connection, "the broker's url is not valid");
            }
        }
    }

    /// Whether the origin gives the material, and what it gives.
    async fn origin(
        &mut self,
        config: &Config,
        origin: &Origin,
        group: &Group,
        stored: Option<&Proof>,
    ) -> Option<Proof> {
        if let Some(way) = Way::to_origin(origin)
            && self.add(network_checks::name(&way).await)
        {
            self.add(Check::Origin.not_tried("its name is not known"));
            return None;
        }
        let (finding, pulled) = material_checks::origin(origin, group, stored, config.broker.timeout).await;
        self.add(finding);
        pulled
    }

    /// The way to the broker, as far as it goes.
    async fn reach(&mut self, way: &Way) -> Option<Answered> {
        if self.add(network_checks::name(way).await) {
            self.skip_from(Check::Connection, "the broker's name is not known");
            return None;
        }
        if self.add(network_checks::connection(way).await) {
            self.skip_from(Check::Certificate, "the broker's port is not open");
            return None;
        }
        match broker_checks::answer(way).await {
            Err(distrusted) => {
                self.add(distrusted);
                self.skip_from(Check::Broker, "the connection is not trusted");
                None
            }
            Ok((findings, answered)) => {
                self.add_all(findings);
                if answered.is_none() {
                    self.skip_from(Check::Clock, "no broker answers");
                }
                answered
            }
        }
    }

    /// What the broker itself has to tell.
    async fn ask(&mut self, config: &Config, way: &Way, answered: &Answered, proof: Option<Proof>) {
        self.add(broker_checks::clock(answered));
        let Some(proof) = proof else {
            return self.skip_from(Check::Generation, "there is no material to prove this machine with");
        };
        self.add(broker_checks::generation(way, &proof.manifest, config.broker.from.is_some()).await);
        self.add_all(item_checks::check(config, way, &proof).await);
    }

    /// Notes a finding; whether it is a failure.
    fn add(&mut self, finding: Finding) -> bool {
        (self.tell)(&finding);
        let is_failure = finding.is_failure();
        self.findings.push(finding);
        is_failure
    }

    fn add_all(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            self.add(finding);
        }
    }

    /// Says of this check and of those after it that they are not tried.
    fn skip_from(&mut self, first: Check, why: &str) {
        for check in Check::ALL.into_iter().filter(|check| *check >= first) {
            self.add(check.not_tried(why));
        }
    }
}

fn configuration(config: &Config) -> Finding {
    match config.items.len() {
        0 => {
            let hint = "[items.NAME] of countersign.toml, or --env NAME=secret:ID";
            Check::Configuration.warning("nothing is asked for", hint)
        }
        1 => Check::Configuration.ok("one item"),
        items => Check::Configuration.ok(format!("{items} items")),
    }
}
