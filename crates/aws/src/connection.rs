use std::{env, time::Duration};

use aws_config::{
    BehaviorVersion, SdkConfig, environment::EnvironmentVariableCredentialsProvider, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_smithy_types::{body::SdkBody, error::metadata::ProvideErrorMetadata};
use ports::Fault;

use crate::http;

/// How this program reaches AWS: credentials, region, endpoint, time-outs; shared by its clients.
#[derive(Clone, Debug)]
pub struct Connection(pub(crate) SdkConfig);

impl Connection {
    /// Reads the environment, the shared configuration files and the instance's metadata, as every AWS SDK does. On AWS
    /// Lambda credentials come from the environment alone.
    ///
    /// `ENDPOINT_URL`, where it is not empty, names a local AWS. (The SDK's own `AWS_ENDPOINT_URL` works as well, and
    /// must not be empty, which a template cannot promise.)
    ///
    /// A call is tried three times within four seconds in all: a caller waits for the answer.
    pub async fn from_environment() -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(Duration::from_secs(2))
            .operation_timeout(Duration::from_secs(4))
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http::client())
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(50)));
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
}

/// An environment variable that is set and not empty: a template can leave none out.
fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

type SdkError<E> = aws_smithy_runtime_api::client::result::SdkError<E, aws_smithy_runtime_api::http::Response<SdkBody>>;

/// Sorts what an SDK reports by the service's error code. The cause keeps code and message, which hold names and no
/// values; the raw response, which may hold a secret, is dropped.
pub(crate) fn fault<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Fault {
    let (code, message) = (error.code(), error.message().unwrap_or_default());
    let cause = match (code, error) {
        (Some(code), _) => format!("{code}: {message}"),
        (None, SdkError::TimeoutError(_)) => "no answer in time".to_owned(),
        (None, SdkError::DispatchFailure(failure)) => match failure.as_connector_error() {
            Some(error) => format!("connection failed: {error}"),
            None => "connection failed".to_owned(),
        },
        (None, SdkError::ServiceError(answer)) => format!("status {}", answer.raw().status().as_u16()),
        (None, _) => "request failed".to_owned(),
    };
    match code.unwrap_or_default() {
        // InvalidRequestException: Secrets Manager's answer for a secret that is scheduled for deletion.
        "NoSuchKey" | "NotFound" | "ResourceNotFoundException" | "ParameterNotFound" | "InvalidRequestException" => {
            Fault::Missing
        }
        "PreconditionFailed" | "ConditionalRequestConflict" | "ResourceExistsException" => Fault::Conflict,
        "AccessDenied" | "AccessDeniedException" => Fault::Forbidden(cause.into()),
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "ProvisionedThroughputExceededException" => Fault::Throttled(cause.into()),
        _ => Fault::Unavailable(cause.into()),
    }
}
