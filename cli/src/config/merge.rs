use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use crate::config::{
    BrokerSettings, ChildSettings, Config, ConfigError, ConfigFile, EndpointSettings, Given, Inherit, RefreshSettings,
    Signal,
    file::{ChildTable, EndpointTable, OnChangeTable, RefreshTable, Tables},
    text::Text,
    time_span::TimeSpan,
};

/// How long the start may take: a broker that throttles a fleet is waited for.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a child may take to end, as `docker stop` has it.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Where the AWS Secrets Manager Agent listens, so that its clients find this one.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2773);

impl Config {
    /// What a file says and what is given besides, which goes before it; held against every rule that needs no broker.
    ///
    /// Not checked: whether anything is asked for ([`Self::asks_for_something`]), and whether templates, users and folders exist.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(file: Option<ConfigFile>, given: Given) -> Result<Self, ConfigError> {
        let mut file = file.unwrap_or_default();
        let mut items = file.take_items()?;
        let mut taken = items.iter().map(|item| item.name.clone()).collect();
        items.extend(given.items.into_iter().map(|item| item.into_item(&mut taken)));
        let Tables { group, from, material, url, timeout, runtime, items: _, refresh, on_change, child, endpoint } =
            file.tables;
        let config = Self {
            broker: BrokerSettings {
                group: given.group.or(group.map(Text::into_inner)),
                from: given.from.or(from.map(Text::into_inner)),
                material: given.material.or(material),
                url: given.url.or(url),
                timeout: given.timeout.or(span(timeout)).unwrap_or(DEFAULT_TIMEOUT),
            },
            items,
            refresh: refresh.into_settings(given.interval),
            on_change: match given.on_change {
                None => on_change.map(OnChangeTable::into_on_change).transpose()?,
                given => given,
            },
            child: child.into_settings(given.inherit),
            endpoint: match (endpoint, given.listen) {
                (None, None) => None,
                (table, listen) => Some(table.unwrap_or_default().into_settings(listen)),
            },
            runtime,
        };
        config.check()?;
        Ok(config)
    }
}

impl RefreshTable {
    fn into_settings(self, interval: Option<Duration>) -> RefreshSettings {
        let default = RefreshSettings::DEFAULT;
        let interval = interval.or(span(self.interval)).unwrap_or(default.interval);
        RefreshSettings {
            interval,
            min_interval: span(self.min_interval).unwrap_or(default.min_interval.min(interval)),
            max_backoff: span(self.max_backoff).unwrap_or(default.max_backoff),
            splay: span(self.splay).unwrap_or(default.splay),
        }
    }
}

impl ChildTable {
    fn into_settings(self, inherit: Option<Inherit>) -> ChildSettings {
        let Self { stop_signal, grace, at_use_by, inherit: of_file } = self;
        ChildSettings {
            stop_signal: stop_signal.map_or(Signal::Term, Text::into_inner),
            grace: span(grace).unwrap_or(DEFAULT_GRACE),
            at_use_by,
            inherit: inherit.or(of_file.map(Inherit::These)).unwrap_or_default(),
        }
    }
}

impl EndpointTable {
    fn into_settings(self, listen: Option<SocketAddr>) -> EndpointSettings {
        let Self { listen: of_file, allow_remote, hosts, token_file } = self;
        EndpointSettings {
            listen: listen.or(of_file.map(|Text(address)| address.socket())).unwrap_or(DEFAULT_LISTEN),
            allow_remote,
            hosts,
            token_file: token_file.unwrap_or_else(|| PathBuf::from("token")),
        }
    }
}

fn span(text: Option<Text<TimeSpan>>) -> Option<Duration> {
    text.map(|text| text.into_inner().duration())
}
