use std::collections::BTreeMap;

use ports::{Fault, ReadObject as _, ReadThing as _, ThingGroup};
use serde::de::Error as _;
use web::Caller;

use crate::{Ports, Service, TemplateId, registry_name::is_registry_name, stop::Stop};

/// What the file is called.
pub(crate) const NAME: &str = "assignments";

/// The file: template ids by the names of thing groups.
const KEY: &str = "templates/assignments.json";

/// The largest file that is read, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// Which template the things of a group get, by the group's name.
#[derive(Debug, Default)]
pub struct Assignments(BTreeMap<String, TemplateId>);

impl Assignments {
    /// Reads a JSON object of template ids by the names of thing groups.
    ///
    /// Not checked: whether there are such groups and templates.
    ///
    /// # Errors
    /// Where it is none, or an id is not valid.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let texts: BTreeMap<String, String> = serde_json::from_slice(bytes)?;
        let ids = texts.into_iter().map(|(group, id)| Ok((group, id.parse().map_err(serde_json::Error::custom)?)));
        ids.collect::<Result<_, _>>().map(Self)
    }
}

/// The template of the nearest group that has one, from the path's last group up to its root.
///
/// The path is that of AWS IoT: `/plant/line1` is the group `line1` whose parent is `plant`, which has none.
pub(crate) async fn assigned<P: Ports>(service: &Service<P>, path: &str, caller: &Caller) -> Result<TemplateId, Stop> {
    let names: Vec<&str> = path.strip_prefix('/').unwrap_or_default().split('/').collect();
    let [ancestors @ .., name] = &*names else { return Err(unknown_group()) };
    if names.iter().any(|name| !is_registry_name(name)) {
        return Err(Stop::bad("malformed", "groupPath is not a path of thing groups: /a/b"));
    }
    let group: ThingGroup = match service.iot.group(name).await {
        Ok(group) => group,
        Err(Fault::Missing) => return Err(unknown_group()),
        Err(fault) => return Err(Stop::fault("thing_group", &fault, caller)),
    };
    if group.ancestors != *ancestors {
        return Err(unknown_group());
    }
    let assignments = read(service, caller).await?;
    let nearest = names.iter().rev().find_map(|name| assignments.0.get(*name));
    nearest.cloned().ok_or_else(|| Stop::bad("no_assignment", "no group of groupPath has a template"))
}

async fn read<P: Ports>(service: &Service<P>, caller: &Caller) -> Result<Assignments, Stop> {
    let object = match service.objects.read(KEY, None, MAX_BYTES).await {
        Ok(object) => object.ok_or_else(|| Stop::unavailable("assignments"))?,
        Err(Fault::Missing) => return Ok(Assignments::default()),
        Err(fault) => return Err(Stop::fault("assignments", &fault, caller)),
    };
    Assignments::parse(object.bytes.expose()).map_err(|error| {
        tracing::error!(%error, "assignments are not usable");
        Stop::unavailable("assignments")
    })
}

fn unknown_group() -> Stop {
    Stop::bad("unknown_group", "there is no such thing group at groupPath")
}
