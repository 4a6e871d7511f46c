//! The webhook's adapter against a receiver on this machine.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::{collections::BTreeMap, sync::Arc};

use enroll::SignedWebhook;
use ports::{
    ConfigError, Fault, PostWebhook as _, Settings, Webhook, chain,
    memory::{Failing, ManualClock, MemorySecrets},
};
use protocol::{Secret, SecretValue};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::Mutex,
};

const KEY: &str = "aB3xaB3xaB3xaB3xaB3xaB3xaB3xaB3xaB3xaB3xaB3xaB3xaB3xaB3xaB3xaB3x";

struct Received {
    line: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// Answers every request with this, and keeps it.
async fn receiver(answer: &'static str) -> (String, Arc<Mutex<Vec<Received>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/codes?a=b", listener.local_addr().unwrap());
    let received = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&received);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 64 * 1024];
            let length = stream.read(&mut bytes).await.unwrap();
            let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let mut lines = head.lines();
            let line = lines.next().unwrap().to_owned();
            let header =
                |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
            let headers = lines.filter_map(header).collect();
            kept.lock().await.push(Received { line, headers, body: body.to_owned() });
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, received)
}

fn adapter(url: &str, secrets: &MemorySecrets) -> Result<SignedWebhook<MemorySecrets, ManualClock>, ConfigError> {
    let variable = |name: &str| match name {
        "WEBHOOK_URL" => Some(url.to_owned()),
        "WEBHOOK_KEY_SECRET" => Some("countersign/enroll/webhook-key".to_owned()),
        _ => None,
    };
    let read = SignedWebhook::read(Settings::new(&variable), secrets.clone(), ManualClock::new(1_800_000_000));
    read.map(|webhook| webhook.expect("there is a URL"))
}

fn secrets(key: &str) -> MemorySecrets {
    let secrets = MemorySecrets::default();
    secrets.put("countersign/enroll/webhook-key", SecretValue::Text(Secret::new(key.to_owned())));
    secrets
}

fn message() -> Webhook {
    Webhook { id: "msg_1".into(), timestamp: 1_800_000_000, body: Secret::new(r#"{"code":"01234567"}"#.into()) }
}

#[tokio::test]
async fn a_message_is_posted_with_the_three_headers_of_standard_webhooks() {
    let (url, received) = receiver("HTTP/1.1 204 No Content\r\n\r\n").await;
    adapter(&url, &secrets(KEY)).unwrap().post(&message()).await.unwrap();
    let received = received.lock().await;
    let [Received { line, headers, body }] = &received[..] else { panic!("one request") };
    assert_eq!((line.as_str(), body.as_str()), ("POST /codes?a=b HTTP/1.1", r#"{"code":"01234567"}"#));
    // printf '%s' 'msg_1.1800000000.{"code":"01234567"}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf %s "$KEY" | base64 -d | xxd -p) -binary | base64
    for (name, value) in [
        ("content-type", "application/json"),
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", "1800000000"),
        ("webhook-signature", "v1,nbSR1RljmN/Mdk/p6B/4nF+HJWKc1S5U76yWC3F3byI="),
    ] {
        assert_eq!(headers.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[tokio::test]
async fn whoever_does_not_say_that_he_has_it_is_not_asked_again() {
    for answer in [
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
        "not HTTP",
    ] {
        let (url, received) = receiver(answer).await;
        let fault = adapter(&url, &secrets(KEY)).unwrap().post(&message()).await.unwrap_err();
        assert!(matches!(fault, Fault::Unavailable(_)), "{answer}: {fault:?}");
        assert!(!chain(&fault).contains("a=b"), "the URL may hold a secret: {}", chain(&fault));
        assert_eq!(received.lock().await.len(), 1, "{answer}");
    }
    let nobody = adapter("http://127.0.0.1:9/?a=b", &secrets(KEY)).unwrap().post(&message()).await.unwrap_err();
    assert!(!chain(&nobody).contains("a=b"), "{}", chain(&nobody));
}

#[tokio::test]
async fn without_a_key_nothing_is_posted() {
    let (url, received) = receiver("HTTP/1.1 204 No Content\r\n\r\n").await;
    let off = secrets(KEY);
    off.switch.set(Failing::Forbidden);
    for without in [MemorySecrets::default(), secrets("not base64!"), secrets("c2hvcnQ="), off] {
        assert!(adapter(&url, &without).unwrap().post(&message()).await.is_err());
    }
    assert!(received.lock().await.is_empty());
}

#[test]
fn codes_go_by_https_or_stay_on_this_machine() {
    for url in ["https://example.com/codes", "http://127.0.0.1:8080/codes", "http://localhost:8080/codes"] {
        assert!(adapter(url, &secrets(KEY)).is_ok(), "{url}");
    }
    for url in ["http://example.com/codes", "http://localhost.example.com/", "ftp://localhost/", "example.com"] {
        assert!(adapter(url, &secrets(KEY)).is_err(), "{url}");
    }
}
