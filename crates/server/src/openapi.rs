//! The API's description, generated from the handlers that serve it.

use std::sync::LazyLock;

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::router;

/// What is not said at the handlers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "amends",
        description = "Runs sagas. Every error is problem+json (RFC 9457) with a stable `code`. \
                       A write answers with `Amends-Position`; a list takes it as `at_least`.",
        license(name = "MIT OR Apache-2.0"),
    ),
    components(schemas(crate::events::Gap)),
    tags(
        (name = "sagas", description = "Start sagas and look at them"),
        (name = "acts", description = "Do something about a saga"),
        (name = "lists", description = "Find sagas; at most a second behind"),
        (name = "dead letters", description = "Undos whose retries are used up"),
        (name = "definitions", description = "Saga types and their versions"),
        (name = "replies", description = "For participants"),
        (name = "events", description = "Transitions as they happen"),
        (name = "records", description = "What is kept for people to look through"),
        (name = "operations", description = "For whoever runs the server"),
    ),
    security(("token" = [])),
    modifiers(&Token),
)]
pub struct Base;

/// Declares that calls carry a token.
struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let mut token = Http::new(HttpAuthScheme::Bearer);
        token.description = Some("Not needed on loopback, where no tokens are set up".to_owned());
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(token));
    }
}

/// The description as JSON text.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let (_, document) = router::routes().split_for_parts();
        let mut text = document.to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    });
    &TEXT
}
