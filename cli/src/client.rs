use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{GetError, Http, MAX_TRIES, is_worth_another, share};
use npm::{PackageName, Publication, Registry};
use ports::{Clock as _, Fault, SystemClock};
use protocol::{Answer, ClientError, Group, Manifest, Request, SystemRandom, Want};
use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use crate::{
    Error, Material, MaterialDir, Origin, StoredMaterial,
    refresh::{Exchange, Failure},
    send::{Failed, send, wait_for_next_try},
};

/// The largest answer, in bytes: 16 secrets of 64 KiB with room for encodings.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// A client that stays fetches no pool for so long after one that did not help.
const NO_SECOND_PULL: Duration = Duration::from_secs(60);

/// A client of one group.
#[derive(Debug)]
pub struct Client {
    http: Http,
    materials: MaterialDir,
    group: Group,
    origin: Option<Origin>,
    url: Option<String>,
    timeout: Duration,
    pulls: AtomicU64,
    /// When a pool was fetched last because of a refusal, where the broker has given nothing since.
    fetched: Mutex<Option<Instant>>,
}

/// What the tries of one exchange have in common.
struct Attempt {
    material: StoredMaterial,
    tries: u32,
    is_renewed: bool,
    /// Of a client that stays.
    stays: bool,
}

/// The members of a problem (RFC 9457) that a client uses.
#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
}

impl Client {
    /// A client that proves itself with the group's material in this folder.
    #[must_use]
    pub fn new(materials: MaterialDir, group: Group) -> Self {
        Self {
            http: Http::default(),
            materials,
            group,
            origin: None,
            url: None,
            timeout: Duration::from_secs(30),
            pulls: AtomicU64::new(0),
            fetched: Mutex::default(),
        }
    }

    /// Names the place that missing or outdated material is pulled from.
    #[must_use]
    pub fn pull_from(self, origin: Option<Origin>) -> Self {
        Self { origin, ..self }
    }

    /// Sends requests to this URL in place of the manifest's.
    #[must_use]
    pub fn url(self, url: Option<String>) -> Self {
        Self { url, ..self }
    }

    /// How long an exchange or a pull may take, tries and pauses included. By default 30 seconds.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Pulls the group's material and stores it.
    ///
    /// # Errors
    /// [`Error::Pull`], [`Error::File`]; [`Error::NoMaterial`] where no origin was named.
    pub async fn pull(&self) -> Result<Material, Error> {
        timeout(self.timeout, self.fetch_and_save()).await.map_err(|_| Error::TimedOut)?
    }

    async fn fetch_and_save(&self) -> Result<Material, Error> {
        let material = self.fetch().await?;
        self.save(&material)?;
        Ok(material)
    }

    async fn fetch(&self) -> Result<Material, Error> {
        self.origin()?.fetch(&self.group).await
    }

    fn origin(&self) -> Result<&Origin, Error> {
        self.origin.as_ref().ok_or_else(|| Error::NoMaterial(self.materials.path().to_owned()))
    }

    fn save(&self, material: &Material) -> Result<(), Error> {
        self.materials.save(material)?;
        self.pulls.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Publishes the group's material, as it is at the origin, to the npm registry of the environment.
    ///
    /// # Errors
    /// [`Error::Registry`], [`Error::Pull`], [`Error::Publish`]; [`Error::NoMaterial`] where no origin was named.
    pub async fn publish(&self, package: &PackageName) -> Result<(Manifest, Publication), Error> {
        let publish = async {
            let origin = self.origin()?;
            let registry = Registry::from_environment().map_err(Error::Registry)?;
            let Material { manifest, pool } = origin.fetch(&self.group).await?;
            let publication = registry.publish(package, &manifest, &pool).await;
            let publication = publication.map_err(|source| Error::Publish { what: package.to_string(), source })?;
            Ok((manifest, publication))
        };
        timeout(self.timeout, publish).await.map_err(|_| Error::TimedOut)?
    }

    /// Obtains everything in `wants`, or nothing.
    ///
    /// Throttling, server errors and network errors are tried again, with a new request each time. Where the broker
    /// refuses the request and an origin is named, what is there in place of the material is pulled, once.
    ///
    /// # Errors
    /// What the last try ended with; [`Error::AskedToWait`] where the broker asks for a pause that goes past the timeout.
    pub async fn exchange(&self, wants: &[Want]) -> Result<Answer, Error> {
        let deadline = Instant::now() + self.timeout;
        timeout_at(deadline, self.try_until_answered(wants, deadline)).await.map_err(|_| Error::TimedOut)?
    }

    async fn try_until_answered(&self, wants: &[Want], deadline: Instant) -> Result<Answer, Error> {
        let mut attempt = self.attempt(false).await?;
        loop {
            let asked_for = match self.try_with(&mut attempt, wants).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Throttled { error, .. } | Failure::Unavailable { error, .. })
                    if attempt.tries >= MAX_TRIES =>
                {
                    return Err(error);
                }
                Err(Failure::Throttled { retry_after, .. } | Failure::Unavailable { retry_after, .. }) => retry_after,
                Err(failure @ (Failure::OfWant { .. } | Failure::ForGood(_))) => return Err(failure.into_error()),
            };
            wait_for_next_try(attempt.tries, asked_for, deadline).await?;
        }
    }

    /// An attempt with the material of this machine, which is pulled where there is none.
    async fn attempt(&self, stays: bool) -> Result<Attempt, Error> {
        let material = match self.materials.load(&self.group) {
            Err(Error::NoMaterial(_) | Error::Damaged { .. }) if self.origin.is_some() => self.fetch_and_load().await?,
            material => material?,
        };
        Ok(Attempt { material, tries: 0, is_renewed: false, stays })
    }

    /// Tries once; where the broker refuses, once more with what the origin has then, if it was not asked in this attempt.
    async fn try_with(&self, attempt: &mut Attempt, wants: &[Want]) -> Result<Answer, Failure> {
        loop {
            attempt.tries += 1;
            match self.try_once(&attempt.material, wants, attempt.tries).await {
                Err(Failure::ForGood(refused @ Error::Refused { .. })) => {
                    self.renew(attempt, refused).await.map_err(Failure::ForGood)?;
                }
                ended => {
                    if ended.is_ok() {
                        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    }
                    return ended;
                }
            }
        }
    }

    async fn renew(&self, attempt: &mut Attempt, refused: Error) -> Result<(), Error> {
        let again = self.origin.is_some() && !attempt.is_renewed && !(attempt.stays && self.has_just_fetched());
        let current = if again { self.pull_other_later().await.ok() } else { None };
        let Some(current) = current else {
            attempt.material.pool.check(&attempt.material.manifest.pool)?;
            return Err(refused);
        };
        attempt.material = current;
        attempt.is_renewed = true;
        Ok(())
    }

    /// What there is after one to two seconds, since the broker looks for a generation that it does not know once a second at
    /// most. Anybody on the way can refuse: the pool is fetched only where the stored material is damaged or the origin has other.
    async fn pull_other_later(&self) -> Result<StoredMaterial, Error> {
        sleep(Duration::from_secs(1) + share(Duration::from_secs(1))).await;
        let origin = self.origin()?;
        if origin.comes_whole() {
            self.fetches();
        }
        let stored = self.materials.load(&self.group).ok();
        let stored = stored.filter(|stored| stored.pool.check(&stored.manifest.pool).is_ok());
        let is_wanted = |offered: &Manifest| {
            let wanted = stored.as_ref().is_none_or(|stored| takes_the_place_of(offered, &stored.manifest));
            if wanted {
                self.fetches();
            }
            wanted
        };
        if let Some(other) = origin.fetch_if(&self.group, is_wanted).await? {
            self.save(&other)?;
        }
        self.materials.load(&self.group)
    }

    fn fetches(&self) {
        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn has_just_fetched(&self) -> bool {
        let fetched = *self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        fetched.is_some_and(|fetched| fetched.elapsed() < NO_SECOND_PULL)
    }

    async fn fetch_and_load(&self) -> Result<StoredMaterial, Error> {
        self.fetch_and_save().await?;
        self.materials.load(&self.group)
    }

    async fn try_once(&self, material: &StoredMaterial, wants: &[Want], tries: u32) -> Result<Answer, Failure> {
        let now = SystemClock.unix_seconds();
        let Request { body, pending } = build(material, wants, now)?;
        let request = self.request(Method::POST, &material.manifest, "exchange")?;
        let request = request
            .header(header::CONTENT_TYPE, "application/jose")
            .header(header::ACCEPT, "application/jose, application/problem+json")
            .body(body);
        let reply = send(request, MAX_ANSWER_BYTES, tries).await?;
        let for_good = |error: Error| Failure::ForGood(error);
        match reply.status {
            StatusCode::OK => {
                let body = str::from_utf8(reply.body.expose()).map_err(|_| for_good(reply.unexpected()))?;
                let answer = pending.open(body).map_err(|error| for_good(error.into()))?;
                let is_whole = answer.granted.len() == wants.len();
                if is_whole { Ok(answer) } else { Err(for_good(ClientError::MalformedAnswer.into())) }
            }
            StatusCode::UNAUTHORIZED => {
                let clock_difference = reply.clock_difference(now);
                Err(for_good(Error::Refused { request_id: reply.request_id, clock_difference }))
            }
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                let problem: Option<Problem> = serde_json::from_slice(reply.body.expose()).ok();
                let detail = problem.and_then(|problem| problem.detail).ok_or_else(|| for_good(reply.unexpected()))?;
                let denial = pending.open_denial(&detail).map_err(|error| for_good(error.into()))?;
                let want = wants.get(denial.want).map(describe).unwrap_or_default();
                let error = Error::Denied { code: denial.code, want, request_id: reply.request_id };
                Err(Failure::OfWant { want: denial.want, error })
            }
            _ => Err(for_good(reply.unexpected())),
        }
    }

    fn request(&self, method: Method, manifest: &Manifest, route: &str) -> Result<RequestBuilder, Failed> {
        let url = self.url.as_deref().unwrap_or(&manifest.url).trim_end_matches('/');
        let url: Url = format!("{url}/v2/{route}").parse().map_err(|_| Error::Url)?;
        Ok(self.http.client(&url).map_err(Error::Http)?.request(method, url))
    }

    /// The generation that the broker tells. Not checked, and not to be checked: who tells it.
    async fn generation(&self, manifest: &Manifest) -> Result<u64, Failed> {
        let request = self.request(Method::GET, manifest, &format!("manifest/{}", self.group))?;
        let reply = send(request.header(header::ACCEPT, "application/json"), Manifest::MAX_BYTES, 1).await?;
        let told = Some(&reply).filter(|reply| reply.status == StatusCode::OK);
        let told = told.and_then(|reply| Manifest::from_json(reply.body.expose()));
        let told = told.filter(|told| told.group == self.group);
        Ok(told.ok_or_else(|| reply.unexpected())?.generation)
    }

    async fn pull_newer(&self) -> Result<bool, Error> {
        let stored = self.materials.manifest(&self.group)?;
        let told = self.generation(&stored).await.map_err(|failed| Failure::from(failed).into_error())?;
        if told <= stored.generation {
            return Ok(false);
        }
        // The origin may lag behind the broker, and another process may have pulled meanwhile.
        let is_newer = |offered: &Manifest, stored: &Manifest| offered.generation > stored.generation;
        let Some(pulled) = self.origin()?.fetch_if(&self.group, |offered| is_newer(offered, &stored)).await? else {
            return Ok(false);
        };
        let is_newer = is_newer(&pulled.manifest, &self.materials.manifest(&self.group)?);
        if is_newer {
            self.save(&pulled)?;
        }
        Ok(is_newer)
    }
}

/// The material is read from disk each time: another process may have put other there, and a client that stays holds no pool.
impl Exchange for Client {
    async fn exchange(&self, wants: &[Want]) -> Result<Answer, Failure> {
        let once = async {
            let mut attempt = self.attempt(true).await.map_err(Failure::from)?;
            self.try_with(&mut attempt, wants).await
        };
        timeout(self.timeout, once).await.unwrap_or_else(|_| Err(Error::TimedOut.into()))
    }

    /// Asks the broker for the group's manifest, and believes of it the generation alone: whoever answers in the broker's place
    /// can cause a pull from the origin, and nothing else. Without an origin nothing is asked.
    async fn follow_rotation(&self) -> Result<bool, Error> {
        if self.origin.is_none() {
            return Ok(false);
        }
        timeout(self.timeout, self.pull_newer()).await.map_err(|_| Error::TimedOut)?
    }

    fn pulls(&self) -> u64 {
        self.pulls.load(Relaxed)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if matches!(error, Error::Unavailable { status: 429, .. }) {
            return Self::Throttled { error, retry_after: None };
        }
        let of_the_broker = matches!(error, Error::Unavailable { .. } | Error::Unreachable { .. } | Error::TimedOut);
        let of_the_origin = matches!(&error, Error::Pull { source, .. } if may_pass(&**source));
        if of_the_broker || of_the_origin {
            Self::Unavailable { error, retry_after: None }
        } else {
            Self::ForGood(error)
        }
    }
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Again(error @ Error::Unavailable { status: 429, .. }, retry_after) => {
                Self::Throttled { error, retry_after }
            }
            Failed::Again(error, retry_after) => Self::Unavailable { error, retry_after },
            Failed::ForGood(error) => Self::ForGood(error),
        }
    }
}

/// Whether what an origin has takes the place of whole material that the broker refuses: no older generation of the same
/// deployment, see docs/decisions/0004-client-retries-a-refusal.md.
fn takes_the_place_of(offered: &Manifest, stored: &Manifest) -> bool {
    offered != stored && (offered.audience != stored.audience || offered.generation >= stored.generation)
}

/// Whether the place that material is pulled from may give it the next time.
fn may_pass(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<GetError>() {
        return match error {
            GetError::Unreachable(_) => true,
            GetError::Status(status) => is_worth_another(*status),
            GetError::TooLarge => false,
        };
    }
    let of_aws = error.downcast_ref::<Fault>();
    of_aws.is_some_and(|fault| matches!(fault, Fault::Unavailable(_) | Fault::Throttled(_)))
        || error.downcast_ref::<npm::Error>().is_some_and(|error| matches!(error, npm::Error::Unreachable(_)))
}

/// A new request. A want that cannot be sent is named.
fn build(material: &StoredMaterial, wants: &[Want], now: u64) -> Result<Request, Failure> {
    let build = |wants: &[Want]| Request::build(&material.manifest, &material.pool, wants, now, &SystemRandom);
    build(wants).map_err(|error| {
        let is_malformed = |want: &Want| matches!(build(std::slice::from_ref(want)), Err(ClientError::MalformedWant));
        let malformed = Some(&error).filter(|error| matches!(error, ClientError::MalformedWant));
        match malformed.and_then(|_| wants.iter().position(is_malformed)) {
            Some(want) => Failure::OfWant { want, error: error.into() },
            None => Failure::ForGood(error.into()),
        }
    })
}

fn describe(want: &Want) -> String {
    match want {
        Want::Secret { id, .. } => format!("secret {id}"),
        Want::Aws { role, .. } => format!("role {role}"),
        Want::AccessToken {} => "access token".to_owned(),
        Want::EnrollmentToken { subject, .. } => format!("enrolment of {subject}"),
    }
}
