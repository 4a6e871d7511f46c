use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use ports::{
    Clock as _, Fault, PostWebhook as _, ReadRow as _, ReplaceEnded as _, SendMail as _, SendSms as _, SpendError,
    TakeRow as _, chain,
};
use protocol::{SubjectName, SystemRandom};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};
use web::{Caller, Outcome, ProblemDetails};

use crate::{
    Ports, Service,
    body::{self, MediaType},
    channel::Channel,
    code::{CODE_SECONDS, Code, OpenCode},
    directory::Directory,
    limits::{Counted, count_code, count_source, may_have_code},
    message::Message,
    record::{Record, Wire},
    stop::Stop,
};

/// Who wants a code, and by which channel.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EnrollChallengeRequest)]
pub(crate) struct ChallengeRequest {
    /// The subject of the certificate that it is for.
    subject: SubjectName,
    channel: Channel,
}

/// That a code is on its way, where there is such a subject and it has an address for the channel.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = EnrollChallenge)]
pub(crate) struct Challenged {
    /// How long a code is good for, in seconds.
    expires_in: u64,
}

/// A code that is wanted.
pub(crate) struct Asked {
    pub(crate) subject: SubjectName,
    /// `None`: the first for which the directory has an address.
    pub(crate) channel: Option<Channel>,
}

/// A code whose row is written, and who is to get it; or why nobody is.
struct Opened {
    code: Code,
    to: Result<(Channel, String), &'static str>,
}

/// Sends a code out of band, to an address of the directory.
///
/// The answer is the same whether the subject exists and has such an address or not, and so are its time and the refusals.
/// A subject has one open code at a time; it ends after five minutes, five tries, or its use. `docs/enrolment.md` specifies it.
#[utoipa::path(
    post,
    path = "/v2/enroll/challenge",
    operation_id = "enrollChallenge",
    tag = "enroll",
    request_body(content = ChallengeRequest, content_type = "application/json"),
    responses(
        (status = 202, description = "If there is such a subject with such an address, a code is on its way", body = Challenged),
        (status = 400, description = "Something is missing or malformed; one fixed body", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "The deployment has no such channel", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 429, description = "A code of this subject is open, it had its codes of the day, or this address asked too often", body = ProblemDetails, content_type = "application/problem+json", headers(("Retry-After" = u64))),
        (status = 503, description = "Something that the broker needs does not answer, or no step-ca is set up", body = ProblemDetails, content_type = "application/problem+json", headers(("Retry-After" = u64))),
    ),
)]
pub(crate) async fn challenge<P: Ports>(
    State(service): State<Arc<Service<P>>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let asked = body::read(&headers, body, MediaType::Json).await;
    let asked = asked.map(|ChallengeRequest { subject, channel }| Asked { subject, channel: Some(channel) });
    match run(&service, &caller, Wire::V2, asked).await {
        Ok(()) => {
            let answer = Json(Challenged { expires_in: CODE_SECONDS });
            (StatusCode::ACCEPTED, [(header::CACHE_CONTROL, "no-store")], answer).into_response()
        }
        Err(stop) => stop.problem.respond(&caller.request_id),
    }
}

/// Does what was asked, writes the event, and returns when it is time to answer.
pub(crate) async fn run<P: Ports>(
    service: &Service<P>,
    caller: &Caller,
    wire: Wire,
    asked: Result<Asked, Stop>,
) -> Result<(), Stop> {
    let began = Instant::now();
    let mut record = Record::new("enroll:challenge", caller, wire);
    let asked = match asked {
        Ok(asked) => asked,
        Err(stop) => return record.end(Err(stop)),
    };
    record.subject = Some(asked.subject.clone());
    record.channel = asked.channel;
    let until_sent = service.config.deadline.saturating_sub(service.config.sending);
    let opened = timeout(until_sent, open(service, &mut record, &asked)).await;
    let Opened { code, to } = match opened.unwrap_or_else(|_| Err(Stop::failed("deadline"))) {
        Ok(opened) => opened,
        Err(stop) => return record.end(Err(stop)),
    };
    let is_sent = match to {
        Ok((channel, address)) => {
            let message = Message { subject: &asked.subject, code: &code, source_ip: caller.source_ip };
            match timeout(service.config.sending, send(service, message, channel, &address)).await {
                Ok(Ok(())) => record.audit(Outcome::Granted, None),
                Ok(Err(fault)) => {
                    tracing::error!(error = chain(&fault), request_id = caller.request_id, "code not sent");
                    record.audit(Outcome::Failed, Some("send"));
                }
                Err(_) => record.audit(Outcome::Failed, Some("send_deadline")),
            }
            true
        }
        Err(reason) => {
            record.audit(Outcome::Refused, Some(reason));
            false
        }
    };
    let wait = service.pace.wait(began, is_sent);
    // A timer takes a millisecond at least.
    if !wait.is_zero() {
        sleep(wait).await;
    }
    Ok(())
}

/// Everything up to the code's row, which is written whether anybody is to get the code or not, and where the code is to be had alone.
async fn open<P: Ports>(service: &Service<P>, record: &mut Record<'_>, asked: &Asked) -> Result<Opened, Stop> {
    let (caller, clock) = (record.caller, &service.clock);
    let now = clock.unix_seconds();
    count_source(service, Counted::Challenge, caller, now).await?;
    if asked.channel.is_some_and(|channel| !service.has(channel)) {
        return Err(Stop::missing("no_channel"));
    }
    // What could open nothing is not sent: the signer is not used.
    let (directory, key, signer) =
        tokio::join!(service.directory.get(clock), service.code_key.get(clock), service.registrar.signer(clock));
    let directory = directory.map_err(|fault| Stop::fault("directory", &fault, caller))?;
    let key = key.map_err(|fault| Stop::fault("code_key", &fault, caller))?;
    signer.map_err(|fault| Stop::fault("step_ca", &fault, caller))?;
    let found = service.ledger.row(&OpenCode::key(&asked.subject)).await;
    let found = found.map_err(|fault| Stop::fault("ledger", &fault, caller))?.and_then(OpenCode::from_record);
    if let Some(seconds) = found.and_then(|open| open.remaining(now)) {
        return Err(Stop::limited("open_code", seconds));
    }
    may_have_code(service, &asked.subject, caller, now).await?;
    let to = address(service, &directory.value, asked);
    let channel = asked.channel.or(to.as_ref().ok().map(|(channel, _)| *channel));
    record.channel = channel;
    let code = Code::new(&SystemRandom);
    let row = OpenCode::new(&asked.subject, &code, channel, &key.key, now, &SystemRandom);
    // A code that nobody is sent opens nothing: strangers could guess at names of their own choice.
    let row = if to.is_ok() { row } else { row.dead(&SystemRandom) };
    match service.ledger.replace_ended(row.into_row(&asked.subject, caller), now).await {
        Ok(()) => {}
        // Another request was first, a moment ago.
        Err(SpendError::AlreadySpent) => return Err(Stop::limited("open_code", CODE_SECONDS)),
        Err(SpendError::Fault(fault)) => return Err(Stop::fault("ledger", &fault, caller)),
    }
    // After the row: of requests that come at once, one alone uses up some of the day.
    if let Err(stop) = count_code(service, &asked.subject, caller, now).await {
        // It is not sent, so nobody is to guess at it.
        let taken = service.ledger.take(&OpenCode::key(&asked.subject)).await;
        taken.map_err(|fault| Stop::fault("ledger", &fault, caller))?;
        return Err(stop);
    }
    Ok(Opened { code, to })
}

/// The channel that was asked for, or the first that there is, and the subject's address for it.
fn address<P: Ports>(
    service: &Service<P>,
    directory: &Directory,
    asked: &Asked,
) -> Result<(Channel, String), &'static str> {
    let addresses = directory.find(&asked.subject).ok_or("unknown_subject")?;
    let by = |channel: Channel| Some((channel, addresses.by(channel).filter(|_| service.has(channel))?.to_owned()));
    let found = match asked.channel {
        Some(channel) => by(channel),
        None => Channel::ALL.into_iter().find_map(by),
    };
    found.ok_or("no_address")
}

async fn send<P: Ports>(
    service: &Service<P>,
    message: Message<'_>,
    channel: Channel,
    address: &str,
) -> Result<(), Fault> {
    match channel {
        Channel::Sms => service.sms.send(address, &message.short()).await,
        Channel::Mail => match &service.mail {
            Some(mail) => mail.send(address, &message.title(), &message.long()).await,
            None => Err(Fault::Missing),
        },
        Channel::Webhook => match &service.webhook {
            Some(webhook) => webhook.post(&message.webhook(address, service.clock.unix_seconds(), &SystemRandom)).await,
            None => Err(Fault::Missing),
        },
    }
}
