//! Models that requests can name.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::page::{ListPage, Listed, seconds};
use crate::desk::ModelCard;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, Route};
use crate::state::AppState;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/v1/models",
            Access::SEE_INFERENCE,
            list,
            Doc::new("openai", "Lists the models that requests can name").returns::<ListPage<ModelForm>>(),
        ),
        Route::get(
            "/v1/models/{*model}",
            Access::SEE_INFERENCE,
            show,
            Doc::new("openai", "Shows a model").returns::<ModelForm>(),
        ),
    ]
}

/// A model, as OpenAI's clients know it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OpenAiModel)]
pub struct ModelForm {
    id: String,
    /// Always `model`.
    object: &'static str,
    created: i64,
    owned_by: &'static str,
    /// Longest text in tokens, as vLLM names it; null until the model was loaded.
    max_model_len: Option<usize>,
}

impl From<ModelCard> for ModelForm {
    fn from(card: ModelCard) -> ModelForm {
        ModelForm {
            id: card.id,
            object: "model",
            created: seconds(card.created_at),
            owned_by: "stepwell",
            max_model_len: card.context,
        }
    }
}

impl Listed for ModelForm {
    fn id(&self) -> &str {
        &self.id
    }
}

async fn list(State(app): State<AppState>) -> Result<Json<ListPage<ModelForm>>, Problem> {
    let models: Vec<ModelForm> = app.ask(|desk| desk.models()).await?.into_iter().map(ModelForm::from).collect();
    let count = models.len();
    Ok(Json(ListPage::of(models, count)))
}

async fn show(State(app): State<AppState>, PathOf(name): PathOf<String>) -> Result<Json<ModelForm>, Problem> {
    let models = app.ask(|desk| desk.models()).await?;
    let found = models.into_iter().find(|model| model.id == name).map(ModelForm::from);
    found.map(Json).ok_or_else(|| {
        let shown: String = name.chars().take(80).collect();
        let problem =
            Problem::new(axum::http::StatusCode::NOT_FOUND, "model_not_found", format!("there is no model `{shown}`"));
        problem.hint("`GET /v1/models` lists them").about("model")
    })
}
