use std::{fmt, str::FromStr};

use http::{is_local, is_private};
use url::Url;

use crate::{Error, TokenError};

/// The url of a broker that tokens and nonces may travel to: `https`, or plain `http` to this machine. A token is its
/// bearer's, so whoever listens on the way has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrl(Url);

impl BrokerUrl {
    /// Whether it names this host.
    pub(crate) fn has_host(&self, host: &str) -> bool {
        self.0.host_str().is_some_and(|own| own.eq_ignore_ascii_case(host))
    }

    /// Whether it is this machine's.
    pub(crate) fn is_local(&self) -> bool {
        is_local(&self.0)
    }

    /// The url of a route.
    pub(crate) fn route(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        url
    }
}

impl FromStr for BrokerUrl {
    type Err = Error;

    /// # Errors
    /// [`Error::Url`], [`TokenError::InTheClear`].
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut url: Url = text.parse().map_err(|_| Error::Url)?;
        if !["https", "http"].contains(&url.scheme()) || url.query().is_some() || url.fragment().is_some() {
            return Err(Error::Url);
        }
        if !is_private(&url) {
            return Err(TokenError::InTheClear.into());
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_has_one_text_and_its_routes_stand_below_it() {
        for (text, shown) in [
            ("https://broker.example.com", "https://broker.example.com"),
            ("https://broker.example.com/", "https://broker.example.com"),
            ("https://Broker.example.com:443/prod/", "https://broker.example.com/prod"),
            ("http://api.execute-api.localhost:4566/prod", "http://api.execute-api.localhost:4566/prod"),
        ] {
            let url: BrokerUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.route("nonce").as_str(), format!("{shown}/nonce"));
        }
    }

    #[test]
    fn tokens_do_not_travel_in_the_clear() {
        for text in ["http://broker.example.com", "http://10.0.0.1:8080/prod"] {
            assert!(matches!(text.parse::<BrokerUrl>(), Err(Error::Token(TokenError::InTheClear))), "{text}");
        }
        for text in ["", "broker.example.com", "ftp://localhost", "https://a.example/?b", "https://a.example/#b"] {
            assert!(matches!(text.parse::<BrokerUrl>(), Err(Error::Url)), "{text}");
        }
    }
}
