use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use policy::Action;
use ports::{
    AddCertificate as _, Clock as _, Fault, Ledger as _, ReadObject as _, RegisterThing as _, Registration, Row,
    SpendError,
};
use protocol::Secret;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use web::{Bearer, Caller};

use crate::{
    Ports, Service, Template, TemplateId,
    answer::{Answer, ErrorBody},
    assignments::assigned,
    authorize::{Allowed, ask},
    body::{self, Sent},
    certificate::{Made, make},
    order::{CdfParameters, Order, attributes},
    record::Record,
    stop::Stop,
    undo::undo,
};

/// How long it may take until the certificate is made, how long the registration, and how long its undoing: together less than
/// the gateway waits, 29 seconds.
const MAKING: Duration = Duration::from_secs(12);
const REGISTERING: Duration = Duration::from_secs(9);
const UNDOING: Duration = Duration::from_secs(6);

/// The largest template that is read, in bytes. AWS IoT takes 10,240 characters.
const MAX_TEMPLATE_BYTES: usize = 64 * 1024;

/// What the broker fills in, and no caller may.
const FILLED: [&str; 4] = ["CertificateId", "CertificateArn", "CertificatePem", "CaCertificatePem"];

/// A thing to register.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Thing {
    /// The template's id. It or `groupPath`.
    provisioning_template_id: Option<String>,
    /// A thing group of AWS IoT by its path from the root, `/a/b`: the template is that of the nearest group that has one.
    group_path: Option<String>,
    /// The template's parameters.
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    /// What the template's option needs.
    cdf_provisioning_parameters: Option<CdfParameters>,
}

/// A thing that was registered.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provisioned {
    /// Its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_pem: Option<String>,
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

/// Registers a thing by a template.
///
/// The template says where its certificate comes from: signed by a CA of yours, with a key that is made here or with the device's
/// CSR; made by AWS IoT; given; or signed by AWS Private CA. Where the registration fails after that, the certificate is
/// deactivated and deleted, and the answer says so. `docs/provisioning.md` has the templates.
#[utoipa::path(
    post,
    path = "/things",
    tag = "provision",
    request_body(content((Thing = "application/json"), (Thing = "application/vnd.aws-cdf-v1.0+json"))),
    params(("Authorization" = String, Header, description = "`Bearer TOKEN`")),
    responses(
        (status = 201, description = "It is registered", content((Provisioned = "application/json"), (Provisioned = "application/vnd.aws-cdf-v1.0+json"))),
        (status = 400, description = "The request or the template is not valid, or AWS IoT refuses it", body = ErrorBody),
        (status = 401, description = "The token is not valid; from the gateway", content_type = "application/problem+json"),
        (status = 403, description = "Policy does not allow it", body = ErrorBody),
        (status = 409, description = "The thing or the certificate exists with other settings", body = ErrorBody),
        (status = 429, description = "AWS asks for fewer requests", body = ErrorBody, headers(("Retry-After" = u64))),
        (status = 503, description = "Something that the broker needs does not answer", body = ErrorBody, headers(("Retry-After" = u64))),
    ),
)]
pub(crate) async fn provision<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    bearer: Bearer,
    headers: HeaderMap,
    body: Sent,
) -> Response {
    let mut record = Record::new("device:provision", String::new(), caller, bearer);
    let ending = answer(&service, &mut record, &headers, &body).await;
    record.end(ending, &headers)
}

async fn answer<P: Ports>(
    service: &Arc<Service<P>>,
    record: &mut Record,
    headers: &HeaderMap,
    body: &Sent,
) -> Result<Answer, Stop> {
    let prepared = timeout(MAKING, prepare(service, record, headers, body)).await;
    let Prepared { template, parameters, made, allowed } =
        prepared.unwrap_or_else(|_| Err(Stop::unavailable("deadline")))?;
    let provisioned = match made {
        Some(made) => with_certificate(service, record, &template, parameters, made, &allowed).await?,
        None => Provisioned::new(
            register(service, record, &template, &parameters, &allowed).await.map_err(|(stop, _)| stop)?,
        ),
    };
    Ok(Answer::json(StatusCode::CREATED, &provisioned))
}

/// What is registered.
struct Prepared {
    template: Template,
    parameters: BTreeMap<String, String>,
    made: Option<Made>,
    allowed: Allowed,
}

/// Everything up to the certificate.
async fn prepare<P: Ports>(
    service: &Arc<Service<P>>,
    record: &mut Record,
    headers: &HeaderMap,
    body: &Sent,
) -> Result<Prepared, Stop> {
    let thing: Thing = body::read(headers, body)?;
    let (id, template) =
        template(service, thing.provisioning_template_id.as_deref(), thing.group_path.as_deref(), record).await?;
    let parameters = thing.parameters;
    check_parameters(&template, &parameters)?;
    let order = Order::read(&template, thing.cdf_provisioning_parameters, &service.config)?;
    let name = template.thing_name(&parameters);
    if let Some(name) = &name {
        record.wants = format!("{id} {name}");
    }
    let signed = if let Some(Order::Signed(signed)) = &order { Some(signed) } else { None };
    let subject = signed.map(|signed| attributes(signed.subject())).unwrap_or_default();
    let certificate = signed.map(|signed| signed.request(&subject));
    let action = Action::ProvisionDevice { template: id.as_str(), things: 1, thing: name.as_deref(), certificate };
    let allowed = ask(service, record, action).await?;
    let made = match order {
        Some(order) => Some(make(service, order, &allowed, record).await?),
        None => None,
    };
    Ok(Prepared { template, parameters, made, allowed })
}

/// The template that a request names, or that is assigned to the group that it names.
pub(crate) async fn template<P: Ports>(
    service: &Arc<Service<P>>,
    id: Option<&str>,
    group_path: Option<&str>,
    record: &mut Record,
) -> Result<(TemplateId, Template), Stop> {
    let id: TemplateId = match (id, group_path) {
        (Some(id), None) => id.parse().map_err(|_| unknown_template())?,
        (None, Some(path)) => assigned(service, path, &record.caller).await?,
        _ => return Err(Stop::bad("malformed", "one of provisioningTemplateId and groupPath has to be there")),
    };
    id.as_str().clone_into(&mut record.wants);
    let object = match service.objects.read(&id.key(), None, MAX_TEMPLATE_BYTES).await {
        Ok(object) => object.ok_or_else(|| Stop::unavailable("template"))?,
        Err(Fault::Missing) => return Err(unknown_template()),
        Err(Fault::Unusable(_)) => return Err(Stop::bad("invalid_template", "the template is too large")),
        Err(fault) => return Err(Stop::fault("template", &fault, &record.caller)),
    };
    let template = Template::parse(object.bytes.expose(), &service.config.iot_arns).map_err(|error| {
        Stop::bad("invalid_template", format!("the template is not valid: {}", ports::chain(&error)))
    })?;
    Ok((id, template))
}

/// Refuses what the broker fills in, and what AWS IoT would not take.
pub(crate) fn check_parameters(template: &Template, parameters: &BTreeMap<String, String>) -> Result<(), Stop> {
    if template.making().is_some() && FILLED.iter().any(|name| parameters.contains_key(*name)) {
        return Err(Stop::bad("filled_in", "parameters holds one that the template's CDF option fills in"));
    }
    match parameters.iter().find(|(name, value)| name.is_empty() || name.len() > 2_048 || value.len() > 4_096) {
        Some(_) => Err(Stop::bad("malformed", "parameters holds one that is too long or has no name")),
        None => Ok(()),
    }
}

/// Registers a thing with its certificate; or undoes the certificate.
async fn with_certificate<P: Ports>(
    service: &Arc<Service<P>>,
    record: &mut Record,
    template: &Template,
    mut parameters: BTreeMap<String, String>,
    mut made: Made,
    allowed: &Allowed,
) -> Result<Provisioned, Stop> {
    record.certificate = Some(made.issued.clone());
    if let Err(stop) = remember(service, record, &made).await {
        return if made.is_registered { Err(undone(service, stop, &made, true).await) } else { Err(stop) };
    }
    if template.takes_certificate_by_id() && !made.is_registered {
        let pem = made.certificate.to_pem();
        match service.iot.register_certificate(&pem, made.ca_pem.as_deref(), made.status).await {
            Ok(_) => made.is_registered = true,
            // One that is there already was not made here, and is not undone.
            Err(Fault::Conflict) => return Err(Stop::conflict("AWS IoT knows this certificate already")),
            Err(fault) => {
                let stop = Stop::fault("register_certificate", &fault, &record.caller);
                return Err(undone(service, stop, &made, is_over(&fault)).await);
            }
        }
    }
    let id = made.id().to_string();
    let mut fill = |name: &str, value: Option<String>| {
        if template.declares(name) {
            parameters.extend(value.map(|value| (name.to_owned(), value)));
        }
    };
    fill("CertificateArn", Some(format!("{}cert/{id}", service.config.iot_arns)));
    fill("CertificateId", Some(id));
    fill("CertificatePem", Some(made.certificate.to_pem()));
    fill("CaCertificatePem", made.ca_pem.clone());
    match register(service, record, template, &parameters, allowed).await {
        Ok(registration) => Ok(Provisioned {
            certificate_pem: registration.certificate_pem.or_else(|| Some(made.certificate.to_pem())),
            public_key: made.public_key,
            private_key: made.private_key,
            resource_arns: registration.resource_arns,
        }),
        Err((stop, is_over)) => Err(undone(service, stop, &made, is_over).await),
    }
}

impl Provisioned {
    /// One that brought its own certificate, or has none.
    fn new(registration: Registration) -> Self {
        let Registration { certificate_pem, resource_arns } = registration;
        Self { certificate_pem, public_key: None, private_key: None, resource_arns }
    }
}

/// Has AWS IoT register the thing; `Err` with whether that is known to have ended.
async fn register<P: Ports>(
    service: &Arc<Service<P>>,
    record: &Record,
    template: &Template,
    parameters: &BTreeMap<String, String>,
    _: &Allowed,
) -> Result<Registration, (Stop, bool)> {
    match timeout(REGISTERING, service.iot.register(template.body(), parameters)).await {
        Ok(Ok(registration)) => Ok(registration),
        Ok(Err(Fault::Missing)) => {
            Err((Stop::bad("register", "the template names something that AWS IoT does not have"), true))
        }
        Ok(Err(fault)) => Err((Stop::fault("register", &fault, &record.caller), is_over(&fault))),
        Err(_) => Err((Stop::unavailable("register"), false)),
    }
}

/// Whether a call that failed so is known to have ended.
const fn is_over(fault: &Fault) -> bool {
    !matches!(fault, Fault::Unavailable(_))
}

async fn undone<P: Ports>(service: &Arc<Service<P>>, stop: Stop, made: &Made, is_over: bool) -> Stop {
    let id = made.id();
    let undoing = timeout(UNDOING, undo(service, id.clone(), is_over)).await;
    stop.after(undoing.unwrap_or_else(|_| {
        tracing::error!(certificate = %id, "certificate not undone in time");
        crate::undo::Undoing { id, done: false }
    }))
}

/// Writes the certificate into the ledger before AWS IoT lets a device in with it.
async fn remember<P: Ports>(service: &Service<P>, record: &Record, made: &Made) -> Result<(), Stop> {
    let now = service.clock.unix_seconds();
    let issued = &made.issued;
    // A certificate that was given may come again, after it was deleted.
    let key = if made.is_given {
        format!("device#{}#{}", issued.id, record.caller.request_id)
    } else {
        format!("device#{}", issued.id)
    };
    let row = Row {
        key,
        ttl: Some(made.certificate.not_after().max(now) + service.config.audit_days * 86_400),
        record: vec![
            ("serial", issued.serial.clone()),
            ("certificate_subject", issued.subject.clone()),
            ("ca", issued.ca.clone()),
            ("wants", record.wants.clone()),
            ("policies", record.policies.clone().unwrap_or_default()),
            ("subject", record.bearer.subject.clone()),
            ("session", record.bearer.session.clone()),
            ("source_ip", record.caller.source_ip.to_string()),
            ("request_id", record.caller.request_id.clone()),
            ("made_at", now.to_string()),
        ],
    };
    match service.ledger.spend(row).await {
        Ok(()) => Ok(()),
        Err(SpendError::AlreadySpent) => Err(Stop::unavailable("ledger")),
        Err(SpendError::Fault(fault)) => Err(Stop::fault("ledger", &fault, &record.caller)),
    }
}

fn unknown_template() -> Stop {
    Stop::bad("unknown_template", "there is no such provisioning template")
}
