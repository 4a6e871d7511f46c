use std::{collections::HashSet, net::IpAddr, time::Duration};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};
use time::{OffsetDateTime, macros::format_description};

/// What somebody asks for, and under which circumstances.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The group that asks.
    pub group: &'a str,
    /// What it asks for.
    pub action: Action<'a>,
    /// When, from where and how.
    pub circumstances: Circumstances<'a>,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    /// To read the secret of this name.
    ReadSecret(&'a str),
    /// To obtain credentials of the role of this alias.
    AssumeRole(&'a str),
}

/// When, from where and how somebody asks.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The caller's address as the gateway saw it.
    pub source_ip: IpAddr,
    /// Time since the Unix epoch.
    pub now: Duration,
    /// The wire format of the request.
    pub wire: &'a str,
}

/// A question that the schema does not allow to be asked.
#[derive(Debug)]
pub(crate) struct Malformed;

impl Access<'_> {
    /// The question in Cedar's terms, and the entities that it speaks of.
    pub(crate) fn to_cedar(self, schema: &Schema) -> Result<(Request, Entities), Malformed> {
        let principal = uid("Group", self.group);
        let (action, resource, entities) = match self.action {
            Action::ReadSecret(name) => ("secret:read", uid("Secret", name), secret_in_paths(name)),
            Action::AssumeRole(alias) => {
                ("aws:assume", uid("Role", alias), vec![Entity::new_no_attrs(uid("Role", alias), HashSet::new())])
            }
        };
        let request =
            Request::new(principal, uid("Action", action), resource, self.circumstances.to_cedar()?, Some(schema))
                .map_err(|_| Malformed)?;
        // Without the schema: it would add every action's entity each time, and what stands here is made above.
        let entities = Entities::from_entities(entities, None).map_err(|_| Malformed)?;
        Ok((request, entities))
    }
}

impl Circumstances<'_> {
    fn to_cedar(self) -> Result<Context, Malformed> {
        let seconds = i64::try_from(self.now.as_secs()).map_err(|_| Malformed)?;
        let now = OffsetDateTime::from_unix_timestamp(seconds)
            .ok()
            .and_then(|now| now.format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z")).ok())
            .ok_or(Malformed)?;
        Context::from_pairs([
            ("source_ip".to_owned(), RestrictedExpression::new_ip(self.source_ip.to_string())),
            ("now".to_owned(), RestrictedExpression::new_datetime(now)),
            ("wire".to_owned(), RestrictedExpression::new_string(self.wire.to_owned())),
        ])
        .map_err(|_| Malformed)
    }
}

/// The secret below each prefix of its name that ends before a slash.
fn secret_in_paths(name: &str) -> Vec<Entity> {
    let mut entities = Vec::new();
    let mut parent = HashSet::new();
    for (slash, _) in name.match_indices('/') {
        let path = uid("Path", &name[..slash]);
        entities.push(Entity::new_no_attrs(path.clone(), parent));
        parent = HashSet::from([path]);
    }
    entities.push(Entity::new_no_attrs(uid("Secret", name), parent));
    entities
}

fn uid(kind: &str, id: &str) -> EntityUid {
    let kind: EntityTypeName = kind.parse().expect("entity types are identifiers");
    EntityUid::from_type_name_and_id(kind, EntityId::new(id))
}
