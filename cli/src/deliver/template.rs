use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value, syntax::SyntaxConfig};
use protocol::Secret;

use crate::{
    config::{Item, ItemName},
    deliver::{
        DeliveryError,
        lent_items::{Lent, LentItems},
    },
    material::{Closed, read},
    refresh::Holdings,
};

/// The largest template, in bytes.
const MAX_TEMPLATE_BYTES: usize = 64 * 1024;
/// The largest file that one makes, in bytes.
const MAX_RENDERED_BYTES: usize = 1024 * 1024;
/// What making it may take: half a million steps, or 32 MB of strings that are put together.
const FUEL: u64 = 500_000;

/// What makes a file of several items, or of another form than the item's own: a minijinja template.
///
/// `value` is the item whose file it is, `items.NAME` is any item: a secret or an access token is its text, a role's credentials
/// are an object of `access_key_id`, `secret_access_key`, `session_token` and `expires_at` (Unix time in seconds). The filter
/// `fromjson` reads text. Nothing is escaped, what is not there is an error, and nothing outside of the file is loaded.
#[derive(Debug)]
pub(crate) struct Template {
    path: PathBuf,
    source: String,
    speaks_of: BTreeSet<ItemName>,
}

/// What a template made, and the items that it made it of.
pub(crate) struct Rendered {
    pub(crate) text: Result<Secret<String>, DeliveryError>,
    pub(crate) spoke_of: BTreeSet<ItemName>,
}

/// What is wrong with a template, and where. It tells what stands in the template, never what stands in an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    what: String,
    line: Option<usize>,
}

/// An item that is needed as text, and is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("item {0} is not UTF-8")]
pub struct NotText(pub ItemName);

impl Template {
    /// Reads a template, which must be root's or this user's and closed to others' writing, and parses it.
    ///
    /// # Errors
    /// [`DeliveryError::TemplateFile`], [`DeliveryError::TemplateNotText`], [`DeliveryError::TemplateSyntax`];
    /// [`DeliveryError::TemplateUnknown`] where it names a variable or an item that there is not.
    pub(crate) fn read(path: &Path, items: &[Item]) -> Result<Self, DeliveryError> {
        let path = path.to_owned();
        let bytes = match read(&path, MAX_TEMPLATE_BYTES, Some(Closed::ToWriting)) {
            Err(error) => return Err(DeliveryError::TemplateFile { path, source: Box::new(error) }),
            Ok(bytes) => bytes,
        };
        let Ok(source) = str::from_utf8(bytes.expose()) else { return Err(DeliveryError::TemplateNotText { path }) };
        let source = source.to_owned();
        let environment = environment();
        let names = match environment.template_from_str(&source) {
            Err(error) => return Err(DeliveryError::TemplateSyntax { path, fault: TemplateFault::new(&error) }),
            Ok(template) => template.undeclared_variables(true),
        };
        let all = || items.iter().map(|item| item.name.clone());
        let mut speaks_of = BTreeSet::new();
        for name in &names {
            let mut parts = name.split('.');
            let (root, member) = (parts.next().unwrap_or_default(), parts.next());
            let item = member.map(|member| all().find(|item| item.as_str() == member));
            match (root, item) {
                ("value", _) => {}
                ("items", None) => speaks_of.extend(all()),
                ("items", Some(Some(item))) => drop(speaks_of.insert(item)),
                ("items", Some(None)) => {
                    let name = format!("items.{}", member.unwrap_or_default());
                    return Err(DeliveryError::TemplateUnknown { path, name });
                }
                _ if environment.globals().any(|(global, _)| global == root) => {}
                _ => return Err(DeliveryError::TemplateUnknown { path, name: root.to_owned() }),
            }
        }
        Ok(Self { path, source, speaks_of })
    }

    /// The items that it may speak of besides its own, as far as can be told without values.
    pub(crate) fn speaks_of(&self) -> &BTreeSet<ItemName> {
        &self.speaks_of
    }

    /// Makes the file of this item. Errors of the text:
    /// [`DeliveryError::Missing`] where an item that it speaks of is not there, whatever it does about that;
    /// [`DeliveryError::TemplateItem`], [`DeliveryError::TemplateFailed`], [`DeliveryError::TemplateTooLarge`].
    pub(crate) fn render(&self, own: &ItemName, holdings: &Holdings) -> Rendered {
        let lent = LentItems::new(holdings.clone());
        let environment = environment();
        let rendered = environment
            .template_from_str(&self.source)
            .and_then(|template| template.render(lent.context(own)))
            .map(Secret::new);
        let Lent { values, missing, not_text } = lent.taken_back();
        let path = || self.path.clone();
        let text = match (missing, not_text, rendered) {
            (Some(item), _, _) => Err(DeliveryError::Missing { item }),
            (_, Some(item), _) => Err(DeliveryError::TemplateItem { path: path(), source: NotText(item) }),
            (_, _, Err(error)) => {
                Err(DeliveryError::TemplateFailed { path: path(), fault: TemplateFault::new(&error) })
            }
            (_, _, Ok(text)) if text.expose().len() > MAX_RENDERED_BYTES => {
                Err(DeliveryError::TemplateTooLarge { path: path() })
            }
            (_, _, Ok(text)) => Ok(text),
        };
        Rendered { text, spoke_of: values.into_keys().collect() }
    }
}

impl TemplateFault {
    /// A detail is told where it is made of the template alone: others are made of values.
    fn new(error: &minijinja::Error) -> Self {
        let of_template = matches!(
            error.kind(),
            ErrorKind::SyntaxError | ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
        );
        let what = match error.detail() {
            Some(detail) if of_template => detail.to_owned(),
            _ if error.kind() == ErrorKind::OutOfFuel => "it does too much".to_owned(),
            _ => error.kind().to_string(),
        };
        Self { what, line: error.line() }
    }
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.line.map_or(Ok(()), |line| write!(f, " in line {line}"))
    }
}

fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("the usual delimiters are valid"));
    environment.set_fuel(Some(FUEL));
    environment.remove_global("debug");
    environment.add_filter("fromjson", from_json);
    environment
}

fn from_json(text: &str) -> Result<Value, minijinja::Error> {
    let json = serde_json::from_str(text);
    // The reason quotes the text.
    json.map(to_value).map_err(|_| minijinja::Error::new(ErrorKind::InvalidOperation, "not JSON"))
}

fn to_value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64()),
        },
        serde_json::Value::String(text) => Value::from(text),
        serde_json::Value::Array(values) => values.into_iter().map(to_value).collect(),
        serde_json::Value::Object(members) => {
            Value::from_pairs(members.into_iter().map(|(name, value)| (name, to_value(value))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        closed,
        config::Source,
        deliver::fixture::{Machine, access_token, credentials, item, name},
    };

    fn machine() -> Machine {
        let role = Item { source: Source::Role { alias: "nightly".into(), seconds: None }, ..item("aws") };
        let token = Item { source: Source::AccessToken, ..item("token") };
        let machine = Machine::new(vec![item("db"), item("db-2"), role, token]);
        machine.comes(
            "db",
            r#"{"user":"u","pass":"<&\"hunter2'>","port":5432,"huge":18446744073709551615,"list":[1,null,true]}"#,
        );
        machine.comes("db-2", "second");
        machine.comes_as("aws", credentials());
        machine.comes_as("token", access_token());
        machine
    }

    fn read_template(machine: &Machine, text: &str) -> Result<Template, DeliveryError> {
        Template::read(&machine.given("x.j2", text), machine.holdings.items())
    }

    fn render(text: &str) -> Result<String, DeliveryError> {
        let machine = machine();
        let template = read_template(&machine, text)?;
        template.render(&name("db"), &machine.holdings).text.map(|mut text| text.take())
    }

    #[test]
    fn a_template_makes_text_of_items() {
        for (template, expected) in [
            ("{% set db = value | fromjson %}{{ db.user }}:{{ db.pass }}\n", "u:<&\"hunter2'>\n"),
            ("{{ (value|fromjson).port + 1 }} {{ (value|fromjson).huge }}", "5433 18446744073709551615"),
            ("{% for x in (value|fromjson).list %}{{ x }},{% endfor %}", "1,None,True,"),
            ("{{ items['db-2'] }} {{ items.token }}\n\n", "second a.b.c\n\n"),
            ("{{ items.aws.access_key_id }} {{ items.aws.secret_access_key }}", "ASIAEXAMPLE secret/key"),
            ("{{ items.aws.session_token }} {{ items.aws.expires_at }}", "session== 1800000900"),
            ("{{ (value|fromjson).pass | tojson }}", r#""\u003c\u0026\"hunter2\u0027\u003e""#),
            ("{% for n in items %}{{ n }} {% endfor %}{{ range(2) | join('-') }}", "db db-2 aws token 0-1"),
            ("{{ (value|fromjson).nothing | default('-') }}", "-"),
            ("", ""),
        ] {
            assert_eq!(render(template).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn a_template_that_does_not_parse_is_a_fault_of_the_configuration_with_its_line() {
        for (template, line) in [
            ("a\n{{ value", 2),
            ("a\nb\n{% if value %}x", 3),
            ("{% include 'other' %}", 1),
            ("\n{% extends 'other' %}", 2),
            ("{% import 'other' as x %}", 1),
            ("{% macro x() %}{% endmacro %}", 1),
        ] {
            let error = render(template).unwrap_err();
            assert!(matches!(error, DeliveryError::TemplateSyntax { .. }), "{error:?}");
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().ends_with(&format!(" in line {line}")), "{error}");
            assert!(error.to_string().contains("/x.j2 does not parse"), "{error}");
        }
    }

    #[test]
    fn what_there_is_not_is_told_before_there_are_values() {
        for (template, unknown) in [
            ("{{ items.nobody }}", "items.nobody"),
            ("{{ items.db-2 }}{{ items.d.x }}", "items.d"),
            ("{{ password }}", "password"),
            ("{{ debug() }}", "debug"),
            ("{{ items.nobody | default('') }}", "items.nobody"),
        ] {
            let error = render(template).unwrap_err();
            assert!(matches!(&error, DeliveryError::TemplateUnknown { name, .. } if name == unknown), "{error:?}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn no_error_tells_a_value() {
        const VALUE: &str = "hunter2";
        const NUMBER: &str = "123456789012345678901234567890123456789";
        let machine = machine();
        machine.comes("db", VALUE);
        machine.comes("db-2", NUMBER);
        for template in [
            "{{ value | fromjson }}",
            "{{ value.x.y }}",
            "{{ value[value] }}",
            "{{ items[value] }}",
            "{{ items[value].x }}",
            "{{ value() }}",
            "{{ value.hunter() }}",
            "{{ value + 1 }}",
            "{{ -value }}",
            "{{ value | int }}",
            "{{ (items['db-2'] | int) * (items['db-2'] | int) }}",
            "{{ value | nofilter }}",
            "{{ value is notest }}",
            "{{ nofunction(value) }}",
            "{{ value | round }}",
            "{{ value | join(1, 2, 3) }}",
            "{{ '%d' | format(value) }}",
            "{{ value | sum }}",
            "{{ range(value) }}",
            "{{ dict(value) }}",
            "{{ {value: 1} | attr }}",
            "{% for a, b in [value] %}{% endfor %}",
            "{% for a, b in [[value, value, value]] %}{% endfor %}",
            "{{ value | replace }}",
            "{{ value | indent(value) }}",
            "{{ [value] | map(value) }}",
            "{{ [value] | select(value) }}",
            "{{ [1] | map(filter=value) }}",
            "{{ value | default(**{value: 1}) }}",
            "{{ [value] | sort(**{value: true}) }}",
            "{{ value | tojson(**{value: 1}) }}",
            "{{ namespace(value) }}",
            "{{ value | batch(value) }}",
            "{{ value | tojson(value) }}",
            "{{ value ~ items.nothing_here }}",
        ] {
            let made = read_template(&machine, template);
            let made = made.and_then(|template| template.render(&name("db"), &machine.holdings).text);
            let error = made.err().unwrap_or_else(|| panic!("{template} makes something"));
            let said = format!("{} {error:?} {error:#?} {}", ports::chain(&error), error.hint());
            assert!(!said.contains(VALUE) && !said.contains(NUMBER), "{template}: {said}");
            assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn a_template_that_would_eat_the_machine_is_stopped() {
        for template in [
            "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
            "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for a in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "{{ 'aaaaaaaaaaaaaaaa' * 1000000000 }}",
            "{% for a in range(100000) %}{{ value | fromjson }}{% endfor %}",
            "{% set ns = namespace(x=[]) %}{% for a in range(100000) %}{% set ns.x = ns.x + [value] %}{% endfor %}",
            "{{ '%099999999d' | format(1) }}",
        ] {
            let error = render(template).unwrap_err();
            assert!(matches!(error, DeliveryError::TemplateFailed { .. }), "{template}: {error:?}");
        }
        let error = render("{{ 'a' * 1048577 }}").unwrap_err();
        assert!(matches!(error, DeliveryError::TemplateTooLarge { .. }), "{error:?}");
        assert_eq!(render("{{ 'a' * 1048576 }}").unwrap().len(), 1_048_576);
        let nested = format!("{{{{ {}1{} }}}}", "(".repeat(20_000), ")".repeat(20_000));
        assert!(matches!(render(&nested), Err(DeliveryError::TemplateSyntax { .. })));
    }

    #[test]
    fn a_template_is_a_small_text_that_others_can_not_write() {
        use std::os::unix::fs::PermissionsExt as _;
        let machine = machine();
        let items = machine.holdings.items();
        let path = machine.given("t", &"x".repeat(MAX_TEMPLATE_BYTES));
        assert!(Template::read(&path, items).is_ok());
        machine.given("t", &"x".repeat(MAX_TEMPLATE_BYTES + 1));
        assert!(matches!(Template::read(&path, items), Err(DeliveryError::TemplateFile { .. })));
        closed::write(&path, b"\xff");
        assert!(matches!(Template::read(&path, items), Err(DeliveryError::TemplateNotText { .. })));
        machine.given("t", "x");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(Template::read(&path, items), Err(DeliveryError::TemplateFile { .. })));
    }
}
