//! What can be typed for `certwright status`, and what it comes to.

use certwright_core::api::Group;
use clap::Args;

use super::arguments::GroupArguments;

/// Which Certificate is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSettings {
    /// Its name.
    pub name: String,
    /// The namespace; the one of the kubeconfig's context otherwise.
    pub namespace: Option<String>,
    /// The kubeconfig's context; its current one otherwise.
    pub context: Option<String>,
    /// Whether to go on telling while something is under way.
    pub watch: bool,
    /// The API group of Certificates.
    pub group: Group,
}

/// Say how a Certificate stands: what it holds, what is under way, and how far its workloads have it
#[derive(Args, Debug)]
#[command(after_help = "Example:
  certwright status certificate/web -n shop --watch")]
pub(super) struct StatusArguments {
    /// The Certificate
    #[arg(value_name = "certificate/NAME", value_parser = name)]
    name: String,

    /// Its namespace [default: the context's]
    #[arg(long, short)]
    namespace: Option<String>,

    /// The kubeconfig's context [default: its current one]
    #[arg(long)]
    context: Option<String>,

    /// Go on, at each change, until neither an issuance nor a rollout is under way
    #[arg(long, short)]
    watch: bool,

    #[command(flatten)]
    group: GroupArguments,
}

fn name(text: &str) -> Result<String, &'static str> {
    let name = match text.split_once('/') {
        Some(("certificate" | "certificates" | "cert", name)) => name,
        Some(_) => {
            return Err("only a Certificate has a status that is told; write certificate/NAME");
        }
        None => text,
    };
    match name {
        "" => Err("its name is missing"),
        name if name.contains('/') => Err("a name has no slash; give the namespace with -n"),
        name => Ok(name.to_owned()),
    }
}

impl From<StatusArguments> for StatusSettings {
    fn from(arguments: StatusArguments) -> Self {
        Self {
            name: arguments.name,
            namespace: arguments.namespace,
            context: arguments.context,
            watch: arguments.watch,
            group: arguments.group.into_group(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_named_with_its_kind_or_without() {
        for text in ["certificate/web", "certificates/web", "cert/web", "web"] {
            assert_eq!(name(text), Ok("web".to_owned()));
        }
        for text in ["", "certificate/", "secret/web", "certificate/shop/web"] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
