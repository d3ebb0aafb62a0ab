//! Routes of files.

use super::content::content;
use super::form::FileForm;
use super::list::{FileQuery, list};
use super::one::{DeletedForm, delete, show};
use super::receive::LARGEST;
use super::upload::upload;
use crate::openai::page::ListPage;
use crate::route::{Access, Doc, Route};

/// Bytes of an upload around its content: the other fields and the boundaries.
const AROUND: usize = 64 << 10;
/// Largest form with a file.
pub const LARGEST_FORM: usize = LARGEST + AROUND;

pub fn routes() -> Vec<Route> {
    vec![
        Route::post(
            "/v1/files",
            Access::INFER,
            upload,
            Doc::new("openai", "Stores a file, sent as a form; the same content is the same file")
                .returns::<FileForm>(),
        )
        .takes(LARGEST_FORM),
        Route::get(
            "/v1/files",
            Access::SEE_INFERENCE,
            list,
            Doc::new("openai", "Lists files, newest first").query::<FileQuery>().returns::<ListPage<FileForm>>(),
        ),
        Route::get(
            "/v1/files/{file}",
            Access::SEE_INFERENCE,
            show,
            Doc::new("openai", "Shows a file").returns::<FileForm>(),
        ),
        Route::delete(
            "/v1/files/{file}",
            Access::INFER,
            delete,
            Doc::new("openai", "Deletes a file; batches that read it keep its content").returns::<DeletedForm>(),
        ),
        Route::get(
            "/v1/files/{file}/content",
            Access::SEE_INFERENCE,
            content,
            Doc::new("openai", "Sends the content of a file, or a range of it").streams("application/octet-stream"),
        ),
    ]
}
