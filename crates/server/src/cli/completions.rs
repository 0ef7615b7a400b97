//! `amends completions`: scripts for shells.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Arguments;
use super::screen::Screen;
use crate::failure::Failure;

/// Prints the script.
pub(crate) fn run(shell: Shell, screen: &mut Screen) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "amends", &mut script);
    screen.bytes(&script)
}
