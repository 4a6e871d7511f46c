use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use protocol::{MAX_WANTS, Want};
use url::Url;

use crate::config::{
    ChildSettings, Config, ConfigError, EndpointSettings, Inherit, InvalidItem, Item, ItemName, OnChange,
    RefreshSettings, item_table::is_file_path,
};

/// What this program's own variables begin with. A child gets none of them.
const OWN_VARIABLES: &str = "COUNTERSIGN_";

/// What the endpoint's token file is called where it is in the way.
const TOKEN_FILE: &str = "the endpoint's token";

impl Config {
    /// Whether anything is asked for.
    ///
    /// # Errors
    /// [`ConfigError::NothingAsked`].
    pub fn asks_for_something(&self) -> Result<(), ConfigError> {
        if self.items.is_empty() { Err(ConfigError::NothingAsked) } else { Ok(()) }
    }

    /// Holds it against every rule that needs no broker.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.url_is_one()?;
        self.runtime_is_absolute()?;
        self.items_are_well_formed()?;
        self.wants_fit_one_exchange()?;
        self.stdin_is_of_one()?;
        self.variables_are_of_one_each()?;
        self.refresh.check()?;
        self.on_change_names_a_command()?;
        self.child.check()?;
        self.endpoint.as_ref().map_or(Ok(()), EndpointSettings::check)?;
        self.files_are_of_one_each()?;
        if self.broker.timeout.is_zero() { Err(ConfigError::Zero("timeout")) } else { Ok(()) }
    }

    /// What is asked of the broker, each once. Several items may be of one want.
    #[must_use]
    pub fn wants(&self) -> Vec<Want> {
        let mut wants = Vec::new();
        for want in self.items.iter().map(|item| item.source.want()) {
            if !wants.contains(&want) {
                wants.push(want);
            }
        }
        wants
    }

    fn url_is_one(&self) -> Result<(), ConfigError> {
        let is_one = |url: &String| {
            let url: Option<Url> = url.parse().ok();
            url.is_some_and(|url| {
                ["https", "http"].contains(&url.scheme()) && url.query().is_none() && url.fragment().is_none()
            })
        };
        if self.broker.url.as_ref().is_none_or(is_one) { Ok(()) } else { Err(ConfigError::Url) }
    }

    fn runtime_is_absolute(&self) -> Result<(), ConfigError> {
        if self.runtime.as_ref().is_none_or(|path| path.is_absolute()) { Ok(()) } else { Err(ConfigError::Runtime) }
    }

    fn items_are_well_formed(&self) -> Result<(), ConfigError> {
        let check =
            |item: &Item| item.check().map_err(|problem| ConfigError::Item { item: item.name.clone(), problem });
        self.items.iter().try_for_each(check)
    }

    fn wants_fit_one_exchange(&self) -> Result<(), ConfigError> {
        if self.wants().len() > MAX_WANTS { Err(ConfigError::TooMuchAsked) } else { Ok(()) }
    }

    fn stdin_is_of_one(&self) -> Result<(), ConfigError> {
        let mut readers = self.items.iter().filter(|item| item.stdin).map(|item| item.name.clone());
        match (readers.next(), readers.next()) {
            (Some(one), Some(other)) => Err(ConfigError::StdinTwice { one, other }),
            _ => Ok(()),
        }
    }

    fn variables_are_of_one_each(&self) -> Result<(), ConfigError> {
        let mut holders: BTreeMap<String, &ItemName> = BTreeMap::new();
        for item in &self.items {
            for variable in item.variables() {
                if self.endpoint.is_some() && EndpointSettings::VARIABLES.contains(&variable.as_str()) {
                    return Err(ConfigError::EndpointVariable { item: item.name.clone(), variable });
                }
                if let Some(one) = holders.insert(variable.clone(), &item.name) {
                    return Err(ConfigError::VariableTwice { one: one.clone(), other: item.name.clone(), variable });
                }
            }
        }
        Ok(())
    }

    /// No file is another's, nor the folder of another, nor a template: as far as their paths tell.
    fn files_are_of_one_each(&self) -> Result<(), ConfigError> {
        let resolve = |path: &Path| -> PathBuf {
            let path = self.runtime.as_ref().map_or_else(|| path.to_owned(), |runtime| runtime.join(path));
            path.components().filter(|component| *component != Component::CurDir).collect()
        };
        let files = || self.items.iter().filter_map(|item| Some((item.name.as_str(), item.file.as_ref()?)));
        let token_file = self.endpoint.iter().map(|endpoint| (TOKEN_FILE, resolve(&endpoint.token_file)));
        let mut outputs: Vec<(&str, PathBuf)> = Vec::new();
        for (name, path) in files().map(|(name, file)| (name, resolve(&file.path))).chain(token_file) {
            let clash = outputs.iter().find(|(_, other)| path.starts_with(other) || other.starts_with(&path));
            if let Some((one, _)) = clash {
                return Err(ConfigError::FileTwice { one: (*one).to_owned(), other: name.to_owned() });
            }
            outputs.push((name, path));
        }
        for template in files().filter_map(|(_, file)| file.template.as_deref()) {
            if let Some((one, _)) = outputs.iter().find(|(_, output)| *output == resolve(template)) {
                return Err(ConfigError::FileTwice { one: (*one).to_owned(), other: "a template".to_owned() });
            }
        }
        Ok(())
    }

    fn on_change_names_a_command(&self) -> Result<(), ConfigError> {
        let Some(OnChange::Run(command)) = &self.on_change else { return Ok(()) };
        let is_named = command.first().is_some_and(|program| !program.is_empty());
        if is_named && !command.iter().any(|word| word.contains('\0')) { Ok(()) } else { Err(ConfigError::NoCommand) }
    }
}

impl Item {
    fn check(&self) -> Result<(), InvalidItem> {
        self.source.check()?;
        if self.variables().iter().any(|variable| variable.starts_with(OWN_VARIABLES)) {
            return Err(InvalidItem::OwnVariable);
        }
        // A use-by is in whole seconds.
        if self.keep.as_secs() == 0 {
            return Err(InvalidItem::Keep);
        }
        let Some(file) = &self.file else { return Ok(()) };
        if !is_file_path(&file.path) || file.path.components().any(|component| component == Component::ParentDir) {
            return Err(InvalidItem::FilePath);
        }
        if file.template.as_deref().is_none_or(is_file_path) { Ok(()) } else { Err(InvalidItem::TemplatePath) }
    }
}

impl RefreshSettings {
    fn check(&self) -> Result<(), ConfigError> {
        let Self { interval, min_interval, max_backoff, splay: _ } = self;
        let times = [
            ("refresh.interval", interval),
            ("refresh.min_interval", min_interval),
            ("refresh.max_backoff", max_backoff),
        ];
        if let Some((name, _)) = times.into_iter().find(|(_, time)| time.is_zero()) {
            return Err(ConfigError::Zero(name));
        }
        if min_interval > interval { Err(ConfigError::MinInterval) } else { Ok(()) }
    }
}

impl ChildSettings {
    fn check(&self) -> Result<(), ConfigError> {
        let is_name =
            |name: &String| !name.is_empty() && !name.contains(['=', '\0']) && !name.starts_with(OWN_VARIABLES);
        match &self.inherit {
            Inherit::These(names) if !names.iter().all(is_name) => Err(ConfigError::Inherit),
            Inherit::These(_) | Inherit::All => Ok(()),
        }
    }
}

impl EndpointSettings {
    fn check(&self) -> Result<(), ConfigError> {
        let is_host = |host: &String| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
        };
        let token_file = &self.token_file;
        if !self.listen.ip().is_loopback() && !self.allow_remote {
            Err(ConfigError::Remote)
        } else if !self.hosts.iter().all(is_host) {
            Err(ConfigError::Host)
        } else if !is_file_path(token_file) || token_file.components().any(|part| part == Component::ParentDir) {
            Err(ConfigError::TokenFile)
        } else {
            Ok(())
        }
    }
}
