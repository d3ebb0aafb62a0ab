//! Documentation of a route, from the types of its request and its answer.

use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{RefOr, Required, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

type Schemas = Vec<(String, RefOr<Schema>)>;

/// What OpenAPI and `specs/api.md` say about a route.
pub struct Doc {
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Option<RefOr<Schema>>,
    pub(crate) answer: Answer,
    /// Named schemas that the others refer to.
    pub(crate) schemas: Schemas,
}

/// What a route answers with when all is well.
pub(crate) enum Answer {
    Json(Box<RefOr<Schema>>),
    /// Another media type, such as a stream of events.
    Media(&'static str),
    Nothing,
}

impl Doc {
    pub fn new(tag: &'static str, summary: &'static str) -> Doc {
        Doc { tag, summary, parameters: Vec::new(), body: None, answer: Answer::Nothing, schemas: Vec::new() }
    }

    /// Parameters of the query.
    pub fn query<T: IntoParams>(mut self) -> Doc {
        self.parameters.extend(T::into_params(|| Some(ParameterIn::Query)));
        self
    }

    /// A JSON body.
    pub fn body<T: ToSchema>(mut self) -> Doc {
        self.body = Some(self.schema::<T>());
        self
    }

    /// A JSON answer.
    pub fn returns<T: ToSchema>(mut self) -> Doc {
        self.answer = Answer::Json(Box::new(self.schema::<T>()));
        self
    }

    /// An answer that is not JSON.
    pub fn streams(mut self, media_type: &'static str) -> Doc {
        self.answer = Answer::Media(media_type);
        self
    }

    fn schema<T: ToSchema>(&mut self) -> RefOr<Schema> {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        RefOr::Ref(utoipa::openapi::Ref::from_schema_name(T::name()))
    }

    /// Parameters of the path, which are texts, and those of the query.
    pub(crate) fn parameters(&self, path: &str) -> Vec<Parameter> {
        let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path = names.map(|name| {
            let mut parameter = Parameter::new(name.trim_start_matches('*'));
            parameter.parameter_in = ParameterIn::Path;
            parameter.required = Required::True;
            parameter.schema = Some(String::schema());
            parameter
        });
        in_path.chain(self.parameters.iter().cloned()).collect()
    }
}
