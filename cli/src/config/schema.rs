//! `docs/countersign.schema.json` is what the types that read the file say of themselves.

use std::{borrow::Cow, fs, path::PathBuf};

use protocol::Group;
use schemars::{
    JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema, transform::transform_subschemas,
};
use serde_json::{Value, json};

use crate::{
    Origin,
    config::{
        FileMode, FileOwner, ItemName, ListenAddress, Signal, VariableName, file::Tables, text::Text,
        time_span::TimeSpan,
    },
};

/// What a text looks like, as far as a regular expression (ECMA 262) tells.
trait Pattern {
    fn pattern() -> String;
}

impl<T: Pattern> JsonSchema for Text<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": T::pattern() })
    }
}

impl Pattern for ItemName {
    fn pattern() -> String {
        "^[a-z][a-z0-9_-]{0,63}$".into()
    }
}

impl Pattern for VariableName {
    fn pattern() -> String {
        "^(?!COUNTERSIGN_)[A-Za-z_][A-Za-z0-9_]*$".into()
    }
}

impl Pattern for TimeSpan {
    fn pattern() -> String {
        let units = Self::UNITS.join("|");
        format!("^([0-9]+ *({units}) *)*[0-9]+ *({units})$")
    }
}

impl Pattern for FileMode {
    fn pattern() -> String {
        "^0?[46][0246][04]$".into()
    }
}

impl Pattern for FileOwner {
    fn pattern() -> String {
        r"^([^:\s/]+(:[^:\s/]+)?|:[^:\s/]+)$".into()
    }
}

impl Pattern for Signal {
    fn pattern() -> String {
        format!("^(SIG)?({})$", Self::ALL.map(Self::name).join("|"))
    }
}

impl Pattern for Group {
    fn pattern() -> String {
        "^[a-z0-9][a-z0-9-]{0,31}$".into()
    }
}

impl Pattern for Origin {
    fn pattern() -> String {
        "^(npm:@[^/]+/.+|(s3|https?|file)://.+|(?!npm:)(?!.*://).+)$".into()
    }
}

impl Pattern for ListenAddress {
    fn pattern() -> String {
        r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$".into()
    }
}

/// TOML has no null: what may be absent is not required, and that is all. And a description is one line.
fn without_null(schema: &mut Schema) {
    transform_subschemas(&mut without_null, schema);
    let Some(members) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|name| name != "null");
        let only = types.first().filter(|_| types.len() == 1).cloned();
        only.and_then(|only| members.insert("type".into(), only));
    }
    if let Some(Value::Array(mut choices)) = members.remove("anyOf") {
        choices.retain(|choice| *choice != json!({ "type": "null" }));
        match choices.pop() {
            Some(Value::Object(only)) if choices.is_empty() => members.extend(only),
            last => drop(members.insert("anyOf".into(), choices.into_iter().chain(last).collect())),
        }
    }
    if let Some(Value::String(description)) = members.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}

#[test]
fn the_schema_is_generated_from_the_types() {
    let settings = SchemaSettings::draft2020_12().with_transform(without_null);
    let schema = settings.into_generator().into_root_schema_for::<Tables>();
    let described = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/countersign.schema.json");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &described).unwrap();
    }
    // It is read again, since what was just written is not yet what was compiled in.
    assert_eq!(
        described,
        fs::read_to_string(&path).unwrap(),
        "UPDATE_EXPECT=1 cargo test -p countersign --lib config::schema writes docs/countersign.schema.json anew"
    );
}
