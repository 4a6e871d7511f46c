use std::{env, error::Error, time::Duration};

use aws_config::{
    BehaviorVersion, ConfigLoader, SdkConfig, environment::EnvironmentVariableCredentialsProvider, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_credential_types::provider::{ProvideCredentials as _, error::CredentialsError};
use aws_smithy_types::{body::SdkBody, error::metadata::ProvideErrorMetadata};
use ports::{Fault, chain};

use crate::http;

/// What is missing for a signed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// There is no region.
    #[error("no AWS region is set")]
    Region,
    /// No source has credentials.
    #[error("there are no AWS credentials")]
    Credentials,
}

/// How this program reaches AWS: credentials, region, endpoint, time-outs; shared by its clients.
#[derive(Clone, Debug)]
pub struct Connection(pub(crate) SdkConfig);

impl Connection {
    /// Reads the environment, the shared configuration files and the instance's metadata, as every AWS SDK does. There is
    /// time for objects of megabytes over slow links.
    pub async fn from_environment() -> Self {
        Self(defaults().load().await).patient()
    }

    /// What this program needs for a signed call and has not, wherever AWS SDKs look for it. Credentials whose source fails are
    /// not missing.
    pub async fn lacks(&self) -> Option<Lack> {
        if self.0.region().is_none() {
            return Some(Lack::Region);
        }
        let Some(provider) = self.0.credentials_provider() else { return Some(Lack::Credentials) };
        match provider.provide_credentials().await {
            Err(CredentialsError::CredentialsNotLoaded(_)) => Some(Lack::Credentials),
            Ok(_) | Err(_) => None,
        }
    }

    /// The same for a function of this project: on AWS Lambda credentials come from the environment alone.
    ///
    /// `ENDPOINT_URL`, where it is not empty, names a local AWS. (The SDK's own `AWS_ENDPOINT_URL` works as well, and
    /// must not be empty, which a template cannot promise.)
    ///
    /// A call is tried three times within four seconds in all: a caller waits for the answer.
    pub async fn of_function() -> Self {
        let config = defaults();
        let config = match setting("ENDPOINT_URL") {
            Some(url) => config.endpoint_url(url),
            None => config,
        };
        // There the role's credentials are in the environment, and making ready to look elsewhere takes longer than to
        // find them.
        let config = match setting("AWS_LAMBDA_RUNTIME_API") {
            Some(_) => config.credentials_provider(EnvironmentVariableCredentialsProvider::new()),
            None => config,
        };
        Self(config.load().await)
    }

    /// The same with time for objects of megabytes over slow links.
    #[must_use]
    pub fn patient(&self) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(60))
            .operation_timeout(Duration::from_secs(120))
            .build();
        Self(self.0.to_builder().timeout_config(timeouts).build())
    }

    /// The same with [`UNHURRIED`] for a call and all its tries.
    #[cfg(feature = "acmpca")]
    pub(crate) fn unhurried(&self) -> Self {
        Self(self.0.to_builder().timeout_config(unhurried()).build())
    }
}

/// Time for a call that makes the service sign or write many things, and that is not to be asked again beside itself. Leaves
/// room for two in the half minute after which API Gateway gives up on a function.
#[cfg(any(feature = "acmpca", feature = "iot"))]
const UNHURRIED: Duration = Duration::from_secs(10);

#[cfg(any(feature = "acmpca", feature = "iot"))]
pub(crate) fn unhurried() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(UNHURRIED)
        .operation_timeout(UNHURRIED)
        .build()
}

fn defaults() -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(2))
        .operation_timeout(Duration::from_secs(4))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http::client())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(50)))
}

/// An environment variable that is set and not empty: a template can leave none out.
fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

type SdkError<E> = aws_smithy_runtime_api::client::result::SdkError<E, aws_smithy_runtime_api::http::Response<SdkBody>>;

/// Sorts what an SDK reports by the service's error code. The cause keeps code and message, which hold names and no
/// values; the raw response, which may hold a secret, is dropped.
pub(crate) fn fault<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E>) -> Fault {
    sorted(error, |code| told(code, error))
}

/// [`fault`] for services that are given people's addresses, which their messages repeat: the cause keeps the code alone.
#[cfg(any(feature = "sesv2", feature = "sns"))]
pub(crate) fn addressed_fault<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E>) -> Fault {
    sorted(error, str::to_owned)
}

fn sorted<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E>, told: impl Fn(&str) -> String) -> Fault {
    let code = error.code();
    let cause = match (code, error) {
        (Some(code), _) => told(code),
        (None, SdkError::TimeoutError(_)) => "no answer in time".to_owned(),
        (None, SdkError::DispatchFailure(failure)) => {
            failure.as_connector_error().map_or_else(|| "request not sent".to_owned(), |error| chain(error))
        }
        (None, SdkError::ConstructionFailure(_)) => chain(error),
        (None, SdkError::ServiceError(answer)) => format!("status {}", answer.raw().status().as_u16()),
        (None, _) => "request failed".to_owned(),
    };
    match code.unwrap_or_default() {
        // InvalidRequestException: Secrets Manager's answer for a secret that is scheduled for deletion.
        "NoSuchKey" | "NotFound" | "ResourceNotFoundException" | "ParameterNotFound" | "InvalidRequestException" => {
            Fault::Missing
        }
        "PreconditionFailed"
        | "ConditionalRequestConflict"
        | "ResourceExistsException"
        | "ResourceAlreadyExistsException"
        | "CertificateConflictException"
        | "CertificateStateException"
        | "ConflictingResourceUpdateException"
        | "DeleteConflictException"
        | "ResourceConflictsException"
        | "VersionConflictException" => Fault::Conflict,
        // InvalidParameter, OptedOut and ParameterValueInvalid: Amazon SNS; BadRequestException and the two of mail: Amazon SES.
        "BadRequestException"
        | "CertificateValidationException"
        | "InvalidArgsException"
        | "InvalidArnException"
        | "InvalidParameter"
        | "MailFromDomainNotVerifiedException"
        | "MalformedCSRException"
        | "MalformedPolicyException"
        | "MessageRejected"
        | "OptedOut"
        | "ParameterValueInvalid"
        | "RegistrationCodeValidationException"
        | "ResourceRegistrationFailureException" => Fault::Invalid(cause.into()),
        "AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "UnauthorizedException" => {
            Fault::Forbidden(cause.into())
        }
        "SlowDown"
        | "Throttled"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "ProvisionedThroughputExceededException" => Fault::Throttled(cause.into()),
        // With the rest LimitExceededException, an account's quota: no waiting brings it back, and no caller mends it. As a
        // failure it is seen by whoever can have it raised.
        _ => Fault::Unavailable(cause.into()),
    }
}

/// [`fault`] for AWS IoT and AWS Private CA, where these codes say that the request is wrong. Elsewhere the first means a secret
/// that is to be deleted, and the second a mistake of this program.
#[cfg(any(feature = "acmpca", feature = "iot"))]
pub(crate) fn request_fault<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E>) -> Fault {
    match error.code() {
        Some(code @ ("InvalidRequestException" | "ValidationException")) => Fault::Invalid(told(code, error).into()),
        _ => fault(error),
    }
}

fn told(code: &str, error: &impl ProvideErrorMetadata) -> String {
    format!("{code}: {}", error.message().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::{client::result::ConnectorError, http::StatusCode};
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn answered(code: &str) -> SdkError<ErrorMetadata> {
        let error = ErrorMetadata::builder().code(code).message("of a name").build();
        let body = SdkBody::from("the whole answer, which may hold a secret");
        let status = StatusCode::try_from(400).expect("400 is a status");
        SdkError::service_error(error, aws_smithy_runtime_api::http::Response::new(status, body))
    }

    type Is = fn(&Fault) -> bool;

    #[test]
    fn error_codes_of_the_services_are_sorted() {
        let missing: Is = |fault| matches!(fault, Fault::Missing);
        let conflict: Is = |fault| matches!(fault, Fault::Conflict);
        let invalid: Is = |fault| matches!(fault, Fault::Invalid(_));
        let forbidden: Is = |fault| matches!(fault, Fault::Forbidden(_));
        let throttled: Is = |fault| matches!(fault, Fault::Throttled(_));
        let unavailable: Is = |fault| matches!(fault, Fault::Unavailable(_));
        for (code, is) in [
            ("NoSuchKey", missing),
            ("ResourceNotFoundException", missing),
            ("InvalidRequestException", missing),
            ("ParameterNotFound", missing),
            ("PreconditionFailed", conflict),
            ("ConditionalRequestConflict", conflict),
            ("ResourceExistsException", conflict),
            ("ResourceAlreadyExistsException", conflict),
            ("CertificateConflictException", conflict),
            ("CertificateStateException", conflict),
            ("ConflictingResourceUpdateException", conflict),
            ("DeleteConflictException", conflict),
            ("ResourceConflictsException", conflict),
            ("VersionConflictException", conflict),
            ("CertificateValidationException", invalid),
            ("InvalidArgsException", invalid),
            ("InvalidArnException", invalid),
            ("MalformedCSRException", invalid),
            ("MalformedPolicyException", invalid),
            ("RegistrationCodeValidationException", invalid),
            ("ResourceRegistrationFailureException", invalid),
            ("BadRequestException", invalid),
            ("InvalidParameter", invalid),
            ("MailFromDomainNotVerifiedException", invalid),
            ("MessageRejected", invalid),
            ("OptedOut", invalid),
            ("ParameterValueInvalid", invalid),
            ("AccessDenied", forbidden),
            ("AccessDeniedException", forbidden),
            ("AuthorizationError", forbidden),
            ("UnauthorizedException", forbidden),
            ("SlowDown", throttled),
            ("Throttled", throttled),
            ("ThrottlingException", throttled),
            ("ProvisionedThroughputExceededException", throttled),
            ("InternalServiceError", unavailable),
            ("ExpiredTokenException", unavailable),
            ("LimitExceededException", unavailable),
            ("ValidationException", unavailable),
            ("AnythingElse", unavailable),
        ] {
            let fault = fault(&answered(code));
            assert!(is(&fault), "{code}: {fault:?}");
            assert!(!format!("{fault:?}").contains("secret"), "{code}");
        }
    }

    #[test]
    #[cfg(any(feature = "acmpca", feature = "iot"))]
    fn a_wrong_request_of_iot_or_private_ca_is_invalid() {
        for (code, is) in [
            ("InvalidRequestException", (|fault| matches!(fault, Fault::Invalid(_))) as Is),
            ("ValidationException", |fault| matches!(fault, Fault::Invalid(_))),
            ("ResourceRegistrationFailureException", |fault| matches!(fault, Fault::Invalid(_))),
            ("ResourceNotFoundException", |fault| matches!(fault, Fault::Missing)),
            ("ThrottlingException", |fault| matches!(fault, Fault::Throttled(_))),
            ("UnauthorizedException", |fault| matches!(fault, Fault::Forbidden(_))),
            ("InternalFailureException", |fault| matches!(fault, Fault::Unavailable(_))),
        ] {
            let fault = request_fault(&answered(code));
            assert!(is(&fault), "{code}: {fault:?}");
        }
        let fault = request_fault(&answered("InvalidRequestException"));
        assert_eq!(chain(&fault), "refused by the service: InvalidRequestException: of a name");
    }

    #[test]
    fn what_kept_a_request_from_being_sent_is_told() {
        let refused = ConnectorError::io(Box::new(std::io::Error::other("connection refused")));
        for (error, why) in [
            (SdkError::<ErrorMetadata>::dispatch_failure(refused), "connection refused"),
            (SdkError::construction_failure("no region"), "no region"),
        ] {
            let told = chain(&fault(&error));
            assert!(told.contains(why), "{told}");
        }
    }
}
