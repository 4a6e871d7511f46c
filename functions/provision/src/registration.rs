use std::{collections::BTreeMap, time::Duration};

use ports::{AddCertificate as _, CertificateStatus, Fault, Ledger as _, RegisterThing as _, Registration};
use protocol::Secret;
use serde::Serialize;
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    Ports, Service, Template,
    authorize::Allowed,
    certificate::Made,
    record::Record,
    stop::Stop,
    undo::{Undoing, undo},
};

/// How long it may take to register the certificate and the thing, and how long to undo the certificate.
const REGISTERING: Duration = Duration::from_secs(9);
const UNDOING: Duration = Duration::from_secs(6);

/// A thing that was registered.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProvisionThingResponse)]
pub(crate) struct Provisioned {
    /// Its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_pem: Option<String>,
    /// The certificate of the CA that signed it, where AWS IoT knows that.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_certificate_pem: Option<String>,
    /// Its public key, PEM, where its keys were made for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    /// Its private key, PKCS#8 or PKCS#1 PEM, where its keys were made for it. It is kept nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    private_key: Option<Secret<String>>,
    /// ARNs by the template's names of its resources: `thing`, `certificate`, and policies.
    resource_arns: BTreeMap<String, String>,
}

/// Registers a thing with its certificate, where one was made for it; or undoes the certificate.
pub(crate) async fn register<P: Ports>(
    service: &Service<P>,
    record: &mut Record,
    template: &Template,
    mut parameters: BTreeMap<String, String>,
    made: Option<Made>,
    allowed: &Allowed,
) -> Result<Provisioned, Stop> {
    let deadline = Instant::now() + REGISTERING;
    let Some(made) = made else {
        let registered = register_thing(service, record, template, &parameters, deadline, allowed).await;
        let Registration { certificate_pem, resource_arns } = registered.map_err(|(stop, _)| stop)?;
        return Ok(Provisioned {
            certificate_pem,
            ca_certificate_pem: None,
            public_key: None,
            private_key: None,
            resource_arns,
        });
    };
    record.certificate = Some(made.issued.clone());
    let remembered = timeout_at(deadline, remember(service, record, &made)).await;
    if let Err(stop) = remembered.unwrap_or_else(|_| Err(Stop::unavailable("ledger"))) {
        return if made.is_registered { Err(undone(service, stop, &made, true).await) } else { Err(stop) };
    }
    if template.takes_certificate_by_id() && !made.is_registered {
        register_certificate(service, record, template, &made, deadline).await?;
    }
    fill(template, &mut parameters, &made, &service.config.iot_arns);
    match register_thing(service, record, template, &parameters, deadline, allowed).await {
        Ok(registration) => Ok(Provisioned {
            certificate_pem: registration.certificate_pem.or_else(|| Some(made.certificate.to_pem())),
            ca_certificate_pem: made.ca_pem,
            public_key: made.public_key,
            private_key: made.private_key,
            resource_arns: registration.resource_arns,
        }),
        Err((stop, is_over)) => Err(undone(service, stop, &made, is_over).await),
    }
}

/// Fills in what the template declares of the certificate.
fn fill(template: &Template, parameters: &mut BTreeMap<String, String>, made: &Made, iot_arns: &str) {
    let id = made.id().to_string();
    let all = [
        ("CertificateArn", Some(format!("{iot_arns}cert/{id}"))),
        ("CertificateId", Some(id)),
        ("CertificatePem", Some(made.certificate.to_pem())),
        ("CaCertificatePem", made.ca_pem.clone()),
    ];
    let declared = all.into_iter().filter(|(name, _)| template.declares(name));
    parameters.extend(declared.filter_map(|(name, value)| Some((name.to_owned(), value?))));
}

/// Makes the certificate known to AWS IoT; or undoes it.
async fn register_certificate<P: Ports>(
    service: &Service<P>,
    record: &Record,
    template: &Template,
    made: &Made,
    deadline: Instant,
) -> Result<(), Stop> {
    let pem = made.certificate.to_pem();
    let status = if template.is_inactive() { CertificateStatus::Inactive } else { made.status };
    let registering = service.iot.register_certificate(&pem, made.ca_pem.as_deref(), status);
    let fault = match by(deadline, registering).await {
        Ok(id) if id == made.id().as_str() => return Ok(()),
        Ok(_) => {
            tracing::error!(certificate = %made.id(), "AWS IoT gave the certificate another id than its own");
            return Err(Stop::unavailable("register_certificate").after(Undoing { id: made.id(), done: false }));
        }
        Err(fault) => fault,
    };
    // One that is there already was not made here, and is not undone.
    if matches!(fault, Fault::Conflict) {
        return Err(Stop::conflict("AWS IoT knows this certificate already"));
    }
    let missing = Stop::bad("register_certificate", "AWS IoT does not have the certificate's CA");
    let stop = Stop::fault_or(missing, "register_certificate", &fault, &record.caller);
    match (made.is_given, is_over(&fault)) {
        (false, is_over) => Err(undone(service, stop, made, is_over).await),
        // AWS IoT may have known one that was given, which others then use: it is left as it is.
        (true, true) => Err(stop),
        (true, false) => Err(stop.after(Undoing { id: made.id(), done: false })),
    }
}

/// Has AWS IoT register the thing; `Err` with whether that is known to have ended.
async fn register_thing<P: Ports>(
    service: &Service<P>,
    record: &Record,
    template: &Template,
    parameters: &BTreeMap<String, String>,
    deadline: Instant,
    _: &Allowed,
) -> Result<Registration, (Stop, bool)> {
    let registered = by(deadline, service.iot.register(template.body(), parameters)).await;
    registered.map_err(|fault| {
        let missing = Stop::bad("register", "the template names something that AWS IoT does not have");
        (Stop::fault_or(missing, "register", &fault, &record.caller), is_over(&fault))
    })
}

/// What a call gives in time. Of one that takes longer nobody knows whether it ends.
async fn by<T>(deadline: Instant, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    timeout_at(deadline, call).await.unwrap_or_else(|_| Err(Fault::Unavailable("no answer in time".into())))
}

/// Whether a call that failed so is known to have ended.
const fn is_over(fault: &Fault) -> bool {
    !matches!(fault, Fault::Unavailable(_))
}

async fn undone<P: Ports>(service: &Service<P>, stop: Stop, made: &Made, is_over: bool) -> Stop {
    let id = made.id();
    let undoing = timeout(UNDOING, undo(service, id.clone(), is_over)).await;
    stop.after(undoing.unwrap_or_else(|_| {
        tracing::error!(certificate = %id, "certificate not undone in time");
        Undoing { id, done: false }
    }))
}

/// Writes the certificate into the ledger before AWS IoT lets a device in with it.
async fn remember<P: Ports>(service: &Service<P>, record: &Record, made: &Made) -> Result<(), Stop> {
    let issued = &made.issued;
    // A certificate that was given may come again, after it was deleted.
    let key = if made.is_given {
        format!("device#{}#{}", issued.id, record.caller.request_id)
    } else {
        format!("device#{}", issued.id)
    };
    let details = vec![
        ("serial", issued.serial.clone()),
        ("certificate_subject", issued.subject.clone()),
        ("ca", issued.ca.clone()),
    ];
    let spent = service.ledger.spend(record.row(service, key, made.certificate.not_after(), details)).await;
    spent.map_err(|error| Stop::not_remembered(&error, &record.caller))
}
