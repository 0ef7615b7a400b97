//! Embeds the migrations, so that the binary needs no files beside it.
//!
//! Writes `migrations.rs` with one list a database: version, description, SQL, in order of
//! version. A file is named `NNNN_description.sql`.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../migrations");
    let mut code = String::new();
    for (constant, folder) in [("POSTGRES", "postgres"), ("SQLITE", "sqlite")] {
        embed(&mut code, constant, &root.join(folder))?;
    }
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("migrations.rs"), code)?;
    Ok(())
}

fn embed(code: &mut String, constant: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    writeln!(code, "/// Version, description and SQL of each migration, in order.")?;
    writeln!(code, "pub(crate) const {constant}: &[(i64, &str, &str)] = &[")?;
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.file_stem().and_then(|stem| stem.to_str()).ok_or("a name is not UTF-8")?;
        let (version, description) =
            name.split_once('_').ok_or_else(|| format!("{name}: name it NNNN_description.sql"))?;
        let version: i64 = version.parse()?;
        let path = file.canonicalize()?;
        let path = path.display();
        writeln!(code, "    ({version}, {description:?}, include_str!(r#\"{path}\"#)),")?;
    }
    writeln!(code, "];")?;
    Ok(())
}
