use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};
use protocol::AltName;
use time::{OffsetDateTime, macros::format_description};

/// What somebody asks for, and under which circumstances.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// Who asks.
    pub principal: Principal<'a>,
    /// What they ask for.
    pub action: Action<'a>,
    /// When, from where and how.
    pub circumstances: Circumstances<'a>,
}

/// Who can ask.
#[derive(Clone, Copy, Debug)]
pub enum Principal<'a> {
    /// The group of this name.
    Group(&'a str),
    /// An ssh key, for a token alone.
    SshKey(SshKeyPrincipal<'a>),
    /// Whoever bears an access token.
    Bearer(BearerPrincipal<'a>),
    /// Whoever proved by a code that was sent to it to be the subject of this name.
    Subject(&'a str),
}

/// What an access token says of its bearer.
#[derive(Clone, Copy, Debug)]
pub struct BearerPrincipal<'a> {
    /// Whom it speaks for: its `sub`.
    pub subject: &'a str,
    /// What it is for: its `scope`, words with one space between them.
    pub scope: &'a str,
}

/// An ssh key that is known, as policies see it.
#[derive(Clone, Copy, Debug)]
pub struct SshKeyPrincipal<'a> {
    /// Its fingerprint: `SHA256:...`.
    pub fingerprint: &'a str,
    /// The file that it is in, without `.pub`.
    pub file: &'a str,
    /// Its algorithm: `ssh-ed25519`.
    pub algorithm: &'a str,
    /// What the file says after it; may be empty.
    pub comment: &'a str,
    /// Whether a security key holds its private half.
    pub hardware: bool,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    /// To read the secret of this name.
    ReadSecret(&'a str),
    /// To obtain credentials of the role of this alias.
    AssumeRole(&'a str),
    /// To be issued an access token.
    IssueToken {
        /// Whom it would speak for: its `sub`.
        subject: &'a str,
        /// Whether somebody touched the security key that signed.
        user_present: bool,
        /// Whether it knew them, by PIN or fingerprint.
        user_verified: bool,
    },
    /// To have things registered by a provisioning template.
    ProvisionDevice {
        /// The template's id.
        template: &'a str,
        /// How many things.
        things: u32,
        /// The name of the thing, where it is one and the template says it plainly.
        thing: Option<&'a str>,
        /// The certificate that a CA of the customer's would sign, where the template has one made.
        certificate: Option<CertificateRequest<'a>>,
    },
    /// To see what is registered.
    ReadDevice(Device<'a>),
    /// To set the status of the certificates of a thing.
    UpdateDevice {
        /// The thing's name.
        thing: &'a str,
        /// `ACTIVE`, `INACTIVE` or `REVOKED`.
        status: &'a str,
    },
    /// To delete the thing of this name, with what serves nothing else.
    DeleteDevice(&'a str),
    /// To have a certificate of step-ca. To be asked for each name that it would have, its subject among them.
    EnrollCertificate {
        /// The name.
        name: &'a str,
        /// The certificate's subject.
        subject: &'a str,
        /// How the code was sent, where there was one: `sms`, `mail`, `webhook`.
        channel: Option<&'a str>,
    },
    /// To have a certificate of step-ca revoked.
    RevokeCertificate {
        /// Its serial number in decimal.
        serial: &'a str,
        /// Its subject, where the certificate was shown and verified.
        subject: Option<&'a str>,
        /// As in [`Action::EnrollCertificate`].
        channel: Option<&'a str>,
    },
}

/// A certificate that a CA of the customer's would sign.
#[derive(Clone, Copy, Debug)]
pub struct CertificateRequest<'a> {
    /// The CA: its id in AWS IoT, or the ARN of a private CA.
    pub ca: &'a str,
    /// Whether the caller has the private key.
    pub csr: bool,
    /// For how many days.
    pub days: u32,
    /// Its subject, by attribute: `common_name`, `organization`.
    pub subject: &'a [(&'static str, &'a str)],
}

/// What is registered.
#[derive(Clone, Copy, Debug)]
pub enum Device<'a> {
    /// The thing of this name.
    Thing(&'a str),
    /// A task that registers things by the template of this id.
    Task(&'a str),
}

/// When, from where and how somebody asks.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The caller's address as the gateway saw it.
    pub source_ip: IpAddr,
    /// Time since the Unix epoch.
    pub now: Duration,
    /// The wire format of the request.
    pub wire: &'a str,
}

/// A question that the schema does not allow to be asked.
#[derive(Debug)]
pub(crate) struct Malformed;

impl Access<'_> {
    /// The question in Cedar's terms, and the entities that it speaks of.
    pub(crate) fn to_cedar(self, schema: &Schema) -> Result<(Request, Entities), Malformed> {
        let (action, resource, mut entities, mut details) = match self.action {
            Action::ReadSecret(name) => ("secret:read", uid("Secret", name), secret_in_paths(name), vec![]),
            Action::AssumeRole(alias) => {
                let role = Entity::new_no_attrs(uid("Role", alias), HashSet::new());
                ("aws:assume", uid("Role", alias), vec![role], vec![])
            }
            Action::IssueToken { subject, user_present, user_verified } => {
                let flags = [("user_present", user_present), ("user_verified", user_verified)];
                let details = flags.map(|(name, flag)| (name, RestrictedExpression::new_bool(flag)));
                ("token:issue", uid("Subject", subject), vec![named("Subject", subject)?], details.into())
            }
            Action::ProvisionDevice { template, things, thing, certificate } => {
                let mut details = vec![("things", RestrictedExpression::new_long(things.into()))];
                details.extend(thing.map(|thing| ("thing", text(thing))));
                if let Some(certificate) = certificate {
                    details.push(("certificate", certificate.to_cedar()?));
                }
                ("device:provision", uid("Template", template), vec![], details)
            }
            Action::ReadDevice(Device::Thing(name)) => {
                ("device:read", uid("Thing", name), vec![named("Thing", name)?], vec![])
            }
            Action::ReadDevice(Device::Task(template)) => ("device:read", uid("Template", template), vec![], vec![]),
            Action::UpdateDevice { thing: name, status } => {
                ("device:update", uid("Thing", name), vec![named("Thing", name)?], vec![("status", text(status))])
            }
            Action::DeleteDevice(name) => ("device:delete", uid("Thing", name), vec![named("Thing", name)?], vec![]),
            Action::EnrollCertificate { name, subject, channel } => {
                let mut details = vec![("subject", text(subject)), ("kind", text(kind(name)))];
                details.extend(channel.map(|channel| ("channel", text(channel))));
                ("certificate:enroll", uid("Subject", name), vec![named("Subject", name)?], details)
            }
            Action::RevokeCertificate { serial, subject, channel } => {
                let details = [("subject", subject), ("channel", channel)];
                let known = details.into_iter().filter_map(|(name, value)| value.map(|value| (name, text(value))));
                ("certificate:revoke", uid("Certificate", serial), vec![], known.collect())
            }
        };
        let principal = match self.principal {
            Principal::Group(name) => uid("Group", name),
            Principal::SshKey(key) => {
                entities.push(key.to_cedar()?);
                uid("SshKey", key.fingerprint)
            }
            Principal::Bearer(BearerPrincipal { subject, scope }) => {
                let words = scope.split(' ').filter(|word| !word.is_empty()).map(text);
                details.push(("scope", RestrictedExpression::new_set(words)));
                entities.push(named("Subject", subject)?);
                uid("Subject", subject)
            }
            Principal::Subject(name) => {
                entities.push(named("Subject", name)?);
                uid("Subject", name)
            }
        };
        let context = self.circumstances.to_cedar(details)?;
        let request =
            Request::new(principal, uid("Action", action), resource, context, Some(schema)).map_err(|_| Malformed)?;
        // Without the schema: it would add every action's entity each time, and what stands here is made above.
        let entities = Entities::from_entities(entities, None).map_err(|_| Malformed)?;
        Ok((request, entities))
    }
}

impl SshKeyPrincipal<'_> {
    fn to_cedar(self) -> Result<Entity, Malformed> {
        let attributes = HashMap::from([
            ("algorithm".to_owned(), text(self.algorithm)),
            ("comment".to_owned(), text(self.comment)),
            ("hardware".to_owned(), RestrictedExpression::new_bool(self.hardware)),
        ]);
        Entity::new(uid("SshKey", self.fingerprint), attributes, HashSet::from([uid("KeyFile", self.file)]))
            .map_err(|_| Malformed)
    }
}

impl CertificateRequest<'_> {
    fn to_cedar(self) -> Result<RestrictedExpression, Malformed> {
        let record = |fields: Vec<(&'static str, RestrictedExpression)>| {
            let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
            RestrictedExpression::new_record(fields).map_err(|_| Malformed)
        };
        let subject = record(self.subject.iter().map(|(name, value)| (*name, text(value))).collect())?;
        record(vec![
            ("ca", text(self.ca)),
            ("csr", RestrictedExpression::new_bool(self.csr)),
            ("days", RestrictedExpression::new_long(self.days.into())),
            ("subject", subject),
        ])
    }
}

impl Circumstances<'_> {
    /// The circumstances, and what else the action's context has.
    fn to_cedar(self, details: Vec<(&'static str, RestrictedExpression)>) -> Result<Context, Malformed> {
        let seconds = i64::try_from(self.now.as_secs()).map_err(|_| Malformed)?;
        let now = OffsetDateTime::from_unix_timestamp(seconds)
            .ok()
            .and_then(|now| now.format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z")).ok())
            .ok_or(Malformed)?;
        let circumstances = [
            ("source_ip", RestrictedExpression::new_ip(self.source_ip.to_string())),
            ("now", RestrictedExpression::new_datetime(now)),
            ("wire", text(self.wire)),
        ];
        let all = circumstances.into_iter().chain(details).map(|(name, value)| (name.to_owned(), value));
        Context::from_pairs(all).map_err(|_| Malformed)
    }
}

/// An entity that has its id as its name too, since "like" takes no ids.
fn named(kind: &str, name: &str) -> Result<Entity, Malformed> {
    let attributes = HashMap::from([("name".to_owned(), text(name))]);
    Entity::new(uid(kind, name), attributes, HashSet::new()).map_err(|_| Malformed)
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

/// What kind of name step-ca would take it for. A subject may be none of them: a phone number.
fn kind(name: &str) -> &'static str {
    name.parse::<AltName>().map_or("other", |name| name.kind())
}

/// The secret below each prefix of its name that ends before a slash.
fn secret_in_paths(name: &str) -> Vec<Entity> {
    let mut entities = Vec::new();
    let mut parent = HashSet::new();
    for (slash, _) in name.match_indices('/') {
        let path = uid("Path", &name[..slash]);
        entities.push(Entity::new_no_attrs(path.clone(), parent));
        parent = HashSet::from([path]);
    }
    entities.push(Entity::new_no_attrs(uid("Secret", name), parent));
    entities
}

fn uid(kind: &str, id: &str) -> EntityUid {
    let kind: EntityTypeName = kind.parse().expect("entity types are identifiers");
    EntityUid::from_type_name_and_id(kind, EntityId::new(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decision, Policies};

    const FINGERPRINT: &str = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";

    const KEY: SshKeyPrincipal<'_> = SshKeyPrincipal {
        fingerprint: FINGERPRINT,
        file: "ops",
        algorithm: "sk-ssh-ed25519@openssh.com",
        comment: "alice@laptop",
        hardware: true,
    };

    const TOKEN: Action<'_> = Action::IssueToken { subject: FINGERPRINT, user_present: true, user_verified: true };

    fn circumstances() -> Circumstances<'static> {
        Circumstances { source_ip: "10.1.2.3".parse().unwrap(), now: Duration::from_secs(1_800_000_000), wire: "ssh" }
    }

    fn of(principal: Principal<'static>, action: Action<'static>) -> Access<'static> {
        Access { principal, action, circumstances: circumstances() }
    }

    fn key(key: SshKeyPrincipal<'static>) -> Access<'static> {
        of(Principal::SshKey(key), TOKEN)
    }

    fn policies(text: &str) -> Policies {
        Policies::load([("tokens.cedar", text)], "countersign").unwrap()
    }

    fn allows(policies: &Policies, access: Access<'_>) -> bool {
        policies.decide(access) != Decision::Deny
    }

    #[test]
    fn a_key_file_groups_its_keys() {
        let policies = policies(r#"permit (principal in KeyFile::"ops", action == Action::"token:issue", resource);"#);
        let allowed = Decision::Allow(vec!["tokens.cedar#0".into()]);
        assert_eq!(policies.decide(key(KEY)), allowed);
        let other = "SHA256:0000000000000000000000000000000000000000000";
        assert_eq!(policies.decide(key(SshKeyPrincipal { fingerprint: other, ..KEY })), allowed);
        for (name, file) in [("another_file", "guests"), ("longer", "ops2"), ("with_its_ending", "ops.pub"), ("no", "")]
        {
            assert!(!allows(&policies, key(SshKeyPrincipal { file, ..KEY })), "{name}");
        }
        assert!(!allows(&policies, of(Principal::Group("ops"), TOKEN)), "a group of the file's name");
    }

    #[test]
    fn a_key_can_be_named_and_shut_out() {
        let policies = policies(&format!(
            r#"permit (principal in KeyFile::"ops", action, resource);
               forbid (principal == SshKey::"{FINGERPRINT}", action, resource);"#
        ));
        assert!(!allows(&policies, key(KEY)));
        let other = "SHA256:0000000000000000000000000000000000000000000";
        assert!(allows(&policies, key(SshKeyPrincipal { fingerprint: other, ..KEY })));
    }

    #[test]
    fn what_a_key_is_and_how_it_signed_can_be_demanded() {
        let flags = |user_present, user_verified| {
            of(Principal::SshKey(KEY), Action::IssueToken { subject: FINGERPRINT, user_present, user_verified })
        };
        let elsewhere = |circumstances| Access { circumstances, ..key(KEY) };
        for (condition, met, unmet) in [
            ("principal.hardware", key(KEY), key(SshKeyPrincipal { hardware: false, ..KEY })),
            (
                r#"principal.algorithm == "sk-ssh-ed25519@openssh.com""#,
                key(KEY),
                key(SshKeyPrincipal { algorithm: "ssh-ed25519", ..KEY }),
            ),
            (r#"principal.comment like "*@laptop""#, key(KEY), key(SshKeyPrincipal { comment: "", ..KEY })),
            ("context.user_present", flags(true, false), flags(false, false)),
            ("context.user_verified", flags(true, true), flags(true, false)),
            (r#"context.wire == "ssh""#, key(KEY), elsewhere(Circumstances { wire: "v2", ..circumstances() })),
            (
                r#"context.source_ip.isInRange(ip("10.0.0.0/8"))"#,
                key(KEY),
                elsewhere(Circumstances { source_ip: "192.0.2.1".parse().unwrap(), ..circumstances() }),
            ),
        ] {
            let policies = policies(&format!(
                r#"permit (principal is SshKey, action == Action::"token:issue", resource) when {{ {condition} }};"#
            ));
            assert!(allows(&policies, met), "{condition}");
            assert!(!allows(&policies, unmet), "{condition}");
        }
    }

    #[test]
    fn a_group_gets_a_token_for_the_subject_that_policy_names() {
        let policies = policies(
            r#"permit (principal == Group::"web", action == Action::"token:issue", resource == Subject::"group:web");"#,
        );
        let token = |subject| Action::IssueToken { subject, user_present: false, user_verified: false };
        assert!(allows(&policies, of(Principal::Group("web"), token("group:web"))));
        assert!(!allows(&policies, of(Principal::Group("batch"), token("group:web"))));
        assert!(!allows(&policies, of(Principal::Group("web"), token("group:batch"))));
        assert!(!allows(&policies, of(Principal::Group("web"), Action::ReadSecret("group:web"))));
    }

    #[test]
    fn a_key_gets_tokens_alone_under_the_widest_policy() {
        let policies = policies("permit (principal, action, resource);");
        for action in [Action::ReadSecret("app/db"), Action::AssumeRole("deploy")] {
            assert!(allows(&policies, of(Principal::Group("web"), action)), "{action:?}");
            assert!(!allows(&policies, of(Principal::SshKey(KEY), action)), "{action:?}");
        }
        assert!(allows(&policies, key(KEY)));
    }
}
