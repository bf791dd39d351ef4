//! Lists what belongs to a workload, page by page.

use std::fmt::Debug;

use certwright_core::rollout::{Workload, WorkloadName};
use kube::Api;
use kube::api::ListParams;
use serde::de::DeserializeOwned;

use super::error::{self, Error};
use crate::cluster;

/// How many are read at a time, and how often.
const PAGE: u32 = 500;
const PAGES: u32 = 40;

/// Reads what a workload's selector selects, and hands over each page.
///
/// # Errors
/// When the API server can't be asked, or there is more than can be read.
pub(super) async fn each<K>(
    workload: &Workload,
    api: &Api<K>,
    mut page: impl FnMut(Vec<K>),
) -> Result<(), Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let named = || error::Workload(WorkloadName::from(workload));
    let selector = workload.selector.clone().unwrap_or_default();
    let mut asked = ListParams::default().labels_from(&selector).limit(PAGE);
    for _ in 0..PAGES {
        let list = cluster::call(api.list(&asked))
            .await
            .map_err(|source| Error::List {
                workload: named(),
                source,
            })?;
        page(list.items);
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => asked = asked.continue_token(&token),
            None => return Ok(()),
        }
    }
    Err(Error::TooMany {
        workload: named(),
        most: PAGE * PAGES,
    })
}

/// The same, all at once.
///
/// # Errors
/// Those of [`each`].
pub(super) async fn all<K>(workload: &Workload, api: &Api<K>) -> Result<Vec<K>, Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut all = Vec::new();
    each(workload, api, |page| all.extend(page)).await?;
    Ok(all)
}
