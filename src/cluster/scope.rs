//! Which namespaces the operator looks after.

mod merged;

use std::collections::BTreeSet;
use std::str::FromStr;

use kube::Api;

pub use merged::merged;

/// Which namespaces the operator looks after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them, by one watch for each kind of object.
    Cluster,
    /// These, at least one, by a watch for each: where Roles are all there is, nothing else is allowed.
    Namespaces(BTreeSet<String>),
}

impl Scope {
    /// The same and this namespace.
    pub fn and(&self, namespace: &str) -> Self {
        let mut scope = self.clone();
        if let Self::Namespaces(names) = &mut scope {
            names.insert(namespace.to_owned());
        }
        scope
    }

    /// What has to be asked to see all objects of a kind: `all`, or `of` each namespace.
    pub fn apis<K>(
        &self,
        all: impl FnOnce() -> Api<K>,
        of: impl Fn(&str) -> Api<K>,
    ) -> Vec<Api<K>> {
        match self {
            Self::Cluster => vec![all()],
            Self::Namespaces(names) => names.iter().map(|name| of(name)).collect(),
        }
    }
}

/// Names with commas between them; none means the whole cluster.
impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.split(',').map(str::trim);
        let names: BTreeSet<String> = names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        if let Some(name) = names.iter().find(|name| !is_label(name)) {
            return Err(format!(
                "{name:?} is not the name of a namespace: at most 63 of a-z, 0-9 and -, with - neither first nor last"
            ));
        }
        Ok(if names.is_empty() {
            Self::Cluster
        } else {
            Self::Namespaces(names)
        })
    }
}

fn is_label(name: &str) -> bool {
    name.len() <= 63
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespaces(names: &[&str]) -> Scope {
        Scope::Namespaces(names.iter().copied().map(str::to_owned).collect())
    }

    #[test]
    fn no_names_mean_the_whole_cluster() {
        for text in ["", " ", ","] {
            assert_eq!(text.parse(), Ok(Scope::Cluster), "{text:?}");
        }
        assert_eq!("shop, pki,".parse(), Ok(namespaces(&["pki", "shop"])));
        for text in ["Shop", "shop,-a", "a.b", &"a".repeat(64)] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }

    #[test]
    fn one_more_namespace_narrows_nothing() {
        assert_eq!(Scope::Cluster.and("pki"), Scope::Cluster);
        assert_eq!(
            namespaces(&["shop"]).and("pki"),
            namespaces(&["pki", "shop"])
        );
    }
}
