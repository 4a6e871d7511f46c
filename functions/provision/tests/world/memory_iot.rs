use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard},
};

use pki::{Authority, Certificate, DeviceKey, KeyKind, Subject, SubjectFields};
use ports::{
    AddCertificate, AwsCertificate, CertificateStatus, ChangeCertificate, DeleteIotPolicy, DeleteThing, Fault,
    IotPolicy, ReadCertificate, ReadIotPolicy, ReadThing, RegisterThing, RegisteredCa, RegisteredCertificate,
    Registration, RegistrationTask, RegistrationTasks, Report, Thing, ThingGroup,
};
use protocol::SystemRandom;
use serde_json::{Map, Value};

use super::{IOT_ARNS, NOW, faults::Faults};

/// AWS IoT in memory, as far as the function asks it; clones share it.
#[derive(Clone)]
pub struct MemoryIot {
    state: Arc<Mutex<State>>,
    faults: Faults,
}

#[derive(Default)]
pub struct State {
    pub things: BTreeMap<String, ThingEntry>,
    /// By id.
    pub certificates: BTreeMap<String, CertificateEntry>,
    /// Documents by name.
    pub policies: BTreeMap<String, String>,
    pub groups: BTreeMap<String, ThingGroup>,
    /// By id.
    pub cas: BTreeMap<String, RegisteredCa>,
    /// By id.
    pub tasks: BTreeMap<String, RegistrationTask>,
    pub results: Vec<String>,
    pub errors: Vec<String>,
    /// What was registered: template and parameters.
    pub registered: Vec<(Value, BTreeMap<String, String>)>,
    /// What tasks were started with: template, bucket, key, role.
    pub started: Vec<[String; 4]>,
    /// Whether things that were detached still seem to be attached.
    pub lags: bool,
    detached: BTreeSet<(String, String)>,
    aws: Option<Authority>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThingEntry {
    pub type_name: Option<String>,
    pub attributes: BTreeMap<String, String>,
    /// ARNs.
    pub certificates: BTreeSet<String>,
    pub groups: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateEntry {
    pub pem: String,
    pub status: String,
    pub policies: BTreeSet<String>,
}

pub fn arn(kind: &str, name: &str) -> String {
    format!("{IOT_ARNS}{kind}/{name}")
}

fn id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap()
}

fn invalid(text: &'static str) -> Fault {
    Fault::Invalid(text.into())
}

impl MemoryIot {
    /// AWS IoT with a CA of its own.
    pub fn new(faults: Faults, aws: Authority) -> Self {
        Self { state: Arc::new(Mutex::new(State { aws: Some(aws), ..State::default() })), faults }
    }

    /// What is registered.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What was detached is detached for everybody to see.
    pub fn settle(&self) {
        let mut state = self.state();
        state.lags = false;
        state.detached.clear();
    }

    async fn call<T: Send>(
        &self,
        name: &'static str,
        act: impl FnOnce(&mut State) -> Result<T, Fault> + Send,
    ) -> Result<T, Fault> {
        self.faults.call(name, async { act(&mut self.state()) }).await
    }
}

impl State {
    fn thing_mut(&mut self, name: &str) -> Result<&mut ThingEntry, Fault> {
        self.things.get_mut(name).ok_or(Fault::Missing)
    }

    fn certificate(&self, id: &str) -> Result<&CertificateEntry, Fault> {
        self.certificates.get(id).ok_or(Fault::Missing)
    }

    fn certificate_mut(&mut self, id: &str) -> Result<&mut CertificateEntry, Fault> {
        self.certificates.get_mut(id).ok_or(Fault::Missing)
    }

    /// The things that a certificate is attached to.
    pub fn things_of(&self, arn: &str) -> Vec<String> {
        let lagging = self.detached.iter().filter(|(_, detached)| detached == arn).map(|(thing, _)| thing.clone());
        let attached = self.things.iter().filter(|(_, thing)| thing.certificates.contains(arn));
        attached.map(|(name, _)| name.clone()).chain(lagging).collect()
    }

    /// Makes a certificate known; gives its id.
    pub fn add(&mut self, pem: &str, status: &str) -> Result<String, Fault> {
        let certificate = Certificate::from_pem(pem).map_err(|_| invalid("not a certificate"))?;
        let id = certificate.id().to_string();
        if self.certificates.contains_key(&id) {
            return Err(Fault::Conflict);
        }
        let entry = CertificateEntry { pem: pem.to_owned(), status: status.to_owned(), policies: BTreeSet::new() };
        self.certificates.insert(id.clone(), entry);
        Ok(id)
    }

    fn add_signed(&mut self, pem: &str, ca_pem: &str, status: &str) -> Result<String, Fault> {
        let ca = Certificate::from_pem(ca_pem).map_err(|_| invalid("not a CA"))?;
        if !self.cas.contains_key(ca.id().as_str()) {
            return Err(invalid("CA is not registered"));
        }
        if !Certificate::from_pem(pem).is_ok_and(|certificate| certificate.is_signed_by(&ca)) {
            return Err(invalid("certificate is of another CA"));
        }
        self.add(pem, status)
    }

    /// `RegisterThing`: certificate, policies, thing. Of what it made before it failed, nothing is taken back.
    fn register(&mut self, template: &str, given: &BTreeMap<String, String>) -> Result<Registration, Fault> {
        let template: Value = serde_json::from_str(template).map_err(|_| invalid("not JSON"))?;
        self.registered.push((template.clone(), given.clone()));
        let declared = template["Parameters"].as_object().cloned().unwrap_or_default();
        if given.keys().any(|name| !declared.contains_key(name)) {
            return Err(invalid("undeclared parameter"));
        }
        let text = |value: &Value| -> Result<Option<String>, Fault> {
            if value.is_null() || value.is_string() {
                return Ok(value.as_str().map(str::to_owned));
            }
            let name = value["Ref"].as_str().ok_or_else(|| invalid("neither text nor Ref"))?;
            let default = || declared.get(name)?["Default"].as_str().map(str::to_owned);
            given.get(name).cloned().or_else(default).map(Some).ok_or_else(|| invalid("parameter has no value"))
        };
        let resources = template["Resources"].as_object().ok_or_else(|| invalid("no resources"))?;
        let of_type = |kind: &'static str| resources.iter().filter(move |(_, resource)| resource["Type"] == kind);
        let mut registration = Registration::default();
        let mut certificate = None;
        for (name, resource) in of_type("AWS::IoT::Certificate") {
            let properties = &resource["Properties"];
            let status = text(&properties["Status"])?.unwrap_or_else(|| "ACTIVE".into());
            let id = match (text(&properties["CertificateId"])?, text(&properties["CertificatePem"])?) {
                (Some(id), None) => id,
                (None, Some(pem)) => match text(&properties["CACertificatePem"])? {
                    Some(ca_pem) => self.add_signed(&pem, &ca_pem, &status)?,
                    None => self.add(&pem, &status)?,
                },
                _ => return Err(invalid("certificate by id or PEM")),
            };
            registration.certificate_pem = Some(self.certificate(&id)?.pem.clone());
            registration.resource_arns.insert(name.clone(), arn("cert", &id));
            certificate = Some(id);
        }
        for (logical, resource) in of_type("AWS::IoT::Policy") {
            let name = self.policy_of(&resource["Properties"], text)?;
            registration.resource_arns.insert(logical.clone(), arn("policy", &name));
            if let Some(id) = &certificate {
                self.certificate_mut(id)?.policies.insert(name);
            }
        }
        for (logical, resource) in of_type("AWS::IoT::Thing") {
            let properties = &resource["Properties"];
            let name = text(&properties["ThingName"])?.ok_or_else(|| invalid("thing without a name"))?;
            let mut attributes = BTreeMap::new();
            for (name, value) in properties["AttributePayload"].as_object().unwrap_or(&Map::new()) {
                attributes.extend(text(value)?.map(|value| (name.clone(), value)));
            }
            let type_name = text(&properties["ThingTypeName"])?;
            let fresh = ThingEntry { type_name, attributes, ..ThingEntry::default() };
            let thing = self.things.entry(name.clone()).or_insert_with(|| fresh.clone());
            if thing.attributes != fresh.attributes || thing.type_name != fresh.type_name {
                return Err(Fault::Conflict);
            }
            thing.certificates.extend(certificate.as_ref().map(|id| arn("cert", id)));
            registration.resource_arns.insert(logical.clone(), arn("thing", &name));
        }
        Ok(registration)
    }

    fn policy_of(
        &mut self,
        properties: &Value,
        text: impl Fn(&Value) -> Result<Option<String>, Fault>,
    ) -> Result<String, Fault> {
        match (text(&properties["PolicyName"])?, text(&properties["PolicyDocument"])?) {
            (Some(name), None) if self.policies.contains_key(&name) => Ok(name),
            (Some(_), None) => Err(Fault::Missing),
            (None, Some(document)) => {
                let mut hasher = DefaultHasher::new();
                document.hash(&mut hasher);
                let name = format!("{:x}", hasher.finish());
                self.policies.insert(name.clone(), document);
                Ok(name)
            }
            _ => Err(invalid("policy by name or document")),
        }
    }
}

impl ReadThing for MemoryIot {
    async fn thing(&self, name: &str) -> Result<Thing, Fault> {
        self.call("thing", |state| {
            let ThingEntry { type_name, attributes, .. } = state.thing_mut(name)?.clone();
            Ok(Thing { name: name.to_owned(), arn: arn("thing", name), type_name, attributes })
        })
        .await
    }

    async fn certificates_of(&self, thing: &str) -> Result<Vec<String>, Fault> {
        self.call("certificates_of", |state| Ok(state.thing_mut(thing)?.certificates.iter().cloned().collect())).await
    }

    async fn groups_of(&self, thing: &str) -> Result<Vec<String>, Fault> {
        self.call("groups_of", |state| Ok(state.thing_mut(thing)?.groups.clone())).await
    }

    async fn group(&self, name: &str) -> Result<ThingGroup, Fault> {
        self.call("group", |state| state.groups.get(name).cloned().ok_or(Fault::Missing)).await
    }
}

impl DeleteThing for MemoryIot {
    async fn detach_thing(&self, thing: &str, certificate_arn: &str) -> Result<(), Fault> {
        self.call("detach_thing", |state| {
            let lags = state.lags;
            let detached = state.thing_mut(thing).is_ok_and(|thing| thing.certificates.remove(certificate_arn));
            if detached && lags {
                state.detached.insert((thing.to_owned(), certificate_arn.to_owned()));
            }
            Ok(())
        })
        .await
    }

    async fn delete_thing(&self, name: &str) -> Result<(), Fault> {
        self.call("delete_thing", |state| {
            if state.things.get(name).is_some_and(|thing| !thing.certificates.is_empty()) {
                return Err(Fault::Conflict);
            }
            state.things.remove(name);
            Ok(())
        })
        .await
    }
}

impl ReadCertificate for MemoryIot {
    async fn certificate(&self, id: &str) -> Result<RegisteredCertificate, Fault> {
        self.call("certificate", |state| {
            let CertificateEntry { pem, status, .. } = state.certificate(id)?.clone();
            Ok(RegisteredCertificate { id: id.to_owned(), arn: arn("cert", id), pem, status })
        })
        .await
    }

    async fn things_of(&self, certificate_arn: &str) -> Result<Vec<String>, Fault> {
        self.call("things_of", |state| {
            state.certificate(id(certificate_arn))?;
            Ok(state.things_of(certificate_arn))
        })
        .await
    }

    async fn ca(&self, id: &str) -> Result<RegisteredCa, Fault> {
        self.call("ca", |state| state.cas.get(id).cloned().ok_or(Fault::Missing)).await
    }
}

impl AddCertificate for MemoryIot {
    async fn create_certificate(&self, active: bool) -> Result<AwsCertificate, Fault> {
        self.call("create_certificate", |state| {
            let key = DeviceKey::generate(KeyKind::EcdsaP256).unwrap();
            let common_name = Some("AWS IoT Certificate".to_owned());
            let subject = Subject::new(&SubjectFields { common_name, ..SubjectFields::default() }).unwrap();
            let order = pki::Order { subject: &subject, public_key: &key.public_key(), now: NOW, days: 9_000 };
            let pem = state.aws.as_ref().unwrap().issue(&order, &SystemRandom).unwrap().to_pem();
            let id = state.add(&pem, if active { "ACTIVE" } else { "INACTIVE" })?;
            Ok(AwsCertificate { id, pem, public_key: key.public_key().to_pem(), private_key: key.to_pem() })
        })
        .await
    }

    async fn register_certificate(
        &self,
        pem: &str,
        ca_pem: Option<&str>,
        status: CertificateStatus,
    ) -> Result<String, Fault> {
        self.call("register_certificate", |state| match ca_pem {
            Some(ca_pem) => state.add_signed(pem, ca_pem, status.name()),
            None => state.add(pem, status.name()),
        })
        .await
    }
}

impl ChangeCertificate for MemoryIot {
    async fn set_status(&self, id: &str, status: CertificateStatus) -> Result<(), Fault> {
        self.call("set_status", |state| {
            let certificate = state.certificate_mut(id)?;
            if certificate.status == "REVOKED" && status != CertificateStatus::Revoked {
                return Err(Fault::Conflict);
            }
            status.name().clone_into(&mut certificate.status);
            Ok(())
        })
        .await
    }

    async fn delete_certificate(&self, id: &str) -> Result<(), Fault> {
        self.call("delete_certificate", |state| {
            let Ok(certificate) = state.certificate(id) else { return Ok(()) };
            let is_attached = !certificate.policies.is_empty() || !state.things_of(&arn("cert", id)).is_empty();
            if is_attached || certificate.status == "ACTIVE" {
                return Err(Fault::Conflict);
            }
            state.certificates.remove(id);
            Ok(())
        })
        .await
    }
}

impl ReadIotPolicy for MemoryIot {
    async fn policy(&self, name: &str) -> Result<IotPolicy, Fault> {
        self.call("policy", |state| {
            let document = state.policies.get(name).ok_or(Fault::Missing)?.clone();
            Ok(IotPolicy { name: name.to_owned(), arn: arn("policy", name), document })
        })
        .await
    }

    async fn policies_of(&self, certificate_arn: &str) -> Result<Vec<String>, Fault> {
        let policies =
            |state: &mut State| Ok(state.certificate(id(certificate_arn))?.policies.iter().cloned().collect());
        self.call("policies_of", policies).await
    }

    async fn has_targets(&self, name: &str) -> Result<bool, Fault> {
        self.call("has_targets", |state| {
            state.policies.get(name).ok_or(Fault::Missing)?;
            Ok(state.certificates.values().any(|certificate| certificate.policies.contains(name)))
        })
        .await
    }
}

impl DeleteIotPolicy for MemoryIot {
    async fn detach_policy(&self, name: &str, certificate_arn: &str) -> Result<(), Fault> {
        self.call("detach_policy", |state| {
            if let Ok(certificate) = state.certificate_mut(id(certificate_arn)) {
                certificate.policies.remove(name);
            }
            Ok(())
        })
        .await
    }

    async fn delete_policy(&self, name: &str) -> Result<(), Fault> {
        self.call("delete_policy", |state| {
            if state.certificates.values().any(|certificate| certificate.policies.contains(name)) {
                return Err(Fault::Conflict);
            }
            state.policies.remove(name);
            Ok(())
        })
        .await
    }
}

impl RegisterThing for MemoryIot {
    async fn register(&self, template: &str, parameters: &BTreeMap<String, String>) -> Result<Registration, Fault> {
        self.call("register", |state| state.register(template, parameters)).await
    }
}

impl RegistrationTasks for MemoryIot {
    async fn start_task(&self, template: &str, bucket: &str, key: &str, role_arn: &str) -> Result<String, Fault> {
        self.call("start_task", |state| {
            if state.tasks.values().any(|task| task.status == "InProgress") {
                return Err(Fault::Conflict);
            }
            state.started.push([template, bucket, key, role_arn].map(str::to_owned));
            let id = format!("task-{}", state.started.len());
            let task = RegistrationTask {
                id: id.clone(),
                status: "InProgress".into(),
                bucket: bucket.into(),
                key: key.into(),
                created_at: NOW,
                modified_at: NOW + 60,
                success_count: 1,
                failure_count: 0,
                percentage: 50,
            };
            state.tasks.insert(id.clone(), task);
            Ok(id)
        })
        .await
    }

    async fn task(&self, id: &str) -> Result<RegistrationTask, Fault> {
        self.call("task", |state| state.tasks.get(id).cloned().ok_or(Fault::Missing)).await
    }

    async fn report_links(&self, _: &str, report: Report) -> Result<Vec<String>, Fault> {
        match report {
            Report::Results => self.call("results", |state| Ok(state.results.clone())).await,
            Report::Errors => self.call("errors", |state| Ok(state.errors.clone())).await,
        }
    }
}
