//! Writes the CustomResourceDefinitions into a folder: `cargo run -p certwright-core --example crds -- crds`.

use std::path::PathBuf;

use certwright_core::api::{Group, schema};

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "crds".to_owned()));
    std::fs::create_dir_all(&folder)?;
    for (name, text) in schema::yaml(&Group::default()) {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
