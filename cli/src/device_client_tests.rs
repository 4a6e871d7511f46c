//! The client of devices against a server that answers by a script.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ports::CertificateStatus;
use protocol::Secret;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    BulkOrder, DeviceClient, DeviceError, DeviceOrder, Error, MAX_REPORT_BYTES, Ordered, Provisioned, TemplateChoice,
    ThingName, bearer_token::tests::token,
};

/// An answer: status, further header lines, body; or none, and the connection is closed.
pub(crate) type Scripted = Option<(u16, &'static str, &'static str)>;

const SAID: &str = r#"{"error":"because"}"#;
const LEFT: &str = r#"{"error":"because","certificateId":"ab","undone":false}"#;
const UNDONE: &str = r#"{"error":"because","certificateId":"ab","undone":true}"#;
const MADE: &str = r#"{"certificatePem":"pem","resourceArns":{"thing":"arn"}}"#;
const DEVICE: &str =
    r#"{"thingName":"a","arn":"arn","thingType":null,"attributes":{},"certificates":[],"policies":[],"groups":[]}"#;

/// A server that answers by a script, and takes note of what it was asked.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn start(script: impl IntoIterator<Item = Scripted>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (mut script, seen) = (script.into_iter().collect::<Vec<_>>().into_iter(), requests.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = request(&mut stream).await;
                seen.lock().unwrap().push(request);
                if let Some(Some((status, headers, body))) = script.next() {
                    let answer = format!(
                        "HTTP/1.1 {status} x\r\nconnection: close\r\nx-request-id: id\r\n{headers}content-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        Self { url, requests }
    }

    fn client(&self) -> DeviceClient {
        DeviceClient::new(self.url.parse().unwrap(), &token("a", 0, 100)).timeout(Duration::from_secs(10))
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn request(stream: &mut TcpStream) -> String {
    let (mut text, mut part) = (String::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut part).await.unwrap();
        text += str::from_utf8(&part[..read]).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if read == 0 || body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return text;
        }
    }
}

fn template() -> TemplateChoice {
    TemplateChoice::ProvisioningTemplateId("lamps".into())
}

async fn provision(script: impl IntoIterator<Item = Scripted>) -> (Result<Provisioned, Error>, usize) {
    let server = Server::start(script).await;
    let order = DeviceOrder { template: template(), parameters: BTreeMap::new(), certificate: None };
    (server.client().provision(&order).await, server.count())
}

fn name() -> ThingName {
    "a".parse().unwrap()
}

#[tokio::test]
async fn calls_are_what_the_broker_expects() {
    let task = Some((201, "", r#"{"taskId":"t-1"}"#));
    let shown = Some((200, "", r#"{"taskId":"t-1","status":"Completed","successCount":3,"failureCount":0}"#));
    let script =
        [Some((201, "", MADE)), Some((200, "", DEVICE)), Some((204, "", "")), Some((204, "", "")), task, shown];
    let server = Server::start(script).await;
    let client = server.client();
    let order = DeviceOrder { template: template(), parameters: BTreeMap::new(), certificate: None };
    assert_eq!(client.provision(&order).await.unwrap().resource_arns["thing"], "arn");
    assert_eq!(client.device(&name()).await.unwrap().thing_name, "a");
    client.set_status(&name(), CertificateStatus::Revoked).await.unwrap();
    client.delete(&name()).await.unwrap();
    let task = client.start_bulk(&BulkOrder { template: template(), parameters: Vec::new() }).await.unwrap();
    assert!(client.bulk(&task).await.unwrap().has_succeeded());
    let requests = server.requests.lock().unwrap();
    for (request, (first, body)) in requests.iter().zip([
        ("POST /things HTTP/1.1", r#"{"provisioningTemplateId":"lamps","parameters":{}}"#),
        ("GET /things/a HTTP/1.1", ""),
        ("PATCH /things/a/certificates HTTP/1.1", r#"{"certificateStatus":"REVOKED"}"#),
        ("DELETE /things/a HTTP/1.1", ""),
        ("POST /bulkthings HTTP/1.1", r#"{"provisioningTemplateId":"lamps","parameters":[]}"#),
        ("GET /bulkthings/t-1 HTTP/1.1", ""),
    ]) {
        assert!(request.starts_with(first) && request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
        assert!(request.contains("authorization: Bearer ey"));
        assert_eq!(request.contains("content-type: application/json\r\n"), !body.is_empty());
    }
    assert_eq!(requests.len(), 6);
}

#[tokio::test]
async fn an_order_that_may_have_been_carried_out_is_not_repeated() {
    for lost in [None, Some((504, "", r#"{"message":"Endpoint request timed out"}"#)), Some((500, "", ""))] {
        let (ended, count) = provision([lost, Some((201, "", MADE))]).await;
        let error = ended.unwrap_err();
        assert!(matches!(&error, Error::Device(DeviceError::Unknown { ordered: Ordered::Device, .. })), "{error:?}");
        assert_eq!((error.exit_code(), count), (7, 1));
        assert!(error.hint().contains("countersign device get"));
    }
    let server = Server::start([None]).await;
    let ended = server.client().start_bulk(&BulkOrder { template: template(), parameters: Vec::new() }).await;
    assert!(matches!(ended, Err(Error::Device(DeviceError::Unknown { ordered: Ordered::Task, .. }))));
}

#[tokio::test]
async fn an_order_that_was_throttled_is_repeated_after_the_wait_that_is_asked_for() {
    let begun = Instant::now();
    let (ended, count) = provision([Some((429, "retry-after: 1\r\n", UNDONE)), Some((201, "", MADE))]).await;
    assert!(ended.is_ok() && count == 2 && begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_not_begun() {
    let begun = Instant::now();
    let (ended, count) = provision([Some((429, "retry-after: 60\r\n", SAID)), Some((201, "", MADE))]).await;
    assert!(matches!(ended, Err(Error::Device(DeviceError::Throttled(_)))));
    assert!(count == 1 && begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn refusals_have_their_exit_codes_and_are_not_repeated() {
    for (status, body, code) in [
        (400, SAID, 2),
        (401, r#"{"type":"about:blank","title":"Unauthorized"}"#, 4),
        (403, SAID, 5),
        (403, r#"{"message":"Forbidden"}"#, 8),
        (404, SAID, 6),
        (404, "", 8),
        (409, LEFT, 4),
        (429, LEFT, 7),
        (503, SAID, 7),
        (200, MADE, 8),
        (302, "", 8),
        (201, "{", 8),
    ] {
        let (ended, count) = provision([Some((status, "", body)), Some((201, "", MADE))]).await;
        let error = ended.unwrap_err();
        assert_eq!((error.exit_code(), count), (code, 1), "{status} {body} {error:?}");
        assert_eq!(error.to_string().contains("because"), body.contains("because") && status != 200, "{error}");
        assert_eq!(error.hint().contains("deactivate"), body == LEFT, "{status}");
    }
}

#[tokio::test]
async fn what_may_be_asked_twice_is() {
    let server = Server::start([None, Some((503, "", SAID)), Some((502, "", "")), Some((200, "", DEVICE))]).await;
    assert!(server.client().device(&name()).await.is_ok());
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = DeviceClient::new(url.parse().unwrap(), &token("a", 0, 100)).timeout(Duration::from_secs(2));
    let order = DeviceOrder { template: template(), parameters: BTreeMap::new(), certificate: None };
    let error = client.provision(&order).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn reports_are_fetched_in_parts_and_without_the_token() {
    let server = Server::start([Some((200, "", "1")), Some((200, "", "2\n"))]).await;
    let links = ["a", "b"].map(|part| Secret::new(format!("{}/{part}?signature", server.url)));
    let mut left = MAX_REPORT_BYTES;
    assert_eq!(server.client().report(&links, &mut left).await.unwrap(), b"1\n2\n");
    assert_eq!(left, MAX_REPORT_BYTES - 3);
    assert!(server.requests.lock().unwrap().iter().all(|request| !request.contains("authorization")));
}

#[tokio::test]
async fn links_are_https_or_this_machines_where_the_broker_is() {
    let server = Server::start([]).await;
    let away = DeviceClient::new("https://broker.example.com".parse().unwrap(), &token("a", 0, 100));
    let own = format!("{}/report", server.url);
    for (client, link) in
        [(&server.client(), "http://example.com/report"), (&server.client(), "report"), (&away, own.as_str())]
    {
        let refused = client.report(&[Secret::new(link.to_owned())], &mut 1).await;
        assert!(matches!(refused, Err(Error::Device(DeviceError::Report(_)))), "{link}");
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn the_reports_of_a_task_are_bounded_together() {
    let server = Server::start([Some((200, "", "1\n")), Some((200, "", "2\n"))]).await;
    let links = ["a", "b"].map(|part| Secret::new(format!("{}/{part}", server.url)));
    let (client, mut left) = (server.client(), 3);
    assert!(client.report(&links[..1], &mut left).await.is_ok());
    let refused = client.report(&links[1..], &mut left).await;
    assert!(matches!(refused, Err(Error::Device(DeviceError::Report(_)))), "{refused:?}");
}
