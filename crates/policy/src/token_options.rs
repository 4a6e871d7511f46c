use access_token::{InvalidNetwork, InvalidScope, Network, Scope};
use cedar_policy::{Effect, Policy};

/// What the policies that allow a token say of it, in their annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenOptions {
    /// `@ttl`: how long it lives, in seconds, where a policy says so.
    pub seconds: Option<u32>,
    /// `@network`: where it works, where a policy says so.
    pub network: Option<Network>,
    /// `@scope`: what for; empty where no policy says so.
    pub scope: Scope,
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
    /// `@ttl` is not whole seconds, of which there are 1 to 4294967295.
    #[error("not a time in whole seconds, such as 4h or 7d")]
    Ttl,
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

impl TokenOptions {
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

    /// What both say: the shorter time, the narrower network, the scopes of both.
    pub(crate) fn and(self, other: &Self) -> Result<Self, Contradiction> {
        let network = match (self.network, other.network) {
            (Some(network), Some(other)) => Some(network.narrower(other).ok_or(Contradiction::Network)?),
            (network, other) => network.or(other),
        };
        Ok(Self {
            seconds: self.seconds.into_iter().chain(other.seconds).min(),
            network,
            scope: self.scope.and(other.scope.clone()).map_err(|_| Contradiction::Scope)?,
        })
    }

    fn read(&mut self, effect: Effect, name: &str, value: &str) -> Result<(), AnnotationError> {
        match (name, effect) {
            ("id" | "description", _) => {}
            ("ttl" | "network" | "scope", Effect::Forbid) => return Err(AnnotationError::OnForbid),
            ("ttl", Effect::Permit) => self.seconds = Some(seconds(value).ok_or(AnnotationError::Ttl)?),
            ("network", Effect::Permit) => self.network = Some(value.parse()?),
            ("scope", Effect::Permit) => self.scope = value.parse()?,
            _ => return Err(AnnotationError::Unknown),
        }
        Ok(())
    }
}

fn seconds(text: &str) -> Option<u32> {
    // "30M" is thirty months to humantime, and to nobody else.
    let time = humantime::parse_duration(text).ok().filter(|_| !text.contains('M'))?;
    u32::try_from(time.as_secs()).ok().filter(|seconds| *seconds > 0 && time.subsec_nanos() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policies, PolicyError};

    /// A policy with these annotations: `permit (principal, action, resource);`.
    fn load(annotations: &[&str]) -> Result<Policies, PolicyError> {
        let policy = |annotations: &&str| format!("{annotations} permit (principal, action, resource);");
        let text: String = annotations.iter().map(policy).collect();
        Policies::load([("tokens.cedar", text.as_str())], "countersign")
    }

    /// What policies of these annotations say together.
    fn options(annotations: &[&str]) -> Result<TokenOptions, Contradiction> {
        let policies: Vec<String> = (0..annotations.len()).map(|index| format!("tokens.cedar#{index}")).collect();
        load(annotations).unwrap().token_options(&policies)
    }

    fn told(seconds: Option<u32>, network: Option<&str>, scope: &str) -> TokenOptions {
        TokenOptions {
            seconds,
            network: network.map(|network| network.parse().unwrap()),
            scope: scope.parse().unwrap(),
        }
    }

    #[test]
    fn a_policys_annotations_are_what_it_says_of_a_token() {
        for (annotations, expected) in [
            ("", told(None, None, "")),
            (r#"@id("one") @description("what it is for")"#, told(None, None, "")),
            (r#"@ttl("1s")"#, told(Some(1), None, "")),
            (r#"@ttl("4h")"#, told(Some(14_400), None, "")),
            (r#"@ttl("7d")"#, told(Some(604_800), None, "")),
            (r#"@ttl("1h 30m")"#, told(Some(5_400), None, "")),
            (r#"@ttl("4294967295s")"#, told(Some(u32::MAX), None, "")),
            (r#"@network("10.0.0.0/16")"#, told(None, Some("10.0.0.0/16"), "")),
            (r#"@network("2001:db8::/32")"#, told(None, Some("2001:db8::/32"), "")),
            (r#"@scope("things:write things:read")"#, told(None, None, "things:read things:write")),
            (r#"@scope("a") @ttl("1m") @id("x") @network("::/0")"#, told(Some(60), Some("::/0"), "a")),
        ] {
            assert_eq!(options(&[annotations]), Ok(expected), "{annotations}");
        }
    }

    #[test]
    fn policies_together_say_the_shortest_time_the_narrowest_network_and_all_scopes() {
        for (annotations, expected) in [
            (&[r#"@ttl("7d")"#, r#"@ttl("4h")"#, r#"@ttl("5h")"#, ""] as &[&str], told(Some(14_400), None, "")),
            (
                &["", r#"@network("10.0.0.0/8")"#, r#"@network("10.1.0.0/16")"#, r#"@network("0.0.0.0/0")"#],
                told(None, Some("10.1.0.0/16"), ""),
            ),
            (&[r#"@scope("c a")"#, "", r#"@scope("b a")"#], told(None, None, "a b c")),
            (
                &[r#"@ttl("1m") @scope("a")"#, r#"@network("192.0.2.7/32")"#, r#"@ttl("2m") @scope("b")"#],
                told(Some(60), Some("192.0.2.7/32"), "a b"),
            ),
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
            ([&long, &longer], Contradiction::Scope),
        ] {
            assert_eq!(options(&annotations), Err(contradiction), "{annotations:?}");
        }
    }

    #[test]
    fn policies_that_did_not_allow_say_nothing() {
        let policies = load(&[r#"@ttl("1m")"#, r#"@ttl("2m")"#]).unwrap();
        let second = policies.token_options(&["tokens.cedar#1".into()]);
        assert_eq!(second, Ok(told(Some(120), None, "")));
        assert_eq!(policies.token_options(&[]), Ok(TokenOptions::default()));
    }

    #[test]
    fn an_annotation_that_is_wrong_in_any_way_refuses_the_load() {
        use AnnotationError as Error;
        for (name, annotation, expected) in [
            ("misspelt", r#"@tll("4h")"#, Error::Unknown),
            ("in_capitals", r#"@TTL("4h")"#, Error::Unknown),
            ("of_another_tool", r#"@advice("x")"#, Error::Unknown),
            ("ttl_alone", "@ttl", Error::Ttl),
            ("ttl_empty", r#"@ttl("")"#, Error::Ttl),
            ("ttl_without_a_unit", r#"@ttl("3600")"#, Error::Ttl),
            ("ttl_of_nothing", r#"@ttl("0s")"#, Error::Ttl),
            ("ttl_below_a_second", r#"@ttl("999ms")"#, Error::Ttl),
            ("ttl_with_a_fraction", r#"@ttl("1500ms")"#, Error::Ttl),
            ("ttl_below_zero", r#"@ttl("-4h")"#, Error::Ttl),
            ("ttl_in_months_for_minutes", r#"@ttl("30M")"#, Error::Ttl),
            ("ttl_past_32_bits", r#"@ttl("4294967296s")"#, Error::Ttl),
            ("ttl_past_64_bits", r#"@ttl("99999999999999999999s")"#, Error::Ttl),
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
