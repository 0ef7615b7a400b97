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
    // target/PROFILE/deps/test-program
    let profile = own.parent().and_then(std::path::Path::parent);
    let path = profile.context("the test program lies in no target folder")?.join("amends");
    anyhow::ensure!(
        path.is_file(),
        "{} is missing; build it with `cargo build --workspace --bins`, or run `make test`",
        path.display()
    );
    Ok(path)
}
