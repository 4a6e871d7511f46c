use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use test_support::Log;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    Endpoint, EndpointError, Probe, Serving, access_key, credentials, fixture, freshness::Freshness, metrics::Asked,
    probe,
};
use crate::{
    Error, closed,
    config::{EndpointSettings, Source},
    refresh::Holdings,
};

fn settings(listen: &str) -> EndpointSettings {
    EndpointSettings { listen: listen.parse().unwrap(), allow_remote: false, hosts: vec![], token_file: "token".into() }
}

fn listen(settings: &EndpointSettings, token: &Path, holdings: &Holdings) -> Result<Endpoint, Error> {
    let freshness = Freshness::new(|_| Box::pin(async {}));
    Endpoint::listen(settings, token, holdings.clone(), freshness, Asked::default)
}

/// An agent on a port that the system chose, and its settings.
fn serve(token: &Path, holdings: &Holdings) -> (Serving, EndpointSettings) {
    let endpoint = listen(&settings("127.0.0.1:0"), token, holdings).unwrap();
    let settings = settings(&endpoint.address().to_string());
    (endpoint.serve(), settings)
}

/// What comes back for these bytes until the connection ends.
async fn raw(settings: &EndpointSettings, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(settings.listen).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is cut while bytes are under way ends with a reset.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn an_agent_gives_what_it_holds_to_who_has_the_token() {
    let (folder, (holdings, _)) = (closed::folder(), fixture::holdings());
    let token = folder.path().join("token");
    fixture::put(&holdings, "db", fixture::text("app/db", "v", "AWSCURRENT", "AKIAEXAMPLE,key"), u64::MAX);
    let (serving, settings) = serve(&token, &holdings);
    assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o7777, 0o400);

    probe(&settings, Probe::Live).await.unwrap();
    probe(&settings, Probe::Ready).await.unwrap();
    let document = credentials(&settings, &token, "nightly").await.unwrap();
    let expected = format!(
        r#"{{"Version":1,"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"{}","SessionToken":"session-of-the-tests","Expiration":"2027-01-15T09:00:00Z"}}"#,
        fixture::ACCESS_KEY
    );
    assert_eq!(str::from_utf8(document.expose()), Ok(&*expected));
    assert_eq!(access_key(&settings, &token, "app/db").await.unwrap().id(), "AKIAEXAMPLE");

    let other = folder.path().join("other");
    fs::write(&other, "another").unwrap();
    for (failed, expected) in [
        (credentials(&settings, &token, "a/b c").await.unwrap_err(), 6),
        (access_key(&settings, &token, "a&b").await.map(drop).unwrap_err(), 6),
        (access_key(&settings, &token, "app/pin").await.map(drop).unwrap_err(), 6),
        (credentials(&settings, &other, "nightly").await.unwrap_err(), 4),
    ] {
        assert_eq!(failed.exit_code(), expected, "{failed}");
    }

    drop(serving);
    assert!(!token.exists(), "the token goes with the agent");
    tokio::task::yield_now().await;
    let silent = probe(&settings, Probe::Ready).await.unwrap_err();
    assert!(matches!(silent, Error::Endpoint(EndpointError::Silent { .. })), "{silent}");
}

#[tokio::test]
async fn an_agent_that_has_not_everything_is_alive_and_not_ready() {
    let folder = closed::folder();
    let token = folder.path().join("token");
    let (_serving, settings) = serve(&token, &Holdings::new(fixture::items(), Arc::new(ports::SystemClock)));
    probe(&settings, Probe::Live).await.unwrap();
    let not_ready = probe(&settings, Probe::Ready).await.unwrap_err();
    assert!(matches!(not_ready, Error::Endpoint(EndpointError::NotReady)), "{not_ready}");
    let not_usable = credentials(&settings, &token, "nightly").await.unwrap_err();
    assert!(matches!(not_usable, Error::Endpoint(EndpointError::NotUsable)), "{not_usable}");
}

#[tokio::test]
async fn others_than_this_machine_are_not_listened_to_unless_it_is_meant() {
    let (folder, (holdings, _)) = (closed::folder(), fixture::holdings());
    let token = folder.path().join("token");
    for address in ["0.0.0.0:0", "[::]:0", "10.0.0.1:2773", "[::ffff:10.0.0.1]:2773"] {
        let refused = listen(&settings(address), &token, &holdings).unwrap_err();
        assert!(matches!(refused, Error::Endpoint(EndpointError::NotLoopback(_))), "{address}: {refused}");
        assert!(!token.exists());
    }
    let meant = EndpointSettings { allow_remote: true, ..settings("0.0.0.0:0") };
    let endpoint = listen(&meant, &token, &holdings).unwrap();
    let settings = settings(&endpoint.address().to_string());
    let _serving = endpoint.serve();
    probe(&settings, Probe::Ready).await.unwrap();
}

#[tokio::test]
async fn two_agents_do_not_listen_on_one_port() {
    let (folder, (holdings, _)) = (closed::folder(), fixture::holdings());
    let token = folder.path().join("token");
    let (_serving, settings) = serve(&token, &holdings);
    let before = fs::read(&token).unwrap();
    let taken = listen(&settings, &token, &holdings).unwrap_err();
    assert!(matches!(taken, Error::Endpoint(EndpointError::Listen { .. })), "{taken}");
    assert_eq!(fs::read(&token).unwrap(), before, "the token of the one that runs stays");
}

#[tokio::test]
async fn a_child_is_told_where_sdks_find_it() {
    let (folder, (holdings, clock)) = (closed::folder(), fixture::holdings());
    let token = folder.path().join("token");
    let meant = EndpointSettings { allow_remote: true, ..settings("0.0.0.0:0") };
    let endpoint = listen(&meant, &token, &holdings).unwrap();
    let url = format!("http://127.0.0.1:{}/credentials/nightly", endpoint.address().port());
    assert_eq!((endpoint.token_file(), endpoint.credentials_url()), (&*token, Some(url)));
    let role = |alias: &str| Source::Role { alias: alias.into(), seconds: Some(900) };
    for (alias, has_one) in [("nightly", true), ("daily", false)] {
        let mut items = fixture::items();
        items[0].source = role(alias);
        let endpoint = listen(&meant, &token, &Holdings::new(items, Arc::new(clock.clone()))).unwrap();
        assert_eq!(endpoint.credentials_url().is_some(), has_one, "{alias}");
    }
    let without = fixture::items().into_iter().filter(|item| item.name.as_str() != "aws").collect();
    let endpoint = listen(&meant, &token, &Holdings::new(without, Arc::new(clock))).unwrap();
    assert_eq!(endpoint.credentials_url(), None);
}

#[tokio::test]
async fn an_agent_is_not_ready_before_its_files_are_written() {
    let (folder, (holdings, _)) = (closed::folder(), fixture::holdings());
    let endpoint = listen(&settings("127.0.0.1:0"), &folder.path().join("token"), &holdings).unwrap();
    let (settings, unwritten) = (settings(&endpoint.address().to_string()), endpoint.unwritten());
    let _serving = endpoint.serve();
    let (db, old) = ("db".parse().unwrap(), "old".parse().unwrap());
    unwritten.add([&db, &old]);
    assert!(probe(&settings, Probe::Ready).await.is_err());
    unwritten.remove([&db]);
    assert!(probe(&settings, Probe::Ready).await.is_err());
    unwritten.clear();
    probe(&settings, Probe::Ready).await.unwrap();
}

/// A listener on `[::1]` with a port that is free on 127.0.0.1; none where this machine has no such family.
fn held_on_ipv6() -> Option<(TcpListener, u16)> {
    TcpListener::bind("[::1]:0").ok()?;
    let held = (0..100).find_map(|_| {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Some((TcpListener::bind(("::1", port)).ok()?, port))
    });
    Some(held.expect("one of a hundred is free on both"))
}

#[tokio::test]
async fn nobody_else_listens_where_localhost_may_lead() {
    let Some((other, port)) = held_on_ipv6() else { return };
    let (folder, (holdings, _)) = (closed::folder(), fixture::holdings());
    let ours = settings(&format!("127.0.0.1:{port}"));
    let refused = listen(&ours, &folder.path().join("token"), &holdings).unwrap_err();
    assert!(
        matches!(&refused, Error::Endpoint(EndpointError::Listen { address, .. }) if address.is_ipv6()),
        "{refused}"
    );
    drop(other);
    let _serving = listen(&ours, &folder.path().join("token"), &holdings).unwrap().serve();
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        probe(&settings(&address), Probe::Live).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_carries_one_request() {
    let (folder, (holdings, _)) = (closed::folder(), fixture::holdings());
    let (_serving, settings) = serve(&folder.path().join("token"), &holdings);
    let request = format!("GET /health HTTP/1.1\r\nHost: {}\r\n\r\n", settings.listen);
    let answer = raw(&settings, request.repeat(2).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_large_head_a_body_and_no_http_are_refused() {
    let (folder, (holdings, _)) = (closed::folder(), fixture::holdings());
    let (_serving, settings) = serve(&folder.path().join("token"), &holdings);
    let begin = format!("GET /health HTTP/1.1\r\nHost: {}\r\n", settings.listen);
    let large = raw(&settings, format!("{begin}A: {}\r\n\r\n", "a".repeat(20_000)).as_bytes()).await;
    assert!(large.starts_with("HTTP/1.1 431 "), "{large}");
    let many = raw(&settings, format!("{begin}{}\r\n", "A: a\r\n".repeat(70)).as_bytes()).await;
    assert!(many.starts_with("HTTP/1.1 431 "), "{many}");
    let body = raw(&settings, format!("{begin}Content-Length: 5\r\n\r\nhello").as_bytes()).await;
    assert!(body.starts_with("HTTP/1.1 400 "), "{body}");
    let old = raw(&settings, b"GET /health HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 400 "), "{old}");
    let proxied =
        raw(&settings, format!("GET http://{}/health HTTP/1.1\r\nHost: {0}\r\n\r\n", settings.listen).as_bytes()).await;
    assert!(proxied.starts_with("HTTP/1.1 400 "), "{proxied}");
    let not_http = raw(&settings, b"\x16\x03\x01\x00\xa5\x01\x00\x00").await;
    assert!(!not_http.contains("200"), "{not_http}");
    probe(&settings, Probe::Live).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_is_hung_up_on_and_others_get_their_turn() {
    let (folder, (holdings, _)) = (closed::folder(), fixture::holdings());
    let (_serving, settings) = serve(&folder.path().join("token"), &holdings);
    let start = tokio::time::Instant::now();
    let mut slow = Vec::new();
    // More than there may be at once.
    for _ in 0..80 {
        let mut stream = TcpStream::connect(settings.listen).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: ").await.unwrap();
        slow.push(stream);
    }
    for mut stream in slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!String::from_utf8(rest).unwrap().contains("200 OK"));
    }
    let seconds = start.elapsed().as_secs();
    assert!(seconds >= 5, "{seconds}");
    let request = format!("GET /health HTTP/1.1\r\nHost: {}\r\n\r\n", settings.listen);
    assert!(raw(&settings, request.as_bytes()).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn neither_a_token_nor_a_query_nor_a_value_is_logged_or_shown() {
    let log = Log::start();
    let (folder, (holdings, _)) = (closed::folder(), fixture::holdings());
    let token_file = folder.path().join("token");
    fixture::put(&holdings, "db", fixture::text("app/db", "v", "AWSCURRENT", "AKIAEXAMPLE,key-of-the-tests"), u64::MAX);
    let endpoint = listen(&settings("127.0.0.1:0"), &token_file, &holdings).unwrap();
    let settings = settings(&endpoint.address().to_string());
    let mut shown = format!("{endpoint:?}");
    let token = fs::read_to_string(&token_file).unwrap();
    let serving = endpoint.serve();
    shown += &format!("{serving:?}");
    shown += &format!("{:?}", credentials(&settings, &token_file, "nightly").await.unwrap());
    shown += &format!("{:?}", access_key(&settings, &token_file, "app/db").await.unwrap());
    shown += &format!("{:?}", access_key(&settings, &token_file, "no-such-secret").await.map(drop).unwrap_err());
    let forged = format!(
        "GET /v1/forged-name?versionId=forged HTTP/1.1\r\nHost: {}\r\nX-Aws-Parameters-Secrets-Token: wrong-token\r\n\r\n",
        settings.listen
    );
    assert!(raw(&settings, forged.as_bytes()).await.starts_with("HTTP/1.1 403 "));
    drop(serving);
    let log = log.text();
    assert!(log.contains("the endpoint refused a request"), "{log}");
    assert!(log.contains("the endpoint answered"), "{log}");
    for secret in [
        &*token,
        fixture::ACCESS_KEY,
        "session-of-the-tests",
        "key-of-the-tests",
        "no-such-secret",
        "forged",
        "wrong-token",
        "app/db",
    ] {
        assert!(!log.contains(secret), "{secret} in {log}");
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
