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

pub fn routes() -> Vec<Route> {
    vec![
        Route::post(
            "/v1/files",
            Access::RUN,
            upload,
            Doc::new("openai", "Stores a file, sent as a form; the same content is the same file")
                .returns::<FileForm>(),
        )
        .takes(LARGEST + AROUND),
        Route::get(
            "/v1/files",
            Access::READ,
            list,
            Doc::new("openai", "Lists files, newest first").query::<FileQuery>().returns::<ListPage<FileForm>>(),
        ),
        Route::get("/v1/files/{file}", Access::READ, show, Doc::new("openai", "Shows a file").returns::<FileForm>()),
        Route::delete(
            "/v1/files/{file}",
            Access::RUN,
            delete,
            Doc::new("openai", "Deletes a file; batches that read it keep its content").returns::<DeletedForm>(),
        ),
        Route::get(
            "/v1/files/{file}/content",
            Access::READ,
            content,
            Doc::new("openai", "Sends the content of a file, or a range of it").streams("application/octet-stream"),
        ),
    ]
}
