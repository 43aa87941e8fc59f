//! Whose a thing is that a client asks for.

use hyper::body::Bytes;
use serde_json::value::RawValue;

use super::list::Kind;
use super::names::{Own, of_qualified, parts};
use super::{Backing, Item, Joined, Naming, Target, Verdict};
use crate::raw::{Fields, raw_text};
use crate::view::ViewError;

impl<B: Backing> Joined<B> {
    /// Whose tool or prompt has this name.
    pub(super) async fn named(&self, kind: Kind, name: &str) -> Result<Option<Target>, ViewError> {
        match self.naming {
            Naming::Own => Ok((!self.servers.is_empty()).then(|| Target {
                server: 0,
                own: name.to_owned(),
            })),
            Naming::Joined => {
                let Some((server, own)) = parts(name) else {
                    return Ok(None);
                };
                let Some(server) = self.server(server) else {
                    return Ok(None);
                };
                match own {
                    Own::Whole(own) => Ok(Some(Target {
                        server,
                        own: own.to_owned(),
                    })),
                    Own::Cut => self.listed(kind, name).await,
                }
            }
        }
    }

    /// Whose resource a URI is, if the caller is served it: the only server's; the one that it names; the first that listed it; or the one whose
    /// template begins like it, the longest beginning first. A server that is none of these is not told of it.
    pub(super) async fn resource(&self, uri: &str) -> Result<Target, ViewError> {
        let unknown = || ViewError::Resource(uri.to_owned());
        let target = match self.place(Kind::Resources, uri).await? {
            Some(target) => target,
            None => self.by_template(uri).await?.ok_or_else(unknown)?,
        };
        let name = &self.servers[target.server].name;
        match self.backing.judge(name, Item::Resource(&target.own)).await {
            Verdict::Served => Ok(target),
            Verdict::Hidden => Err(unknown()),
        }
    }

    /// Whose template this is, if the caller is served it.
    pub(super) async fn template(&self, template: &str) -> Result<Target, ViewError> {
        let unknown = || ViewError::Resource(template.to_owned());
        let target = self.place(Kind::Templates, template).await?;
        let target = target.ok_or_else(unknown)?;
        let name = &self.servers[target.server].name;
        match self.backing.judge(name, Item::Template(&target.own)).await {
            Verdict::Served => Ok(target),
            Verdict::Hidden => Err(unknown()),
        }
    }

    async fn place(&self, kind: Kind, uri: &str) -> Result<Option<Target>, ViewError> {
        if let [_] = &self.servers[..] {
            let own = uri.to_owned();
            return Ok(Some(Target { server: 0, own }));
        }
        if let Some((server, own)) = of_qualified(uri) {
            let server = self.server(server);
            return Ok(server.map(|server| Target {
                server,
                own: own.to_owned(),
            }));
        }
        self.listed(kind, uri).await
    }

    async fn by_template(&self, uri: &str) -> Result<Option<Target>, ViewError> {
        let listing = self.listing(Kind::Templates).await?;
        let begins = listing.entries().iter().filter_map(|entry| {
            let beginning = entry.own.split('{').next().unwrap_or_default();
            let is_one = !beginning.is_empty() && uri.starts_with(beginning);
            is_one.then_some((beginning.len(), entry.server))
        });
        // Of two that begin alike the first server's counts, as it does in lists.
        let longest = begins.reduce(|best, other| if other.0 > best.0 { other } else { best });
        Ok(longest.map(|(_, server)| Target {
            server,
            own: uri.to_owned(),
        }))
    }

    async fn listed(&self, kind: Kind, shown: &str) -> Result<Option<Target>, ViewError> {
        let listing = self.listing(kind).await?;
        let entry = listing.entries().iter().find(|entry| entry.shown == shown);
        Ok(entry.map(|entry| Target {
            server: entry.server,
            own: entry.own.clone(),
        }))
    }

    fn server(&self, name: &str) -> Option<usize> {
        self.servers
            .iter()
            .position(|server| server.name.as_str() == name)
    }
}

/// The result of reading a resource, which is called otherwise here than its server calls it.
pub(super) fn renamed(result: &Bytes, own: &str, shown: &str) -> Bytes {
    let shown = raw_text(shown);
    let renamed = || {
        let result = Fields::of(result)?;
        let contents: Vec<&RawValue> = serde_json::from_str(result.get("contents")?.get()).ok()?;
        let contents = contents.into_iter().map(|content| {
            let fields = Fields::of(content.get().as_bytes())?;
            let is_it = fields.text("uri").is_some_and(|uri| uri == own);
            let fields = if is_it {
                fields.with("uri", &shown)
            } else {
                fields
            };
            Some(fields.whole())
        });
        let contents: Option<Vec<_>> = contents.collect();
        let contents = [&b"["[..], &contents?.join(&b","[..]), b"]"].concat();
        let contents = RawValue::from_string(String::from_utf8(contents).ok()?).ok()?;
        Some(result.with("contents", &contents).whole())
    };
    // What is none of this is the client's to refuse.
    renamed().map_or_else(|| result.clone(), Bytes::from)
}

/// An error that says which resource is not there (2026-07-28, Resources, "Error Handling"), also where its server does not say so.
pub(super) fn with_uri(error: Bytes, uri: &str) -> Bytes {
    let says_so = |error: &Fields<'_>| {
        let code = error.get("code").map(RawValue::get);
        matches!(code, Some("-32002" | "-32602")) && error.get("data").is_none()
    };
    let Some(mut fields) = Fields::of(&error).filter(says_so) else {
        return error;
    };
    let data = serde_json::value::to_raw_value(&serde_json::json!({"uri": uri}));
    let Ok(data) = data else {
        return error;
    };
    fields.push("data".into(), &data);
    fields.whole().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_called_what_they_were_asked_for_as() {
        let result = br#"{"contents":[{"uri":"a:b","text":"x"},{"uri":"c:d","n":1e400}],"x":1}"#;
        let expect = br#"{"contents":[{"uri":"q:a:b","text":"x"},{"uri":"c:d","n":1e400}],"x":1}"#;
        let result = Bytes::from_static(result);
        assert_eq!(&renamed(&result, "a:b", "q:a:b")[..], expect);
        let odd = Bytes::from_static(br#"{"contents":7}"#);
        assert_eq!(renamed(&odd, "a:b", "q:a:b"), odd);
    }
}
