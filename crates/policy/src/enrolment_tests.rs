//! Policies about certificates of step-ca.

use std::time::Duration;

use crate::{
    Access, Action, BearerPrincipal, CertificateRequest, Circumstances, Decision, Device, Policies, PolicyError,
    Principal,
};

const WIDEST: &str = "permit (principal, action, resource);";

const OWN: &str =
    r#"permit (principal, action == Action::"certificate:enroll", resource) when { principal == resource };"#;

const SERIAL: &str = "123456789012345678901234567890123456789012345678";

const BEARER: BearerPrincipal<'_> = BearerPrincipal { subject: "network:line1", scope: "certs:write things:read" };

fn circumstances() -> Circumstances<'static> {
    Circumstances { source_ip: "10.1.2.3".parse().unwrap(), now: Duration::from_secs(1_800_000_000), wire: "v2" }
}

fn decide(policies: &str, principal: Principal<'_>, action: Action<'_>) -> Decision {
    let access = Access { principal, action, circumstances: circumstances() };
    Policies::load([("certificates.cedar", policies)], "countersign").unwrap().decide(access)
}

fn allowed(policies: &str, principal: Principal<'_>, action: Action<'_>) -> bool {
    decide(policies, principal, action) != Decision::Deny
}

/// The name in a certificate of this subject, without a code.
fn name<'a>(name: &'a str, subject: &'a str) -> Action<'a> {
    Action::EnrollCertificate { name, subject, channel: None }
}

/// A subject's own name, by a code.
fn own(name: &str) -> Action<'_> {
    Action::EnrollCertificate { name, subject: name, channel: Some("sms") }
}

fn revoke(subject: Option<&'static str>) -> Action<'static> {
    Action::RevokeCertificate { serial: SERIAL, subject, channel: None }
}

#[test]
fn who_has_a_code_gets_its_own_name_and_no_other() {
    let alice = Principal::Subject("alice");
    assert_eq!(decide(OWN, alice, own("alice")), Decision::Allow(vec!["certificates.cedar#0".into()]));
    for other in
        ["bob", "alice2", "alic", "Alice", "alice.example.com", "www.example.com", "10.0.0.1", "alice@example.com"]
    {
        assert!(!allowed(OWN, alice, name(other, "alice")), "{other}");
    }
    assert!(!allowed(OWN, Principal::Group("alice"), own("alice")), "a group of the same name is another");
}

#[test]
fn no_bearer_and_no_group_is_the_subject_of_a_certificate() {
    for of in [
        Principal::Bearer(BearerPrincipal { subject: "group:web", scope: "" }),
        Principal::Bearer(BEARER),
        Principal::Group("web"),
    ] {
        for subject in ["web", "line1", "group", "network"] {
            assert!(!allowed(OWN, of, name(subject, subject)), "{of:?} as {subject}");
        }
    }
}

#[test]
fn each_name_is_asked_for_by_itself() {
    let policies = r#"
        permit (principal == Group::"web", action == Action::"certificate:enroll", resource)
        when { resource.name like "*.web.example.com" && context.subject like "*.web.example.com" };
        permit (principal == Group::"web", action == Action::"certificate:enroll", resource == Subject::"10.0.0.7");
        permit (principal == Group::"web", action == Action::"certificate:enroll", resource == Subject::"spiffe://example.com/web");
    "#;
    let web = Principal::Group("web");
    for asked in ["a.web.example.com", "*.web.example.com", "10.0.0.7", "spiffe://example.com/web"] {
        assert!(allowed(policies, web, name(asked, "a.web.example.com")), "{asked}");
    }
    for asked in [
        "web.example.com",
        "a.web.example.com.example.net",
        "10.0.0.70",
        "10.0.0.7/24",
        "spiffe://example.com/web/admin",
        "spiffe://example.com/WEB",
        "bank.example.com",
        "",
    ] {
        assert!(!allowed(policies, web, name(asked, "a.web.example.com")), "{asked}");
    }
    assert!(!allowed(policies, web, name("a.web.example.com", "bank.example.com")), "for another's certificate");
    assert!(!allowed(policies, Principal::Group("batch"), name("a.web.example.com", "a.web.example.com")));
    assert!(!allowed(policies, Principal::Subject("web"), name("a.web.example.com", "a.web.example.com")));
}

#[test]
fn like_takes_a_subjects_and_a_bearers_name() {
    let policies = r#"
        permit (principal is Subject, action == Action::"certificate:enroll", resource)
        when { principal.name like "network:line*" && resource.name like "sensor-*" };
        permit (principal is Subject, action == Action::"certificate:enroll", resource)
        when { principal.name like "ops-*" && resource.name like "door-*" };
    "#;
    let bearer = |subject| Principal::Bearer(BearerPrincipal { subject, scope: "" });
    assert!(allowed(policies, bearer("network:line1"), name("sensor-1", "sensor-1")));
    assert!(allowed(policies, Principal::Subject("ops-1"), name("door-1", "ops-1")));
    assert!(!allowed(policies, bearer("network:lane1"), name("sensor-1", "sensor-1")));
    assert!(!allowed(policies, bearer("network:line1"), name("door-1", "door-1")));
    assert!(!allowed(policies, Principal::Subject("ops-1"), name("sensor-1", "ops-1")));
    assert!(!allowed(policies, Principal::Group("ops-1"), name("door-1", "door-1")));
}

#[test]
fn what_is_forbidden_in_small_letters_is_denied_in_capitals() {
    let forbids = [
        r#"forbid (principal, action, resource == Subject::"admin.example.com");"#,
        r#"forbid (principal, action == Action::"certificate:enroll", resource) when { resource.name like "admin.*" };"#,
        r#"forbid (principal, action == Action::"certificate:enroll", resource) when { context.subject == "admin.example.com" };"#,
    ];
    for forbid in forbids {
        let policies = format!("{WIDEST} {forbid}");
        for asked in ["admin.example.com", "ADMIN.example.com", "Admin.Example.Com"] {
            for principal in [Principal::Group("web"), Principal::Bearer(BEARER), Principal::Subject(asked)] {
                assert!(!allowed(&policies, principal, name(asked, asked)), "{asked} by {principal:?}: {forbid}");
            }
        }
        assert!(allowed(&policies, Principal::Group("web"), name("WWW.example.com", "WWW.example.com")), "{forbid}");
    }
}

#[test]
fn a_permit_in_small_letters_permits_no_capitals() {
    let permit = r#"permit (principal, action, resource == Subject::"www.example.com");"#;
    assert!(allowed(permit, Principal::Group("web"), name("www.example.com", "www.example.com")));
    assert!(!allowed(permit, Principal::Group("web"), name("WWW.example.com", "www.example.com")));
}

#[test]
fn a_subject_with_capitals_can_be_kept_to_its_own_name() {
    let policies = format!(
        r#"{WIDEST} forbid (principal, action == Action::"certificate:enroll", resource) unless {{ principal == resource }};"#
    );
    assert!(allowed(&policies, Principal::Subject("Alice"), own("Alice")));
    assert!(!allowed(&policies, Principal::Subject("Alice"), own("alice")));
    assert!(!allowed(&policies, Principal::Subject("Alice"), own("Bob")));
}

#[test]
fn scope_and_channel_tell_how_somebody_proved_itself() {
    let policies = r#"
        permit (principal is Subject, action in [Action::"certificate:enroll", Action::"certificate:revoke"], resource)
        when { context has scope && context.scope.contains("certs:write") };
        permit (principal is Subject, action in [Action::"certificate:enroll", Action::"certificate:revoke"], resource)
        when { context has channel && context.channel == "mail" };
    "#;
    let by = |channel| Action::EnrollCertificate { name: "alice", subject: "alice", channel };
    let revoked_by = |channel| Action::RevokeCertificate { serial: SERIAL, subject: Some("alice"), channel };
    let alice = Principal::Subject("alice");
    for action in [by, revoked_by] {
        assert!(allowed(policies, Principal::Bearer(BEARER), action(None)));
        assert!(!allowed(
            policies,
            Principal::Bearer(BearerPrincipal { scope: "certs:writer", ..BEARER }),
            action(None)
        ));
        assert!(!allowed(policies, Principal::Bearer(BearerPrincipal { scope: "", ..BEARER }), action(None)));
        assert!(allowed(policies, alice, action(Some("mail"))));
        assert!(!allowed(policies, alice, action(Some("sms"))));
        assert!(!allowed(policies, alice, action(None)));
    }
}

#[test]
fn the_kind_of_a_name_is_its_own() {
    let kinds = ["dns", "ip", "email", "uri", "other"];
    for (kind, names) in [
        ("dns", ["alice", "web-1.example.com", "*.example.com"].as_slice()),
        ("ip", &["192.0.2.1", "2001:db8::1"]),
        ("email", &["alice@example.com"]),
        ("uri", &["spiffe://example.com/web"]),
        ("other", &["+4915112345678", "12345678"]),
    ] {
        for asked in kinds {
            let policies = format!(
                r#"permit (principal, action == Action::"certificate:enroll", resource) when {{ context.kind == "{asked}" }};"#
            );
            for text in names {
                assert_eq!(
                    allowed(&policies, Principal::Group("web"), name(text, "alice")),
                    asked == kind,
                    "{text} as {asked}"
                );
            }
        }
    }
}

#[test]
fn circumstances_bound_an_enrolment() {
    let policies = r#"
        permit (principal, action == Action::"certificate:enroll", resource)
        when { context.wire == "v2" && context.source_ip.isInRange(ip("10.0.0.0/8")) && context.now < datetime("2030-01-01") };
    "#;
    let policies = Policies::load([("a.cedar", policies)], "countersign").unwrap();
    let at = |circumstances| {
        policies.decide(Access { principal: Principal::Subject("alice"), action: own("alice"), circumstances })
            != Decision::Deny
    };
    assert!(at(circumstances()));
    assert!(!at(Circumstances { wire: "v1", ..circumstances() }));
    assert!(!at(Circumstances { source_ip: "192.0.2.1".parse().unwrap(), ..circumstances() }));
    assert!(!at(Circumstances { now: Duration::from_secs(1_900_000_000), ..circumstances() }));
}

#[test]
fn a_revocation_is_bounded_by_number_and_by_the_certificates_subject() {
    let policies = format!(
        r#"permit (principal is Subject, action == Action::"certificate:revoke", resource)
           when {{ context has subject && context.subject == principal.name && context has channel }};
           permit (principal == Subject::"network:line1", action == Action::"certificate:revoke", resource == Certificate::"{SERIAL}");"#
    );
    let coded = |subject| Action::RevokeCertificate { serial: SERIAL, subject, channel: Some("sms") };
    let alice = Principal::Subject("alice");
    assert!(allowed(&policies, alice, coded(Some("alice"))));
    assert!(!allowed(&policies, alice, coded(Some("bob"))));
    assert!(!allowed(&policies, alice, coded(None)));
    assert!(!allowed(&policies, alice, own("alice")), "who may revoke need not be able to enrol");
    assert!(allowed(&policies, Principal::Bearer(BEARER), revoke(None)));
    let other = Action::RevokeCertificate { serial: "1", subject: None, channel: None };
    assert!(!allowed(&policies, Principal::Bearer(BEARER), other));
    assert!(!allowed(
        &policies,
        Principal::Bearer(BearerPrincipal { subject: "network:line2", ..BEARER }),
        revoke(None)
    ));
}

#[test]
fn the_widest_policy_still_leaves_each_its_own_actions() {
    let alice = Principal::Subject("alice");
    for (name, principal, action, expected) in [
        ("a_group_enrols", Principal::Group("web"), own("alice"), true),
        ("a_bearer_enrols", Principal::Bearer(BEARER), name("alice", "alice"), true),
        ("a_subject_enrols", alice, own("bob"), true),
        ("a_bearer_revokes", Principal::Bearer(BEARER), revoke(None), true),
        ("a_subject_revokes", alice, revoke(Some("alice")), true),
        ("a_group_revokes", Principal::Group("web"), revoke(Some("alice")), false),
        ("a_subject_reads_secrets", alice, Action::ReadSecret("app/db"), false),
        ("a_subject_assumes_roles", alice, Action::AssumeRole("deploy"), false),
        (
            "a_subject_gets_tokens",
            alice,
            Action::IssueToken { subject: "alice", user_present: true, user_verified: true },
            false,
        ),
        ("a_subject_sees_things", alice, Action::ReadDevice(Device::Thing("sensor-1")), false),
        ("a_subject_deletes_things", alice, Action::DeleteDevice("sensor-1"), false),
        ("a_bearer_reads_secrets", Principal::Bearer(BEARER), Action::ReadSecret("app/db"), false),
    ] {
        assert_eq!(allowed(WIDEST, principal, action), expected, "{name}");
    }
}

#[test]
fn permission_for_devices_and_tokens_is_none_for_certificates() {
    let policies = r#"
        permit (principal == Subject::"network:line1", action == Action::"device:provision", resource);
        permit (principal == Subject::"network:line1", action in [Action::"device:read", Action::"device:delete"], resource);
        permit (principal, action == Action::"token:issue", resource == Subject::"alice");
    "#;
    assert!(!allowed(policies, Principal::Bearer(BEARER), name("alice", "alice")));
    assert!(!allowed(policies, Principal::Bearer(BEARER), revoke(Some("alice"))));
    assert!(!allowed(policies, Principal::Group("web"), name("alice", "alice")));
}

#[test]
fn policies_from_before_enrolment_mean_what_they_meant() {
    let policies = r#"
        permit (principal == Subject::"network:line1", action == Action::"device:provision", resource == Template::"sensor")
        when { context.scope.contains("things:read") && context has certificate && context.certificate.days <= 30 };
        permit (principal is Subject, action == Action::"device:read", resource is Thing) when { resource.name like "sensor-*" };
        permit (principal is SshKey, action == Action::"token:issue", resource) when { context.user_present };
        permit (principal == Group::"web", action == Action::"token:issue", resource == Subject::"group:web");
        forbid (principal == Subject::"SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", action, resource);
    "#;
    let certificate = CertificateRequest { ca: "ab12", csr: true, days: 30, subject: &[] };
    let provision =
        Action::ProvisionDevice { template: "sensor", things: 1, thing: None, certificate: Some(certificate) };
    assert!(allowed(policies, Principal::Bearer(BEARER), provision));
    assert!(allowed(policies, Principal::Bearer(BEARER), Action::ReadDevice(Device::Thing("sensor-1"))));
    let token = |subject| Action::IssueToken { subject, user_present: false, user_verified: false };
    assert!(allowed(policies, Principal::Group("web"), token("group:web")));
    assert!(!allowed(policies, Principal::Group("web"), token("group:batch")));
}

#[test]
fn a_condition_on_what_may_be_absent_has_to_ask_first() {
    for condition in [r#"context.scope.contains("a")"#, r#"context.channel == "sms""#] {
        let text =
            format!(r#"permit (principal, action == Action::"certificate:enroll", resource) when {{ {condition} }};"#);
        let loaded = Policies::load([("a.cedar", text.as_str())], "countersign");
        assert!(matches!(loaded, Err(PolicyError::Invalid(_))), "{condition}");
    }
}

#[test]
fn texts_are_compared_and_never_read_as_policy() {
    for odd in [r#"alice" || true || ""#, "alice\n", "*", r"\*", "alice*", "Subject::\"alice\"", "алиса"] {
        let exact = r#"permit (principal, action == Action::"certificate:enroll", resource == Subject::"alice");"#;
        assert!(!allowed(exact, Principal::Group("web"), name(odd, "alice")), "{odd:?}");
        assert!(allowed(WIDEST, Principal::Group("web"), name(odd, "alice")), "{odd:?}");
    }
}
