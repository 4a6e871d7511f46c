//! Where other processes of this machine ask a running agent for what it holds.
//!
//! | route | the token is in | answer |
//! | --- | --- | --- |
//! | `GET /credentials/{alias}` | `Authorization`, bare | a role's credentials, as Amazon ECS gives them to a container |
//! | `GET /secretsmanager/get?secretId=` and `GET /v1/{secretId}` | `X-Aws-Parameters-Secrets-Token` | a secret, as the AWS Secrets Manager Agent gives it |
//! | `GET /health`, `GET /ping` | | 200 while the agent runs |
//! | `GET /ready` | | 200 where every item may be used and is in its files, else 503 |
//! | `GET /started` | | 200 where that was so once, when it was asked for, else 503 |
//! | `GET /metrics` | | counts and times in Prometheus' text form |
//!
//! Sources: AWS SDKs and Tools Reference Guide, "Container credential provider"; README of aws-secretsmanager-agent; Prometheus,
//! "Exposition formats".
//!
//! Nothing is asked of the broker for a request that names what the configuration does not: only its roles, and its whole secrets,
//! are here. Nothing is answered past its use-by.
//!
//! # Who may be behind a request, and what keeps him out
//! * *A user of this machine who may not have the values.* He reaches the port; he lacks the token, which is in a file for its
//!   owner alone, new at each start. It has 256 bits and is compared in constant time.
//! * *A service of this machine that fetches urls for strangers* (SSRF). Strangers choose the url, seldom the headers: both routes
//!   with values want one. What a proxy passed on says so (`X-Forwarded-*`, `Forwarded`, `Via`, an absolute request target) and
//!   is refused, token or not.
//! * *A page in a browser on this machine.* It can send a request anywhere, but `Origin` or `Sec-Fetch-Site` then stand in it, and
//!   are refused. No answer permits another origin to read it (CORS), and `OPTIONS` is refused.
//! * *A page whose name was made to resolve to this address* (DNS rebinding). Its browser holds the endpoint for the page's own
//!   origin, but sends the page's name as `Host`. Here `Host` must be the address that the connection came to, `localhost` where
//!   that is a loopback address, or a name of the configuration.
//! * *A neighbour on the network*, where the kernel lets packets for 127.0.0.1 in from outside (CVE-2020-8558). Unless remote
//!   requests are meant, who is not at a loopback address is hung up on.
//! * *Who wants the agent's memory.* Connections are counted and carry one request each, which must come within seconds, has no
//!   body and a small head.
//!
//! Not kept out: root, and the user that the agent runs as, who can read the file. Who holds connections open as fast as they are
//! closed can keep others waiting. While no agent runs, anyone may listen on its port and be sent the token of the last one, which
//! is worth nothing to the next. At 127.0.0.1 it listens on the same port of `::1` too, where `localhost` may lead, and the other
//! way round; it does not start where somebody else does.
mod answer;
mod ask;
mod credentials;
mod error;
#[cfg(test)]
mod fixture;
mod freshness;
mod guard;
mod hosts;
mod metrics;
mod refusal;
mod route;
mod routes;
mod secrets;
mod server;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod tests;
mod token_file;
mod unwritten;

pub use ask::{Probe, access_key, credentials, probe};
pub use error::EndpointError;
pub use server::{Endpoint, Serving};
pub use unwritten::Unwritten;
