//! Provisioning templates.

use serde_json::{Value, json};

fn with(parameters: &[&str], certificate: &Value, options: Option<Value>) -> Value {
    let declared = parameters.iter().map(|name| ((*name).to_owned(), json!({ "Type": "String" })));
    let mut parameters: serde_json::Map<String, Value> = declared.collect();
    parameters.insert("Colour".into(), json!({ "Type": "String", "Default": "red" }));
    let mut template = json!({
        "Parameters": parameters,
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {
                    "ThingName": { "Ref": "ThingName" },
                    "AttributePayload": { "colour": { "Ref": "Colour" } },
                },
            },
            "certificate": { "Type": "AWS::IoT::Certificate", "Properties": certificate },
            "policy": { "Type": "AWS::IoT::Policy", "Properties": { "PolicyName": "devices" } },
        },
    });
    if let Some(options) = options {
        template["CDF"] = options;
    }
    template
}

/// One whose certificate goes to AWS IoT as PEM.
pub fn by_pem(options: Value) -> Value {
    let certificate =
        json!({ "CertificatePem": { "Ref": "CertificatePem" }, "CACertificatePem": { "Ref": "CaCertificatePem" } });
    with(&["ThingName", "CertificatePem", "CaCertificatePem"], &certificate, Some(options))
}

/// One whose certificate goes to AWS IoT by its id.
pub fn by_id(options: Value) -> Value {
    with(&["ThingName", "CertificateId"], &json!({ "CertificateId": { "Ref": "CertificateId" } }), Some(options))
}

/// One without options, whose caller has a certificate that AWS IoT knows.
pub fn plain() -> Value {
    with(&["ThingName", "CertificateId"], &json!({ "CertificateId": { "Ref": "CertificateId" } }), None)
}

/// A thing and no certificate.
pub fn bare() -> Value {
    let mut template = plain();
    template["Resources"].as_object_mut().unwrap().remove("certificate");
    template["Resources"].as_object_mut().unwrap().remove("policy");
    template["Parameters"].as_object_mut().unwrap().remove("CertificateId");
    template
}
