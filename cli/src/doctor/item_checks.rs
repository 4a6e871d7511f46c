use std::sync::Arc;

use ports::chain;
use protocol::{Grant, Want};

use crate::{
    Client, Error,
    config::{Config, Item},
    credential_process::rfc3339,
    doctor::{Check, Finding, material_checks::Proof, network_checks::Way},
    refresh::ItemValue,
};

/// A want, and what the broker says to it.
type Said = (Want, Result<Arc<Grant>, Error>);

/// Asks the broker for what the configuration asks for, as the start does: all at once; where that is denied, each alone. A finding for
/// each item; what was given is wiped.
pub(super) async fn check(config: &Config, way: &Way, proof: &Proof) -> Vec<Finding> {
    let wants = config.wants();
    if wants.is_empty() {
        return vec![Check::Item.not_tried("nothing is asked for")];
    }
    let client = Client::new(proof.materials.clone(), proof.manifest.group.clone())
        .url(Some(way.base.clone()))
        .timeout(config.broker.timeout);
    match client.exchange(&wants).await {
        Ok(answer) => {
            let granted = answer.granted.into_iter().map(|grant| Ok(Arc::new(grant)));
            let said: Vec<Said> = wants.into_iter().zip(granted).collect();
            findings(config, &said)
        }
        Err(Error::Denied { .. } | Error::Protocol(_)) => findings(config, &each(&client, wants).await),
        Err(error) => vec![Check::Item.error(&error)],
    }
}

async fn each(client: &Client, wants: Vec<Want>) -> Vec<Said> {
    let mut said = Vec::new();
    for want in wants {
        let granted = match client.exchange(std::slice::from_ref(&want)).await {
            Ok(mut answer) => answer.granted.pop().map(Arc::new).ok_or(Error::Unexpected { status: 200 }),
            Err(error) => Err(error),
        };
        said.push((want, granted));
    }
    said
}

fn findings(config: &Config, said: &[Said]) -> Vec<Finding> {
    let of = |item: &Item| {
        let want = item.source.want();
        let (_, granted) = said.iter().find(|(asked, _)| *asked == want)?;
        Some(finding(item, granted.as_ref()))
    };
    config.items.iter().filter_map(of).collect()
}

fn finding(item: &Item, granted: Result<&Arc<Grant>, &Error>) -> Finding {
    let name = &item.name;
    let failed =
        |error: &Error| Check::Item.failed(format!("{name}: {}", chain(error)), error.hint(), error.exit_code());
    let grant = match granted {
        Ok(grant) => grant,
        Err(error) => return failed(error),
    };
    match ItemValue::new(&item.source, Arc::clone(grant)) {
        Err(source) => failed(&Error::NotTheItem { item: name.clone(), source }),
        Ok(value) => {
            let of = match (value.version(), value.expires_at()) {
                (Some(version), _) => format!(", version {version}"),
                (None, Some(end)) => format!(", until {}", rfc3339(end)),
                (None, None) => String::new(),
            };
            Check::Item.ok(format!("{name}: {}{of}", item.source))
        }
    }
}
