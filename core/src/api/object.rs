//! `kube::Resource` for our kinds, with the group as a value.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicResourceScope;

use super::{Certificate, ClusterIssuer, Group, Issuer, ServedCheck};

macro_rules! resource {
    ($kind:ident, $plural:literal) => {
        impl kube::Resource for $kind {
            type DynamicType = Group;
            type Scope = DynamicResourceScope;

            fn kind(_: &Group) -> Cow<'_, str> {
                Cow::Borrowed(stringify!($kind))
            }

            fn group(group: &Group) -> Cow<'_, str> {
                Cow::Borrowed(group.name())
            }

            fn version(_: &Group) -> Cow<'_, str> {
                Cow::Borrowed(Group::VERSION)
            }

            fn plural(_: &Group) -> Cow<'_, str> {
                Cow::Borrowed($plural)
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource!(Certificate, "certificates");
resource!(Issuer, "issuers");
resource!(ClusterIssuer, "clusterissuers");
resource!(ServedCheck, "servedchecks");
