//! Style sheet, script and icon, inside the binary.
//!
//! Their addresses name their content, so browsers may keep them for ever.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

struct Asset {
    name: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const STYLE: Asset = Asset {
    name: "console.css",
    content_type: "text/css; charset=utf-8",
    content: include_str!("../assets/console.css"),
};
const SCRIPT: Asset = Asset {
    name: "console.js",
    content_type: "text/javascript; charset=utf-8",
    content: include_str!("../assets/console.js"),
};
const MARK: Asset = Asset {
    name: "mark.svg",
    content_type: "image/svg+xml",
    content: include_str!("../assets/mark.svg"),
};

/// Addresses of the assets, as pages name them.
#[derive(Clone, Debug)]
pub(crate) struct AssetLinks {
    pub(crate) style: String,
    pub(crate) script: String,
    pub(crate) mark: String,
}

impl AssetLinks {
    /// Of this build.
    pub(crate) fn new() -> Self {
        let link = |asset: &Asset| {
            format!("/console/assets/{}?v={:016x}", asset.name, fingerprint(asset.content))
        };
        Self { style: link(&STYLE), script: link(&SCRIPT), mark: link(&MARK) }
    }
}

/// Serves them under `/console/assets`.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/console/assets/{name}", get(serve))
}

async fn serve(Path(name): Path<String>) -> Response {
    let Some(asset) = [STYLE, SCRIPT, MARK].into_iter().find(|asset| asset.name == name) else {
        return (StatusCode::NOT_FOUND, "There is no such asset.").into_response();
    };
    let headers = [
        (CONTENT_TYPE, asset.content_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, asset.content).into_response()
}

/// FNV-1a: enough to tell one build's assets from another's.
fn fingerprint(content: &str) -> u64 {
    content.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
