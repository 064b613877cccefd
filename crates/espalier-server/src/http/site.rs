//! The whole server as one service: what every request passes, around the routes.
//!
//! It is one service and not a stack of router layers: each layer of a router is a boxed service per route that is
//! cloned for every request, and telemetry is many small requests.

use super::{MAX_BODY, edge};
use crate::{AppState, Config};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{Layer, Service};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::timeout::TimeoutBody;

/// How long a body may pause while it is sent; slower senders hold resources for nothing.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// What a request passes on its way to a route and back. Cloning it is cheap.
#[derive(Clone)]
pub struct Site {
    inner: Inner,
    cors: Option<CorsLayer>,
}

/// The site without the answers to browsers of other sites.
#[derive(Clone)]
struct Inner {
    app: AppState,
    routes: Router,
}

impl Site {
    pub(super) fn new(app: AppState, routes: Router) -> Self {
        let cors = (!app.config.cors_origins.is_empty()).then(|| cors(&app.config));
        let inner = Inner { app, routes };
        Self { inner, cors }
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request) -> Response {
        let Some(cors) = &self.cors else {
            return self.inner.answer(request).await;
        };
        match cors.layer(self.inner.clone()).call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

impl Inner {
    async fn answer(&self, mut request: Request) -> Response {
        DefaultBodyLimit::max(MAX_BODY).apply(&mut request);
        if !request.body().is_end_stream() {
            request = request.map(|body| Body::new(TimeoutBody::new(BODY_PATIENCE, body)));
        }
        edge::edge(&self.app, &self.routes, request).await
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl Service<Request> for Inner {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Answering {
        let inner = self.clone();
        Box::pin(async move { Ok(inner.answer(request).await) })
    }
}

impl Service<Request> for Site {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Answering {
        let site = self.clone();
        Box::pin(async move { Ok(site.answer(request).await) })
    }
}

/// Other sites may call the API from a browser only when the operator named them, and never with cookies.
fn cors(config: &Config) -> CorsLayer {
    let origins: Vec<HeaderValue> = config
        .cors_origins
        .iter()
        .filter_map(|origin| origin.parse().ok())
        .collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("x-api-key"),
        ])
}
