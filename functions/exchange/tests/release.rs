//! What is released once the proof holds, what is denied, and what is left when something fails on the way.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fixture;

use std::time::Duration;

use access_token::{KeySet, TokenRefusal, verify};
use axum::http::{Method, StatusCode};
use fixture::{NOW, VALUE, World, role, secret};
use ports::memory::{Failing, MEMORY_CREDENTIALS_END};
use protocol::{Denial, DenialCode, Grant, SecretGrant, TokenType, Want};
use test_support::Answered;

#[tokio::test]
async fn what_policy_allows_is_released_for_the_caller_alone() {
    let world = World::new();
    let (body, pending) = world.request(&[secret("app/db"), secret("app/key"), role("deploy")]);
    let answer = world.post(body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "application/jose");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!answer.body.contains(VALUE));

    let opened = pending.open(&answer.body).unwrap();
    let [Grant::Secret(text), Grant::Secret(bytes), Grant::Aws(credentials)] = &opened.granted[..] else {
        panic!("grants are in the order of the wants")
    };
    assert_eq!((text.id.as_str(), text.value.expose()), ("app/db", VALUE.as_bytes()));
    assert_eq!(bytes.value.expose(), [0, 159, 146, 150]);
    assert_eq!(credentials.secret_access_key.expose(), "example secret access key");
    assert_eq!(opened.expires_at, Some(MEMORY_CREDENTIALS_END));

    let (_, another) = world.request(&[secret("app/db")]);
    assert!(another.open(&answer.body).is_err(), "another request's key");
}

#[tokio::test]
async fn a_role_session_is_named_for_its_request_and_bound_as_configured() {
    let world = World::new();
    let want = Want::Aws { role: "deploy".into(), seconds: Some(7200) };
    assert_eq!(world.post(world.request(&[want]).0).await.status, StatusCode::OK);
    let [session] = &world.adapters.roles.sessions()[..] else { panic!("one session") };
    assert_eq!(session.seconds, 1800, "capped by the alias");
    assert!(session.session_name.starts_with("web@") && session.session_name.len() <= 64);
    assert!(session.policy.as_ref().unwrap().contains("192.0.2.7"));
}

#[tokio::test]
async fn versions_and_stages_are_honoured() {
    let world = World::new();
    let first = secret("app/db");
    world.adapters.secrets.put("app/db", protocol::SecretValue::Text(protocol::Secret::new("second".into())));
    let staged =
        |stage: &str| Want::Secret { id: "app/db".into(), version_id: None, version_stage: Some(stage.into()) };
    let (body, pending) = world.request(&[first, staged("AWSPREVIOUS")]);
    let opened = pending.open(&world.post(body).await.body).unwrap();
    let values: Vec<&[u8]> = opened
        .granted
        .iter()
        .filter_map(|grant| match grant {
            Grant::Secret(SecretGrant { value, .. }) => Some(value.expose()),
            Grant::Aws(_) | Grant::AccessToken(_) | Grant::EnrollmentToken(_) => None,
        })
        .collect();
    assert_eq!(values, [b"second".as_slice(), VALUE.as_bytes()]);
}

#[tokio::test]
async fn a_group_gets_a_token_that_is_valid_where_it_calls_from() {
    let world = World::new();
    let (body, pending) = world.request(&[secret("app/db"), Want::AccessToken {}]);
    let opened = pending.open(&world.post(body).await.body).unwrap();
    let Grant::AccessToken(grant) = &opened.granted[1] else { panic!("a token") };
    assert_eq!((grant.token_type, grant.expires_at), (TokenType::Bearer, NOW + 900));
    assert_eq!(opened.expires_at, Some(NOW + 900));
    let keys = KeySet::from_json(&world.adapters.objects.peek("token/jwks.json").unwrap()).unwrap();
    let verify = |address: &str| verify(grant.access_token.expose(), address.parse().unwrap(), &keys, NOW);
    let token = verify("192.0.2.7").unwrap();
    let claims = token.claims();
    assert_eq!((claims.issuer.as_str(), claims.subject.as_str()), ("countersign", "group:web"));
    assert_eq!((claims.network.to_string(), claims.scope.to_string()), ("192.0.2.7/32".into(), "things:read".into()));
    assert_eq!(verify("192.0.2.8").unwrap_err(), TokenRefusal::WrongNetwork);

    let rows = world.adapters.ledger.rows();
    let [exchange, row] = &rows[..] else { panic!("the exchange and its token") };
    assert!(exchange.record.contains(&("wants", "secret:app/db access_token".into())));
    assert_eq!(row.key, format!("token#{}", claims.session));
    assert_eq!(row.ttl, Some(NOW + 900 + 400 * 86_400));
    assert!(row.record.contains(&("subject", "group:web".into())));
    assert!(!format!("{rows:?}{}", world.log.text()).contains(grant.access_token.expose().as_str()));
}

#[tokio::test]
async fn what_policies_say_of_a_token_must_go_together() {
    let world = World::new();
    world.adapters.objects.put(
        "policies/more.cedar",
        r#"@network("10.0.0.0/8") permit (principal, action == Action::"token:issue", resource);
           @network("11.0.0.0/8") permit (principal, action == Action::"token:issue", resource);"#,
    );
    let (body, pending) = world.request(&[Want::AccessToken {}]);
    let answer = world.post(body).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let denial = pending.open_denial(problem["detail"].as_str().unwrap()).unwrap();
    assert_eq!(denial, Denial { code: DenialCode::Denied, want: 0 });
}

#[tokio::test]
async fn one_denied_want_denies_the_exchange_and_spends_nothing() {
    let world = World::new();
    for denied in [secret("ops/root"), secret(fixture::KEY_SECRET), secret("application/db"), role("admin")] {
        let (body, pending) = world.request(&[secret("app/db"), denied.clone()]);
        let answer = world.post(body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{denied:?}");
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["type"], "urn:countersign:problem:denied");
        assert_eq!(problem["request_id"], "request-1");
        let denial = pending.open_denial(problem["detail"].as_str().unwrap()).unwrap();
        assert_eq!(denial, Denial { code: DenialCode::Denied, want: 1 });
        assert!(!answer.body.contains("ops/root") && !answer.body.contains(VALUE));
    }
    assert!(world.adapters.ledger.rows().is_empty());
}

#[tokio::test]
async fn what_does_not_exist_is_told_to_the_caller_alone() {
    let world = World::new();
    for (name, missing) in [
        ("no_such_secret", secret("app/nothing")),
        (
            "no_such_stage",
            Want::Secret { id: "app/db".into(), version_id: None, version_stage: Some("AWSPENDING".into()) },
        ),
        ("alias_that_is_not_configured", role("gone")),
    ] {
        let (body, pending) = world.request(&[secret("app/db"), missing]);
        let answer = world.post(body).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name}");
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        let denial = pending.open_denial(detail).unwrap();
        assert_eq!(denial, Denial { code: DenialCode::NotFound, want: 1 }, "{name}");
        assert_eq!(answer.body, NOT_FOUND.replace("DETAIL", detail), "{name}");
        assert_eq!(world.log.audited(), ["exchange", "denied", "not_found"], "{name}");
    }
    assert_eq!(world.adapters.ledger.rows().len(), 3, "each was spent before it was looked for");
}

const NOT_FOUND: &str = r#"{"type":"urn:countersign:problem:not-found","title":"there is no such thing","status":404,"detail":"DETAIL","request_id":"request-1"}"#;

#[tokio::test]
async fn the_row_in_the_ledger_tells_what_was_released_to_whom() {
    let world = World::new();
    assert_eq!(world.post(world.request(&[secret("app/db"), role("deploy")]).0).await.status, StatusCode::OK);
    let [row] = &world.adapters.ledger.rows()[..] else { panic!("one row") };
    assert!(row.key.starts_with("exchange#web#"));
    assert_eq!(row.ttl, Some(NOW + 60 + 400 * 86_400));
    let record = |name: &str| row.record.iter().find(|(key, _)| *key == name).unwrap().1.as_str();
    assert_eq!(record("wants"), "secret:app/db aws:deploy");
    assert_eq!(record("policies"), "web.cedar#0 web.cedar#1");
    assert_eq!(record("source_ip"), "192.0.2.7");
    assert_eq!(record("request_id"), "request-1");
    assert_eq!(record("wire"), "v2");
    assert!(!format!("{row:?}").contains(VALUE));
}

#[tokio::test]
async fn without_a_ledger_nothing_is_released() {
    for failing in FAULTS {
        let world = World::impatient();
        world.adapters.ledger.switch.set(failing);
        let answer = world.post(world.request(&[secret("app/db"), role("deploy")]).0).await;
        assert_failed(&world, &answer, "ledger", failing);
        assert!(world.adapters.roles.sessions().is_empty());
    }
}

const FAULTS: [Failing; 4] =
    [Failing::Unavailable, Failing::Throttled, Failing::Forbidden, Failing::Slow(Duration::from_secs(600))];

/// That the answer is a 503, and that the audit event names the step, or the deadline where the port is slow.
#[track_caller]
fn assert_failed(world: &World, answer: &Answered, step: &str, failing: Failing) {
    let step = if matches!(failing, Failing::Slow(_)) { "deadline" } else { step };
    fixture::assert_unavailable(world, answer, step);
}

#[tokio::test]
async fn a_cold_broker_without_its_stores_gives_503_and_tells_nothing() {
    for failing in FAULTS {
        let world = World::impatient();
        world.adapters.objects.switch.set(failing);
        let answer = world.post(world.request(&[role("deploy")]).0).await;
        assert_failed(&world, &answer, "material", failing);

        let world = World::impatient();
        world.adapters.secrets.switch.set(failing);
        let answer = world.post(world.request(&[role("deploy")]).0).await;
        assert_failed(&world, &answer, "material", failing);
    }
}

#[tokio::test]
async fn a_release_that_fails_gives_503_leaves_its_record_and_tells_nothing() {
    for failing in FAULTS {
        for (name, want) in [("secrets", secret("app/db")), ("roles", role("deploy"))] {
            let world = World::impatient();
            // Warm, even where a busy machine takes longer than this broker's patience: what fails is the release alone.
            let mut tries = 0;
            while world.post(world.request(&[role("deploy")]).0).await.status != StatusCode::OK {
                tries += 1;
                assert!(tries < 100, "the broker does not get warm");
            }
            let before = world.adapters.ledger.rows().len();
            if name == "secrets" { &world.adapters.secrets.switch } else { &world.adapters.roles.switch }.set(failing);
            let (body, _) = world.request(&[want]);
            let answer = world.post(body.clone()).await;
            assert_failed(&world, &answer, "release", failing);
            assert_eq!(world.adapters.ledger.rows().len(), before + 1, "the record of the attempt");
            let answer = world.post(body).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "and the request is spent");
        }
    }
}

#[tokio::test]
async fn no_log_line_holds_a_value() {
    let world = World::new();
    let wants = [secret("app/db"), secret("app/key"), role("deploy")];
    assert_eq!(world.post(world.request(&wants).0).await.status, StatusCode::OK);
    assert_eq!(world.log.audited(), ["exchange", "granted", ""]);
    let log = world.log.text();
    for value in [VALUE, "example secret access key", "example session token", "PRIVATE KEY"] {
        assert!(!log.contains(value), "{value}");
    }
}

#[tokio::test]
async fn the_record_of_a_release_exists_even_when_the_answer_never_arrives() {
    let world = World::new();
    // Warm, so that the delay strikes the release and nothing before it.
    assert_eq!(world.post(world.request(&[secret("app/db")]).0).await.status, StatusCode::OK);
    world.adapters.secrets.switch.set(Failing::Slow(Duration::from_secs(600)));
    let body = world.request(&[secret("app/db")]).0;
    let gave_up = tokio::time::timeout(Duration::from_secs(1), world.post(body.clone())).await;
    assert!(gave_up.is_err(), "the caller left");
    assert_eq!(world.adapters.ledger.rows().len(), 2);
    world.adapters.secrets.switch.set(Failing::No);
    assert_eq!(world.post(body).await.status, StatusCode::UNAUTHORIZED, "and the request is spent");
}

#[tokio::test]
async fn a_policy_file_that_does_not_parse_changes_nothing_on_a_warm_broker_and_a_cold_one_cannot_answer() {
    let world = World::new();
    assert_eq!(world.post(world.request(&[secret("app/db")]).0).await.status, StatusCode::OK);
    world.adapters.objects.put("policies/broken.cedar", "permit (everything");
    world.adapters.clock.advance(ports::MAX_AGE);
    assert_eq!(world.post(world.request(&[secret("app/db")]).0).await.status, StatusCode::OK);
    assert_eq!(world.post(world.request(&[secret("ops/root")]).0).await.status, StatusCode::FORBIDDEN);

    let cold = World::new();
    cold.adapters.objects.put("policies/broken.cedar", "permit (everything");
    let answer = cold.post(cold.request(&[secret("app/db")]).0).await;
    fixture::assert_unavailable(&cold, &answer, "policies");
    assert!(cold.adapters.ledger.rows().is_empty());
}

#[tokio::test]
async fn a_policy_that_is_taken_away_ends_access_within_a_minute() {
    let world = World::new();
    assert_eq!(world.post(world.request(&[secret("app/db")]).0).await.status, StatusCode::OK);
    world.adapters.objects.remove("policies/web.cedar");
    world.adapters.clock.advance(ports::MAX_AGE);
    assert_eq!(world.post(world.request(&[secret("app/db")]).0).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_manifest_is_public_and_revalidated_by_its_tag() {
    let world = World::new();
    let answer = world.get("/v2/manifest/web").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body.as_bytes(), world.manifest.to_json());
    assert!(answer.headers.contains_key("etag"));
    let tag = answer.headers["etag"].to_str().unwrap().to_owned();
    for known in [tag.clone(), format!("\"other\", W/{tag}")] {
        let answer = world.get_unless("/v2/manifest/web", &known).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{known}");
    }
    assert_eq!(world.get_unless("/v2/manifest/web", "\"other\"").await.status, StatusCode::OK);
    for missing in ["/v2/manifest/nobody", "/v2/manifest/..%2Fpolicies", "/v2/manifest/"] {
        let answer = world.get(missing).await;
        let expected = NOT_FOUND.replace(r#""detail":"DETAIL","#, "");
        assert_eq!((answer.status, answer.body), (StatusCode::NOT_FOUND, expected), "{missing}");
    }
    // Configured, and not yet rotated.
    let answer = world.get("/v2/manifest/batch").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, fixture::UNAVAILABLE));
}

#[tokio::test]
async fn a_prefetch_that_gets_no_answer_is_given_up() {
    let world = World::new();
    world.adapters.objects.switch.set(Failing::Slow(Duration::from_secs(600)));
    let prefetch = world.broker.prefetch();
    tokio::time::timeout(Duration::from_secs(8), prefetch).await.expect("well before Lambda ends the init");
    assert!(world.log.text().contains("prefetch given up"));
    world.adapters.objects.switch.set(Failing::No);
    assert_eq!(world.post(world.request(&[secret("app/db")]).0).await.status, StatusCode::OK);
}

#[tokio::test]
async fn routes_and_methods_that_are_not_there_are_problems() {
    let world = World::new();
    assert_eq!(world.get("/health").await.status, StatusCode::OK);
    assert_eq!(world.get("/v2/nothing").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/v2/exchange").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let answer = world.send(Method::DELETE, "/v2/manifest/web", None, "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
}
