use aws_sdk_lambda::{Client, types::InvocationType};
use aws_smithy_types::Blob;
use ports::{Fault, InvokeFunction, Invoked};
use protocol::Secret;
use serde::Deserialize;

use crate::{Connection, connection::fault};

/// AWS Lambda in this program's account and region.
#[derive(Clone, Debug)]
pub struct Lambda(Client);

/// What stands in place of an answer where a function failed (AWS Lambda API, `Invoke`, `FunctionError`). Where it ran out of
/// time or of memory, AWS Lambda writes it.
#[derive(Deserialize)]
struct FunctionError {
    #[serde(rename = "errorMessage")]
    message: String,
}

impl Lambda {
    /// A client.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        Self(Client::new(&connection.0))
    }
}

impl InvokeFunction for Lambda {
    /// `lambda:InvokeFunction`.
    async fn invoke(&self, name: &str, event: Vec<u8>) -> Result<Invoked, Fault> {
        let answer = self
            .0
            .invoke()
            .function_name(name)
            .invocation_type(InvocationType::RequestResponse)
            .payload(Blob::new(event))
            .send()
            .await
            .map_err(|error| fault(&error))?;
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        ended(answer.function_error.is_some(), Secret::new(payload))
    }
}

fn ended(has_failed: bool, payload: Secret<Vec<u8>>) -> Result<Invoked, Fault> {
    if !has_failed {
        return Ok(Invoked::Answered(payload));
    }
    let error: FunctionError =
        serde_json::from_slice(payload.expose()).map_err(|_| Fault::Unusable("function's error without a message"))?;
    Ok(Invoked::Failed { message: error.message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functions_error_is_told_from_its_answer() {
        let payload = |json: &str| Secret::new(json.as_bytes().to_vec());
        let json = r#"{"errorType":"x","errorMessage":"a token lives at most 60 seconds here","stackTrace":[]}"#;
        let failed = ended(true, payload(json));
        assert!(
            matches!(failed, Ok(Invoked::Failed { message }) if message == "a token lives at most 60 seconds here")
        );
        let answered = ended(false, payload(json));
        assert!(matches!(answered, Ok(Invoked::Answered(answer)) if answer.expose() == json.as_bytes()));
        assert!(matches!(ended(true, payload("null")), Err(Fault::Unusable(_))));
    }
}
