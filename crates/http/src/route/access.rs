//! Who may use a route.

use std::collections::HashMap;

use axum::http::Method;

use stepwell_base::scope::Scope;

/// What a request needs for a route. No route can be made without one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everybody: health, the login, and the files of the page.
    Open,
    /// A token or session with at least this scope.
    Needs(Scope),
    /// A token or session with one of two scopes of which neither includes the other.
    NeedsOne([Scope; 2]),
}

impl Access {
    pub const READ: Access = Access::Needs(Scope::Read);
    /// To use models by the routes of OpenAI's API.
    pub const INFER: Access = Access::Needs(Scope::Infer);
    /// To look at what these routes show.
    pub const SEE_INFERENCE: Access = Access::NeedsOne([Scope::Read, Scope::Infer]);
    pub const RUN: Access = Access::Needs(Scope::Run);
    pub const ADMIN: Access = Access::Needs(Scope::Admin);

    /// Scopes of which one is needed; none for a route that is open.
    pub fn scopes(&self) -> &[Scope] {
        match self {
            Access::Open => &[],
            Access::Needs(scope) => std::slice::from_ref(scope),
            Access::NeedsOne(scopes) => scopes,
        }
    }

    pub fn allows(&self, scope: Scope) -> bool {
        matches!(self, Access::Open) || self.scopes().iter().any(|needed| scope.allows(*needed))
    }

    /// For what is no route: its absence is nobody's business without a token.
    pub fn unknown() -> Access {
        Access::READ
    }
}

/// How long an answer may take to start, and what bounds the requests of one identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pace {
    /// 30 seconds; changes of one identity have a rate.
    #[default]
    Usual,
    /// Uploads and answers of models take minutes. A queue of their own bounds their number.
    Long,
}

/// The access and the pace of every route.
#[derive(Clone, Debug, Default)]
pub struct AccessMap(HashMap<(Method, &'static str), (Access, Pace)>);

impl AccessMap {
    pub fn insert(&mut self, method: Method, path: &'static str, rules: (Access, Pace)) {
        self.0.insert((method, path), rules);
    }

    /// The access and the pace of the route that the router matched.
    pub fn of(&self, method: &Method, path: &str) -> (Access, Pace) {
        // The router answers HEAD with the route for GET.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let found = self.0.iter().find(|((known, pattern), _)| known == method && *pattern == path);
        found.map_or((Access::unknown(), Pace::Usual), |(_, rules)| *rules)
    }
}
