//! Bodies, path ids and query parameters, each with its bounds, as problems when they don't fit.

use std::fmt;
use std::str::FromStr;

use amends_core::definition::Format;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::problem::Result;
use crate::state::AppState;
use crate::{ApiConfig, ErrorCode, Problem, strict};

/// The media type of a completion that is more than an output.
pub(crate) const COMPLETION: &str = "application/vnd.amends.completion+json";

/// A body of at most the configured length, in UTF-8.
#[derive(Debug)]
struct Text(Bytes);

/// A JSON body without anything that must not enter.
#[derive(Debug)]
pub(crate) struct JsonText(Text);

impl JsonText {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromRequest<AppState> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self> {
        Media::of(request.headers())?.require(&[Media::Json])?;
        let text = Text::read(request, &state.config).await?;
        strict::check(text.as_str())?;
        Ok(Self(text))
    }
}

/// A JSON body, or none at all.
#[derive(Debug)]
pub(crate) struct MaybeJsonText(Option<Text>);

impl MaybeJsonText {
    /// The text, if there is a body.
    pub(crate) fn as_str(&self) -> Option<&str> {
        self.0.as_ref().map(Text::as_str)
    }
}

impl FromRequest<AppState> for MaybeJsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self> {
        let media = Media::of(request.headers())?;
        let text = Text::read(request, &state.config).await?;
        if text.0.is_empty() {
            return Ok(Self(None));
        }
        media.require(&[Media::Json])?;
        strict::check(text.as_str())?;
        Ok(Self(Some(text)))
    }
}

/// A document in JSON or YAML.
#[derive(Debug)]
pub(crate) struct DocumentText {
    text: Text,
    /// How it is written.
    pub(crate) format: Format,
}

impl DocumentText {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        self.text.as_str()
    }
}

impl FromRequest<AppState> for DocumentText {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self> {
        let media = Media::of(request.headers())?;
        media.require(&[Media::Json, Media::Yaml])?;
        let text = Text::read(request, &state.config).await?;
        if media == Media::Yaml {
            return Ok(Self { text, format: Format::Yaml });
        }
        strict::check(text.as_str())?;
        Ok(Self { text, format: Format::Json })
    }
}

/// What comes to a callback URL.
#[derive(Debug)]
pub(crate) enum CallbackText {
    /// A success without an output.
    Nothing,
    /// A success with an output.
    Output(JsonText),
    /// Anything, as [`crate::wire::CompletionBody`].
    Completion(JsonText),
}

impl FromRequest<AppState> for CallbackText {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self> {
        let media = Media::of(request.headers())?;
        let text = Text::read(request, &state.config).await?;
        if text.0.is_empty() && media != Media::Completion {
            return Ok(Self::Nothing);
        }
        media.require(&[Media::Json, Media::Completion])?;
        strict::check(text.as_str())?;
        Ok(match media {
            Media::Completion => Self::Completion(JsonText(text)),
            Media::Json | Media::Yaml | Media::Other | Media::None => Self::Output(JsonText(text)),
        })
    }
}

impl Text {
    fn as_str(&self) -> &str {
        // Checked in `read`; asked again, since `unsafe` is not to be had here.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    async fn read(request: Request, config: &ApiConfig) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let body = whole(&parts.headers, body, config).await?;
        match std::str::from_utf8(&body) {
            Ok(_) => Ok(Self(body)),
            Err(error) => {
                let detail = format!("byte {} of the body is not UTF-8", error.valid_up_to());
                Err(Problem::new(ErrorCode::NotUtf8, detail))
            }
        }
    }
}

/// A whole body, within the bounds of length and time.
pub(crate) async fn whole(headers: &HeaderMap, body: Body, config: &ApiConfig) -> Result<Bytes> {
    let max = config.body_bytes_max;
    let too_large = || {
        let detail = format!("the body is longer than {max} bytes (body_bytes_max)");
        Problem::new(ErrorCode::BodyTooLarge, detail)
    };
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|own| own.to_str().ok()).and_then(|own| own.parse().ok());
    if length.is_some_and(|length: u64| length > max as u64) {
        return Err(too_large());
    }
    let body = Limited::new(body, max).collect();
    match tokio::time::timeout(config.body_timeout, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => {
            let detail = "the connection broke before the body was complete";
            Err(Problem::new(ErrorCode::JsonSyntax, detail))
        }
        Err(_) => {
            let ms = config.body_timeout.as_millis();
            let detail = format!("the body did not come within {ms} ms (body_timeout)");
            Err(Problem::new(ErrorCode::BodyTimeout, detail))
        }
    }
}

/// Media types that some route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    Json,
    Yaml,
    Completion,
    Other,
    None,
}

impl Media {
    /// The body's type, if it is not compressed.
    fn of(headers: &HeaderMap) -> Result<Self> {
        if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
            && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            let detail = "the body has a Content-Encoding; send it as it is";
            return Err(Problem::new(ErrorCode::UnsupportedMediaType, detail));
        }
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Self::None) };
        let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        let is = |name: &str| essence.trim().eq_ignore_ascii_case(name);
        Ok(if is("application/json") {
            Self::Json
        } else if is(COMPLETION) {
            Self::Completion
        } else if ["application/yaml", "application/x-yaml", "text/yaml"].into_iter().any(is) {
            Self::Yaml
        } else {
            Self::Other
        })
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Completion => COMPLETION,
            Self::Other => "another type",
            Self::None => "no type",
        }
    }

    fn require(self, accepted: &[Self]) -> Result<()> {
        if accepted.contains(&self) {
            return Ok(());
        }
        let names: Vec<&str> = accepted.iter().map(|media| media.as_str()).collect();
        let detail = format!(
            "the body's Content-Type is {}; this route takes {}",
            self.as_str(),
            names.join(" or ")
        );
        Err(Problem::new(ErrorCode::UnsupportedMediaType, detail))
    }
}

/// Ids in the path, checked. A tuple for several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids<T>(pub(crate) T);

/// Something that can stand in a path.
pub(crate) trait PathId: Sized {
    /// The texts it is made from.
    type Raw: DeserializeOwned + Send;

    /// Checks them.
    fn check(raw: Self::Raw) -> Result<Self>;
}

fn id<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| {
        let shown: String = text.chars().take(64).collect();
        Problem::new(ErrorCode::BadId, format!("{shown:?} in the path {error}"))
    })
}

macro_rules! path_ids {
    ($($name:ty),+) => {$(
        impl PathId for $name {
            type Raw = String;

            fn check(raw: String) -> Result<Self> {
                id(&raw)
            }
        }
    )+};
}

path_ids!(
    amends_core::SagaId,
    amends_core::DefinitionName,
    amends_core::ParticipantName,
    amends_core::LockKey
);

impl<A: FromStr<Err: fmt::Display>, B: FromStr<Err: fmt::Display>> PathId for (A, B) {
    type Raw = (String, String);

    fn check((first, second): Self::Raw) -> Result<Self> {
        Ok((id(&first)?, id(&second)?))
    }
}

impl<T: PathId + Send, S: Send + Sync> FromRequestParts<S> for Ids<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match Path::<T::Raw>::from_request_parts(parts, state).await {
            Ok(Path(raw)) => T::check(raw).map(Self),
            Err(rejection) => Err(path_problem(&rejection)),
        }
    }
}

/// A path that is not even a text.
pub(crate) fn path_problem(rejection: &PathRejection) -> Problem {
    Problem::new(ErrorCode::BadId, format!("the path cannot be read: {rejection}"))
}

/// Query parameters, taken out one by one; none may be left over.
#[derive(Debug)]
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Problem::new(ErrorCode::BadParameter, error.to_string()))?;
        if pairs.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
            let detail = "a parameter holds the character U+0000";
            return Err(Problem::new(ErrorCode::NulCharacter, detail));
        }
        Ok(Self { pairs, known: Vec::new() })
    }
}

impl Parameters {
    /// Every value of a parameter that may stand several times.
    pub(crate) fn all(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        self.pairs.iter().filter(|(own, _)| own == name).map(|(_, value)| value.clone()).collect()
    }

    /// The value of a parameter that may stand once, read by `read`.
    pub(crate) fn one<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> std::result::Result<T, E>,
    ) -> Result<Option<T>> {
        let values = self.all(name);
        match values.as_slice() {
            [] => Ok(None),
            [value] => read(value).map(Some).map_err(|error| bad(name, error)),
            _ => Err(bad(name, "may be given only once")),
        }
    }

    /// A whole number within bounds.
    pub(crate) fn number(&mut self, name: &'static str, from: u64, to: u64) -> Result<Option<u64>> {
        self.one(name, |text| match text.parse() {
            Ok(number) if (from..=to).contains(&number) => Ok(number),
            _ => Err(format!("must be a whole number from {from} to {to}")),
        })
    }

    /// Refuses parameters that nobody asked for.
    pub(crate) fn finish(self) -> Result<()> {
        let unknown = self.pairs.iter().find(|(name, _)| !self.known.iter().any(|own| own == name));
        let Some((name, _)) = unknown else { return Ok(()) };
        let shown: String = name.chars().take(64).collect();
        let known = if self.known.is_empty() {
            "this route takes none".to_owned()
        } else {
            format!("known are {}", self.known.join(", "))
        };
        Err(Problem::new(
            ErrorCode::BadParameter,
            format!("there is no parameter {shown:?} here; {known}"),
        ))
    }
}

/// The problem of one parameter.
pub(crate) fn bad(name: &str, detail: impl fmt::Display) -> Problem {
    Problem::new(ErrorCode::BadParameter, format!("parameter {name}: {detail}"))
}
