//! Resources of which a client is told when they change.

use std::sync::Arc;

use bailiwick_model::limits::MCP_GATEWAY_SUBSCRIPTIONS;
use hyper::body::Bytes;

use super::{Backing, Joined, is_unauthorized};
use crate::lock::lock;
use crate::upstream::{HeldAccess, Offer, Upstream, Wish};
use crate::view::ViewError;

impl<B: Backing> Joined<B> {
    pub(super) async fn subscribe(&self, uri: String) -> Result<Bytes, ViewError> {
        let target = self.resource(&uri).await?;
        // Servers of this process tell nothing of their resources.
        let upstream = self.upstream(target.server).ok_or(ViewError::NotOffered)?;
        let access = self.access(target.server).await?;
        let offers = upstream.offers(&access, Offer::Subscriptions).await;
        if !offers.map_err(|error| self.failed(target.server, error.error()))? {
            return Err(ViewError::NotOffered);
        }
        let key = (target.server, target.own.clone());
        let is_new = {
            let mut all = lock(&self.subscribed);
            let is_new = !all.contains_key(&key);
            if is_new && all.len() >= MCP_GATEWAY_SUBSCRIPTIONS {
                return Err(ViewError::Subscriptions);
            }
            all.insert(key.clone(), uri);
            is_new
        };
        let wish = (target.own.as_str(), Wish::Told);
        let subscribing = self.wished(target.server, upstream, access, wish).await;
        subscribing.inspect_err(|_| {
            if is_new {
                lock(&self.subscribed).remove(&key);
            }
        })?;
        Ok(Bytes::from_static(b"{}"))
    }

    /// What was subscribed to is known by what it is called here: who may not see it any more does not keep its place.
    pub(super) async fn unsubscribe(&self, uri: String) -> Result<Bytes, ViewError> {
        self.news.forget(&uri);
        let known = {
            let mut all = lock(&self.subscribed);
            let known = all.iter().find(|(_, shown)| **shown == uri);
            let known = known.map(|(key, _)| key.clone());
            known.inspect(|key| drop(all.remove(key)))
        };
        let Some((server, own)) = known else {
            self.resource(&uri).await?;
            return Ok(Bytes::from_static(b"{}"));
        };
        let upstream = self.upstream(server).ok_or(ViewError::NotOffered)?;
        let access = self.access(server).await?;
        let wish = (own.as_str(), Wish::Untold);
        self.wished(server, upstream, access, wish).await?;
        Ok(Bytes::from_static(b"{}"))
    }

    /// Tells a server whether what becomes of a resource is to be told.
    async fn wished(
        &self,
        server: usize,
        upstream: &Arc<Upstream>,
        access: HeldAccess,
        (own, wish): (&str, Wish),
    ) -> Result<(), ViewError> {
        let mut told = upstream.subscribe(&access, own, wish).await;
        if is_unauthorized(&told) {
            let access = self.access_anew(server, &access).await?;
            told = upstream.subscribe(&access, own, wish).await;
        }
        told.map(drop)
            .map_err(|failure| self.not_answered(server, failure))
    }
}
