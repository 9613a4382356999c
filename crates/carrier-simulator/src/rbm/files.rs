//! `files`: what messages and cards show.
//!
//! Surprising: a file's name, type and size are kept and not its bytes, because nothing here shows them; and the address of a file is
//! not fetched, so nobody sends the simulator anywhere.

use axum::{Json, extract::State};
use http::{HeaderMap, header};
use musubi_runtime::entropy;
use musubi_storage::carrier::AgentFile;
use serde_json::{Value, json};
use uuid::Builder;

use super::{Body, Face, Query, error::ApiError};

/// The longest file, in bytes.
pub(crate) const FILE_BYTES: usize = 100 << 20;

/// `POST /v1/files`: a file by its address.
pub(crate) async fn create(
    State(face): State<Face>,
    query: Query,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let taken = face.discovery.request("CreateFileRequest", &body, face.strict)?;
    let url = taken["fileUrl"].as_str().unwrap_or_default();
    let thumbnail = taken["thumbnailUrl"].as_str().filter(|url| !url.is_empty());
    for (field, url) in [("fileUrl", Some(url)), ("thumbnailUrl", thumbnail)] {
        let web = |url: &str| url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if url.is_some_and(|url| url.len() > 2048 || !web(url)) {
            return Err(ApiError::invalid(field, "is no address of the web"));
        }
    }
    face.keep(&query, "application/octet-stream", 0).await
}

/// `POST /upload/v1/files`: a file's bytes, alone or behind a part of JSON.
pub(crate) async fn upload(
    State(face): State<Face>,
    query: Query,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if query.upload_type.as_deref() == Some("resumable") {
        return Err(ApiError::invalid(
            "uploadType",
            "is resumable, which is not served; write media or multipart",
        ));
    }
    let (kind, bytes) = match related(kind) {
        None => (kind.to_owned(), body.len()),
        Some(boundary) => last_part(&body, boundary).ok_or_else(|| {
            ApiError::invalid("the body", "is no multipart/related of two parts as its content-type says")
        })?,
    };
    if bytes == 0 {
        return Err(ApiError::invalid("the body", "is empty; send the file's bytes"));
    }
    face.keep(&query, &kind, bytes).await
}

/// The boundary of a multipart/related body.
fn related(kind: &str) -> Option<&str> {
    let (kind, parameters) = kind.split_once(';')?;
    let boundary = parameters.split(';').find_map(|it| it.trim().strip_prefix("boundary="))?;
    kind.trim().eq_ignore_ascii_case("multipart/related").then_some(boundary.trim_matches('"'))
}

/// The media type and the length of the second of two parts (RFC 2387).
fn last_part(body: &[u8], boundary: &str) -> Option<(String, usize)> {
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|it| it == what);
    let delimiter = format!("--{boundary}");
    let mut rest = body.get(find(body, delimiter.as_bytes())? + delimiter.len()..)?;
    rest = rest.get(find(rest, delimiter.as_bytes())? + delimiter.len()..)?;
    let end = find(rest, delimiter.as_bytes())?;
    let part = &rest[..end];
    let (gap, wide) =
        [&b"\r\n\r\n"[..], b"\n\n"].iter().find_map(|gap| Some((find(part, gap)?, gap.len())))?;
    let head = String::from_utf8_lossy(&part[..gap]).into_owned();
    let kind = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
    });
    let content = &part[gap + wide..];
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    let content = content.strip_suffix(b"\r").unwrap_or(content);
    Some((kind.unwrap_or_default(), content.len()))
}

impl Face {
    async fn keep(&self, query: &Query, kind: &str, bytes: usize) -> Result<Json<Value>, ApiError> {
        let agent = self.speaker(query.agent_id.as_deref())?;
        let name = format!("files/{}", Builder::from_random_bytes(entropy::bytes()).into_uuid());
        let file = AgentFile {
            name: name.clone(),
            content_type: kind.chars().filter(|c| !c.is_control()).take(200).collect(),
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            time: self.clock.now(),
        };
        self.store.put_agent_file(&agent.account, &file).await?;
        Ok(Json(json!({ "name": name })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_part_of_a_related_body_is_found() {
        let kind = "multipart/related; boundary=\"==b==\"; type=x";
        let body = "--==b==\r\nContent-Type: application/json\r\n\r\n{}\r\n--==b==\r\nContent-Type: image/png\r\n\r\n\
                    12345\r\n--==b==--";
        let boundary = related(kind).unwrap();
        assert_eq!(last_part(body.as_bytes(), boundary), Some(("image/png".to_owned(), 5)));
        for broken in ["", "--==b==", "--==b==\r\n\r\n{}\r\n--==b==--", "--==b==--==b==--==b=="] {
            assert_eq!(last_part(broken.as_bytes(), boundary), None, "{broken}");
        }
        assert_eq!(related("image/png"), None);
        assert_eq!(related("multipart/form-data; boundary=b"), None);
    }
}
