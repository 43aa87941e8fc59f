//! Files on their way to a server, and from it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use super::Client;
use crate::bad_input::BadInput;
use crate::input::STDIN;

/// One of several files of a form, small enough to be held.
pub(crate) struct FormFile {
    /// Its path, as the server shall read it.
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
}

/// A file that goes to a server as it is read.
pub(crate) struct Upload<'a> {
    /// Where it is; `-` is standard input.
    pub(crate) path: &'a Path,
    /// Its name there, if not the one it has here.
    pub(crate) name: Option<&'a str>,
}

/// A field of a form, beside its files.
pub(crate) type FormField = (&'static str, String);

impl Client {
    /// Sends a file, of any size.
    pub(crate) fn upload(
        &self,
        path: &[&str],
        upload: &Upload<'_>,
        field: Option<FormField>,
    ) -> anyhow::Result<Value> {
        let part = self.runtime.block_on(part(upload))?;
        self.send_form(path, Form::new().part("file", part), field)
    }

    /// Sends files together.
    pub(crate) fn send_files(
        &self,
        path: &[&str],
        files: Vec<FormFile>,
        field: Option<FormField>,
    ) -> anyhow::Result<Value> {
        let form = files.into_iter().fold(Form::new(), |form, file| {
            let part = Part::bytes(file.bytes).file_name(file.path);
            form.part("files[]", part)
        });
        self.send_form(path, form, field)
    }

    fn send_form(
        &self,
        path: &[&str],
        form: Form,
        field: Option<FormField>,
    ) -> anyhow::Result<Value> {
        let form = match field {
            Some((name, value)) => form.text(name, value),
            None => form,
        };
        let request = self.http.request(Method::POST, self.url(path)?);
        self.json(&self.answer(request.multipart(form))?)
    }

    /// Writes the bytes that are at this path, as they come.
    pub(crate) fn download(&self, path: &[&str], to: &mut impl Write) -> anyhow::Result<()> {
        let request = self.http.get(self.url(path)?);
        let mut response = self.begun(request)?;
        loop {
            let chunk = self.runtime.block_on(response.chunk());
            match chunk.map_err(|source| self.unreachable(source))? {
                Some(chunk) => to.write_all(&chunk).context("cannot write what came")?,
                None => return Ok(()),
            }
        }
    }
}

async fn part(upload: &Upload<'_>) -> anyhow::Result<Part> {
    let unreadable = |source: io::Error| BadInput::Unreadable {
        path: upload.path.to_owned(),
        source,
    };
    let part = if upload.path == Path::new(STDIN) {
        let stdin = io::stdin().as_fd().try_clone_to_owned();
        let stdin = File::from(stdin.map_err(unreadable)?);
        Part::stream(tokio::fs::File::from_std(stdin))
    } else {
        Part::file(upload.path).await.map_err(unreadable)?
    };
    Ok(match upload.name {
        Some(name) => part.file_name(name.to_owned()),
        None => part,
    })
}
