//! Writes the sound documents of every target into a folder, for libFuzzer to begin with.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "corpus".to_owned());
    for (name, _) in amends_fuzz::TARGETS {
        let own = Path::new(&folder).join(name);
        std::fs::create_dir_all(&own)?;
        for (index, text) in amends_fuzz::documents(name).into_iter().enumerate() {
            std::fs::write(own.join(format!("seed-{index}")), text)?;
        }
    }
    Ok(())
}
