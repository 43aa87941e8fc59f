//! The lists of pages of a site.

use std::collections::{HashSet, VecDeque};
use std::io::Read as _;

use bailiwick_html::{Sitemap, sitemap};
use bailiwick_model::limits::{
    KNOWLEDGE_DOCUMENTS, KNOWLEDGE_KEY_BYTES, KNOWLEDGE_SITEMAP_BYTES, KNOWLEDGE_SITEMAP_DEPTH,
    KNOWLEDGE_SITEMAP_PAGES, KNOWLEDGE_SITEMAPS,
};
use bailiwick_outbound::HttpUrl;
use flate2::read::MultiGzDecoder;
use hyper::HeaderMap;

use super::Site;
use crate::error::host_of;
use crate::http::{Question, Redirects, Wanted};
use crate::{Extent, SyncError};

/// Pages that a site lists.
pub(super) struct Pages {
    pub(super) pages: Vec<String>,
    /// Whether these are all.
    pub(super) extent: Extent,
}

/// Why a list is none.
#[derive(Debug, thiserror::Error)]
enum NoList {
    #[error(transparent)]
    Request(#[from] crate::RequestError),
    #[error("status {0}")]
    Status(u16),
    #[error("it has more than {KNOWLEDGE_SITEMAP_BYTES} bytes, unpacked")]
    TooLarge,
    #[error("it cannot be unpacked")]
    Packed,
    #[error("it lists nothing")]
    Nothing,
}

impl Site<'_> {
    /// Reads these lists, and those that they list. One that cannot be read makes the whole no list of everything; if none can be, there is none.
    pub(super) async fn listed(&self, first: Vec<HttpUrl>) -> Result<Pages, SyncError> {
        let mut pages = Vec::new();
        let mut extent = Extent::Everything;
        let mut seen: HashSet<String> = first.iter().map(ToString::to_string).collect();
        let mut waiting: VecDeque<_> = first.into_iter().map(|url| (url, 0)).collect();
        let (mut read, mut last_error) = (0_usize, None);
        while let Some((url, depth)) = waiting.pop_front() {
            let list = match self.list(&url).await {
                Ok(list) => list,
                Err(error) => {
                    extent = Extent::Cut;
                    last_error = Some((host_of(&url), error));
                    continue;
                }
            };
            read += 1;
            if list.is_cut {
                extent = Extent::Cut;
            }
            for other in &list.sitemaps {
                let other = url.url().join(other).ok();
                let Some(other) = other.and_then(|url| HttpUrl::try_from(url).ok()) else {
                    continue;
                };
                let is_one_too_many =
                    depth >= KNOWLEDGE_SITEMAP_DEPTH || seen.len() >= KNOWLEDGE_SITEMAPS;
                if is_one_too_many || !self.has(&other) {
                    extent = Extent::Cut;
                } else if seen.insert(other.to_string()) {
                    waiting.push_back((other, depth + 1));
                }
            }
            // What is longer than a key is no page of the site.
            let listed = list.pages.into_iter().map(|page| page.address);
            pages.extend(listed.filter(|address| address.len() <= KNOWLEDGE_KEY_BYTES));
            if pages.len() > KNOWLEDGE_DOCUMENTS {
                return Err(SyncError::TooManyDocuments);
            }
        }
        match last_error {
            Some((host, error)) if read == 0 => Err(no_list(host, error)),
            Some(_) | None => Ok(Pages { pages, extent }),
        }
    }

    async fn list(&self, url: &HttpUrl) -> Result<Sitemap, NoList> {
        self.pace().await;
        let question = Question {
            url: url.clone(),
            headers: HeaderMap::new(),
            redirects: Redirects::WithinSite,
            most_bytes: KNOWLEDGE_SITEMAP_BYTES,
            wanted: Wanted::Anything,
        };
        let answer = self.access.get(&question).await?;
        if !answer.is_success() {
            return Err(NoList::Status(answer.status));
        }
        let reading = tokio::task::spawn_blocking(move || parse(&answer.body));
        reading.await.unwrap_or(Err(NoList::Packed))
    }
}

fn no_list(host: String, error: NoList) -> SyncError {
    match error {
        NoList::Request(error) => error.into(),
        NoList::Status(_) | NoList::TooLarge | NoList::Packed | NoList::Nothing => {
            let why = error.to_string();
            SyncError::NoSitemap { host, why }
        }
    }
}

/// Of a list as it came: packed or not, in XML, or as lines of text.
fn parse(bytes: &[u8]) -> Result<Sitemap, NoList> {
    let unpacked;
    let bytes = if bytes.starts_with(b"\x1f\x8b") {
        unpacked = unpack(bytes)?;
        &unpacked
    } else {
        bytes
    };
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let list = if text.starts_with('<') {
        sitemap(text, KNOWLEDGE_SITEMAP_PAGES)
    } else {
        lines(text)
    };
    if list.pages.is_empty() && list.sitemaps.is_empty() && !text.contains("<urlset") {
        return Err(NoList::Nothing);
    }
    Ok(list)
}

fn lines(text: &str) -> Sitemap {
    let mut list = Sitemap::default();
    for line in text.lines().map(str::trim) {
        if !line.starts_with("http://") && !line.starts_with("https://") {
            continue;
        }
        if list.pages.len() == KNOWLEDGE_SITEMAP_PAGES {
            list.is_cut = true;
            break;
        }
        list.pages.push(bailiwick_html::Listed {
            address: line.to_owned(),
            last_modified: None,
        });
    }
    list
}

/// What is packed may be a thousand times as large; no more of it is unpacked than may be there.
fn unpack(bytes: &[u8]) -> Result<Vec<u8>, NoList> {
    let most = u64::try_from(KNOWLEDGE_SITEMAP_BYTES).unwrap_or(u64::MAX);
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(bytes)
        .take(most + 1)
        .read_to_end(&mut unpacked);
    read.map_err(|_| NoList::Packed)?;
    if unpacked.len() > KNOWLEDGE_SITEMAP_BYTES {
        return Err(NoList::TooLarge);
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn lists_are_read_packed_or_not_and_as_lines() {
        let xml = b"<urlset><url><loc>https://a.test/x</loc></url></urlset>";
        for bytes in [
            &xml[..],
            &packed(xml),
            b"\xef\xbb\xbfhttps://a.test/x\n# no\n",
        ] {
            let list = parse(bytes).unwrap();
            assert_eq!(list.pages[0].address, "https://a.test/x");
        }
        assert!(parse(b"<urlset></urlset>").unwrap().pages.is_empty());
        assert!(matches!(
            parse(b"<html>not found</html>"),
            Err(NoList::Nothing)
        ));
        assert!(matches!(parse(b"\x1f\x8b\x08 no"), Err(NoList::Packed)));
    }

    #[test]
    fn what_is_packed_to_a_thousandth_is_not_unpacked() {
        let bomb = packed(&vec![b' '; KNOWLEDGE_SITEMAP_BYTES + (1 << 20)]);
        assert!(bomb.len() < 1 << 20);
        assert!(matches!(parse(&bomb), Err(NoList::TooLarge)));
    }
}
