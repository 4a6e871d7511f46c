//! Policies about devices.

use std::time::Duration;

use crate::{
    Access, Action, BearerPrincipal, CertificateRequest, Circumstances, Decision, Device, Policies, Principal,
};

const FACTORY: &str = r#"
    permit (principal == Subject::"network:line1", action == Action::"device:provision", resource == Template::"sensor")
    when {
        context.scope.contains("things:write") && context.things <= 100 && context has certificate
        && context.certificate.days <= 365 && context.certificate.subject has common_name
        && context.certificate.subject.common_name like "sensor-*"
    };
    permit (principal, action == Action::"device:read", resource is Thing) when { resource.name like "sensor-*" };
    permit (principal, action == Action::"device:update", resource is Thing)
    when { resource.name like "sensor-*" && context.status != "ACTIVE" };
    permit (principal == Subject::"network:line1", action == Action::"device:read", resource == Template::"sensor");
"#;

const BEARER: BearerPrincipal<'_> = BearerPrincipal { subject: "network:line1", scope: "things:read things:write" };

const CERTIFICATE: CertificateRequest<'_> =
    CertificateRequest { ca: "ab12", csr: true, days: 365, subject: &[("common_name", "sensor-1"), ("country", "DE")] };

fn allowed(bearer: BearerPrincipal<'_>, action: Action<'_>) -> bool {
    let circumstances =
        Circumstances { source_ip: "10.1.2.3".parse().unwrap(), now: Duration::from_secs(1_800_000_000), wire: "v2" };
    let access = Access { principal: Principal::Bearer(bearer), action, circumstances };
    Policies::load([("factory.cedar", FACTORY)], "countersign").unwrap().decide(access) != Decision::Deny
}

fn provision<'a>(template: &'a str, things: u32, certificate: Option<CertificateRequest<'a>>) -> Action<'a> {
    Action::ProvisionDevice { template, things, thing: Some("sensor-1"), certificate }
}

#[test]
fn what_a_device_gets_is_in_the_context() {
    assert!(allowed(BEARER, provision("sensor", 100, Some(CERTIFICATE))));
    for (name, bearer, action) in [
        ("another_subject", BearerPrincipal { subject: "network:line2", ..BEARER }, Some(CERTIFICATE)),
        ("another_scope", BearerPrincipal { scope: "things:writer", ..BEARER }, Some(CERTIFICATE)),
        ("no_scope", BearerPrincipal { scope: "", ..BEARER }, Some(CERTIFICATE)),
        ("no_certificate", BEARER, None),
        ("longer", BEARER, Some(CertificateRequest { days: 366, ..CERTIFICATE })),
        ("another_name", BEARER, Some(CertificateRequest { subject: &[("common_name", "door-1")], ..CERTIFICATE })),
        ("no_name", BEARER, Some(CertificateRequest { subject: &[("country", "DE")], ..CERTIFICATE })),
    ] {
        assert!(!allowed(bearer, provision("sensor", 1, action)), "{name}");
    }
    assert!(!allowed(BEARER, provision("sensor", 101, Some(CERTIFICATE))));
    assert!(!allowed(BEARER, provision("door", 1, Some(CERTIFICATE))));
}

#[test]
fn things_are_told_apart_by_name_and_verb() {
    let update = |thing, status| Action::UpdateDevice { thing, status };
    for (action, expected) in [
        (Action::ReadDevice(Device::Thing("sensor-1")), true),
        (Action::ReadDevice(Device::Thing("door-1")), false),
        (Action::ReadDevice(Device::Task("sensor")), true),
        (Action::ReadDevice(Device::Task("door")), false),
        (update("sensor-1", "INACTIVE"), true),
        (update("sensor-1", "REVOKED"), true),
        (update("sensor-1", "ACTIVE"), false),
        (update("door-1", "INACTIVE"), false),
        (Action::DeleteDevice("sensor-1"), false),
    ] {
        assert_eq!(allowed(BEARER, action), expected, "{action:?}");
    }
}
