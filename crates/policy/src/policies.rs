use std::{collections::BTreeMap, sync::LazyLock};

use access_token::{Fingerprint, Network};
use cedar_policy::{
    Authorizer, Decision as CedarDecision, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator,
};

use crate::{Access, Action, AnnotationError, Principal, TokenDenied, TokenOptions, token_options::Annotations};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let (schema, _) =
        Schema::from_cedarschema_str(include_str!("schema.cedarschema")).expect("the schema beside this file parses");
    schema
});

static AUTHORIZER: LazyLock<Authorizer> = LazyLock::new(Authorizer::new);

/// A validated set of policies.
#[derive(Debug)]
pub struct Policies {
    set: PolicySet,
    /// By policy; where one says nothing of tokens, it is not here.
    annotations: BTreeMap<String, Annotations>,
}

/// Why a set of policies is not used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file is not Cedar.
    #[error("policy file does not parse: {file}")]
    Parse {
        /// The file's name.
        file: String,
        /// What Cedar says of it.
        #[source]
        source: Box<cedar_policy::ParseErrors>,
    },
    /// A file holds a template, which nothing here would ever link.
    #[error("policy file holds a template: {file}")]
    Template {
        /// The file's name.
        file: String,
    },
    /// A policy speaks of what the schema does not have.
    #[error("policies do not fit the schema: {0}")]
    Invalid(String),
    /// A file names a path that no secret is in, so that a `forbid` on it would forbid nothing.
    #[error("policy file names a path that ends in a slash or has two in a row: {file}")]
    EmptyPath {
        /// The file's name.
        file: String,
    },
    /// A file names a key file with its `.pub`, or a key by anything but its fingerprint, so that a `forbid` on it would
    /// forbid nothing.
    #[error("policy file names a key file with its .pub, or an ssh key not by its SHA256 fingerprint: {file}")]
    NoKey {
        /// The file's name.
        file: String,
    },
    /// A file names a provisioning template with its `.json`, so that a `forbid` on it would forbid nothing.
    #[error("policy file names a provisioning template with its .json: {file}")]
    NoTemplate {
        /// The file's name.
        file: String,
    },
    /// A file names a certificate by anything but its serial number in decimal, so that a `forbid` on it would forbid nothing.
    #[error("policy file names a certificate not by its serial number in decimal: {file}")]
    NoCertificate {
        /// The file's name.
        file: String,
    },
    /// A policy bears an annotation that would not do what it says.
    #[error("annotation of a policy is not valid: {file}: @{annotation}")]
    Annotation {
        /// The file's name.
        file: String,
        /// The annotation's name.
        annotation: String,
        /// What is wrong with it.
        #[source]
        source: AnnotationError,
    },
    /// The names of a file's policies collide with another's.
    #[error("two policies have one name: {0}")]
    Duplicate(String),
}

/// The answer to an [`Access`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed, by these policies: file name, `#`, position in the file from 0.
    Allow(Vec<String>),
    /// Not allowed: no policy permits it, one forbids it, or one could not be evaluated.
    Deny,
}

/// What the policies make of an access.
enum Answer {
    /// These permit it, and none forbids it.
    Permitted(Vec<String>),
    /// None permits it.
    Unpermitted,
    /// One forbids it, or could not be evaluated.
    Forbidden,
}

impl Policies {
    /// Parses and validates policy files, given by name and text.
    ///
    /// Whatever they permit, nothing under the path `reserved` can be read: it holds the broker's own keys, which its
    /// role must be able to read.
    ///
    /// # Errors
    /// The first thing that is wrong with a file; then no policy is used.
    pub fn load<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>, reserved: &str) -> Result<Self, PolicyError> {
        let mut all = Self { set: PolicySet::new(), annotations: BTreeMap::new() };
        let guard = format!("forbid (principal, action == Action::\"secret:read\", resource in Path::{reserved:?});");
        all.add("(built in)", &guard)?;
        for (file, text) in files {
            all.add(file, text)?;
        }
        let verdict = Validator::new(SCHEMA.clone()).validate(&all.set, ValidationMode::Strict);
        match verdict.validation_errors().next() {
            None => Ok(all),
            Some(error) => Err(PolicyError::Invalid(error.to_string())),
        }
    }

    /// Decides. A policy that cannot be evaluated denies: Cedar would pass it over, and a `forbid` with it.
    ///
    /// Names in certificates mean the same in capitals and in small letters, and Cedar compares letter by letter: so that
    /// `ADMIN.example.com` does not pass a `forbid` of `admin.example.com`, what is forbidden in small letters is denied however it
    /// is written. A `permit` has to fit what was asked for.
    #[must_use]
    pub fn decide(&self, access: Access<'_>) -> Decision {
        match self.answer(access) {
            Answer::Permitted(policies) if !self.forbids_in_small_letters(access) => Decision::Allow(policies),
            Answer::Permitted(_) | Answer::Unpermitted | Answer::Forbidden => Decision::Deny,
        }
    }

    /// Decides about a token: the policies that allow it, and what it gets by them: the shortest time, the narrowest network, and
    /// all scopes. Where a policy does not name a time it is `default_seconds`, where it names no network the caller's address.
    ///
    /// # Errors
    /// [`TokenDenied`].
    pub fn decide_token(
        &self,
        access: Access<'_>,
        default_seconds: u32,
    ) -> Result<(Vec<String>, TokenOptions), TokenDenied> {
        let Decision::Allow(allowing) = self.decide(access) else { return Err(TokenDenied::Policy) };
        let caller = Network::of(access.circumstances.source_ip);
        let of =
            |policy: &String| self.annotations.get(policy).cloned().unwrap_or_default().or(default_seconds, caller);
        let mut options = allowing.iter().map(of);
        let first = options.next().ok_or(TokenDenied::Policy)?;
        let all = options.try_fold(first, TokenOptions::and).map_err(TokenDenied::Contradiction)?;
        Ok((allowing, all))
    }

    /// How many policies there are, the built-in one aside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.set.num_of_policies() - 1
    }

    /// Whether there is no policy, so that everything is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn answer(&self, access: Access<'_>) -> Answer {
        let Ok((request, entities)) = access.to_cedar(&SCHEMA) else { return Answer::Unpermitted };
        let answer = AUTHORIZER.is_authorized(&request, &self.set, &entities);
        let diagnostics = answer.diagnostics();
        let mut policies: Vec<String> = diagnostics.reason().map(|id| AsRef::<str>::as_ref(id).to_owned()).collect();
        policies.sort_unstable();
        match answer.decision() {
            _ if diagnostics.errors().next().is_some() => Answer::Forbidden,
            CedarDecision::Allow => Answer::Permitted(policies),
            CedarDecision::Deny if policies.is_empty() => Answer::Unpermitted,
            CedarDecision::Deny => Answer::Forbidden,
        }
    }

    /// Whether the same enrolment is forbidden where every name in it is in small letters.
    fn forbids_in_small_letters(&self, access: Access<'_>) -> bool {
        let Action::EnrollCertificate { name, subject, channel } = access.action else { return false };
        let own = if let Principal::Subject(name) = access.principal { name } else { "" };
        let small = [name, subject, own].map(str::to_ascii_lowercase);
        if small == [name, subject, own] {
            return false;
        }
        let [name, subject, own] = &small;
        let principal = if own.is_empty() { access.principal } else { Principal::Subject(own) };
        let action = Action::EnrollCertificate { name, subject, channel };
        matches!(self.answer(Access { principal, action, ..access }), Answer::Forbidden)
    }

    fn add(&mut self, file: &str, text: &str) -> Result<(), PolicyError> {
        let set: PolicySet =
            text.parse().map_err(|source| PolicyError::Parse { file: file.to_owned(), source: Box::new(source) })?;
        if set.templates().next().is_some() {
            return Err(PolicyError::Template { file: file.to_owned() });
        }
        let mut policies: Vec<&Policy> = set.policies().collect();
        policies.sort_by_key(|policy| position(policy.id()));
        for (position, policy) in policies.into_iter().enumerate() {
            for literal in policy.entity_literals() {
                check_literal(literal.type_name().basename(), literal.id().unescaped(), file)?;
            }
            let annotations = Annotations::of(policy).map_err(|(annotation, source)| PolicyError::Annotation {
                file: file.to_owned(),
                annotation,
                source,
            })?;
            let id = format!("{file}#{position}");
            if annotations != Annotations::default() {
                self.annotations.insert(id.clone(), annotations);
            }
            self.set.add(policy.new_id(PolicyId::new(&id))).map_err(|_| PolicyError::Duplicate(id))?;
        }
        Ok(())
    }
}

/// Refuses what nothing is ever named.
fn check_literal(kind: &str, id: &str, file: &str) -> Result<(), PolicyError> {
    match kind {
        "Path" if id.ends_with('/') || id.contains("//") => Err(PolicyError::EmptyPath { file: file.to_owned() }),
        "KeyFile" if id.ends_with(".pub") => Err(PolicyError::NoKey { file: file.to_owned() }),
        "Template" if id.ends_with(".json") => Err(PolicyError::NoTemplate { file: file.to_owned() }),
        "Certificate" if id.is_empty() || id.starts_with('0') || !id.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(PolicyError::NoCertificate { file: file.to_owned() })
        }
        "SshKey" if id.parse::<Fingerprint>().is_err() => Err(PolicyError::NoKey { file: file.to_owned() }),
        _ => Ok(()),
    }
}

/// Cedar names the policies of a text `policy0`, `policy1`, ...
fn position(id: &PolicyId) -> usize {
    let name: &str = id.as_ref();
    name.trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Circumstances;

    const WEB: &str = r#"
        permit (principal == Group::"web", action == Action::"secret:read", resource in Path::"prod/web")
        when { context.source_ip.isInRange(ip("10.0.0.0/8")) };
        permit (principal == Group::"web", action == Action::"aws:assume", resource == Role::"deploy")
        when { context.wire == "v2" && context.now < datetime("2030-01-01") };
    "#;

    fn access<'a>(group: &'a str, action: Action<'a>) -> Access<'a> {
        let circumstances = Circumstances {
            source_ip: "10.1.2.3".parse().unwrap(),
            now: Duration::from_secs(1_800_000_000),
            wire: "v2",
        };
        Access { principal: Principal::Group(group), action, circumstances }
    }

    fn load(text: &str) -> Policies {
        Policies::load([("web.cedar", text)], "countersign").unwrap()
    }

    #[test]
    fn what_a_policy_permits_is_allowed_and_named() {
        let policies = load(WEB);
        let decision = policies.decide(access("web", Action::ReadSecret("prod/web/db")));
        assert_eq!(decision, Decision::Allow(vec!["web.cedar#0".into()]));
        let decision = policies.decide(access("web", Action::AssumeRole("deploy")));
        assert_eq!(decision, Decision::Allow(vec!["web.cedar#1".into()]));
    }

    #[test]
    fn everything_else_is_denied() {
        let policies = load(WEB);
        let base = access("web", Action::ReadSecret("prod/web/db"));
        let circumstances = base.circumstances;
        for (name, access) in [
            ("another_group", Access { principal: Principal::Group("batch"), ..base }),
            ("a_path_that_only_begins_alike", Access { action: Action::ReadSecret("prod/website/db"), ..base }),
            ("the_path_itself", Access { action: Action::ReadSecret("prod/web"), ..base }),
            ("a_path_above", Access { action: Action::ReadSecret("prod/db"), ..base }),
            ("another_role", Access { action: Action::AssumeRole("admin"), ..base }),
            (
                "another_network",
                Access {
                    circumstances: Circumstances { source_ip: "192.0.2.1".parse().unwrap(), ..circumstances },
                    ..base
                },
            ),
            (
                "another_wire",
                Access {
                    action: Action::AssumeRole("deploy"),
                    circumstances: Circumstances { wire: "v1", ..circumstances },
                    ..base
                },
            ),
            (
                "after_its_time",
                Access {
                    action: Action::AssumeRole("deploy"),
                    circumstances: Circumstances { now: Duration::from_secs(1_900_000_000), ..circumstances },
                    ..base
                },
            ),
        ] {
            assert_eq!(policies.decide(access), Decision::Deny, "{name}");
        }
    }

    #[test]
    fn without_policies_everything_is_denied() {
        let policies = Policies::load([], "countersign").unwrap();
        assert!(policies.is_empty());
        assert_eq!(policies.decide(access("web", Action::ReadSecret("prod/web/db"))), Decision::Deny);
    }

    #[test]
    fn the_brokers_own_keys_stay_shut_under_the_widest_policy() {
        let policies = load("permit (principal, action, resource);");
        assert_eq!(policies.decide(access("web", Action::ReadSecret("countersign/server-key"))), Decision::Deny);
        assert!(matches!(policies.decide(access("web", Action::ReadSecret("app/db"))), Decision::Allow(_)));
    }

    #[test]
    fn a_file_that_is_wrong_in_any_way_refuses_the_load() {
        type Is = fn(&PolicyError) -> bool;
        let parse: Is = |error| matches!(error, PolicyError::Parse { .. });
        let invalid: Is = |error| matches!(error, PolicyError::Invalid(_));
        let empty: Is = |error| matches!(error, PolicyError::EmptyPath { .. });
        let no_key: Is = |error| matches!(error, PolicyError::NoKey { .. });
        let no_template: Is = |error| matches!(error, PolicyError::NoTemplate { .. });
        let no_certificate: Is = |error| matches!(error, PolicyError::NoCertificate { .. });
        let annotation: Is = |error| matches!(error, PolicyError::Annotation { .. });
        let template: Is = |error| matches!(error, PolicyError::Template { .. });
        for (name, is, text) in [
            ("not_cedar", parse, "permit everything"),
            ("unknown_action", invalid, r#"permit (principal, action == Action::"secret:write", resource);"#),
            ("unknown_entity", invalid, r#"permit (principal == Team::"web", action, resource);"#),
            ("unknown_attribute", invalid, r#"permit (principal, action, resource) when { context.colour == "red" };"#),
            ("wrong_type", invalid, r"permit (principal, action, resource) when { context.wire > 2 };"),
            ("template_with_its_ending", no_template, r#"forbid (principal, action, resource == Template::"a.json");"#),
            ("path_with_a_slash_at_its_end", empty, r#"forbid (principal, action, resource in Path::"app/admin/");"#),
            ("path_with_an_empty_segment", empty, r#"forbid (principal, action, resource in Path::"app//admin");"#),
            ("key_file_with_its_ending", no_key, r#"forbid (principal in KeyFile::"ops.pub", action, resource);"#),
            ("key_by_its_digest", no_key, r#"forbid (principal == SshKey::"LXEWQrcm", action, resource);"#),
            ("certificate_by_hex", no_certificate, r#"forbid (principal, action, resource == Certificate::"0A:1B");"#),
            ("certificate_by_nought", no_certificate, r#"forbid (principal, action, resource == Certificate::"012");"#),
            ("certificate_without", no_certificate, r#"forbid (principal, action, resource == Certificate::"");"#),
            (
                "touch_asked_of_every_action",
                invalid,
                r"permit (principal, action, resource) when { context.user_present };",
            ),
            (
                "unknown_attribute_of_a_key",
                invalid,
                r#"permit (principal is SshKey, action, resource) when { principal.owner == "alice" };"#,
            ),
            ("annotation", annotation, r#"@tll("4h") permit (principal, action, resource);"#),
            ("annotation_twice", parse, r#"@ttl("4h") @ttl("7d") permit (principal, action, resource);"#),
            ("template", template, r#"permit (principal == ?principal, action == Action::"secret:read", resource);"#),
        ] {
            let error = Policies::load([("good.cedar", WEB), ("bad.cedar", text)], "countersign").unwrap_err();
            assert!(is(&error), "{name}: {error:?}");
        }
    }

    #[test]
    fn a_forbid_that_cannot_be_evaluated_denies() {
        let policies = load(
            r#"permit (principal, action, resource);
               forbid (principal, action, resource)
               when { context.now.offset(duration("106751991167d")) > datetime("2030-01-01") };"#,
        );
        assert_eq!(policies.decide(access("web", Action::ReadSecret("app/db"))), Decision::Deny);
    }
}
