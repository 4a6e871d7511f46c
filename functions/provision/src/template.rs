use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::device_policies::{self, AdditionalPolicies};

/// What AWS IoT takes (`RegisterThing`, `templateBody`), in characters.
const MAX_CHARACTERS: usize = 10_240;

/// The type of a certificate in a template's resources.
const CERTIFICATE: &str = "AWS::IoT::Certificate";

/// A provisioning template (AWS IoT Developer Guide, "Provisioning templates") without its member `CDF`, which says what the
/// broker adds: a certificate that it has made before, and policies, which become resources of the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// What AWS IoT registers, JSON.
    body: String,
    making: Option<Making>,
    /// Whether the certificate goes to AWS IoT by its id, registered before, or as PEM.
    by_id: bool,
    /// Its parameters, with their defaults.
    parameters: BTreeMap<String, Option<String>>,
    thing_name: Option<ThingName>,
    /// Whether its certificate's status is `INACTIVE`.
    inactive: bool,
}

/// Where a template's certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Making {
    /// `createDeviceCertificate`: signed here by a CA that AWS IoT knows.
    OwnCa,
    /// `createDeviceAWSCertificate`: from AWS IoT, keys included.
    Aws,
    /// `registerDeviceCertificateWithoutCA`: the caller's.
    Given,
    /// `acmpca`: signed by AWS Private CA.
    PrivateCa {
        /// Whether AWS IoT knows the CA: `REGISTER_WITH_CA`.
        registered: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ThingName {
    Literal(String),
    Parameter(String),
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It is no JSON object with an object `Resources`.
    #[error("not a JSON object with Resources")]
    Malformed,
    /// Its member `CDF` has an option that is not known, or one of another form.
    #[error("its CDF member is not accepted")]
    Options(#[source] serde_json::Error),
    /// More than one of its options makes a certificate.
    #[error("more than one of its CDF options makes a certificate")]
    SeveralCertificates,
    /// The certificate that its option makes is not what its resource takes.
    #[error(
        "its one certificate has to take {{\"Ref\": \"CertificateId\"}} or, where a CA that AWS IoT knows signs, {{\"Ref\": \"CertificatePem\"}}"
    )]
    Certificate,
    /// It registers more than one thing, of which policy would be asked for one.
    #[error("it has more than one thing")]
    SeveralThings,
    /// A parameter that is filled in is not declared.
    #[error("it refers to a certificate's parameter that it does not declare as a String")]
    Undeclared,
    /// An additional policy has neither a name nor a document that is a JSON object, or there are none or more than ten.
    #[error("attachAdditionalPolicies has to hold 1 to 10 policies with a name or a document")]
    Policies,
    /// A resource has the name that one would get here.
    #[error("it has a resource of a name that begins with Countersign")]
    Reserved,
    /// It is longer than AWS IoT takes.
    #[error("with the policies that are added it is longer than 10240 characters")]
    Oversized,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Options {
    #[serde(default)]
    create_device_certificate: bool,
    #[serde(default, rename = "createDeviceAWSCertificate")]
    create_device_aws_certificate: bool,
    #[serde(default, rename = "registerDeviceCertificateWithoutCA")]
    register_device_certificate_without_ca: bool,
    acmpca: Option<Acmpca>,
    attach_additional_policies: Option<AdditionalPolicies>,
    #[serde(default)]
    client_id_must_match_thing_name: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Acmpca {
    mode: Mode,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Mode {
    RegisterWithCa,
    RegisterWithoutCa,
}

impl Template {
    /// Reads a template. `iot_arns` is what the ARNs of AWS IoT begin with: `arn:aws:iot:<region>:<account>:`.
    ///
    /// Not checked: what AWS IoT checks when it registers.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn parse(bytes: &[u8], iot_arns: &str) -> Result<Self, TemplateError> {
        let mut template: Map<String, Value> = serde_json::from_slice(bytes).map_err(|_| TemplateError::Malformed)?;
        let options = match template.remove("CDF") {
            Some(options) => Options::deserialize(options).map_err(TemplateError::Options)?,
            None => Options::default(),
        };
        let parameters = declared(&template)?;
        let resources = template.get_mut("Resources").and_then(Value::as_object_mut).ok_or(TemplateError::Malformed)?;
        let making = options.making()?;
        let certificates: Vec<&Value> = of_type(resources, CERTIFICATE).collect();
        let by_id = match making {
            Some(making) => by_id(making, &certificates, &parameters)?,
            None => false,
        };
        let inactive = certificates.iter().any(|certificate| certificate["Properties"]["Status"] == "INACTIVE");
        let things: Vec<&Value> = of_type(resources, "AWS::IoT::Thing").collect();
        if things.len() > 1 {
            return Err(TemplateError::SeveralThings);
        }
        let thing_name = things.first().and_then(|thing| ThingName::of(thing));
        let policies = options.attach_additional_policies;
        device_policies::add(resources, policies, options.client_id_must_match_thing_name, iot_arns)?;
        let body = Value::Object(template).to_string();
        if body.chars().count() > MAX_CHARACTERS {
            return Err(TemplateError::Oversized);
        }
        Ok(Self { body, making, by_id, parameters, thing_name, inactive })
    }

    /// What AWS IoT registers, JSON.
    pub(crate) fn body(&self) -> &str {
        &self.body
    }

    /// Where its certificate comes from, where the broker has one made.
    pub(crate) const fn making(&self) -> Option<Making> {
        self.making
    }

    /// Whether the certificate has to be registered before the thing.
    pub(crate) const fn takes_certificate_by_id(&self) -> bool {
        self.by_id
    }

    /// Whether its certificate is to be inactive.
    pub(crate) const fn is_inactive(&self) -> bool {
        self.inactive
    }

    /// Whether it has a parameter of this name.
    pub(crate) fn declares(&self, parameter: &str) -> bool {
        self.parameters.contains_key(parameter)
    }

    /// The parameters that have no default. Those of AWS IoT, it fills in.
    pub(crate) fn needed(&self) -> impl Iterator<Item = &String> {
        let needed = |name: &&String| self.parameters[*name].is_none() && !name.starts_with("AWS::");
        self.parameters.keys().filter(needed)
    }

    /// The thing's name under these parameters, where the template says it plainly: as a text or as one parameter.
    pub(crate) fn thing_name(&self, parameters: &BTreeMap<String, String>) -> Option<String> {
        match self.thing_name.as_ref()? {
            ThingName::Literal(name) => Some(name.clone()),
            ThingName::Parameter(parameter) => {
                parameters.get(parameter).cloned().or_else(|| self.parameters.get(parameter).cloned().flatten())
            }
        }
    }
}

impl Options {
    fn making(&self) -> Result<Option<Making>, TemplateError> {
        let private = self
            .acmpca
            .as_ref()
            .map(|Acmpca { mode }| Making::PrivateCa { registered: matches!(mode, Mode::RegisterWithCa) });
        let makings = [
            self.create_device_certificate.then_some(Making::OwnCa),
            self.create_device_aws_certificate.then_some(Making::Aws),
            self.register_device_certificate_without_ca.then_some(Making::Given),
            private,
        ];
        let mut makings = makings.into_iter().flatten();
        match (makings.next(), makings.next()) {
            (making, None) => Ok(making),
            (_, Some(_)) => Err(TemplateError::SeveralCertificates),
        }
    }
}

impl ThingName {
    fn of(thing: &Value) -> Option<Self> {
        let name = &thing["Properties"]["ThingName"];
        name.as_str()
            .map(|name| Self::Literal(name.to_owned()))
            .or_else(|| name["Ref"].as_str().map(|parameter| Self::Parameter(parameter.to_owned())))
    }
}

/// The template's parameters, with their defaults.
fn declared(template: &Map<String, Value>) -> Result<BTreeMap<String, Option<String>>, TemplateError> {
    let Some(parameters) = template.get("Parameters") else { return Ok(BTreeMap::new()) };
    let parameters = parameters.as_object().ok_or(TemplateError::Malformed)?;
    let default = |value: &Value| value["Default"].as_str().map(str::to_owned);
    Ok(parameters.iter().map(|(name, value)| (name.clone(), default(value))).collect())
}

fn of_type<'a>(resources: &'a Map<String, Value>, kind: &str) -> impl Iterator<Item = &'a Value> {
    resources.values().filter(move |resource| resource["Type"] == kind)
}

/// How the one certificate of the template takes what its option makes.
fn by_id(
    making: Making,
    certificates: &[&Value],
    parameters: &BTreeMap<String, Option<String>>,
) -> Result<bool, TemplateError> {
    let [certificate] = certificates else { return Err(TemplateError::Certificate) };
    let properties = &certificate["Properties"];
    let filled = ["CertificateId", "CertificatePem", "CACertificatePem", "CertificateSigningRequest"]
        .map(|name| properties.get(name).map(|value| value["Ref"].as_str().unwrap_or_default()));
    let by_id = match (filled, making) {
        ([Some("CertificateId"), None, None, None], _) => true,
        (
            [None, Some("CertificatePem"), None | Some("CaCertificatePem"), None],
            Making::OwnCa | Making::PrivateCa { registered: true },
        ) => false,
        _ => return Err(TemplateError::Certificate),
    };
    let mut filled = filled.into_iter().flatten();
    if filled.all(|name| parameters.contains_key(name)) { Ok(by_id) } else { Err(TemplateError::Undeclared) }
}
