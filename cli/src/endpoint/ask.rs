use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use protocol::Secret;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};
use url::{Url, form_urlencoded};

use crate::{
    AccessKey, Error, SecretValue,
    config::EndpointSettings,
    credential_process::Document,
    endpoint::{EndpointError, route::SECRETS_TOKEN, server::reached_at},
    material,
};

/// How long the agent may take for an answer.
const WITHIN: Duration = Duration::from_secs(5);

/// The largest answer, in bytes: a secret of 64 KiB, each byte of it as JSON's `\u0000`.
const MAX_ANSWER: usize = 512 * 1024;

/// The largest file of a token.
const MAX_TOKEN: usize = 1024;

/// What the agent is asked about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probe {
    /// Whether it runs.
    Live,
    /// Whether every item may be used.
    #[default]
    Ready,
    /// Whether every item could be used once, whatever became of it.
    Started,
}

struct Reply {
    status: u16,
    body: Secret<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: Secret<String>,
    token: Secret<String>,
    expiration: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretText {
    secret_string: Option<Secret<String>>,
}

/// Asks the agent of these settings how it is. No token is needed.
///
/// # Errors
/// [`EndpointError::Silent`], [`EndpointError::NotReady`], [`EndpointError::Foreign`].
pub async fn probe(settings: &EndpointSettings, what: Probe) -> Result<(), Error> {
    let address = reached_at(settings.listen);
    let path = match what {
        Probe::Live => "/health",
        Probe::Ready => "/ready",
        Probe::Started => "/started",
    };
    match get(address, path, None).await?.status {
        200 => Ok(()),
        503 => Err(EndpointError::NotReady.into()),
        status => Err(refused(address, status)),
    }
}

/// Asks the agent of these settings for a role's credentials: the document that `credential_process` gives.
///
/// # Errors
/// [`EndpointError`]; [`Error::File`] where the token cannot be read.
pub async fn credentials(
    settings: &EndpointSettings,
    token_file: &Path,
    alias: &str,
) -> Result<Secret<Vec<u8>>, Error> {
    let address = reached_at(settings.listen);
    let mut url = Url::parse("http://agent/credentials").map_err(|_| Error::Url)?;
    url.path_segments_mut().map_err(|()| Error::Url)?.push(alias);
    let token = token(token_file)?;
    let reply = get(address, url.path(), Some(("Authorization", &token))).await?;
    let body = given(address, reply)?;
    let credentials: Credentials =
        serde_json::from_slice(body.expose()).map_err(|_| EndpointError::Foreign(address))?;
    let document = Document {
        version: Document::VERSION,
        access_key_id: &credentials.access_key_id,
        secret_access_key: credentials.secret_access_key.expose(),
        session_token: Some(credentials.token.expose()),
        expiration: Some(credentials.expiration),
    };
    Ok(document.to_json())
}

/// Asks the agent of these settings for a secret that is an access key.
///
/// # Errors
/// As [`credentials`]; [`Error::NotAnAccessKey`].
pub async fn access_key(settings: &EndpointSettings, token_file: &Path, id: &str) -> Result<AccessKey, Error> {
    let address = reached_at(settings.listen);
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("secretId", id).finish();
    let token = token(token_file)?;
    let reply = get(address, &format!("/secretsmanager/get?{query}"), Some((SECRETS_TOKEN, &token))).await?;
    let body = given(address, reply)?;
    let secret: SecretText = serde_json::from_slice(body.expose()).map_err(|_| EndpointError::Foreign(address))?;
    AccessKey::from_secret(&SecretValue::Text(secret.secret_string.ok_or(Error::NotAnAccessKey)?))
}

/// Whose file it is does not matter: what it holds is sent to this machine alone, and a wrong token is refused.
fn token(path: &Path) -> Result<Secret<String>, Error> {
    let bytes = match material::read(path, MAX_TOKEN, None) {
        Err(Error::File { path, source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Err(EndpointError::NoToken { path, source }.into());
        }
        bytes => bytes?,
    };
    let text = str::from_utf8(bytes.expose()).ok().map(str::trim_end);
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    let damaged = || Error::Damaged { path: path.to_owned(), reason: "not a token" };
    text.map(|text| Secret::new(text.to_owned())).ok_or_else(damaged)
}

fn given(address: SocketAddr, reply: Reply) -> Result<Secret<Vec<u8>>, Error> {
    match reply.status {
        200 => Ok(reply.body),
        503 => Err(EndpointError::NotUsable.into()),
        status => Err(refused(address, status)),
    }
}

/// 400 and 404 are of [`super::refusal::Refusal`]: what was asked for here, as it was asked, can only be unknown.
fn refused(address: SocketAddr, status: u16) -> Error {
    match status {
        400 | 404 => EndpointError::NoSuch,
        403 | 405 => EndpointError::Refused { status },
        _ => EndpointError::Foreign(address),
    }
    .into()
}

async fn get(
    address: SocketAddr,
    target: &str,
    token: Option<(&str, &Secret<String>)>,
) -> Result<Reply, EndpointError> {
    let token = token.map(|(name, token)| format!("{name}: {}\r\n", token.expose()));
    let token = Secret::new(token.unwrap_or_default());
    let request = Secret::new(format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n{}\r\n", token.expose()));
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.expose().as_bytes()).await?;
        // It never grows: a move would leave a copy behind.
        let mut bytes = Vec::with_capacity(MAX_ANSWER);
        let read = stream.take(MAX_ANSWER as u64).read_to_end(&mut bytes).await;
        let bytes = Secret::new(bytes);
        read.map(|_| bytes)
    };
    let silent = |source| EndpointError::Silent { address, source };
    let late = |_| io::Error::from(ErrorKind::TimedOut);
    let answer = time::timeout(WITHIN, exchange).await.map_err(late).flatten().map_err(silent)?;
    parse(answer.expose()).ok_or(EndpointError::Foreign(address))
}

/// Reads an answer (RFC 9112) of which the agent says how long it is, as it does of all.
fn parse(answer: &[u8]) -> Option<Reply> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (str::from_utf8(&answer[..end]).ok()?, &answer[end + 4..]);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value.trim())
    })?;
    let is_whole = length.parse() == Ok(body.len());
    is_whole.then(|| Reply { status, body: Secret::new(body.to_vec()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closed;

    #[test]
    fn an_answer_is_whole_or_none() {
        let whole = parse(b"HTTP/1.1 503 Service Unavailable\r\nX: y\r\nContent-LENGTH: 2\r\n\r\n{}").unwrap();
        assert_eq!((whole.status, whole.body.expose().as_slice()), (503, &b"{}"[..]));
        let empty = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        assert_eq!((empty.status, empty.body.expose().len()), (200, 0));
        for bad in [
            "",
            "SSH-2.0-OpenSSH_9.6\r\n",
            "HTTP/1.1 200 OK\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{}",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 20\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 2\u{e9}0 OK\r\nContent-Length: 2\r\n\r\n{}",
        ] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_one_line_that_may_stand_in_a_header() {
        let folder = closed::folder();
        let path = folder.path().join("token");
        let missing = token(&path).unwrap_err();
        assert!(matches!(missing, Error::Endpoint(EndpointError::NoToken { .. })), "{missing}");
        for (text, expected) in [("abc-_1", Some("abc-_1")), ("abc\n", Some("abc")), ("a\nb", None), ("a b", None)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(token(&path).ok().as_ref().map(|token| token.expose().as_str()), expected, "{text:?}");
        }
    }
}
