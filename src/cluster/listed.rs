//! All objects of a kind in a namespace, by parts that the API server can bear.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, ListParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;

use super::call;
use crate::error::{Error, Object};

/// The most objects that one answer of the API server carries.
const PAGE: u32 = 500;

/// What is kept of each object of a namespace that `asked` chooses; `kind` is what an error calls them. No more than one part
/// of them is in memory at once.
///
/// # Errors
/// When the API server doesn't show them all.
pub(crate) async fn listed<K, I: IntoIterator>(
    client: &Client,
    namespace: &str,
    kind: &'static str,
    mut asked: ListParams,
    mut kept: impl FnMut(K) -> I,
) -> Result<Vec<I::Item>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    asked.limit = Some(PAGE);
    let mut found = Vec::new();
    loop {
        let page = call(api.list(&asked)).await.map_err(|source| Error::Read {
            object: Object::new(kind, "", namespace),
            source,
        })?;
        found.extend(page.items.into_iter().flat_map(&mut kept));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => asked.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}
