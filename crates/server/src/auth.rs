//! Who calls, and whether they may: asked before a body is read.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::app::App;
use crate::problem::{Code, Problem};
use crate::tokens::{Identity, Role, Tokens};

/// Who may call at all.
#[derive(Debug)]
pub enum Access {
    /// Whoever reaches the loopback address, as an admin: the person at this machine.
    Loopback,
    /// Who shows one of these tokens.
    Tokens(Tokens),
}

impl Access {
    /// Who shows this header.
    pub fn identify(&self, headers: &axum::http::HeaderMap) -> Result<Identity, Problem> {
        let Self::Tokens(tokens) = self else {
            return Ok(Identity { name: "local".into(), role: Role::Admin, services: Vec::new() });
        };
        let presented = bearer(headers).ok_or_else(|| {
            let detail = "this server asks for a token: send Authorization: Bearer <token>";
            Problem::new(Code::Unauthenticated, detail)
        })?;
        tokens.find(presented).cloned().ok_or_else(|| {
            let detail = "the token is none of this server's: compare it with the tokens file";
            Problem::new(Code::Unauthenticated, detail)
        })
    }
}

/// The token of an `Authorization: Bearer` header, if there is one such.
pub fn bearer(headers: &axum::http::HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Identity {
    /// May it see what definitions redact?
    pub fn sees_all(&self) -> bool {
        self.role.may(Role::Operator)
    }

    fn must(self, needed: Role) -> Result<Self, Problem> {
        if self.role.may(needed) {
            return Ok(self);
        }
        let (role, needed) = (self.role.name(), needed.name());
        let detail = format!("the token's role is {role}, and this takes {needed}");
        Err(Problem::new(Code::Forbidden, detail))
    }
}

/// A caller of at least that role.
macro_rules! callers {
    ($($role:ident)+) => {$(
        #[doc = concat!("A caller who is at least ", stringify!($role), ".")]
        pub struct $role(pub Identity);

        impl FromRequestParts<Arc<App>> for $role {
            type Rejection = Problem;

            async fn from_request_parts(
                parts: &mut Parts,
                app: &Arc<App>,
            ) -> Result<Self, Problem> {
                app.access.identify(&parts.headers)?.must(Role::$role).map(Self)
            }
        }
    )+};
}

callers! { Viewer Starter Operator Admin }
