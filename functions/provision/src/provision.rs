use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use policy::Action;
use serde::Deserialize;
use tokio::time::timeout;
use web::{Bearer, Caller};

use crate::{
    Ports, Service, Template,
    answer::{Answer, ErrorBody},
    authorize::{Allowed, ask},
    body::{self, Sent},
    certificate::{Made, make},
    order::{CdfParameters, Order, attributes},
    record::Record,
    registration::{Provisioned, register},
    registry_name::is_registry_name,
    stop::Stop,
    templates::{check_parameters, template},
};

/// How long it may take until the certificate is made. With the time for its registration, and for undoing it, that is less than
/// the gateway waits, 29 seconds.
const MAKING: Duration = Duration::from_secs(12);

/// A thing to register.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = ProvisionThingRequest)]
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

/// Registers a thing by a template.
///
/// The template says where its certificate comes from: signed by a CA of yours, with a key that is made here or with the device's
/// CSR; made by AWS IoT; given; or signed by AWS Private CA. Where the registration fails after that, the certificate is
/// deactivated and deleted, and the answer says so. `docs/provisioning.md` has the templates.
#[utoipa::path(
    post,
    path = "/things",
    operation_id = "provisionThing",
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
    service: &Service<P>,
    record: &mut Record,
    headers: &HeaderMap,
    body: &Sent,
) -> Result<Answer, Stop> {
    let prepared = timeout(MAKING, prepare(service, record, headers, body)).await;
    let Prepared { template, parameters, made, allowed } =
        prepared.unwrap_or_else(|_| Err(Stop::unavailable("deadline")))?;
    let provisioned = register(service, record, &template, parameters, made, &allowed).await?;
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
    service: &Service<P>,
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
    // Before a certificate is made for it.
    if !name.as_deref().is_none_or(is_registry_name) {
        return Err(Stop::bad("malformed", "the thing's name is not 1 to 128 letters, digits, colons, _ and -"));
    }
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
