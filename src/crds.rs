//! `certwright crds`: the CustomResourceDefinitions as files.

use std::fs;

use anyhow::Context;
use certwright_core::api::schema;

use crate::cli::{self, CrdsSettings};

/// Prints all definitions, or writes each into a file of its own.
///
/// # Errors
/// When they can't be written.
pub fn run(settings: &CrdsSettings) -> anyhow::Result<()> {
    let files = schema::yaml(&settings.group);
    let Some(directory) = &settings.output else {
        let documents: String = files
            .into_iter()
            .map(|(_, yaml)| format!("---\n{yaml}"))
            .collect();
        return cli::print(&documents);
    };
    fs::create_dir_all(directory)
        .with_context(|| format!("failed to make {}", directory.display()))?;
    for (name, yaml) in files {
        let path = directory.join(name);
        fs::write(&path, yaml).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use certwright_core::api::Group;

    use super::*;

    #[test]
    fn each_definition_is_a_file_in_a_directory_that_is_made() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("a/b");
        let group = Group::new("certs.example.org", "other");
        run(&CrdsSettings {
            group,
            output: Some(directory.clone()),
        })
        .unwrap();
        let mut names: Vec<String> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "certificates.yaml",
                "clusterissuers.yaml",
                "issuers.yaml",
                "servedchecks.yaml"
            ]
        );
        let text = fs::read_to_string(directory.join("issuers.yaml")).unwrap();
        assert!(text.contains("name: issuers.certs.example.org"), "{text}");
    }
}
