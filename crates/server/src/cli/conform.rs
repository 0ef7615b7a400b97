//! `amends conform`: whether a participant keeps what the contract asks of it.

use std::path::Path;
use std::time::Duration;

use amends_conform::{EffectSource, Error, OperationLines, Plan, Point, Sandbox, Spec, document};
use amends_core::participant::Secret;
use amends_core::{Json, Timestamp, parse_duration};
use amends_ports::{Clock as _, Ids as _, SystemClock, SystemIds};
use axum::http::{HeaderName, HeaderValue};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use indicatif::ProgressBar;
use serde_json::Value;

use super::conform_report::show;
use super::screen::Screen;
use crate::failure::Failure;

/// What is probed, and with what.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
        amends conform http://127.0.0.1:8080 --action 'POST /bookings' \\\n    \
            --compensation 'POST /bookings/{saga}/cancel' --body '{\"amount\": 5}' --effect /bookings\n  \
        amends conform place-order.yaml inventory=http://127.0.0.1:8080 --input '{\"sku\": \"tea\"}' \\\n    \
            --effect 'reserve=/stock/tea#/on_shelf'\n\n\
        Exit status: 0 every point passed; 1 one failed or could not be judged; 2 wrong command \
        line, or nobody answers.")]
pub(crate) struct ConformArguments {
    /// URLs of one participant's instances; or a definition's file and NAME=URL of its participants
    #[arg(required = true, value_name = "URL | FILE | NAME=URL")]
    targets: Vec<String>,
    /// Forward operation: 'METHOD PATH BODY'; {saga} in the path is the saga's id
    #[arg(long, value_name = "OPERATION", help_heading = LINES)]
    action: Option<String>,
    /// Undoes the action; without a body, it gets the action's
    #[arg(long, value_name = "OPERATION", help_heading = LINES)]
    compensation: Option<String>,
    /// Forward operation of a TCC step
    #[arg(long = "try", value_name = "OPERATION", help_heading = LINES)]
    attempt: Option<String>,
    /// Makes final what was tried
    #[arg(long, value_name = "OPERATION", help_heading = LINES)]
    confirm: Option<String>,
    /// Undoes what was tried
    #[arg(long, value_name = "OPERATION", help_heading = LINES)]
    cancel: Option<String>,
    /// Body of the forward operation
    #[arg(long, value_name = "JSON", value_parser = json, help_heading = LINES)]
    body: Option<Value>,
    /// Input that the file's steps are called with; without one, as the file says
    #[arg(long, value_name = "JSON", value_parser = json)]
    input: Option<Value>,
    /// Where the effect can be seen by GET: a number, or a list or object whose members count
    #[arg(long, value_name = "[STEP=]URL[#POINTER]")]
    effect: Vec<String>,
    /// JSON pointer into what --effect answers, if that has none
    #[arg(long, value_name = "POINTER", requires = "effect")]
    effect_pointer: Option<String>,
    /// Output of a step that is not called, for steps that read it
    #[arg(long, value_name = "STEP=JSON")]
    output: Vec<String>,
    /// Header that every call carries, for authorization
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// Signing secret (whsec_…): calls are signed, and unsigned ones must be refused
    #[arg(long, env = "CONFORM_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Lock key that fencing tokens are for; without one, those of the definition
    #[arg(long, value_name = "KEY")]
    lock_key: Vec<String>,
    /// Probe this step only
    #[arg(long)]
    step: Vec<String>,
    /// Leave this point out
    #[arg(long, value_name = "POINT", value_parser = points(), value_delimiter = ',')]
    skip: Vec<Point>,
    /// Probe steps that nothing undoes, too: their effects stay
    #[arg(long)]
    keep_effects: bool,
    /// Longest wait for one answer
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    timeout: Duration,
    /// Longest wait for an effect to show after the answer
    #[arg(long, default_value = "500ms", value_parser = parse_duration)]
    settle: Duration,
}

const LINES: &str = "Operations, if no file is given";

/// The participant and the step of a plan that is made of lines.
const ONLY: (&str, &str) = ("participant", "step");

/// Runs it.
pub(crate) async fn run(arguments: ConformArguments, screen: &mut Screen) -> Result<(), Failure> {
    let plan = plan(arguments).map_err(Failure::Usage)?;
    let run = format!("conform-{}", SystemIds.token().get(..8).unwrap_or_default());
    let sandbox = Sandbox::new(run, now);
    // Draws nothing where nobody looks.
    let bar = ProgressBar::new_spinner();
    let watch = |step: &str, point: Point| {
        bar.set_message(format!("{step}: {}", point.as_str()));
        bar.tick();
    };
    let report = amends_conform::probe(&plan, &sandbox, watch).await;
    bar.finish_and_clear();
    let report = report.map_err(|error| Failure::Usage(error.to_string()))?;
    show(&report, screen)?;
    if report.passed {
        return Ok(());
    }
    Err(Failure::NotConforming(match (report.summary.fail, report.summary.unknown) {
        (0, 0) => "every point was left out, so nothing is known".to_owned(),
        (0, _) => "not every point could be judged".to_owned(),
        _ => "the participant does not keep the contract".to_owned(),
    }))
}

fn now() -> Timestamp {
    SystemClock::new().now()
}

fn plan(arguments: ConformArguments) -> Result<Plan, String> {
    let is_url = |target: &String| target.starts_with("http://") || target.starts_with("https://");
    let (named, rest): (Vec<String>, Vec<String>) = arguments
        .targets
        .iter()
        .cloned()
        .partition(|target| !is_url(target) && target.contains('='));
    let (urls, files): (Vec<String>, Vec<String>) = rest.into_iter().partition(is_url);
    let lines = lines(&arguments);
    let mut plan = match (files.as_slice(), urls.is_empty()) {
        ([file], true) if lines.is_empty() => Spec::plan(Path::new(file)).map_err(sentence)?,
        ([], _) => {
            let definition = document(&lines).and_then(|it| Plan::check_definition(&it));
            Plan::new(definition.map_err(sentence)?)
        }
        ([_], true) => {
            return Err(
                "a file says the operations itself: leave --action and the others out".to_owned()
            );
        }
        ([_], false) => {
            return Err("the addresses of a file's participants are given as NAME=URL".to_owned());
        }
        _ => return Err(format!("one file at a time, not {}", files.join(" and "))),
    };
    for url in &urls {
        plan.add_participant(ONLY.0, url).map_err(sentence)?;
    }
    let named = pairs(&named, "NAME=URL")?;
    // Addresses given here stand in place of those in the file; several are several instances.
    plan.participants.retain(|known, _| named.iter().all(|(name, _)| name != known));
    for (name, url) in named {
        plan.add_participant(name, url).map_err(sentence)?;
    }
    fill(&mut plan, arguments)?;
    Ok(plan)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands where errors are mapped")]
fn sentence(error: Error) -> String {
    error.to_string()
}

fn lines(arguments: &ConformArguments) -> OperationLines {
    OperationLines {
        action: arguments.action.clone(),
        compensation: arguments.compensation.clone(),
        attempt: arguments.attempt.clone(),
        confirm: arguments.confirm.clone(),
        cancel: arguments.cancel.clone(),
        body: arguments.body.clone(),
    }
}

fn fill(plan: &mut Plan, arguments: ConformArguments) -> Result<(), String> {
    if let Some(input) = &arguments.input {
        plan.input = Json::from_value(input);
    }
    for text in &arguments.effect {
        let (step, source) = effect(plan, text, arguments.effect_pointer.as_deref())?;
        plan.effects.insert(step, source);
    }
    for (step, output) in pairs(&arguments.output, "STEP=JSON")? {
        plan.outputs.insert(step.to_owned(), Json::from_value(&json(output)?));
    }
    for line in &arguments.header {
        plan.headers.push(header(line)?);
    }
    plan.secret = arguments.secret.as_deref().map(Secret::signing_key).transpose()?;
    if !arguments.lock_key.is_empty() {
        plan.lock_keys = arguments.lock_key;
    }
    plan.steps = arguments.step;
    plan.skip = arguments.skip.into_iter().collect();
    plan.keep_effects = arguments.keep_effects;
    plan.limits.timeout = arguments.timeout;
    plan.limits.settle = arguments.settle;
    Ok(())
}

/// `[STEP=]URL[#POINTER]`; the step may be left out where there is only one.
fn effect(
    plan: &Plan,
    text: &str,
    pointer: Option<&str>,
) -> Result<(String, EffectSource), String> {
    let is_place = |text: &str| text.starts_with('/') || text.starts_with("http");
    let (step, place) = match text.split_once('=') {
        Some((step, place)) if !is_place(text) => (step.to_owned(), place),
        _ => match plan.definition.steps.as_slice() {
            [only] => (only.id.to_string(), text),
            _ => return Err(format!("--effect {text}: say of which step, as STEP={text}")),
        },
    };
    let source = match pointer {
        Some(pointer) if !place.contains('#') => EffectSource::new(place, pointer)?,
        _ => EffectSource::parse(place)?,
    };
    Ok((step, source))
}

fn pairs<'a>(texts: &'a [String], form: &str) -> Result<Vec<(&'a str, &'a str)>, String> {
    let pair = |text: &'a String| {
        text.split_once('=').ok_or_else(|| format!("{text:?} is not of the form {form}"))
    };
    texts.iter().map(pair).collect()
}

/// `NAME: VALUE`; a fault does not repeat the value, which may be a secret.
fn header(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) =
        line.split_once(':').ok_or("--header: write it as 'NAME: VALUE'".to_owned())?;
    let parsed =
        HeaderName::try_from(name.trim()).ok().zip(HeaderValue::try_from(value.trim()).ok());
    let (name, mut value) =
        parsed.ok_or_else(|| format!("--header {name}: no header can be that"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))
}

fn points() -> impl clap::builder::TypedValueParser<Value = Point> {
    // Without the first one, which tells what one call does, nothing else can be judged.
    let names = Point::ALL.into_iter().skip(1).map(Point::as_str);
    PossibleValuesParser::new(names).try_map(|name| {
        let named = Point::ALL.into_iter().find(|point| point.as_str() == name);
        named.ok_or_else(|| format!("there is no point {name}"))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        arguments: ConformArguments,
    }

    fn read(line: &[&str]) -> Result<Plan, String> {
        let line = std::iter::once("conform").chain(line.iter().copied());
        plan(Only::try_parse_from(line).map_err(|error| error.to_string())?.arguments)
    }

    #[test]
    fn urls_and_lines_make_a_plan() {
        let plan = read(&[
            "http://127.0.0.1:1",
            "http://127.0.0.1:2",
            "--action=/bookings",
            "--compensation=DELETE /bookings/{saga}",
            "--effect=/bookings?by=a",
            "--effect-pointer=/count",
            "--skip=signature,fencing",
            "--header=Authorization: Bearer x",
        ])
        .unwrap();
        assert_eq!(plan.participants[ONLY.0].len(), 2);
        assert_eq!(plan.effects[ONLY.1].pointer, "/count");
        assert_eq!(plan.effects[ONLY.1].url, "/bookings?by=a");
        assert_eq!(plan.skip.len(), 2);
        assert_eq!(plan.headers[0].0, "authorization");
    }

    #[test]
    fn faults_are_told() {
        for (line, why) in [
            (&["http://x"][..], "no operation is given"),
            (&["http://x", "a.yaml"], "NAME=URL"),
            (&["a.yaml", "b.yaml"], "one file at a time"),
            (&["a.yaml"], "a.yaml: No such file"),
            (&["a.yaml", "--action=/x"], "leave --action"),
            (&["http://x", "--action=/x", "--effect=y"], "no place to see an effect"),
            (&["http://x", "--action=/x", "--header=y"], "NAME: VALUE"),
            (&["http://x", "--action=/x", "--secret=y"], "whsec_"),
            (&["http://x", "--action=/x", "--body={"], "is not JSON"),
            (&["http://x", "--action=/x", "--skip=nothing"], "repeated-call"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(why), "{line:?}: {error}");
        }
    }
}
