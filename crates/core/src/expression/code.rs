//! One expression, ready to be evaluated.

use std::fmt;

use super::context::Context;
use super::error::ExpressionError;
use super::jinja::{self, Compiled};
use super::limit::EXPRESSION_BYTES_MAX;
use super::path::Path;
use super::reference::Reference;
use super::write;

/// One expression: a plain path or a compiled Jinja expression.
pub(super) struct Code {
    text: Box<str>,
    kind: Kind,
}

enum Kind {
    Plain(Path, Reference),
    Jinja(Box<Compiled>),
}

impl Code {
    /// Compiles the text between `${` and `}`.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("the expression is empty; write for example input.sku".to_owned());
        }
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes"));
        }
        let compiled = jinja::compile(text).map_err(|why| {
            format!("`{}` is no expression: {why}", super::error::shortened(text, 120))
        })?;
        let kind = match (Path::parse(text), compiled.references.as_slice()) {
            (Some(path), [reference]) => Kind::Plain(path, reference.clone()),
            _ => Kind::Jinja(Box::new(compiled)),
        };
        Ok(Self { text: text.into(), kind })
    }

    /// What it names.
    pub(super) fn references(&self) -> &[Reference] {
        match &self.kind {
            Kind::Plain(_, reference) => std::slice::from_ref(reference),
            Kind::Jinja(compiled) => &compiled.references,
        }
    }

    /// Writes its value as JSON.
    pub(super) fn write_json(
        &self,
        context: &Context<'_>,
        out: &mut String,
    ) -> Result<(), ExpressionError> {
        let written = match &self.kind {
            Kind::Plain(path, _) => {
                path.find(context.scope).and_then(|found| found.write_json(out))
            }
            Kind::Jinja(code) => eval(code, context).and_then(|value| write::value(out, &value, 1)),
        };
        written.map_err(|why| self.error(why))
    }

    /// Writes its value as text.
    pub(super) fn write_text(
        &self,
        context: &Context<'_>,
        out: &mut String,
    ) -> Result<(), ExpressionError> {
        let written = match &self.kind {
            Kind::Plain(path, _) => {
                path.find(context.scope).and_then(|found| found.write_text(out))
            }
            Kind::Jinja(code) => eval(code, context).and_then(|value| write::text(out, &value)),
        };
        written.and_then(|()| write::within_bound(out)).map_err(|why| self.error(why))
    }

    /// Its value, which must be true or false.
    pub(super) fn as_bool(&self, context: &Context<'_>) -> Result<bool, ExpressionError> {
        let found = match &self.kind {
            Kind::Plain(path, _) => path.find(context.scope).map(|found| found.as_bool()),
            Kind::Jinja(code) => eval(code, context).map(|value| bool::try_from(value).ok()),
        };
        found.map_err(|why| self.error(why))?.ok_or_else(|| {
            self.error("it gives neither true nor false; compare, or ask `… is defined`")
        })
    }

    /// An error of this expression.
    pub(super) fn error(&self, why: impl AsRef<str>) -> ExpressionError {
        ExpressionError::new(&self.text, why)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${{{}}}", self.text)
    }
}

fn eval(code: &Compiled, context: &Context<'_>) -> Result<minijinja::Value, String> {
    let names = context.names(&code.references);
    code.expression.eval(names).map_err(|error| jinja::why(&error))
}
