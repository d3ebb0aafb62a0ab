//! Routes of batches.

use super::cancel::cancel;
use super::create::{CreateBody, create};
use super::form::BatchForm;
use super::list::{BatchQuery, list, show};
use super::start::{LARGEST, StartBody, StatusForm, start, status};
use crate::api::control::NoBody;
use crate::openai::page::ListPage;
use crate::route::{Access, Doc, Route};

pub fn routes() -> Vec<Route> {
    let doc = |summary| Doc::new("openai", summary);
    vec![
        Route::post(
            "/v1/batches",
            Access::INFER,
            create,
            doc("Starts a batch; the same request again answers with the same batch")
                .body::<CreateBody>()
                .returns::<BatchForm>(),
        ),
        Route::get(
            "/v1/batches",
            Access::SEE_INFERENCE,
            list,
            doc("Lists batches, newest first").query::<BatchQuery>().returns::<ListPage<BatchForm>>(),
        ),
        Route::get("/v1/batches/{batch}", Access::SEE_INFERENCE, show, doc("Shows a batch").returns::<BatchForm>()),
        Route::post(
            "/v1/batches/{batch}/cancel",
            Access::INFER,
            cancel,
            doc("Ends a batch early; the rows that are done keep their answers")
                .body::<NoBody>()
                .returns::<BatchForm>(),
        ),
        Route::post(
            "/start",
            Access::INFER,
            start,
            doc("Starts a batch from prompts; a bad one gets an error line").body::<StartBody>().returns::<BatchForm>(),
        )
        .takes(LARGEST as usize),
        Route::get(
            "/status/{batch}",
            Access::SEE_INFERENCE,
            status,
            doc("Shows a batch with its speed, the time left and the deadline").returns::<StatusForm>(),
        ),
    ]
}
