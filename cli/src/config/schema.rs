//! `docs/countersign.schema.json` is what the types that read the file say of themselves.

use std::{borrow::Cow, fs, net::SocketAddr, path::PathBuf};

use protocol::Group;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};

use crate::{
    Origin,
    config::{
        FileMode, FileOwner, ItemName, SCHEMA, Signal, VariableName, file::Tables, text::Text, time_span::TimeSpan,
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

impl Pattern for SocketAddr {
    fn pattern() -> String {
        r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$".into()
    }
}

#[test]
fn the_schema_is_generated_from_the_types() {
    let described = serde_json::to_string_pretty(&schema_for!(Tables)).unwrap() + "\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/countersign.schema.json");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &described).unwrap();
    }
    assert!(
        described == SCHEMA || described == fs::read_to_string(&path).unwrap(),
        "docs/countersign.schema.json is not what the types say: UPDATE_EXPECT=1 cargo test -p countersign --lib config::schema writes it anew"
    );
}
