//! A service as it is bound to HTTP: where its commands go, and what its answers mean.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use amends_wire::signature::Secret;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};

/// A service's verdict over a JSON body: is it a refusal? `None` when the body does not tell.
pub type RefusedWhen = Arc<dyn Fn(&[u8]) -> Option<bool> + Send + Sync>;

/// How a service is reached over HTTP.
#[derive(Clone, Default)]
pub struct HttpService {
    /// `http://` or `https://`, host, and a path under which its commands are.
    pub url: String,
    /// The paths of commands that are not under their own name: `ReserveItems` to
    /// `/reservations`.
    pub commands: BTreeMap<String, String>,
    /// Secrets to sign with, all of them: more than one while they are rotated.
    pub secrets: Vec<Secret>,
    /// Headers that go with every command; their values are taken for secrets.
    pub headers: Vec<(String, String)>,
    /// `not_found: gone`: its 404 on an undo is proof.
    pub not_found_is_gone: bool,
    /// Its `refused_when`, over the body of an answer.
    pub refused_when: Option<RefusedWhen>,
}

impl HttpService {
    /// A service at this address, everything else by default.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Sends `Authorization: Bearer <token>`.
    #[must_use]
    pub fn bearer(mut self, token: &str) -> Self {
        self.headers.push((AUTHORIZATION.to_string(), format!("Bearer {token}")));
        self
    }
}

/// Secrets and header values are never shown.
impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService")
            .field("commands", &self.commands)
            .field("secrets", &self.secrets.len())
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("not_found_is_gone", &self.not_found_is_gone)
            .finish_non_exhaustive()
    }
}

/// Why a service cannot be bound. No value is shown: it may be a secret in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// The URL cannot be read, or is no address to send to.
    #[error("the url of {service} {problem}")]
    Url {
        /// The service.
        service: String,
        /// What is wrong with it, and what it should be.
        problem: &'static str,
    },
    /// The path of a command cannot be read.
    #[error(
        "the path of {service}.{command} must start with / and be percent-encoded, without ? and #"
    )]
    Path {
        /// The service.
        service: String,
        /// The command.
        command: String,
    },
    /// A header cannot be sent.
    #[error("the header {name} of {service} {problem}")]
    Header {
        /// The service.
        service: String,
        /// The header.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// A bound service: checked, and ready to make requests of.
pub(crate) struct Bound {
    scheme: Scheme,
    authority: Authority,
    prefix: String,
    paths: HashMap<Box<str>, PathAndQuery>,
    pub headers: HeaderMap,
    pub service: HttpService,
}

/// Headers that say something about the command, or frame it: a binding must not say otherwise.
const OWN_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "te",
    "traceparent",
    "transfer-encoding",
    "upgrade",
];
const OWN_PREFIXES: [&str; 3] = ["amends-", "ce-", "webhook-"];

impl Bound {
    pub fn new(name: &str, service: HttpService) -> Result<Self, BindError> {
        let wrong = |problem| BindError::Url { service: name.to_owned(), problem };
        if service.url.contains(['?', '#']) {
            return Err(wrong("must have no query or fragment; give secrets as headers"));
        }
        let url: Uri = service.url.parse().map_err(|_| wrong("cannot be read as a URL"))?;
        let parts = url.into_parts();
        let scheme = match parts.scheme {
            Some(scheme) if scheme == Scheme::HTTP || scheme == Scheme::HTTPS => scheme,
            _ => return Err(wrong("must start with http:// or https://")),
        };
        let authority = parts.authority.ok_or_else(|| wrong("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("must hold no user or password; give them as a header"));
        }
        let prefix = parts.path_and_query.as_ref().map_or("", |path| path.path());
        let prefix = prefix.trim_end_matches('/').to_owned();

        let mut paths = HashMap::new();
        for (command, path) in &service.commands {
            let bad = || BindError::Path { service: name.to_owned(), command: command.clone() };
            if !path.starts_with('/') || path.contains(['?', '#']) {
                return Err(bad());
            }
            let path = format!("{prefix}{path}").parse().map_err(|_| bad())?;
            paths.insert(command.as_str().into(), path);
        }
        let headers = own_headers(name, &service)?;
        Ok(Self { scheme, authority, prefix, paths, headers, service })
    }

    /// Where a command goes: its configured path, or its own name after the dot.
    pub fn target(&self, command: &str) -> Option<Uri> {
        let name = command.rsplit_once('.').map_or(command, |(_, name)| name);
        let path = match self.paths.get(name) {
            Some(path) => path.clone(),
            None => format!("{}/{name}", self.prefix).parse().ok()?,
        };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .ok()
    }
}

fn own_headers(service: &str, config: &HttpService) -> Result<HeaderMap, BindError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let wrong = |problem| BindError::Header {
            service: service.to_owned(),
            name: name.clone(),
            problem,
        };
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| wrong("has a name that HTTP does not allow"))?;
        let ours = OWN_HEADERS.contains(&key.as_str())
            || OWN_PREFIXES.iter().any(|prefix| key.as_str().starts_with(prefix));
        if ours {
            return Err(wrong("is set by amends itself; leave it out"));
        }
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| wrong("has a value that HTTP does not allow"))?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(service: HttpService, command: &str) -> String {
        Bound::new("S", service).ok().unwrap().target(command).unwrap().to_string()
    }

    #[test]
    fn a_command_goes_to_its_name_or_its_path() {
        let at = |url: &str| HttpService::at(url);
        assert_eq!(target(at("http://h:1"), "S.Act"), "http://h:1/Act");
        assert_eq!(target(at("http://h:1/"), "S.Act"), "http://h:1/Act");
        assert_eq!(target(at("https://h/api/v1/"), "a.b.Act"), "https://h/api/v1/Act");
        let mut service = at("http://[::1]:1/api");
        service.commands.insert("Act".to_owned(), "/acts/new".to_owned());
        assert_eq!(target(service.clone(), "S.Act"), "http://[::1]:1/api/acts/new");
        assert_eq!(target(service, "S.Undo"), "http://[::1]:1/api/Undo");
    }

    #[test]
    fn a_binding_that_cannot_work_is_refused_without_showing_a_secret() {
        let wrong = |service| match Bound::new("S", service) {
            Err(e) => e.to_string(),
            Ok(_) => panic!("it was bound"),
        };
        for url in [
            "",
            "h:1",
            "/path",
            "ftp://h",
            "http://",
            "http://h/?key=hunter2",
            "http://u:hunter2@h/",
            "http://h/#hunter2",
            "http://h/ ü",
        ] {
            let text = wrong(HttpService::at(url));
            assert!(text.starts_with("the url of S ") && !text.contains("hunter2"), "{text}");
        }
        for path in ["acts", "/a?b", "/a b", ""] {
            let mut service = HttpService::at("http://h");
            service.commands.insert("Act".to_owned(), path.to_owned());
            assert!(wrong(service).starts_with("the path of S.Act must"));
        }
        for (name, value) in [
            ("Host", "x"),
            ("CE-Type", "x"),
            ("Amends-Attempt", "9"),
            ("webhook-id", "x"),
            ("a b", "x"),
            ("x-key", "hunter2\r\nevil: 1"),
        ] {
            let headers = vec![(name.to_owned(), value.to_owned())];
            let text = wrong(HttpService { headers, ..HttpService::at("http://h") });
            assert!(text.starts_with("the header ") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let service = HttpService::at("http://hunter2").bearer("hunter2");
        assert!(!format!("{service:?}").contains("hunter2"));
    }
}
