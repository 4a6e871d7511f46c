use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, patch, post},
};

use crate::{
    Ports, Service,
    answer::Answer,
    body::{MAX_BODY_BYTES, MAX_BULK_BYTES},
    bulk::bulk,
    delete::delete,
    provision::provision,
    status::status,
    stop::Stop,
    task::task,
    thing::thing,
};

/// How long a request may take before it is given up: less than the gateway waits, 29 seconds.
const DEADLINE: Duration = Duration::from_secs(26);

/// The routes of this function over a service. A request must carry a [`web::Caller`] and a [`web::Bearer`], which the runner puts
/// there.
pub fn router<P: Ports>(service: Arc<Service<P>>) -> Router {
    let routes = Router::new()
        .route("/things", post(provision))
        .route("/things/{name}", get(thing).delete(delete))
        .route("/things/{name}/certificates", patch(status))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .route("/bulkthings", post(bulk).layer(DefaultBodyLimit::max(MAX_BULK_BYTES)))
        .route("/bulkthings/{taskId}", get(task));
    web::complete(routes.with_state(service))
}

impl<P: Ports> Service<P> {
    /// What comes of a request within its time.
    pub(crate) async fn in_time(&self, work: impl Future<Output = Result<Answer, Stop>>) -> Result<Answer, Stop> {
        tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| Err(Stop::unavailable("deadline")))
    }
}
