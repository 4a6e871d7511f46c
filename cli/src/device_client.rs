use std::time::{Duration, Instant};

use http::{Http, MAX_TRIES, is_private, pause};
use ports::CertificateStatus;
use protocol::Secret;
use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;

use crate::{
    BearerToken, BrokerUrl, BulkOrder, BulkTask, Device, DeviceError, DeviceOrder, Error, Provisioned, TaskId,
    ThingName,
    device_error::{BrokerSaid, Ordered},
    send::{NoReply, Reply, receive},
};

/// The largest answer, in bytes: a thing with its policies, or a task with the links to its reports.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// The most that the reports of a task may be in all, in bytes: what 10,000 certificates and ARNs take, and as much again.
pub const MAX_REPORT_BYTES: usize = 64 * 1024 * 1024;

const JSON: &str = "application/json";

/// A client of the broker as one that provisions devices.
///
/// What may be asked twice is asked again after throttling, server errors and network errors. An order for devices is asked again
/// after throttling and where no connection was made, and never where it may have been carried out.
#[derive(Debug)]
pub struct DeviceClient {
    http: Http,
    url: BrokerUrl,
    token: Secret<String>,
    timeout: Duration,
}

/// What one call may do where it has no answer.
#[derive(Clone, Copy)]
enum Repeat {
    Always,
    /// Not where it may have been carried out.
    Order(Ordered),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusChange {
    certificate_status: &'static str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    task_id: String,
}

impl DeviceClient {
    /// A client of this broker that shows this token.
    #[must_use]
    pub fn new(url: BrokerUrl, token: &BearerToken) -> Self {
        let token = Secret::new(format!("Bearer {}", token.expose()));
        Self { http: Http::default(), url, token, timeout: Duration::from_secs(30) }
    }

    /// How long a call may take, tries and pauses included. By default 30 seconds.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Provisions a device.
    ///
    /// # Errors
    /// [`DeviceError::Unknown`] where it may have been provisioned; what the broker refuses it with; what the last try ended with.
    pub async fn provision(&self, order: &DeviceOrder) -> Result<Provisioned, Error> {
        let url = self.url.route("things");
        let reply = self.ask(Repeat::Order(Ordered::Device), || self.with_body(Method::POST, &url, order)).await?;
        answer(&reply, StatusCode::CREATED)
    }

    /// A device and what is attached to it.
    ///
    /// # Errors
    /// What the broker refuses it with; what the last try ended with.
    pub async fn device(&self, name: &ThingName) -> Result<Device, Error> {
        let url = self.url.route(&format!("things/{name}"));
        answer(&self.ask(Repeat::Always, || self.request(Method::GET, &url)).await?, StatusCode::OK)
    }

    /// Deletes a device, and of its certificates and policies what the deployment says.
    ///
    /// # Errors
    /// What the broker refuses it with; what the last try ended with.
    pub async fn delete(&self, name: &ThingName) -> Result<(), Error> {
        let url = self.url.route(&format!("things/{name}"));
        done(&self.ask(Repeat::Always, || self.request(Method::DELETE, &url)).await?)
    }

    /// Sets the status of every certificate of a device.
    ///
    /// # Errors
    /// What the broker refuses it with; what the last try ended with.
    pub async fn set_status(&self, name: &ThingName, status: CertificateStatus) -> Result<(), Error> {
        let url = self.url.route(&format!("things/{name}/certificates"));
        let change = StatusChange { certificate_status: status.name() };
        done(&self.ask(Repeat::Always, || self.with_body(Method::PATCH, &url, &change)).await?)
    }

    /// Starts a task that provisions many devices.
    ///
    /// # Errors
    /// As [`DeviceClient::provision`].
    pub async fn start_bulk(&self, order: &BulkOrder) -> Result<TaskId, Error> {
        let url = self.url.route("bulkthings");
        let reply = self.ask(Repeat::Order(Ordered::Task), || self.with_body(Method::POST, &url, order)).await?;
        let Started { task_id } = answer(&reply, StatusCode::CREATED)?;
        task_id.parse().map_err(|_| reply.unexpected())
    }

    /// How far a task is.
    ///
    /// # Errors
    /// What the broker refuses it with; what the last try ended with.
    pub async fn bulk(&self, task: &TaskId) -> Result<BulkTask, Error> {
        let url = self.url.route(&format!("bulkthings/{task}"));
        answer(&self.ask(Repeat::Always, || self.request(Method::GET, &url)).await?, StatusCode::OK)
    }

    /// Fetches a report of a task, in parts, and takes its size off `left`: [`MAX_REPORT_BYTES`] for all reports of a task. The
    /// token does not go there: the links are all that it takes. Where the broker is this machine's, they may be as well.
    ///
    /// # Errors
    /// [`DeviceError::Report`].
    pub async fn report(&self, links: &[Secret<String>], left: &mut usize) -> Result<Vec<u8>, Error> {
        let mut report = Vec::new();
        for link in links {
            let is_taken = |url: &Url| url.scheme() == "https" || (self.url.is_local() && is_private(url));
            let url: Option<Url> = link.expose().parse().ok().filter(is_taken);
            let url = url.ok_or_else(|| DeviceError::Report("its link is not https".into()))?;
            let part = self.http.get(&url, &Default::default(), *left).await.map_err(without_url)?;
            let http::Fetched::Body(part) = part else {
                return Err(DeviceError::Report("it is somewhere else".into()).into());
            };
            *left = left.saturating_sub(part.len());
            report.extend_from_slice(&part);
            if !part.ends_with(b"\n") && !part.is_empty() {
                report.push(b'\n');
            }
        }
        Ok(report)
    }

    fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, Error> {
        let mut token = HeaderValue::from_str(self.token.expose()).expect("a token is base64url");
        token.set_sensitive(true);
        let request = self.http.client(url).map_err(Error::Http)?.request(method, url.clone());
        Ok(request.header(AUTHORIZATION, token).header(ACCEPT, JSON))
    }

    fn with_body(&self, method: Method, url: &Url, body: &impl Serialize) -> Result<RequestBuilder, Error> {
        let body = serde_json::to_vec(body).expect("an order serializes");
        Ok(self.request(method, url)?.header(CONTENT_TYPE, JSON).body(body))
    }

    /// Asks until there is an answer, or another try is not worth it, allowed, or in time.
    async fn ask(&self, repeat: Repeat, make: impl Fn() -> Result<RequestBuilder, Error>) -> Result<Reply, Error> {
        let deadline = Instant::now() + self.timeout;
        let mut tries = 1;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (error, asked_for) = match receive(make()?, MAX_ANSWER_BYTES, left).await {
                Ok(reply) => match after(reply, repeat, tries) {
                    Ok(reply) => return Ok(reply),
                    Err(again) => again?,
                },
                Err(NoReply::TooLarge { status }) => return Err(Error::Unexpected { status }),
                Err(NoReply::Lost(source)) => match repeat {
                    Repeat::Order(ordered) if !source.is_connect() => {
                        return Err(DeviceError::Unknown { ordered, source: source.without_url().into() }.into());
                    }
                    Repeat::Always if left.is_zero() || source.is_timeout() && Instant::now() >= deadline => {
                        return Err(Error::TimedOut);
                    }
                    Repeat::Always | Repeat::Order(_) => (Error::Unreachable { tries, source }, None),
                },
            };
            let wait = pause(tries, None) + asked_for.unwrap_or_default();
            if tries >= MAX_TRIES || Instant::now() + wait >= deadline {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }
}

type Again = (Error, Option<Duration>);

/// Tells an answer from one that another try may change. The inner error is for good.
fn after(reply: Reply, repeat: Repeat, tries: u32) -> Result<Reply, Result<Again, Error>> {
    let status = reply.status.as_u16();
    let said = BrokerSaid::read(reply.body.expose(), &reply.request_id);
    match (status, said, repeat) {
        (429, Some(said), _) if said.left_nothing() => {
            Err(Ok((DeviceError::Throttled(said).into(), reply.retry_after)))
        }
        (429, None, _) => Err(Ok((Error::Unavailable { status, tries }, reply.retry_after))),
        (500.., Some(said), Repeat::Always) => Err(Ok((DeviceError::Failed(said).into(), reply.retry_after))),
        (500.., None, Repeat::Always) => Err(Ok((Error::Unavailable { status, tries }, reply.retry_after))),
        // A gateway that waited in vain tells nothing of what the broker did.
        (500.., None, Repeat::Order(ordered)) => {
            let source = format!("status {status}, and not of the broker").into();
            Err(Err(DeviceError::Unknown { ordered, source }.into()))
        }
        _ => Ok(reply),
    }
}

fn answer<T: DeserializeOwned>(reply: &Reply, expected: StatusCode) -> Result<T, Error> {
    if reply.status != expected {
        return Err(refusal(reply));
    }
    serde_json::from_slice(reply.body.expose()).map_err(|_| reply.unexpected())
}

fn done(reply: &Reply) -> Result<(), Error> {
    if reply.status == StatusCode::NO_CONTENT { Ok(()) } else { Err(refusal(reply)) }
}

/// What the broker refuses with. A gateway in front of it has refusals of its own.
fn refusal(reply: &Reply) -> Error {
    let status = reply.status.as_u16();
    if status == 401 {
        return DeviceError::TokenRefused { request_id: reply.request_id.replace(char::is_control, "?") }.into();
    }
    let Some(said) = BrokerSaid::read(reply.body.expose(), &reply.request_id) else { return reply.unexpected() };
    let error = match status {
        400 => DeviceError::Invalid(said),
        403 => DeviceError::Denied(said),
        404 => DeviceError::Missing(said),
        409 => DeviceError::Exists(said),
        429 => DeviceError::Throttled(said),
        500.. => DeviceError::Failed(said),
        _ => return reply.unexpected(),
    };
    error.into()
}

/// Links are secret, and an error would tell them.
fn without_url(error: http::GetError) -> DeviceError {
    DeviceError::Report(match error {
        http::GetError::Unreachable(source) => http::GetError::Unreachable(source.without_url()).into(),
        error @ (http::GetError::Status(_) | http::GetError::TooLarge) => error.into(),
    })
}
