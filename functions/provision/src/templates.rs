use std::collections::BTreeMap;

use ports::{Fault, ReadObject as _};

use crate::{Ports, Service, Template, TemplateId, assignments::assigned, record::Record, stop::Stop};

/// The largest template that is read, in bytes. AWS IoT takes 10,240 characters.
const MAX_TEMPLATE_BYTES: usize = 64 * 1024;

/// What the broker fills in, and no caller may.
const FILLED: [&str; 4] = ["CertificateId", "CertificateArn", "CertificatePem", "CaCertificatePem"];

/// The template that a request names, or that is assigned to the group that it names.
pub(crate) async fn template<P: Ports>(
    service: &Service<P>,
    id: Option<&str>,
    group_path: Option<&str>,
    record: &mut Record,
) -> Result<(TemplateId, Template), Stop> {
    let id: TemplateId = match (id, group_path) {
        (Some(id), None) => id.parse().map_err(|_| unknown_template())?,
        (None, Some(path)) => assigned(service, path, &record.caller).await?,
        _ => return Err(Stop::bad("malformed", "one of provisioningTemplateId and groupPath has to be there")),
    };
    id.as_str().clone_into(&mut record.wants);
    let object = match service.objects.read(&id.key(), None, MAX_TEMPLATE_BYTES).await {
        Ok(object) => object.ok_or_else(|| Stop::unavailable("template"))?,
        Err(Fault::Missing) => return Err(unknown_template()),
        Err(Fault::Unusable(_)) => return Err(Stop::bad("invalid_template", "the template is too large")),
        Err(fault) => return Err(Stop::fault("template", &fault, &record.caller)),
    };
    match Template::parse(object.bytes.expose(), &service.config.iot_arns) {
        Ok(template) => Ok((id, template)),
        // What is wrong with it is its author's to know: policy was not asked yet.
        Err(error) => {
            tracing::error!(template = %id, error = ports::chain(&error), "template is not valid");
            Err(Stop::bad("invalid_template", "the template is not valid"))
        }
    }
}

/// Refuses what the broker fills in, what AWS IoT fills in, and what it would not take, before a certificate is made.
pub(crate) fn check_parameters(template: &Template, parameters: &BTreeMap<String, String>) -> Result<(), Stop> {
    let filled = |name: &str| template.making().is_some() && FILLED.contains(&name);
    if parameters.keys().any(|name| filled(name) || name.starts_with("AWS::")) {
        return Err(Stop::bad("filled_in", "parameters holds one that the template's CDF option or AWS IoT fills in"));
    }
    if parameters.iter().any(|(name, value)| name.is_empty() || name.len() > 2_048 || value.len() > 4_096) {
        return Err(Stop::bad("malformed", "parameters holds one that is too long or has no name"));
    }
    if template.needed().any(|name| !filled(name) && !parameters.contains_key(name)) {
        return Err(Stop::bad(
            "missing_parameter",
            "parameters lacks one that the template declares without a default",
        ));
    }
    Ok(())
}

fn unknown_template() -> Stop {
    Stop::bad("unknown_template", "there is no such provisioning template")
}
