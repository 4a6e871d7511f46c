//! The client of enrolment against a server that answers by a script.

use std::time::Duration;

use protocol::SubjectName;

use crate::{
    Error,
    bearer_token::tests::token,
    device_client_tests::{Scripted, Server},
    enrollment::{Channel, Code, EnrollmentClient, EnrollmentError, Proof, RevocationOrder, TokenOrder},
};

const GIVEN: &str = r#"{"token":"a.b.c","ca":{"url":"https://ca.example.com","fingerprint":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"expires_at":1}"#;
const PROBLEM: &str = r#"{"type":"urn:countersign:problem:x","title":"x","status":400}"#;

fn client(server: &Server) -> EnrollmentClient {
    EnrollmentClient::new(server.url.parse().unwrap()).timeout(Duration::from_secs(10))
}

fn alice() -> SubjectName {
    "alice".parse().unwrap()
}

/// What a token by this proof ends with, and how often it was asked for.
async fn asked(script: impl IntoIterator<Item = Scripted>, proof: Proof<'_>) -> (Result<String, Error>, usize) {
    let server = Server::start(script).await;
    let subject = alice();
    let order = TokenOrder { subject: &subject, sans: &[], csr: None };
    let ended = client(&server).token(&order, proof).await;
    (ended.map(|token| token.token.expose().clone()), server.count())
}

#[tokio::test]
async fn what_is_sent_is_what_the_proof_takes() {
    let server =
        Server::start([Some((202, "", r#"{"expires_in":300}"#)), Some((200, "", GIVEN)), Some((200, "", GIVEN))]).await;
    let (client, subject, code) = (client(&server), alice(), Code::read("12345678").unwrap());
    assert_eq!(client.challenge(&subject, Channel::Mail).await.unwrap(), 300);
    let sans = ["web.example.com".parse().unwrap()];
    let order = TokenOrder { subject: &subject, sans: &sans, csr: None };
    let token_given = client.token(&order, Proof::Code(&code)).await.unwrap();
    assert_eq!(token_given.url.as_str(), "https://ca.example.com");
    let bearer = token("group:web", 0, 100);
    let order = RevocationOrder { serial: &"7".parse().unwrap(), certificate: None, subject: None };
    client.revocation(&order, Proof::Bearer(&bearer)).await.unwrap();
    let requests = server.requests.lock().unwrap();
    let expect = |at: usize, route: &str, body: &str, has_token: bool| {
        let request = &requests[at];
        assert!(request.starts_with(&format!("POST /v2/enroll/{route} ")) && request.ends_with(body), "{request}");
        assert_eq!(request.contains(&format!("Bearer {}", bearer.expose())), has_token, "{request}");
    };
    expect(0, "challenge", r#"{"subject":"alice","channel":"mail"}"#, false);
    expect(1, "token", r#"{"subject":"alice","code":"12345678","sans":["web.example.com"]}"#, false);
    expect(2, "revocation", r#"{"serial":"7"}"#, true);
}

#[tokio::test]
async fn a_code_is_shown_once_and_a_token_until_there_is_an_answer() {
    let (code, bearer) = (Code::read("12345678").unwrap(), token("a", 0, 100));
    let (lost, failed): (Scripted, Scripted) = (None, Some((503, "", PROBLEM)));
    let (ended, count) = asked([lost, Some((200, "", GIVEN))], Proof::Code(&code)).await;
    assert!(matches!(ended, Err(Error::Enrollment(EnrollmentError::Unknown(_)))) && count == 1, "{ended:?}");
    let gateway: Scripted = Some((504, "", r#"{"message":"Endpoint request timed out"}"#));
    let (ended, count) = asked([gateway, Some((200, "", GIVEN))], Proof::Code(&code)).await;
    assert!(matches!(ended, Err(Error::Enrollment(EnrollmentError::Unknown(_)))) && count == 1, "{ended:?}");
    let (ended, count) = asked([failed, Some((200, "", GIVEN))], Proof::Code(&code)).await;
    assert!(matches!(ended, Err(Error::Unavailable { status: 503, .. })) && count == 1, "{ended:?}");
    let (ended, count) = asked([lost, failed, Some((200, "", GIVEN))], Proof::Bearer(&bearer)).await;
    assert_eq!((ended.unwrap().as_str(), count), ("a.b.c", 3));
    let (ended, count) = asked([failed; 9], Proof::Bearer(&bearer)).await;
    assert!(matches!(ended, Err(Error::Unavailable { status: 503, tries: 5 })) && count == 5, "{ended:?}");
}

#[tokio::test]
async fn refusals_are_the_brokers_where_they_say_so() {
    let code = Code::read("12345678").unwrap();
    for (status, headers, body, expected) in [
        (400, "", PROBLEM, 2),
        (401, "", PROBLEM, 4),
        (403, "", PROBLEM, 5),
        (404, "", PROBLEM, 6),
        (429, "retry-after: 7\r\n", PROBLEM, 7),
        (503, "", PROBLEM, 7),
        // A gateway's, or nobody's.
        (403, "", r#"{"message":"Forbidden"}"#, 8),
        (404, "", "", 8),
        (429, "", "", 7),
        (502, "", "", 7),
        (200, "", "{}", 8),
        (200, "", &GIVEN.replace("https", "http"), 8),
        (200, "", &GIVEN.replace("e3b0", ""), 8),
        (307, "location: https://other.example.com/\r\n", "", 8),
    ]
    .map(|(status, headers, body, expected)| (status, headers, body.to_owned().leak(), expected))
    {
        let (ended, count) = asked([Some((status, headers, &*body))], Proof::Code(&code)).await;
        let error = ended.unwrap_err();
        assert_eq!((error.exit_code(), count), (expected, 1), "{status} {body}: {error:?}");
        if let Error::Enrollment(EnrollmentError::TooMany { retry_after }) = error {
            assert_eq!(retry_after, Some(7));
        }
    }
}
