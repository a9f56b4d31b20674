//! What a browser on this machine must not be made to do: reach a server without tokens under
//! another name (DNS rebinding), or write to it from another site.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::auth::Access;
use crate::problem::{Code, Problem};

/// Refuses both. A server with tokens needs neither: a browser has no token to send.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if let Access::Loopback = app.access
        && let Err(problem) = check(request.method(), request.uri(), request.headers())
    {
        return problem.into_response();
    }
    next.run(request).await
}

fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let host = host(uri, headers).filter(|host| is_loopback(host.host())).ok_or_else(|| {
        let detail = "a server without tokens answers to localhost, 127.0.0.1 and [::1] only, so \
                      that no web site can reach it under a name of its own: call it by one of \
                      these, or give it tokens";
        Problem::new(Code::HostRefused, detail)
    })?;
    if method.is_safe() {
        return Ok(()); // its answer carries no permission for another site to read it
    }
    let same_site = match headers.get(ORIGIN) {
        None => true, // no browser, or the same site
        Some(origin) => origin
            .to_str()
            .ok()
            .and_then(|origin| origin.split_once("://"))
            .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host.as_str())),
    };
    let said = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    if same_site && said.is_none_or(|site| matches!(site, "same-origin" | "none")) {
        return Ok(());
    }
    let detail = "a server without tokens takes writes from its own pages and from programs, not \
                  from other web sites; give it tokens to call it from there";
    Err(Problem::new(Code::OriginRefused, detail))
}

/// The host that was called: of the address (HTTP/2), or of the one `Host` header.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let mut said = headers.get_all(HOST).iter();
    let header = said.next().map(|host| Authority::try_from(host.as_bytes()));
    if said.next().is_some() {
        return None;
    }
    match (uri.authority(), header) {
        (_, Some(Err(_))) => None,
        (Some(of_uri), Some(Ok(of_header))) => (*of_uri == of_header).then_some(of_header),
        (Some(host), None) => Some(host.clone()),
        (None, header) => header?.ok(),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn code(method: Method, headers: &[(&'static str, &'static str)]) -> Option<&'static str> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        check(&method, &Uri::from_static("/v1/sagas"), &map).err().map(|problem| problem.code())
    }

    #[test]
    fn only_loopback_names_are_answered_to() {
        for host in [
            "localhost",
            "LOCALHOST:7100",
            "a.localhost",
            "127.0.0.1:7100",
            "127.9.9.9",
            "[::1]:7100",
        ] {
            assert_eq!(code(Method::GET, &[("host", host)]), None, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "",
            "0.0.0.0",
            "a b",
        ] {
            assert_eq!(code(Method::GET, &[("host", host)]), Some("host_refused"), "{host}");
        }
        assert_eq!(code(Method::GET, &[]), Some("host_refused"));
        assert_eq!(
            code(Method::GET, &[("host", "localhost"), ("host", "evil")]),
            Some("host_refused")
        );
    }

    #[test]
    fn other_sites_do_not_write() {
        let host = ("host", "localhost:7100");
        for (origin, expected) in [
            ("http://localhost:7100", None),
            ("http://localhost:5173", Some("origin_refused")),
            ("https://evil.example", Some("origin_refused")),
            ("null", Some("origin_refused")),
        ] {
            assert_eq!(code(Method::POST, &[host, ("origin", origin)]), expected, "{origin}");
            assert_eq!(code(Method::GET, &[host, ("origin", origin)]), None, "{origin}");
        }
        assert_eq!(code(Method::POST, &[host]), None);
        let cross = ("sec-fetch-site", "cross-site");
        assert_eq!(code(Method::POST, &[host, cross]), Some("origin_refused"));
    }
}
