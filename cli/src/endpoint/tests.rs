use std::sync::atomic::Ordering::Relaxed;

use axum::http::request;
use tokio::time;

use super::{fixture::*, freshness::Freshness, route::SECRETS_TOKEN};
use crate::refresh::Holdings;

const ROLE: &str = "/credentials/nightly";
const SECRET: &str = "/secretsmanager/get?secretId=app/db";

const FORWARDED: &str = "requests that were passed on are refused";
const PAGE: &str = "requests of web pages are refused";
const HOST: &str = "the header Host names another host";
const BODY: &str = "requests have no body";
const GET: &str = "only GET is answered";
const NO_TOKEN: &str = "the token is missing or wrong";

fn good() -> request::Builder {
    of_role(ROLE)
}

/// A request that lacks nothing but the right host.
fn to(host: &str) -> request::Builder {
    let request = request::Builder::new().uri(ROLE).header("authorization", TOKEN).header("host", host);
    request.extension(super::guard::ArrivedAt(ADDRESS.parse().unwrap()))
}

#[tokio::test]
async fn each_reason_to_refuse_is_enough() {
    let (holdings, _) = holdings();
    let router = routes(&holdings);
    assert_eq!(ask(&router, good()).await.0, 200);
    // As `fetch` of Node.js sends it, and as SDKs over the AWS CRT do.
    assert_eq!(ask(&router, good().header("sec-fetch-mode", "cors")).await.0, 200);
    assert_eq!(ask(&router, to("127.0.0.1").header("accept-encoding", "identity")).await.0, 200);
    let no_host = request::Builder::new().uri(ROLE).header("authorization", TOKEN);
    let no_host = no_host.extension(super::guard::ArrivedAt(ADDRESS.parse().unwrap()));
    let no_address = request::Builder::new().uri(ROLE).header("authorization", TOKEN).header("host", ADDRESS);
    for (reason, request, status, message) in [
        ("forwarded", good().header("x-forwarded-for", "10.0.0.1"), 400, FORWARDED),
        ("forwarded_from_nowhere", good().header("x-forwarded-for", ""), 400, FORWARDED),
        ("forwarded_by_name", good().header("x-forwarded-host", "a"), 400, FORWARDED),
        ("forwarded_by_the_rfc", good().header("forwarded", "for=10.0.0.1"), 400, FORWARDED),
        ("via", good().header("via", "1.1 proxy"), 400, FORWARDED),
        ("real_ip", good().header("x-real-ip", "10.0.0.1"), 400, FORWARDED),
        ("absolute_target", good().uri(format!("http://{ADDRESS}{ROLE}")), 400, FORWARDED),
        ("origin", good().header("origin", "http://127.0.0.1:2773"), 400, PAGE),
        ("null_origin", good().header("origin", "null"), 400, PAGE),
        ("fetch_of_another_site", good().header("sec-fetch-site", "cross-site"), 400, PAGE),
        ("fetch_of_the_same_site", good().header("sec-fetch-site", "same-origin"), 400, PAGE),
        ("fetch_of_no_site", good().header("sec-fetch-site", "none"), 400, PAGE),
        ("rebound_name", to("evil.example:2773"), 400, HOST),
        ("other_port", to("127.0.0.1:2774"), 400, HOST),
        ("no_host", no_host, 400, HOST),
        ("two_hosts", good().header("host", ADDRESS), 400, HOST),
        ("unknown_connection", no_address, 400, HOST),
        ("body", good().header("content-length", "1"), 400, BODY),
        ("chunked_body", good().header("transfer-encoding", "chunked"), 400, BODY),
        ("post", good().method("POST"), 405, GET),
        ("put", good().method("PUT"), 405, GET),
        ("head", good().method("HEAD"), 405, GET),
        ("preflight", good().method("OPTIONS"), 405, GET),
        ("no_token", request(ROLE), 403, NO_TOKEN),
        ("empty_token", request(ROLE).header("authorization", ""), 403, NO_TOKEN),
        ("wrong_token", request(ROLE).header("authorization", TOKEN.to_lowercase()), 403, NO_TOKEN),
        ("token_without_its_first", request(ROLE).header("authorization", &TOKEN[1..]), 403, NO_TOKEN),
        ("longer_token", request(ROLE).header("authorization", format!("{TOKEN}A")), 403, NO_TOKEN),
        ("bearer_token", request(ROLE).header("authorization", format!("Bearer {TOKEN}")), 403, NO_TOKEN),
        ("two_tokens", good().header("authorization", TOKEN), 403, NO_TOKEN),
        ("token_of_secrets", of_secret(ROLE), 403, NO_TOKEN),
        ("token_in_the_query", request(&format!("{ROLE}?token={TOKEN}")), 403, NO_TOKEN),
        ("no_token_for_a_secret", request(SECRET), 403, NO_TOKEN),
        ("wrong_token_for_a_secret", request(SECRET).header(SECRETS_TOKEN, "a"), 403, NO_TOKEN),
        ("token_of_roles", of_role(SECRET), 403, NO_TOKEN),
        ("no_token_for_a_path", request("/v1/app/db"), 403, NO_TOKEN),
        ("no_token_for_nothing", request("/"), 403, NO_TOKEN),
        ("no_token_for_what_looks_open", request("/health/../credentials/nightly"), 403, NO_TOKEN),
        ("no_token_for_what_is_written_otherwise", request("/%68ealth"), 403, NO_TOKEN),
    ] {
        let is_head = reason == "head";
        let (got, body) = ask(&router, request).await;
        assert_eq!(got, status, "{reason}");
        assert!(body.contains(message) || is_head, "{reason}: {body}");
    }
}

#[tokio::test]
async fn refusals_have_one_form() {
    let (holdings, _) = holdings();
    let router = routes(&holdings);
    let requests =
        [request(ROLE), good().method("POST"), good().header("via", "a"), of_secret("/v1/no"), of_secret("/no")];
    let mut names = Vec::new();
    for request in requests {
        let response = send(&router, request).await;
        let headers = response.headers();
        // RFC 9110 section 15.5.6 wants it of a 405.
        let names_of = headers.keys().filter(|name| **name != "allow").map(|name| name.as_str().to_owned());
        names.push(names_of.collect::<Vec<_>>());
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["cache-control"], "no-store");
    }
    names.dedup();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(send(&router, good().method("POST")).await.headers()["allow"], "GET");
    let (_, body) = ask(&router, request(ROLE)).await;
    let expected = r#"{"__type":"AccessDeniedException","code":"AccessDeniedException","message":"the token is missing or wrong"}"#;
    assert_eq!(body, expected);
}

#[tokio::test]
async fn every_route_that_needs_no_token_is_guarded_all_the_same() {
    let (holdings, _) = holdings();
    let router = routes(&holdings);
    for path in ["/health", "/ping", "/ready", "/started", "/metrics"] {
        assert_eq!(ask(&router, request(path)).await.0, 200, "{path}");
        assert_eq!(ask(&router, request(path).header("via", "a")).await.0, 400, "{path}");
        assert_eq!(ask(&router, request(path).header("origin", "null")).await.0, 400, "{path}");
        assert_eq!(ask(&router, request(path).method("POST")).await.0, 405, "{path}");
        let rebound = request::Builder::new().uri(path).header("host", "evil.example:2773");
        assert_eq!(ask(&router, rebound).await.0, 400, "{path}");
    }
}

#[tokio::test]
async fn credentials_are_those_of_a_container() {
    let (holdings, _) = holdings();
    let response = send(&routes(&holdings), good()).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let expected = format!(
        r#"{{"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"{ACCESS_KEY}","Token":"session-of-the-tests","Expiration":"2027-01-15T09:00:00Z"}}"#
    );
    assert_eq!(ask(&routes(&holdings), good()).await, (200, expected));
}

#[tokio::test]
async fn secrets_are_those_of_the_secrets_manager_agent() {
    let (holdings, _) = holdings();
    let router = routes(&holdings);
    let current = format!(
        r#"{{"Name":"app/db","VersionId":"{VERSION}","SecretString":"pa\"ss","VersionStages":["AWSCURRENT"]}}"#
    );
    let previous = format!(
        r#"{{"Name":"app/db","VersionId":"{OLD_VERSION}","SecretString":"older","VersionStages":["AWSPREVIOUS"]}}"#
    );
    let pinned =
        format!(r#"{{"Name":"app/pin","VersionId":"{OLD_VERSION}","SecretBinary":"AP8+","VersionStages":[]}}"#);
    for (target, expected) in [
        (SECRET.to_owned(), &current),
        ("/secretsmanager/get?secretId=app%2Fdb".to_owned(), &current),
        (format!("{SECRET}&versionStage=AWSCURRENT"), &current),
        (format!("{SECRET}&versionId={VERSION}"), &current),
        (format!("{SECRET}&versionId={VERSION}&versionStage=AWSCURRENT"), &current),
        (format!("{SECRET}&refreshNow=false"), &current),
        ("/v1/app/db".to_owned(), &current),
        ("/v1/app%2Fdb".to_owned(), &current),
        ("/v1/app/db?versionStage=AWSPREVIOUS".to_owned(), &previous),
        (format!("{SECRET}&versionId={OLD_VERSION}"), &previous),
        (format!("/v1/app/pin?versionId={OLD_VERSION}"), &pinned),
    ] {
        assert_eq!(ask(&router, of_secret(&target)).await, (200, expected.clone()), "{target}");
    }
}

#[tokio::test]
async fn what_the_configuration_does_not_name_is_not_there() {
    let (holdings, _) = holdings();
    let router = routes(&holdings);
    for target in [
        "/secretsmanager/get?secretId=app/other".to_owned(),
        "/secretsmanager/get?secretId=APP/DB".to_owned(),
        "/secretsmanager/get?secretId=db".to_owned(),
        "/secretsmanager/get?secretId=app/user".to_owned(),
        "/secretsmanager/get?secretId=app/pin".to_owned(),
        format!("{SECRET}&versionStage=AWSPENDING"),
        format!("{SECRET}&versionId={OLD_VERSION}&versionStage=AWSCURRENT"),
        format!("{SECRET}&versionId=no"),
        "/v1/app/db/".to_owned(),
        "/v1/app/%ff".to_owned(),
        "/v1/nightly".to_owned(),
    ] {
        let (status, body) = ask(&router, of_secret(&target)).await;
        assert!(body.contains("ResourceNotFoundException"), "{target}: {body}");
        assert_eq!(status, 400, "{target}");
    }
    for target in ["/credentials/daily", "/credentials/aws", "/credentials/%ff", "/credentials/", "/credentials/a/b"] {
        assert_eq!(ask(&router, of_role(target)).await.0, 404, "{target}");
    }
    assert_eq!(ask(&router, of_secret("/secretsmanager/get?secretId=app/db&x=y")).await.0, 400);
    for target in ["/", "/v1/", "/secretsmanager", "/secretsmanager/get/", "/ping/"] {
        let (status, body) = ask(&router, of_secret(target)).await;
        assert_eq!(status, 404, "{target}: {body}");
    }
}

#[tokio::test]
async fn nothing_is_served_from_its_use_by_on() {
    let (holdings, clock) = holdings();
    let router = routes(&holdings);
    clock.0.store(NOW + HOUR - 1, Relaxed);
    assert_eq!(ask(&router, good()).await.0, 200);
    assert_eq!(ask(&router, of_secret(SECRET)).await.0, 200);
    clock.0.store(NOW + HOUR, Relaxed);
    for request in [good(), of_secret(SECRET), of_secret(&format!("/v1/app/pin?versionId={OLD_VERSION}"))] {
        let (status, body) = ask(&router, request).await;
        assert_eq!(status, 503);
        assert!(body.contains("ServiceUnavailableException"), "{body}");
    }
    let expected = r#"{"ready":false,"missing":["db","user","old","pinned","aws"]}"#;
    assert_eq!(ask(&router, request("/ready")).await, (503, expected.to_owned()));
    assert_eq!(ask(&router, request("/health")).await.0, 200);
}

#[tokio::test]
async fn what_did_not_come_yet_is_not_ready_and_is_known() {
    let holdings = Holdings::new(items(), std::sync::Arc::new(ports::SystemClock));
    let router = routes(&holdings);
    assert_eq!(ask(&router, good()).await.0, 503);
    assert_eq!(ask(&router, of_secret(SECRET)).await.0, 503);
    assert_eq!(ask(&router, request("/ready")).await.0, 503);
}

#[tokio::test]
async fn an_agent_tells_how_it_is() {
    let (holdings, _) = holdings();
    let router = routes(&holdings);
    assert_eq!(ask(&router, request("/health")).await, (200, r#"{"alive":true}"#.to_owned()));
    assert_eq!(ask(&router, request("/ready")).await, (200, r#"{"ready":true,"missing":[]}"#.to_owned()));
    assert_eq!(ask(&router, request("/ping")).await, (200, "healthy".to_owned()));
}

#[tokio::test]
async fn who_was_ready_has_started_whatever_becomes_of_it() {
    let (holdings, clock) = holdings();
    let router = routes(&holdings);
    clock.0.store(NOW + HOUR, Relaxed);
    assert_eq!(ask(&router, request("/started")).await.0, 503);
    clock.0.store(NOW, Relaxed);
    assert_eq!(ask(&router, request("/started")).await.0, 200);
    clock.0.store(NOW + HOUR, Relaxed);
    assert_eq!(ask(&router, request("/started")).await.0, 200);
    assert_eq!(ask(&router, request("/ready")).await.0, 503);
}

#[tokio::test]
async fn counts_and_times_are_in_prometheus_text() {
    let (holdings, clock) = holdings();
    let router = routes(&holdings);
    ask(&router, good()).await;
    ask(&router, good()).await;
    ask(&router, request(ROLE)).await;
    clock.0.store(NOW + 1, Relaxed);
    put(&holdings, "db", text("app/db", VERSION, "AWSCURRENT", "new"), NOW + 1);
    let response = send(&router, request("/metrics")).await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let (_, text) = ask(&router, request("/metrics")).await;
    for line in [
        "# TYPE countersign_item_usable gauge",
        r#"countersign_item_usable{item="db"} 0"#,
        r#"countersign_item_usable{item="aws"} 1"#,
        r#"countersign_item_use_by_seconds{item="aws"} 1800003600"#,
        r#"countersign_item_obtained_seconds{item="db"} 1800000001"#,
        r#"countersign_item_failures{item="db"} 0"#,
        "# TYPE countersign_exchanges_total counter",
        r#"countersign_exchanges_total{outcome="given"} 3"#,
        r#"countersign_exchanges_total{outcome="failed"} 2"#,
        r#"countersign_exchanges_total{outcome="throttled"} 1"#,
        "countersign_pulls_total 4",
        r#"countersign_endpoint_requests_total{route="credentials",status="200"} 2"#,
        r#"countersign_endpoint_requests_total{route="credentials",status="403"} 1"#,
        r#"countersign_endpoint_requests_total{route="metrics",status="200"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn who_wants_it_fresh_gets_what_the_broker_answers() {
    let (holdings, _) = holdings();
    let asked = holdings.clone();
    let freshness = Freshness::new(move |item| {
        assert_eq!(item.as_str(), "db");
        put(&asked, "db", text("app/db", OLD_VERSION, "AWSCURRENT", "new"), NOW + HOUR);
        Box::pin(async {})
    });
    let router = routes_that_ask(&holdings, freshness);
    assert!(ask(&router, of_secret(SECRET)).await.1.contains(r#"pa\"ss"#));
    let stale = format!("{SECRET}&versionId={VERSION}&refreshNow=true");
    assert_eq!(ask(&router, of_secret(&stale)).await.0, 400, "the version went while it waited");
    assert!(ask(&router, of_secret(&format!("{SECRET}&refreshNow=true"))).await.1.contains(r#""new""#));
}

#[tokio::test(start_paused = true)]
async fn who_wants_it_fresh_does_not_wait_for_ever_nor_do_all() {
    let (holdings, _) = holdings();
    let router = routes_that_ask(&holdings, Freshness::new(|_| Box::pin(std::future::pending())));
    let start = time::Instant::now();
    let fresh = format!("{SECRET}&refreshNow=true");
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (router, request) = (router.clone(), of_secret(&fresh));
            tokio::spawn(async move {
                let answer = ask(&router, request).await;
                (answer.0, start.elapsed().as_secs())
            })
        })
        .collect();
    let mut times = Vec::new();
    for waiting in waiting {
        let (status, seconds) = waiting.await.unwrap();
        assert_eq!(status, 200);
        times.push(seconds);
    }
    assert_eq!(times.iter().filter(|seconds| **seconds == 5).count(), 16);
    assert_eq!(times.iter().filter(|seconds| **seconds == 0).count(), 4);
}
