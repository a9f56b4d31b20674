//! Every route, and what happens around each request.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::problem::{Code, Problem};
use crate::start::WAIT_SECS_MAX;
use crate::{
    act, attention, dead_letters, definitions, events, linger, list, openapi, operations, read,
    records, replies, site, start,
};

/// The longest any answer takes to begin: the longest wait, and some time for the work itself.
const ANSWER_SECS_MAX: u64 = WAIT_SECS_MAX + 30;

/// The routes with their descriptions. A route exists only with one.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::Base::openapi())
        .routes(routes!(start::start_saga, read::get_saga))
        .routes(routes!(list::list_sagas))
        .routes(routes!(list::count_sagas))
        .routes(routes!(read::get_history))
        .routes(routes!(act::cancel))
        .routes(routes!(act::pause))
        .routes(routes!(act::resume))
        .routes(routes!(act::extend_saga))
        .routes(routes!(act::acknowledge))
        .routes(routes!(act::signal))
        .routes(routes!(act::retry))
        .routes(routes!(act::resolve))
        .routes(routes!(act::skip))
        .routes(routes!(act::edit))
        .routes(routes!(act::extend_step))
        .routes(routes!(attention::list_attention))
        .routes(routes!(dead_letters::list_dead_letters))
        .routes(routes!(dead_letters::retry_dead_letters))
        .routes(routes!(definitions::list_definitions, definitions::deploy))
        .routes(routes!(definitions::get_definition))
        .routes(routes!(definitions::get_definition_version))
        .routes(routes!(records::list_orphans))
        .routes(routes!(records::remove_orphan))
        .routes(routes!(records::list_audit))
        .routes(routes!(replies::reply))
        .routes(routes!(replies::reply_by_token))
        .routes(routes!(events::stream_events))
        .routes(routes!(operations::metrics))
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::openapi_json))
        .routes(routes!(operations::first_page))
}

/// The routes, ready to serve.
pub fn router(app: Arc<App>) -> Router {
    let (router, _) = routes().split_for_parts();
    let guarded = middleware::from_fn_with_state(Arc::clone(&app), site::guard);
    around(
        router
            .fallback(no_such_route)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(guarded)
            .with_state(app),
    )
}

/// What happens around each request, whatever it asks for.
pub fn around(router: Router) -> Router {
    router
        .layer(middleware::from_fn(in_time))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::map_response(common_headers))
        .layer(middleware::map_request(linger::to_the_end))
}

async fn no_such_route(uri: Uri) -> Problem {
    const SHOWN_CHARS_MAX: usize = 200;
    let path: String = uri.path().chars().take(SHOWN_CHARS_MAX).collect();
    Problem::new(
        Code::NoSuchRoute,
        format!("there is nothing at {path}; GET /openapi.json describes what there is"),
    )
}

pub async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail =
        format!("{} does not take {method}; the Allow header says what it takes", uri.path());
    Problem::new(Code::MethodNotAllowed, detail)
}

/// Every answer begins in time, also when a part of the engine hangs.
async fn in_time(request: Request, next: Next) -> Response {
    let answer = next.run(request);
    match tokio::time::timeout(Duration::from_secs(ANSWER_SECS_MAX), answer).await {
        Ok(response) => response,
        Err(_) => {
            let detail = "the answer took too long; it may have been done all the same: look \
                          before repeating it";
            Problem::new(Code::TimedOut, detail).into_response()
        }
    }
}

/// A mistake of the server's own: the text stays inside.
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("without text"), "a request could not be answered");
    let detail = "the server made a mistake, which its log tells; it may have been done all the \
                  same: look before repeating it";
    Problem::new(Code::Internal, detail).into_response()
}

/// Answers are this caller's and this moment's, and are what their content type says.
async fn common_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
