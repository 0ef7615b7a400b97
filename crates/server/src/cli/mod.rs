//! The command line: one file a command, all of them clients of the public API but `serve`,
//! `demo`, `config` and what works on files.

mod answer;
mod arguments;
mod completions;
mod configuration;
mod conform;
mod conform_report;
mod definition;
mod demo;
mod document;
mod explore;
mod lock;
mod participant;
mod processes;
mod saga;
mod screen;
mod serve;

pub(crate) use arguments::{Arguments, run};
