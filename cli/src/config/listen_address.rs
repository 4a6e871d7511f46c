use std::{net::SocketAddr, str::FromStr};

/// Where the endpoint listens: an IP address and a port. Whose address it may be is for the rules to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress(SocketAddr);

/// Not an address to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an IP address and a port, as 127.0.0.1:2773 or [::1]:2773")]
pub struct InvalidListenAddress;

impl ListenAddress {
    /// The address.
    #[must_use]
    pub const fn socket(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidListenAddress;

    fn from_str(text: &str) -> Result<Self, InvalidListenAddress> {
        text.parse().map(Self).map_err(|_| InvalidListenAddress)
    }
}
