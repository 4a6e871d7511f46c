//! Runs a router on AWS Lambda, behind a REST API of Amazon API Gateway.

use std::convert::Infallible;

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, header::HeaderName},
    response::Response,
};
use lambda_http::{RequestExt as _, Service, request::RequestContext, tower::ServiceBuilder};

use crate::{Bearer, Caller, Domain};

/// Tells `lambda_http` that a body is text whatever its content type: without a list of binary media types the gateway
/// passes base64 on as it is.
const CONTENT_ENCODING: HeaderName = HeaderName::from_static("x-lambda-http-content-encoding");

/// Whether this process was started by AWS Lambda or by something that speaks its runtime API.
pub(crate) fn is_here() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Answers invocations until the runtime ends the process.
pub(crate) async fn run(router: Router) -> Result<(), lambda_http::Error> {
    lambda_http::run(lambda_service(router)).await
}

/// A router as AWS Lambda calls it: with the gateway's event as the request, and text as the answer.
///
/// The stage is no part of the paths that the router sees.
pub fn lambda_service(
    router: Router,
) -> impl Service<lambda_http::Request, Response = Response<Body>, Error = Infallible, Future: Send> + Send + Clone {
    ServiceBuilder::new().map_request(with_caller).map_request(without_stage).map_response(as_text).service(router)
}

/// Takes the caller's address and what the authorizer said of its token from the gateway's request context, which no header can
/// touch, and the request's id from the invocation: the gateway's own `requestId` is the caller's to choose (Amazon API Gateway, `$context` variables).
fn with_caller(mut request: lambda_http::Request) -> lambda_http::Request {
    let request_id = request.lambda_context_ref().map(|context| context.request_id.clone());
    let (mut bearer, mut domain) = (None, None);
    let caller = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => {
            let said = |name: &str| context.authorizer.fields.get(name)?.as_str().map(str::to_owned);
            let said = (said("sub"), said("scope"), said("ses"));
            if let (Some(subject), Some(scope), Some(session)) = said {
                bearer = Some(Bearer { subject, scope, session });
            }
            // Without a port, which a gateway on this machine adds.
            let host = context.domain_name.as_deref().and_then(|host| host.split(':').next());
            domain = host.filter(|host| !host.is_empty()).map(|host| Domain(host.to_ascii_lowercase()));
            let source_ip = context.identity.source_ip.as_deref().and_then(|address| address.parse().ok());
            source_ip.zip(request_id).map(|(source_ip, request_id)| Caller { source_ip, request_id })
        }
        _ => None,
    };
    if let Some(bearer) = bearer {
        request.extensions_mut().insert(bearer);
    }
    if let Some(domain) = domain {
        request.extensions_mut().insert(domain);
    }
    match caller {
        Some(caller) => {
            request.extensions_mut().insert(caller);
        }
        None => tracing::error!("the event names no caller: it does not come from a REST API's gateway"),
    }
    request
}

/// `lambda_http` puts the stage in front of the path that the gateway matched.
fn without_stage(mut request: lambda_http::Request) -> lambda_http::Request {
    let path = request.raw_http_path();
    let uri = request.uri().query().map_or_else(|| path.parse(), |query| format!("{path}?{query}").parse());
    if let Ok(uri) = uri {
        *request.uri_mut() = uri;
    }
    request
}

fn as_text(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("text"));
    response
}
