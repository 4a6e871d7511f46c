use access_token::{InvalidLifetime, InvalidNetwork, InvalidScope, Lifetime, Network, Scope};
use cedar_policy::{Effect, Policy};

/// What a token gets that policies allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOptions {
    /// How long it lives, in seconds.
    pub seconds: u32,
    /// Where it works.
    pub network: Network,
    /// What for.
    pub scope: Scope,
}

/// What one policy says of a token, in its annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Annotations {
    /// `@ttl`, in seconds.
    seconds: Option<u32>,
    /// `@network`.
    network: Option<Network>,
    /// `@scope`.
    scope: Scope,
}

/// What is wrong with an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    /// It is none of `@ttl`, `@network`, `@scope`, `@id` and `@description`.
    #[error("there is no such annotation")]
    Unknown,
    /// It says what a token gets, and the policy is a `forbid`.
    #[error("a forbid gives nothing that it could be said of")]
    OnForbid,
    /// `@ttl` is not a lifetime.
    #[error(transparent)]
    Ttl(#[from] InvalidLifetime),
    /// `@network` is not a network.
    #[error(transparent)]
    Network(#[from] InvalidNetwork),
    /// `@scope` is not a scope.
    #[error(transparent)]
    Scope(#[from] InvalidScope),
}

/// Why no token is as all the policies say that allow it: then it is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// Of two networks, neither lies in the other.
    #[error("policies that allow the token name networks of which neither lies in the other")]
    Network,
    /// All scopes together are longer than a scope can be.
    #[error("the scopes of the policies that allow the token are too long together")]
    Scope,
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenDenied {
    /// No policy permits it, one forbids it, or one could not be evaluated.
    Policy,
    /// What the policies that permit it say does not go together.
    Contradiction(Contradiction),
}

impl TokenDenied {
    /// A stable code, for the log.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Contradiction(_) => "contradiction",
        }
    }
}

impl Annotations {
    /// Reads a policy's annotations.
    ///
    /// # Errors
    /// The name of the first annotation that is not valid, and why.
    pub(crate) fn of(policy: &Policy) -> Result<Self, (String, AnnotationError)> {
        let mut options = Self::default();
        for (name, value) in policy.annotations() {
            options.read(policy.effect(), name, value).map_err(|error| (name.to_owned(), error))?;
        }
        Ok(options)
    }

    /// What a token gets by this policy alone: what it does not say is the deployment's time and the caller's address.
    pub(crate) fn or(self, seconds: u32, network: Network) -> TokenOptions {
        TokenOptions {
            seconds: self.seconds.unwrap_or(seconds),
            network: self.network.unwrap_or(network),
            scope: self.scope,
        }
    }

    fn read(&mut self, effect: Effect, name: &str, value: &str) -> Result<(), AnnotationError> {
        match (name, effect) {
            ("id" | "description", _) => {}
            ("ttl" | "network" | "scope", Effect::Forbid) => return Err(AnnotationError::OnForbid),
            ("ttl", Effect::Permit) => self.seconds = Some(value.parse::<Lifetime>()?.seconds()),
            ("network", Effect::Permit) => self.network = Some(value.parse()?),
            ("scope", Effect::Permit) => self.scope = value.parse()?,
            _ => return Err(AnnotationError::Unknown),
        }
        Ok(())
    }
}

impl TokenOptions {
    /// What both allow: the shorter time, the narrower network; and the scopes of both.
    pub(crate) fn and(self, other: Self) -> Result<Self, Contradiction> {
        Ok(Self {
            seconds: self.seconds.min(other.seconds),
            network: self.network.narrower(other.network).ok_or(Contradiction::Network)?,
            scope: self.scope.and(other.scope).map_err(|_| Contradiction::Scope)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Access, Action, Circumstances, Policies, PolicyError, Principal};

    /// A policy with these annotations: `permit (principal, action, resource);`.
    fn load(annotations: &[&str]) -> Result<Policies, PolicyError> {
        let policy = |annotations: &&str| format!("{annotations} permit (principal, action, resource);");
        let text: String = annotations.iter().map(policy).collect();
        Policies::load([("tokens.cedar", text.as_str())], "countersign")
    }

    /// What a token gets by policies of these annotations, at 192.0.2.7 and for an hour where none says otherwise.
    fn options(annotations: &[&str]) -> Result<TokenOptions, TokenDenied> {
        decide(&load(annotations).unwrap())
    }

    fn decide(policies: &Policies) -> Result<TokenOptions, TokenDenied> {
        let circumstances = Circumstances {
            source_ip: "192.0.2.7".parse().unwrap(),
            now: Duration::from_secs(1_800_000_000),
            wire: "v2",
        };
        let action = Action::IssueToken { subject: "group:web", user_present: false, user_verified: false };
        let access = Access { principal: Principal::Group("web"), action, circumstances };
        policies.decide_token(access, 3600).map(|(_, options)| options)
    }

    fn told(seconds: u32, network: &str, scope: &str) -> TokenOptions {
        TokenOptions { seconds, network: network.parse().unwrap(), scope: scope.parse().unwrap() }
    }

    const HERE: &str = "192.0.2.7/32";

    #[test]
    fn a_policys_annotations_are_what_it_says_of_a_token() {
        for (annotations, expected) in [
            ("", told(3600, HERE, "")),
            (r#"@id("one") @description("what it is for")"#, told(3600, HERE, "")),
            (r#"@ttl("1s")"#, told(1, HERE, "")),
            (r#"@ttl("7d")"#, told(604_800, HERE, "")),
            (r#"@network("10.0.0.0/16")"#, told(3600, "10.0.0.0/16", "")),
            (r#"@network("2001:db8::/32")"#, told(3600, "2001:db8::/32", "")),
            (r#"@scope("things:write things:read")"#, told(3600, HERE, "things:read things:write")),
            (r#"@scope("a") @ttl("1m") @id("x") @network("::/0")"#, told(60, "::/0", "a")),
        ] {
            assert_eq!(options(&[annotations]), Ok(expected), "{annotations}");
        }
    }

    #[test]
    fn policies_together_say_the_shortest_time_the_narrowest_network_and_all_scopes() {
        for (annotations, expected) in [
            (&[r#"@ttl("7d")"#, r#"@ttl("4h")"#, r#"@ttl("5h")"#] as &[&str], told(14_400, HERE, "")),
            // What one does not say is the default, which another does not widen.
            (&[r#"@ttl("7d") @network("192.0.2.0/24") @scope("a")"#, r#"@scope("b")"#], told(3600, HERE, "a b")),
            (
                &[r#"@network("10.0.0.0/8")"#, r#"@network("10.1.0.0/16")"#, r#"@network("0.0.0.0/0")"#],
                told(3600, "10.1.0.0/16", ""),
            ),
            (&[r#"@scope("c a")"#, "", r#"@scope("b a")"#], told(3600, HERE, "a b c")),
            (&[r#"@ttl("1m") @scope("a")"#, r#"@ttl("2m") @scope("b")"#], told(60, HERE, "a b")),
        ] {
            assert_eq!(options(annotations).as_ref(), Ok(&expected), "{annotations:?}");
            let reversed: Vec<&str> = annotations.iter().rev().copied().collect();
            assert_eq!(options(&reversed), Ok(expected), "{reversed:?}");
        }
    }

    #[test]
    fn policies_that_contradict_each_other_are_told() {
        let (long, longer) = (format!("@scope({:?})", "a".repeat(600)), format!("@scope({:?})", "b".repeat(600)));
        for (annotations, contradiction) in [
            ([r#"@network("10.0.0.0/16")"#, r#"@network("10.1.0.0/16")"#], Contradiction::Network),
            ([r#"@network("0.0.0.0/0")"#, r#"@network("::/0")"#], Contradiction::Network),
            ([r#"@network("10.0.0.0/16")"#, ""], Contradiction::Network),
            ([&long, &longer], Contradiction::Scope),
        ] {
            assert_eq!(options(&annotations), Err(TokenDenied::Contradiction(contradiction)), "{annotations:?}");
        }
    }

    #[test]
    fn policies_that_did_not_allow_say_nothing() {
        let text = r#"@ttl("1m") permit (principal == Group::"batch", action, resource);
                      @ttl("2m") permit (principal == Group::"web", action, resource);"#;
        let policies = Policies::load([("tokens.cedar", text)], "countersign").unwrap();
        assert_eq!(decide(&policies), Ok(told(120, HERE, "")));
        let none = Policies::load([], "countersign").unwrap();
        assert_eq!(decide(&none), Err(TokenDenied::Policy));
    }

    #[test]
    fn annotations_hold_whatever_the_files_name() {
        for file in ["bob's.cedar", "a \"quoted\".cedar", "back\\slash.cedar", "\u{e9}t\u{e9}.cedar", "tab\t.cedar"] {
            let text = r#"@ttl("1m") permit (principal, action, resource);"#;
            let policies = Policies::load([(file, text)], "countersign").unwrap();
            assert_eq!(decide(&policies), Ok(told(60, HERE, "")), "{file}");
        }
    }

    #[test]
    fn an_annotation_that_is_wrong_in_any_way_refuses_the_load() {
        use AnnotationError as Error;
        for (name, annotation, expected) in [
            ("misspelt", r#"@tll("4h")"#, Error::Unknown),
            ("in_capitals", r#"@TTL("4h")"#, Error::Unknown),
            ("of_another_tool", r#"@advice("x")"#, Error::Unknown),
            ("ttl_alone", "@ttl", Error::Ttl(InvalidLifetime)),
            ("ttl_empty", r#"@ttl("")"#, Error::Ttl(InvalidLifetime)),
            ("ttl_without_a_unit", r#"@ttl("3600")"#, Error::Ttl(InvalidLifetime)),
            ("ttl_of_nothing", r#"@ttl("0s")"#, Error::Ttl(InvalidLifetime)),
            ("ttl_below_a_second", r#"@ttl("999ms")"#, Error::Ttl(InvalidLifetime)),
            ("ttl_with_a_fraction", r#"@ttl("1500ms")"#, Error::Ttl(InvalidLifetime)),
            ("ttl_below_zero", r#"@ttl("-4h")"#, Error::Ttl(InvalidLifetime)),
            ("ttl_in_months_for_minutes", r#"@ttl("30M")"#, Error::Ttl(InvalidLifetime)),
            ("ttl_past_32_bits", r#"@ttl("4294967296s")"#, Error::Ttl(InvalidLifetime)),
            ("ttl_past_64_bits", r#"@ttl("99999999999999999999s")"#, Error::Ttl(InvalidLifetime)),
            ("network_alone", "@network", Error::Network(InvalidNetwork::Form)),
            ("network_of_an_address", r#"@network("10.0.0.1")"#, Error::Network(InvalidNetwork::Form)),
            ("network_twice", r#"@network("10.0.0.0/8 10.0.0.0/8")"#, Error::Network(InvalidNetwork::Form)),
            (
                "network_with_host_bits",
                r#"@network("10.0.0.1/16")"#,
                Error::Network(InvalidNetwork::HostBits("10.0.0.0/16".parse().unwrap())),
            ),
            ("scope_with_commas_and_spaces", r#"@scope("a,  b")"#, Error::Scope(InvalidScope)),
            ("scope_with_a_quote", r#"@scope("a\"b")"#, Error::Scope(InvalidScope)),
        ] {
            for annotations in [&[annotation] as &[&str], &["", r#"@ttl("4h")"#, annotation]] {
                let PolicyError::Annotation { file, annotation: named, source } = load(annotations).unwrap_err() else {
                    panic!("{name}: another error");
                };
                assert_eq!((file.as_str(), source), ("tokens.cedar", expected), "{name}");
                assert!(annotation[1..].starts_with(&named), "{name}");
            }
        }
    }

    #[test]
    fn a_forbid_says_nothing_of_a_token() {
        for annotation in [r#"@ttl("4h")"#, r#"@network("10.0.0.0/8")"#, r#"@scope("a")"#, "@scope"] {
            let text = format!("{annotation} forbid (principal, action, resource);");
            let error = Policies::load([("tokens.cedar", text.as_str())], "countersign").unwrap_err();
            assert!(
                matches!(error, PolicyError::Annotation { source: AnnotationError::OnForbid, .. }),
                "{annotation}: {error:?}"
            );
        }
        let text = r#"@id("x") @description("y") forbid (principal, action, resource);"#;
        assert!(Policies::load([("tokens.cedar", text)], "countersign").is_ok());
    }
}
