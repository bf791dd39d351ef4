//! Secrets that hold nothing but a key: of an account, or the next one of a certificate. They are created and never
//! applied over, so that no key that somebody may have heard of is lost.

use certwright_core::api::Group;
use certwright_core::api::certificate::KeyEncoding;
use certwright_core::pki::PrivateKey;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams, Preconditions};

use super::call;
use super::scope::Scope;
use crate::error::{Error, Object};

/// The label of Secrets that hold a certificate's next key.
pub const NEXT_KEY: &str = "next-key";
/// The label of Secrets that hold an account's key.
pub const ACCOUNT_KEY: &str = "account-key";
/// The annotation that names the Certificate that a key is for.
pub const CERTIFICATE_NAME: &str = "certificate-name";

/// A Secret that holds nothing but a key. It is no Secret of ours in the sense of a certificate: it has another label.
pub struct NewSecret<'a> {
    namespace: &'a str,
    name: String,
    entry: &'a str,
    key: &'a PrivateKey,
    /// For whom, and the Certificate that it goes with.
    certificate: Option<(&'a str, OwnerReference)>,
}

impl<'a> NewSecret<'a> {
    /// An account's key.
    pub fn of_account(namespace: &'a str, name: &str, entry: &'a str, key: &'a PrivateKey) -> Self {
        Self {
            namespace,
            name: name.to_owned(),
            entry,
            key,
            certificate: None,
        }
    }

    /// The next key of a Certificate, which it goes with.
    pub fn of_certificate(
        namespace: &'a str,
        name: String,
        certificate: &'a str,
        owner: OwnerReference,
        key: &'a PrivateKey,
    ) -> Self {
        Self {
            namespace,
            name,
            entry: "tls.key",
            key,
            certificate: Some((certificate, owner)),
        }
    }
}

/// Creates it.
///
/// # Errors
/// When the API server refuses, in particular with a conflict if there is one of this name.
pub async fn create(client: &Client, group: &Group, new: NewSecret<'_>) -> Result<Secret, Error> {
    let pem = new.key.to_pem(KeyEncoding::Pkcs8);
    let mut metadata = ObjectMeta {
        name: Some(new.name.clone()),
        namespace: Some(new.namespace.to_owned()),
        ..ObjectMeta::default()
    };
    metadata.labels = Some([(group.key(ACCOUNT_KEY), "true".to_owned())].into());
    if let Some((certificate, owner)) = new.certificate {
        metadata.labels = Some([(group.key(NEXT_KEY), "true".to_owned())].into());
        metadata.annotations = Some([(group.key(CERTIFICATE_NAME), certificate.to_owned())].into());
        metadata.owner_references = Some(vec![owner]);
    }
    let secret = Secret {
        metadata,
        type_: Some("Opaque".to_owned()),
        data: Some([(new.entry.to_owned(), ByteString(pem.as_bytes().to_vec()))].into()),
        ..Secret::default()
    };
    let parameters = PostParams {
        field_manager: Some(group.manager().to_owned()),
        ..PostParams::default()
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), new.namespace);
    call(api.create(&parameters, &secret))
        .await
        .map_err(|source| Error::Write {
            object: Object::new("Secret", new.namespace, &new.name),
            source,
        })
}

/// All Secrets of the namespaces that are looked after that hold a certificate's next key.
///
/// # Errors
/// When they can't be listed.
pub async fn next_keys(
    client: &Client,
    group: &Group,
    scope: &Scope,
) -> Result<Vec<Secret>, Error> {
    let label = group.key(NEXT_KEY);
    let apis = scope.apis(
        || Api::all(client.clone()),
        |namespace| Api::namespaced(client.clone(), namespace),
    );
    let mut found = Vec::new();
    for api in apis {
        let secrets: Api<Secret> = api;
        let listed = call(secrets.list(&ListParams::default().labels(&label))).await;
        let listed = listed.map_err(|source| Error::Read {
            object: Object::new("Secrets with the label", "", &label),
            source,
        })?;
        found.extend(listed.items);
    }
    Ok(found)
}

/// Removes one as it was read. That it is gone already is no failure.
///
/// # Errors
/// When the API server refuses, in particular with a conflict if another has its name by now.
pub async fn remove(client: &Client, secret: &Secret) -> Result<(), Error> {
    let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: secret.metadata.uid.clone(),
            resource_version: secret.metadata.resource_version.clone(),
        }),
        ..DeleteParams::default()
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    match call(api.delete(name, &parameters)).await {
        Err(source) if source.code() != Some(404) => Err(Error::Write {
            object: Object::new("Secret", namespace, name),
            source,
        }),
        _ => Ok(()),
    }
}
