use http::Http;
use ports::{Clock as _, SystemClock, chain};
use protocol::Manifest;
use reqwest::{StatusCode, header};
use rustls::{CertificateError, Error as TlsError};
use serde::Deserialize;

use crate::{
    Error,
    credential_process::rfc3339,
    doctor::{Check, Finding, network_checks::Way},
    error::CLOCK_TOLERANCE,
    send::{ANSWER_TIMEOUT, NoReply, Reply, receive},
    tls_error::tls_error,
};

/// The largest answer that is read here.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// How far a clock may be from the broker's before it is worth a word: seconds of the way and of the date's own resolution.
const CLOCK_WORTH_A_WORD: u64 = 5;

/// What the broker answered.
pub(super) struct Answered {
    /// How far its clock is ahead of this machine's, in seconds, where it told.
    clock_difference: Option<i64>,
}

#[derive(Deserialize)]
struct Health {
    status: String,
}

/// Asks the broker whether it is well. Findings of its certificate, where it has one, and of itself; what it answered, where it is a broker.
///
/// # Errors
/// The finding, where there is no connection that can be trusted.
pub(super) async fn answer(way: &Way) -> Result<(Vec<Finding>, Option<Answered>), Finding> {
    let asked = get(way, "health").await;
    let mut findings = Vec::new();
    if way.is_https() {
        match &asked {
            Err(Unanswered::NoClient(error)) => return Err(Check::Certificate.error(error)),
            Err(Unanswered::No(NoReply::Lost(error))) if error.is_connect() => return Err(untrusted(way, error)),
            _ => findings.push(Check::Certificate.ok(format!("that of {} is trusted", way.host()))),
        }
    }
    let (finding, answered) = match asked {
        Ok(reply) => judged(way, &reply),
        Err(Unanswered::NoClient(error)) => (Check::Broker.error(&error), None),
        Err(Unanswered::No(NoReply::TooLarge { status })) => (Check::Broker.error(&Error::Unexpected { status }), None),
        Err(Unanswered::No(NoReply::Lost(source))) => {
            (Check::Broker.error(&Error::Unreachable { tries: 1, source }), None)
        }
    };
    findings.push(finding);
    Ok((findings, answered))
}

fn judged(way: &Way, reply: &Reply) -> (Finding, Option<Answered>) {
    let status = reply.status.as_u16();
    let health: Option<Health> = serde_json::from_slice(reply.body.expose()).ok();
    match reply.status {
        StatusCode::OK if health.is_some_and(|health| health.status == "ok") => {
            let clock_difference = reply.clock_difference(SystemClock.unix_seconds());
            (Check::Broker.ok(format!("{} is well", way.base)), Some(Answered { clock_difference }))
        }
        _ if http::is_worth_another(status) => (Check::Broker.error(&Error::Unavailable { status, tries: 1 }), None),
        _ => {
            let found = format!("what answers at {} (status {status}) is not a broker", way.base);
            (Check::Broker.failed(found, Error::Unexpected { status }.hint(), 8), None)
        }
    }
}

/// Why a connection to an open port did not come about.
fn untrusted(way: &Way, error: &reqwest::Error) -> Finding {
    let host = way.host();
    let (found, hint) = match tls_error(error) {
        Some(TlsError::InvalidCertificate(reason)) => {
            (format!("the certificate of {host} is not trusted: {reason}"), certificate_hint(reason).to_owned())
        }
        Some(other) => (
            format!("{host} does not speak TLS as it should: {other}"),
            "check the url: plain http is another port; and what stands between here and the broker".to_owned(),
        ),
        None => (
            format!("the connection to {host} broke: {}", chain(error)),
            "check what stands between here and the broker: a proxy, a firewall".to_owned(),
        ),
    };
    Check::Certificate.failed(found, hint, 7)
}

fn certificate_hint(reason: &CertificateError) -> &'static str {
    use CertificateError as Reason;
    if matches!(
        reason,
        Reason::Expired | Reason::ExpiredContext { .. } | Reason::NotValidYet | Reason::NotValidYetContext { .. }
    ) {
        "check this machine's clock, then the certificate's dates"
    } else if matches!(reason, Reason::NotValidForName | Reason::NotValidForNameContext { .. }) {
        "check the url: the certificate is for another name"
    } else {
        "if it is the broker's, SSL_CERT_FILE names a bundle that holds the CA which signed it"
    }
}

/// How far this machine's clock is from the broker's.
pub(super) fn clock(answered: &Answered) -> Finding {
    let Some(difference) = answered.clock_difference else {
        return Check::Clock.warning("the broker does not tell the time", "check this machine's clock by another");
    };
    let (seconds, side) = (difference.unsigned_abs(), if difference > 0 { "behind" } else { "ahead of" });
    let found = format!("{seconds} s {side} the broker's");
    if seconds > CLOCK_TOLERANCE {
        Check::Clock.failed(found, "set this machine's clock: the broker refuses what is a minute off", 1)
    } else if seconds > CLOCK_WORTH_A_WORD {
        Check::Clock.warning(found, "set this machine's clock before it is a minute off")
    } else {
        Check::Clock.ok("as the broker's")
    }
}

/// Whether the material is of the generation that the broker has.
pub(super) async fn generation(way: &Way, ours: &Manifest, is_pulled: bool) -> Finding {
    let group = &ours.group;
    let theirs = match get(way, &format!("v2/manifest/{group}")).await {
        Ok(reply) if reply.status == StatusCode::OK => Manifest::from_json(reply.body.expose()),
        Ok(reply) if reply.status == StatusCode::NOT_FOUND => {
            return Check::Generation.failed(
                format!("the broker knows no group {group}"),
                "check --group, the url, and the groups of the deployment",
                6,
            );
        }
        _ => None,
    };
    let Some(theirs) = theirs.filter(|theirs| theirs.group == *group) else {
        return Check::Generation.warning("the broker does not tell its generation", "the broker's log tells why");
    };
    let now = SystemClock.unix_seconds();
    let (our, their) = (ours.generation, theirs.generation);
    if theirs.pool.id == ours.pool.id {
        return Check::Generation.ok(format!("{their}, the broker's"));
    }
    let hint = if is_pulled { "it is pulled when it is needed; now: countersign pull" } else { "countersign pull" };
    match theirs.previous.filter(|previous| previous.id == ours.pool.id && now < previous.accept_until) {
        Some(previous) => {
            let until = rfc3339(previous.accept_until);
            Check::Generation.warning(format!("{our} is accepted until {until}: the broker has {their}"), hint)
        }
        None if our > their => {
            let found = format!("{our} is newer than what the broker tells, {their}");
            Check::Generation.warning(found, "it looks for a new one once a minute")
        }
        None if is_pulled => Check::Generation.warning(format!("{our} has ended: the broker has {their}"), hint),
        None => Check::Generation.failed(format!("{our} has ended: the broker has {their}"), hint, 3),
    }
}

/// Why there is no answer.
enum Unanswered {
    NoClient(Error),
    No(NoReply),
}

async fn get(way: &Way, path: &str) -> Result<Reply, Unanswered> {
    let http = Http::default();
    let url = way.route(path).map_err(Unanswered::NoClient)?;
    let client = http.client(&url).map_err(|error| Unanswered::NoClient(Error::Http(error)))?;
    let request = client.get(url).header(header::ACCEPT, "application/json");
    receive(request, MAX_ANSWER_BYTES, ANSWER_TIMEOUT).await.map_err(Unanswered::No)
}
