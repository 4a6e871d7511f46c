use std::{
    collections::BTreeSet,
    env,
    io::{IsTerminal as _, Read, stderr, stdin},
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use access_token::MAX_TOKEN_BYTES;
use countersign::{
    Agent, BearerToken, BrokerUrl, Error, Fingerprint, Grant, Group, KeySet, MaterialDir, Secret, SshKey, TokenCache,
    TokenClient, TokenError, Want,
};
use ports::{Clock as _, SystemClock};

#[cfg(feature = "operator")]
use crate::issue_command::issue;
use crate::{
    args::{Broker, Common, state_folder},
    commands::{one, print, print_json, tell, usage},
    progress::waiting_for,
    token_args::{Access, TokenCommand, TokenGet, TokenKeys, TokenShow, TokenVerify},
};

/// The end of what has a year of four digits, Unix time in seconds.
const YEAR_10000: u64 = 253_402_300_800;

/// The most that is read of standard input: a token, with room for the white space around it.
const MAX_INPUT_BYTES: usize = 2 * MAX_TOKEN_BYTES;

pub(crate) async fn run(command: TokenCommand) -> Result<(), Error> {
    match command {
        TokenCommand::Get(get) => self::get(get).await,
        TokenCommand::Show(show) => self::show(show),
        TokenCommand::Verify(verify) => self::verify(verify).await,
        TokenCommand::Keys(keys) => self::keys(keys).await,
        #[cfg(feature = "operator")]
        TokenCommand::Issue(order) => issue(order).await,
    }
}

async fn get(TokenGet { header, access }: TokenGet) -> Result<(), Error> {
    print_token(&token(access).await?, header)
}

/// The kept or new token that these options ask for.
pub(crate) async fn token(Access { key, fresh, common }: Access) -> Result<BearerToken, Error> {
    match (key, common.group.clone()) {
        (None, Some(group)) => of_group(&group, fresh, common).await,
        (key, _) => of_key(key.or_else(key_of_environment), fresh, &common.broker).await,
    }
}

fn show(TokenShow { token, json, broker }: TokenShow) -> Result<(), Error> {
    let token = BearerToken::read(given_or_kept(token, &broker)?).ok_or(TokenError::NotAToken)?;
    if json {
        tell("nothing of this is verified");
        return print_json(&token.claims_json());
    }
    let claims = token.claims();
    let scope = claims.scope.to_string();
    let lines = [
        ("subject", claims.subject.clone()),
        ("scope", if scope.is_empty() { "none".into() } else { scope }),
        ("network", claims.network.to_string()),
        ("issued", time(claims.issued_at)),
        ("expires", format!("{} ({})", time(claims.expires_at), until(claims.expires_at))),
        ("session", claims.session.clone()),
        ("issuer", claims.issuer.clone()),
        ("key id", token.kid().to_string()),
    ];
    // Whoever wrote the token must not control the terminal.
    let line = |(name, text): &(&str, String)| format!("{name:<8} {}\n", text.replace(char::is_control, "?"));
    let lines: String = lines.iter().map(line).collect();
    print(format!("{lines}Nothing of this is verified: see countersign token verify.\n").as_bytes())
}

async fn verify(TokenVerify { token, address, at_issuer, broker }: TokenVerify) -> Result<(), Error> {
    let token = given_or_kept(token, &broker)?;
    let url = url(&broker)?;
    if at_issuer {
        waiting_for("the issuer", client(url, &broker).verify(token.expose())).await?;
        return print(b"valid, says the issuer, for the address that it sees this machine at\n");
    }
    let keys = cache().keys(&url)?;
    // Where the token cannot be read, the verifier says why.
    let own = || BearerToken::read(token.clone()).map(|token| token.first_address());
    let caller = address.or_else(own).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let verified = access_token::verify(token.expose(), caller, &keys, SystemClock.unix_seconds());
    let verified = verified.map_err(TokenError::NotValid)?;
    let claims = verified.claims();
    let (subject, expires) = (claims.subject.replace(char::is_control, "?"), time(claims.expires_at));
    let network = match address {
        Some(address) => format!("for {address}"),
        None => format!("in {}, which was not checked: give --address", claims.network),
    };
    print(format!("valid: {subject} until {expires} ({}), {network}\n", until(claims.expires_at)).as_bytes())
}

async fn keys(TokenKeys { json, broker }: TokenKeys) -> Result<(), Error> {
    let url = url(&broker)?;
    let keys: KeySet = waiting_for("the issuer", client(url.clone(), &broker).keys()).await?;
    cache().save_keys(&url, &keys)?;
    if json {
        return print(&keys.to_json());
    }
    let kids: String = keys.keys().iter().map(|key| format!("{}\n", key.kid())).collect();
    print(kids.as_bytes())
}

/// A token for an ssh key: for this one, else for any.
async fn of_key(key: Option<Fingerprint>, fresh: bool, broker: &Broker) -> Result<BearerToken, Error> {
    let url = url(broker)?;
    let is_wanted = |subject: &str| match &key {
        Some(key) => subject == key.as_str(),
        None => subject.parse::<Fingerprint>().is_ok(),
    };
    if let Some(token) = kept(&url, fresh, is_wanted) {
        return Ok(token);
    }
    let client = client(url.clone(), broker);
    let client = if stderr().is_terminal() { client.before_touch(ask_for_touch) } else { client };
    let agent = Agent::from_environment()?;
    let token = waiting_for("the ssh-agent and the broker", client.get(&agent, key.as_ref())).await?;
    keep(&url, &token);
    Ok(token)
}

/// A token for the group that this machine belongs to. The exchange is encrypted whatever the url; a token is kept where its
/// url is one that it could travel to.
async fn of_group(group: &Group, fresh: bool, common: Common) -> Result<BearerToken, Error> {
    let (materials, given) = (MaterialDir::new(common.broker.folder()), common.broker.url.clone());
    let url = || -> Option<BrokerUrl> {
        let url = given.clone().or_else(|| Some(materials.manifest(group).ok()?.url));
        url?.parse().ok()
    };
    let subject = format!("group:{group}");
    if let Some(token) = url().and_then(|url| kept(&url, fresh, |found| found == subject)) {
        return Ok(token);
    }
    let Grant::AccessToken(grant) = one(common, Want::AccessToken {}).await? else {
        return Err(Error::Unexpected { status: 200 });
    };
    let token = BearerToken::read(grant.access_token).filter(|token| token.claims().subject == subject);
    let token = token.ok_or(TokenError::ForOthers)?;
    if let Some(url) = url() {
        keep(&url, &token);
    }
    Ok(token)
}

fn cache() -> TokenCache {
    TokenCache::new(state_folder().join("tokens"))
}

fn client(url: BrokerUrl, broker: &Broker) -> TokenClient {
    TokenClient::new(url).timeout(broker.timeout)
}

fn kept(url: &BrokerUrl, fresh: bool, is_wanted: impl Fn(&str) -> bool) -> Option<BearerToken> {
    let now = SystemClock.unix_seconds();
    let is_good = |token: &BearerToken| token.is_fresh(now) && is_wanted(&token.claims().subject);
    if fresh { None } else { cache().tokens(url).into_iter().find(is_good) }
}

fn keep(url: &BrokerUrl, token: &BearerToken) {
    if let Err(error) = cache().save(url, token) {
        tell(&format!("warning: the token is not kept: {}", ports::chain(&error)));
    }
}

/// The token of the command line, of standard input, or else the broker's that is kept and ends last.
fn given_or_kept(token: Option<Secret<String>>, broker: &Broker) -> Result<Secret<String>, Error> {
    let Some(token) = token else {
        let url = url(broker)?;
        let kept = cache().tokens(&url).into_iter().next();
        let kept = kept.ok_or_else(|| TokenError::NoToken { url: url.to_string() })?;
        return Ok(Secret::new(kept.expose().to_owned()));
    };
    if token.expose() == "-" { token_of(stdin().lock(), Path::new("standard input")) } else { Ok(token) }
}

/// A token that stands alone in what is read.
pub(crate) fn token_of(from: impl Read, path: &Path) -> Result<Secret<String>, Error> {
    let mut bytes = Vec::with_capacity(MAX_INPUT_BYTES);
    let read = from.take(MAX_INPUT_BYTES as u64).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(|source| Error::File { action: "read", path: path.to_owned(), source })?;
    let token = str::from_utf8(bytes.expose()).map_err(|_| TokenError::NotAToken)?;
    Ok(Secret::new(token.trim().to_owned()))
}

/// The url of the broker that such a token is for: the given one, else the group's, else that of the material that was pulled.
pub(crate) fn url_for(Access { key, common, .. }: &Access) -> Result<BrokerUrl, Error> {
    match (&common.broker.url, key, &common.group) {
        (None, None, Some(group)) => MaterialDir::new(common.broker.folder()).manifest(group)?.url.parse(),
        _ => url(&common.broker),
    }
}

/// The broker's url: the given one, else that of the material that was pulled.
fn url(broker: &Broker) -> Result<BrokerUrl, Error> {
    if let Some(url) = &broker.url {
        return url.parse();
    }
    let materials = MaterialDir::new(broker.folder());
    let urls = materials.groups().into_iter().map(|group| Ok(materials.manifest(&group)?.url));
    let urls: BTreeSet<String> = urls.collect::<Result<_, Error>>()?;
    let mut urls = urls.into_iter();
    match (urls.next(), urls.next()) {
        (Some(url), None) => url.parse(),
        (None, _) => usage("--url is required: there is no material to tell the broker from"),
        (Some(_), Some(_)) => usage("--url is required: there is material of several brokers"),
    }
}

fn key_of_environment() -> Option<Fingerprint> {
    let key = env::var("COUNTERSIGN_KEY").ok().filter(|key| !key.is_empty())?;
    match key.parse() {
        Ok(key) => Some(key),
        Err(invalid) => usage(&format!("COUNTERSIGN_KEY is {invalid}")),
    }
}

pub(crate) fn print_token(token: &BearerToken, header: bool) -> Result<(), Error> {
    if header { print(token.to_header().expose().as_bytes()) } else { print(token.expose().as_bytes()) }
}

fn ask_for_touch(key: &SshKey) {
    let comment = key.comment().replace(char::is_control, "?");
    tell(&format!("touch the security key: {} {comment}", key.fingerprint()));
}

pub(crate) fn time(unix_seconds: u64) -> String {
    if unix_seconds >= YEAR_10000 {
        return unix_seconds.to_string();
    }
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(unix_seconds)).to_string()
}

fn until(unix_seconds: u64) -> String {
    let now = SystemClock.unix_seconds();
    let span = |from: u64, to: u64| humantime::format_duration(Duration::from_secs(to - from));
    if unix_seconds > now {
        format!("in {}", span(now, unix_seconds))
    } else {
        format!("it ended {} ago", span(unix_seconds, now))
    }
}
