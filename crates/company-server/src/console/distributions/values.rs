//! A file of values is checked row by row, and sent when every row is good.
//!
//! Surprising: a file with one bad row sends nothing, so that who has got it right once has it whole.

use std::fs::File;

use askama::Template;
use axum::{
    extract::{Multipart, Path},
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use futures::stream;
use musubi_domain::{Error, ErrorKind, template::Template as Message};
use musubi_proto::information::v1::UploadValuesRequest;
use musubi_runtime::grpc::status::from_status;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{Failure, Shell, Visitor, back, get_one};
use crate::{
    console::uploaded::uploaded,
    values::{Checked, ValueFault, Values},
};

/// Customers of one chunk.
const CHUNK: usize = 1_000;
/// Chunks that wait to be sent.
const AHEAD: usize = 2;

#[derive(Template)]
#[template(path = "values.html")]
struct FaultsPage {
    s: Shell,
    id: String,
    name: String,
    file: String,
    rows: u64,
    bad_rows: u64,
    faults: Vec<ValueFault>,
    /// Of the file as a whole.
    failed: Option<Error>,
}

pub(super) async fn upload(
    visitor: Visitor,
    Path(id): Path<String>,
    form: Multipart,
) -> Result<Response, Failure> {
    let sent = uploaded(form).await?;
    let answer = get_one(&visitor, id.clone()).await?;
    let distribution = answer.distribution.unwrap_or_default();
    let template = answer.individual.ok_or_else(|| {
        let remedy = "make a draft with an individual message";
        Error::new(ErrorKind::FailedPrecondition, "the distribution has no individual message", remedy)
    })?;
    let template: Message = template.try_into()?;
    let page = |s: Shell, checked: Checked, failed: Option<Error>| -> Result<Response, Failure> {
        let Checked { rows, bad_rows, faults } = checked;
        let (name, file) = (distribution.name.clone(), sent.name.clone());
        let page = FaultsPage { s, id: id.clone(), name, file, rows, bad_rows, faults, failed };
        Ok((StatusCode::BAD_REQUEST, Html(page.render()?)).into_response())
    };
    let nothing = || Checked { rows: 0, bad_rows: 0, faults: Vec::new() };
    let (again, message) = (copy(&sent.file)?, template.clone());
    let checked = spawn_blocking(move || Values::open(again, &message)?.check(&message)).await;
    let checked = match checked.map_err(|_| panicked())? {
        Ok(checked) => checked,
        Err(error) if error.kind == ErrorKind::InvalidArgument => {
            return page(visitor.s, nothing(), Some(error));
        }
        Err(error) => return Err(error.into()),
    };
    if checked.bad_rows > 0 {
        return page(visitor.s, checked, None);
    }
    match send(&visitor, id.clone(), copy(&sent.file)?, template).await {
        Ok(()) => Ok(back(&id, "uploaded")?.into_response()),
        Err(error) if error.kind == ErrorKind::InvalidArgument => page(visitor.s, checked, Some(error)),
        Err(error) => Err(error.into()),
    }
}

fn copy(file: &File) -> Result<File, Error> {
    let unreadable = |error: std::io::Error| {
        Error::new(
            ErrorKind::Unavailable,
            format!("the upload can not be read: {}", error.kind()),
            "repeat it",
        )
    };
    file.try_clone().map_err(unreadable)
}

fn panicked() -> Error {
    Error::new(ErrorKind::Internal, "the reading of a file panicked", "")
}

/// Sends every row; they were checked.
async fn send(visitor: &Visitor, id: String, file: File, template: Message) -> Result<(), Error> {
    let (chunks, sent) = mpsc::channel(AHEAD);
    let reading = spawn_blocking(move || {
        let mut values = Values::open(file, &template)?;
        loop {
            let customers = values.next_chunk(CHUNK)?;
            let is_last = customers.is_empty();
            let chunk =
                UploadValuesRequest { distribution_id: id.clone(), customers, operator: String::new() };
            if is_last || chunks.blocking_send(chunk).is_err() {
                return Ok::<_, Error>(());
            }
        }
    });
    let sent = stream::unfold(sent, |mut sent| async move { sent.recv().await.map(|chunk| (chunk, sent)) });
    let stored = visitor.uploads().upload_values(sent).await;
    reading.await.map_err(|_| panicked())??;
    stored.map(drop).map_err(|status| from_status(&status))
}
