//! A sign-in URL for the AWS console from a role's credentials.
//!
//! Source: AWS IAM User Guide, "Enable custom identity broker access to the AWS console"; AWS Sign-In endpoints.

use http::{Fetched, GetError, Http, is_private};
use protocol::Secret;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{AwsCredentials, Error};

const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Where one signs in, and where one is then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    federation: Url,
    destination: Url,
}

/// A partition of AWS: the domains of its sign-in and of its console.
struct Partition {
    /// What its regions' names begin with.
    regions: &'static str,
    signin: &'static str,
    console: &'static str,
    /// Whether each region has a sign-in endpoint of its own.
    regional: bool,
}

/// How regions of partitions begin whose endpoints are not public knowledge.
const UNKNOWN_PARTITIONS: [&str; 3] = ["us-iso", "eu-iso", "eusc-"];

/// The region whose sign-in endpoint is the partition's own.
const HOME_REGION: &str = "us-east-1";

/// The last one is every other region's.
const PARTITIONS: [Partition; 3] = [
    Partition { regions: "cn-", signin: "signin.amazonaws.cn", console: "console.amazonaws.cn", regional: false },
    Partition {
        regions: "us-gov-",
        signin: "signin.amazonaws-us-gov.com",
        console: "console.amazonaws-us-gov.com",
        regional: false,
    },
    Partition { regions: "", signin: "signin.aws.amazon.com", console: "console.aws.amazon.com", regional: true },
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session<'a> {
    session_id: &'a str,
    session_key: &'a str,
    session_token: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "SigninToken")]
    token: Secret<String>,
}

impl Console {
    /// The console of a region, by default the destination's, at this page, by default its home.
    ///
    /// `federation` is in place of the partition's endpoint.
    ///
    /// # Errors
    /// [`Error::Url`] where a url would show credentials to others: neither `https` nor on this machine. [`Error::Partition`]
    /// where the region is of a partition that is not known here, and not both urls are given.
    pub fn new(region: Option<&str>, destination: Option<&Url>, federation: Option<Url>) -> Result<Self, Error> {
        let host = destination.and_then(Url::host_str);
        let of_host = |partition: &&Partition| host.is_some_and(|host| host.ends_with(partition.console));
        let of_region = |region: &str| PARTITIONS.iter().find(|partition| region.starts_with(partition.regions));
        let partition = region.map_or_else(|| PARTITIONS.iter().find(of_host), of_region).unwrap_or(&PARTITIONS[2]);
        // Before the console's domain may stand a service or an account, too.
        let in_host = host.and_then(|host| host.strip_suffix(partition.console)?.strip_suffix('.')?.rsplit('.').next());
        let region = region.or(in_host.filter(|label| is_region(label)));
        let is_unknown = |region: &str| UNKNOWN_PARTITIONS.iter().any(|prefix| region.starts_with(prefix));
        if region.is_some_and(is_unknown) && (federation.is_none() || destination.is_none()) {
            return Err(Error::Partition);
        }
        let signin = match region {
            Some(region) if partition.regional && region != HOME_REGION => {
                format!("https://{region}.{}/federation", partition.signin)
            }
            _ => format!("https://{}/federation", partition.signin),
        };
        let home = || {
            let mut home: Url =
                format!("https://{}/console/home", partition.console).parse().map_err(|_| Error::Url)?;
            if let Some(region) = region {
                home.query_pairs_mut().append_pair("region", region);
            }
            Ok::<_, Error>(home)
        };
        let console = Self {
            federation: federation.map_or_else(|| signin.parse().map_err(|_| Error::Url), Ok)?,
            destination: destination.cloned().map_or_else(home, Ok)?,
        };
        if is_private(&console.federation) && is_private(&console.destination) { Ok(console) } else { Err(Error::Url) }
    }

    /// Exchanges credentials for a sign-in token: a url that opens the console within 15 minutes. Whoever has it is that
    /// role for as long as the credentials live.
    ///
    /// No duration is asked for: AWS refuses one for the credentials of a role that another role assumed.
    ///
    /// # Errors
    /// [`Error::Federation`], [`Error::FederationUnreachable`].
    pub async fn sign_in_url(&self, credentials: &AwsCredentials) -> Result<Secret<String>, Error> {
        let session = Session {
            session_id: &credentials.access_key_id,
            session_key: credentials.secret_access_key.expose(),
            session_token: credentials.session_token.expose(),
        };
        let session = Secret::new(serde_json::to_string(&session).expect("a session serializes"));
        let mut url = self.federation.clone();
        url.query_pairs_mut().append_pair("Action", "getSigninToken").append_pair("Session", session.expose());
        let answer = match Http::default().get(&url, &HeaderMap::new(), MAX_ANSWER_BYTES).await {
            Ok(Fetched::Body(body)) => serde_json::from_slice::<Answer>(&body).ok(),
            // The url holds the credentials.
            Err(GetError::Unreachable(source)) => return Err(Error::FederationUnreachable(source.without_url())),
            Err(GetError::Status(400 | 401 | 403)) => return Err(Error::Federation("it refuses the credentials")),
            Ok(Fetched::Elsewhere(_)) | Err(GetError::Status(_) | GetError::TooLarge) => None,
        };
        let answer = answer.ok_or(Error::Federation("its answer holds none"))?;
        let mut url = self.federation.clone();
        url.query_pairs_mut()
            .append_pair("Action", "login")
            .append_pair("Issuer", "countersign")
            .append_pair("Destination", self.destination.as_str())
            .append_pair("SigninToken", answer.token.expose());
        Ok(Secret::new(url.into()))
    }
}

/// Whether this has the form of a region's name, as `eu-west-1`.
fn is_region(label: &str) -> bool {
    let parts: Vec<&str> = label.split('-').collect();
    let number = parts.last().is_some_and(|last| last.len() == 1 && last.bytes().all(|byte| byte.is_ascii_digit()));
    parts.len() >= 3
        && number
        && parts[..parts.len() - 1].iter().all(|part| part.bytes().all(|b| b.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_follow_partition_and_region() {
        let home = "/console/home?region=";
        for (region, destination, federation, expected) in [
            (None, None, "signin.aws.amazon.com", "https://console.aws.amazon.com/console/home".to_owned()),
            (
                Some("eu-west-1"),
                None,
                "eu-west-1.signin.aws.amazon.com",
                format!("https://console.aws.amazon.com{home}eu-west-1"),
            ),
            (Some("cn-north-1"), None, "signin.amazonaws.cn", format!("https://console.amazonaws.cn{home}cn-north-1")),
            (
                Some("us-gov-west-1"),
                None,
                "signin.amazonaws-us-gov.com",
                format!("https://console.amazonaws-us-gov.com{home}us-gov-west-1"),
            ),
            (
                None,
                Some("https://eu-central-1.console.aws.amazon.com/s3"),
                "eu-central-1.signin.aws.amazon.com",
                "https://eu-central-1.console.aws.amazon.com/s3".to_owned(),
            ),
            (
                None,
                Some("https://console.amazonaws.cn/s3"),
                "signin.amazonaws.cn",
                "https://console.amazonaws.cn/s3".to_owned(),
            ),
        ] {
            let console = Console::new(region, destination.map(|url| url.parse().unwrap()).as_ref(), None).unwrap();
            assert_eq!(console.federation.as_str(), format!("https://{federation}/federation"));
            assert_eq!(console.destination.as_str(), expected);
        }
    }

    #[test]
    fn what_stands_before_the_consoles_domain_is_a_region_or_not() {
        for (host, expected) in [
            ("us-east-1.console.aws.amazon.com", "signin.aws.amazon.com"),
            ("s3.console.aws.amazon.com", "signin.aws.amazon.com"),
            ("123456789012-abcdefgh.eu-west-1.console.aws.amazon.com", "eu-west-1.signin.aws.amazon.com"),
            ("console.example.com", "signin.aws.amazon.com"),
        ] {
            let destination: Url = format!("https://{host}/").parse().unwrap();
            let console = Console::new(None, Some(&destination), None).unwrap();
            assert_eq!(console.federation.host_str(), Some(expected), "{host}");
        }
    }

    #[test]
    fn a_region_of_an_unknown_partition_takes_both_urls() {
        let url = |text: &str| text.parse::<Url>().unwrap();
        let (destination, federation) =
            (url("https://console.example.eu/"), url("https://signin.example.eu/federation"));
        for region in ["eusc-de-east-1", "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1"] {
            assert!(matches!(Console::new(Some(region), Some(&destination), None), Err(Error::Partition)), "{region}");
            assert!(
                matches!(Console::new(Some(region), None, Some(federation.clone())), Err(Error::Partition)),
                "{region}"
            );
            assert!(Console::new(Some(region), Some(&destination), Some(federation.clone())).is_ok(), "{region}");
        }
    }

    #[test]
    fn credentials_travel_by_https_alone() {
        let url = |text: &str| Some(text.parse::<Url>().unwrap());
        assert!(Console::new(None, None, url("http://signin.example.com/federation")).is_err());
        assert!(Console::new(None, url("http://console.aws.amazon.com/").as_ref(), None).is_err());
        assert!(Console::new(None, None, url("http://127.0.0.1:8080/federation")).is_ok());
    }
}
