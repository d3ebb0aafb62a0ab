//! The OpenAPI document, made from the table of routes.

use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder,
    Schema,
};
use utoipa::{PartialSchema, ToSchema};

use super::access::Access;
use super::doc::Answer;
use super::entry::Route;
use crate::problem::ProblemForm;

const DESCRIPTION: &str = "Runs, steps, events, metrics and artifacts of a state directory. Whoever may submit a run has a \
    shell on this machine, as the user of the server.";

/// The document for the routes that are part of the API.
pub fn openapi(routes: &[Route]) -> OpenApi {
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let mut components = ComponentsBuilder::new()
        .schema(ProblemForm::name(), ProblemForm::schema())
        .security_scheme("token", SecurityScheme::Http(token));
    let mut paths = PathsBuilder::new();
    for route in routes.iter().filter(|route| is_api(route)) {
        for (name, schema) in &route.doc.schemas {
            components = components.schema(name, schema.clone());
        }
        paths = paths.path(route.path, PathItem::new(method(route), operation(route)));
    }
    let info =
        InfoBuilder::new().title("Stepwell").version(env!("CARGO_PKG_VERSION")).description(Some(DESCRIPTION)).build();
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build()
}

/// Pages and their files are for browsers.
fn is_api(route: &Route) -> bool {
    let starts = ["/api/", "/v1/", "/start", "/status/"];
    starts.iter().any(|start| route.path.starts_with(start))
        || route.access == Access::Open && route.path.ends_with('z')
}

fn method(route: &Route) -> HttpMethod {
    match route.method.as_str() {
        "POST" => HttpMethod::Post,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn operation(route: &Route) -> utoipa::openapi::path::Operation {
    let doc = &route.doc;
    let mut operation = OperationBuilder::new()
        .tag(doc.tag)
        .summary(Some(doc.summary))
        .parameters(Some(doc.parameters(route.path)))
        .response("default", refusal());
    if route.access != Access::Open {
        let scopes: Vec<String> = route.access.scopes().iter().map(|scope| format!("`{scope}`")).collect();
        operation = operation
            .description(Some(format!("Needs the scope {}.", scopes.join(" or "))))
            .security(SecurityRequirement::new("token", Vec::<String>::new()));
    }
    if let Some(schema) = &doc.body {
        let content = ContentBuilder::new().schema(Some(schema.clone())).build();
        let body = RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    let answer = ResponseBuilder::new().description("Success");
    operation = match &doc.answer {
        Answer::Json(schema) => {
            let content = ContentBuilder::new().schema(Some(RefOr::clone(schema))).build();
            operation.response("200", answer.content("application/json", content).build())
        }
        Answer::Media(media_type) => {
            operation.response("200", answer.content(*media_type, ContentBuilder::new().build()).build())
        }
        Answer::Nothing => operation.response("204", answer.build()),
    };
    operation.build()
}

fn refusal() -> utoipa::openapi::Response {
    let schema: RefOr<Schema> = RefOr::Ref(Ref::from_schema_name(ProblemForm::name()));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description("A refusal").content("application/problem+json", content).build()
}
