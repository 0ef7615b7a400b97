//! The chart of a report, as an SVG that can be read on light and dark pages.

use std::fmt::{self, Write as _};

use super::report::{BenchReport, BenchRow};
use super::table::whole;

const WIDTH: u32 = 860;
const ROW_HEIGHT: u32 = 24;
const HEAD_HEIGHT: u32 = 64;
/// Where the bars begin, and how long the longest is.
const BARS_LEFT: u32 = 230;
const BARS_WIDTH: u32 = 300;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}\
.title{font-weight:600;font-size:15px}\
.name{text-anchor:end}\
.soft{fill:#59636e}\
.limit{fill:#d1d9e0}\
.own{fill:#0969da}\
@media(prefers-color-scheme:dark){\
text{fill:#f0f6fc}.soft{fill:#9198a1}.limit{fill:#3d444d}.own{fill:#4493f8}}";

impl BenchReport {
    /// Sagas a second of every run, each on the bar of its limit.
    ///
    /// # Errors
    ///
    /// Never: text has room.
    pub fn to_svg(&self) -> Result<String, fmt::Error> {
        let count = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let height = HEAD_HEIGHT + count.saturating_mul(ROW_HEIGHT) + ROW_HEIGHT / 2;
        let most = self.rows.iter().map(most).fold(1.0, f64::max);
        let mut svg = String::new();
        writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-labelledby="t">"#
        )?;
        writeln!(svg, r#"<title id="t">Sagas a second, and the limit of that minute</title>"#)?;
        writeln!(svg, "<style>{STYLE}</style>")?;
        let title = r#"<text class="title" x="16" y="26">Sagas a second</text>"#;
        writeln!(svg, "{title}")?;
        let cores = self.cores;
        let legend = format!(
            "and their ratio to the limit of that minute (grey): a stand-in that only calls and stores. {cores} cores for everything."
        );
        writeln!(svg, r#"<text class="soft" x="16" y="46">{legend}</text>"#)?;
        for (row, y) in self.rows.iter().zip((HEAD_HEIGHT..).step_by(ROW_HEIGHT as usize)) {
            bar(&mut svg, row, y, most)?;
        }
        svg.push_str("</svg>\n");
        Ok(svg)
    }
}

/// What the longer of a run's two bars shows.
fn most(row: &BenchRow) -> f64 {
    row.sagas_per_second.max(row.limit.sagas_per_second)
}

fn bar(svg: &mut String, row: &BenchRow, y: u32, most: f64) -> fmt::Result {
    let width = |speed: f64| speed / most * f64::from(BARS_WIDTH);
    let (store, case, in_flight) = (row.store.name(), row.case, row.in_flight);
    let (baseline, name_end) = (y + 16, BARS_LEFT - 10);
    writeln!(
        svg,
        r#"<text class="name" x="{name_end}" y="{baseline}">{case} <tspan class="soft">{store}, {in_flight}</tspan></text>"#
    )?;
    let limit = width(row.limit.sagas_per_second);
    let (limit_y, own_y) = (y + 4, y + 8);
    writeln!(
        svg,
        r#"<rect class="limit" x="{BARS_LEFT}" y="{limit_y}" width="{limit:.1}" height="16"/>"#
    )?;
    let own = width(row.sagas_per_second);
    writeln!(
        svg,
        r#"<rect class="own" x="{BARS_LEFT}" y="{own_y}" width="{own:.1}" height="8"/>"#
    )?;
    let (speed, ratio) = (whole(row.sagas_per_second), row.of_limit);
    let (p50, p99, text_x) = (row.load.p50_ms, row.load.p99_ms, BARS_LEFT + BARS_WIDTH + 10);
    writeln!(
        svg,
        r#"<text x="{text_x}" y="{baseline}">{speed}/s, {ratio:.2} <tspan class="soft">p50 {p50:.1}, p99 {p99:.1} ms</tspan></text>"#
    )
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;

    #[test]
    fn a_chart_is_well_formed_and_shows_every_run() {
        let svg = report().to_svg().unwrap();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let bars = |class| {
            let nodes = document.descendants();
            let own = nodes.filter(|node| node.attribute("class") == Some(class));
            own.map(|node| node.attribute("width").unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(bars("own"), ["150.0", "150.0", "150.0"]);
        assert_eq!(bars("limit"), ["300.0", "300.0", "300.0"]);
        assert!(svg.contains("4,321/s, 0.50"), "{svg}");
    }
}
