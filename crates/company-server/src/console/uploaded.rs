//! A file that comes with a form, kept in a nameless file until it is read.
//!
//! How large it may be is said by the route. Surprising: the name that the browser gives it is only ever shown, never opened.

use std::{fs::File, io::ErrorKind as Io};

use axum::extract::{Multipart, multipart::MultipartError};
use musubi_domain::{Error, ErrorKind};
use tokio::io::AsyncWriteExt as _;

/// The longest name that is shown, in characters.
const LONGEST_NAME: usize = 100;

/// A form with a file.
pub(super) struct Uploaded {
    pub(super) file: File,
    /// What the browser calls it.
    pub(super) name: String,
    /// The fields before it, by name.
    pub(super) fields: Vec<String>,
}

/// Takes the form in.
///
/// # Errors
/// `file`, when none was chosen or it is too large; `Unavailable` when it breaks off or can't be kept.
pub(super) async fn uploaded(mut form: Multipart) -> Result<Uploaded, Error> {
    let mut fields = Vec::new();
    while let Some(mut part) = form.next_field().await.map_err(|error| broken(&error))? {
        let Some(name) = part.file_name().map(str::to_owned) else {
            fields.push(part.name().unwrap_or_default().to_owned());
            continue;
        };
        let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(|error| unkept(&error))?);
        let mut size = 0;
        while let Some(bytes) = part.chunk().await.map_err(|error| broken(&error))? {
            size += bytes.len();
            file.write_all(&bytes).await.map_err(|error| unkept(&error))?;
        }
        file.flush().await.map_err(|error| unkept(&error))?;
        if name.is_empty() && size == 0 {
            break;
        }
        let name = name.chars().take(LONGEST_NAME).collect();
        return Ok(Uploaded { file: file.into_std().await, name, fields });
    }
    Err(Error::invalid("file", "no file was chosen", "choose a CSV file"))
}

fn broken(error: &MultipartError) -> Error {
    if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        return Error::invalid(
            "file",
            "it is too large",
            "raise import.largest_file_mib, or send a smaller file",
        );
    }
    Error::new(ErrorKind::Unavailable, "the upload broke off", "repeat it")
}

fn unkept(error: &std::io::Error) -> Error {
    let kind: Io = error.kind();
    Error::new(ErrorKind::Unavailable, format!("the upload can not be kept: {kind}"), "repeat it")
}
