//! The smallest function that answers HTTP: what it takes from process start to the first poll is the yardstick for
//! the init time of the others.

use axum::{Router, routing::get};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::run(Router::new().route("/health", get(async || "ok"))).await
}
