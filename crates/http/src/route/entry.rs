//! One route of the table.

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, patch, post};

use super::access::{Access, Pace};
use super::doc::Doc;
use crate::state::AppState;

/// A method and a path, who may use them, what answers, and what the documentation says.
pub struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) pace: Pace,
    pub(crate) handler: MethodRouter<AppState>,
    pub(crate) doc: Doc,
}

impl Route {
    pub fn get<H: Handler<T, AppState>, T: 'static>(path: &'static str, access: Access, handler: H, doc: Doc) -> Route {
        Route { method: Method::GET, path, access, pace: Pace::Usual, handler: get(handler), doc }
    }

    pub fn post<H: Handler<T, AppState>, T: 'static>(
        path: &'static str,
        access: Access,
        handler: H,
        doc: Doc,
    ) -> Route {
        Route { method: Method::POST, path, access, pace: Pace::Usual, handler: post(handler), doc }
    }

    pub fn patch<H: Handler<T, AppState>, T: 'static>(
        path: &'static str,
        access: Access,
        handler: H,
        doc: Doc,
    ) -> Route {
        Route { method: Method::PATCH, path, access, pace: Pace::Usual, handler: patch(handler), doc }
    }

    pub fn delete<H: Handler<T, AppState>, T: 'static>(
        path: &'static str,
        access: Access,
        handler: H,
        doc: Doc,
    ) -> Route {
        Route { method: Method::DELETE, path, access, pace: Pace::Usual, handler: delete(handler), doc }
    }

    /// A body of up to this many bytes, which may take long to arrive.
    pub fn takes(self, bytes: usize) -> Route {
        let handler = self.handler.layer(axum::extract::DefaultBodyLimit::max(bytes));
        Route { handler, pace: Pace::Long, ..self }
    }
}
