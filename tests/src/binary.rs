//! Where the binary under test is.

use std::path::PathBuf;

use anyhow::Context as _;

/// The `amends` that was built beside the running test program.
///
/// # Errors
///
/// It is not there: tests of this package do not build it by themselves.
pub fn amends() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    // target/PROFILE/deps/test-program, or target/PROFILE/amends-faults.
    let folder = own.parent().context("the test program lies in no target folder")?;
    let in_deps = folder.file_name().is_some_and(|name| name == "deps");
    let profile = folder.parent().filter(|_| in_deps).unwrap_or(folder);
    let path = profile.join("amends");
    anyhow::ensure!(
        path.is_file(),
        "{} is missing; build it with `cargo build --workspace --bins`, or run `make test`",
        path.display()
    );
    Ok(path)
}
