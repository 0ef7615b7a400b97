//! Reading a metric out of the text that a coordinator shows.

/// The value of a metric, the sum over all its labels; none if there is no such line.
pub(super) fn metric(text: &str, name: &str) -> Option<f64> {
    let of_line = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}')?.1,
            None => rest,
        };
        value.strip_prefix(' ')?.trim().parse::<f64>().ok()
    };
    text.lines().filter_map(of_line).reduce(|sum, own| sum + own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let text = "# TYPE amends_x counter\namends_x_total_more 1\namends_x_total 42\n";
        assert_eq!(metric(text, "amends_x_total"), Some(42.0));
        assert_eq!(metric(text, "amends_y_total"), None);
    }

    #[test]
    fn all_labels_of_a_metric_count() {
        let text =
            "a_total{status=\"completed\"} 40\na_total{status=\"x}\"} 2\na_totals{b=\"c\"} 9\n";
        assert_eq!(metric(text, "a_total"), Some(42.0));
    }
}
