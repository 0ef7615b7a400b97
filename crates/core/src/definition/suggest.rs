//! Did you mean? Names close to a misspelt one.

/// Longest name that is compared; the work grows with its square.
const NAME_CHARS_MAX: usize = 64;

/// A sentence that names the closest of `known`, or lists them when none is close; it starts
/// with a blank, or is empty when there is nothing to say.
pub(crate) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let closest = known
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4);
    match closest {
        Some((_, candidate)) => format!("; did you mean {candidate:?}?"),
        None if known.is_empty() => String::new(),
        None if known.len() <= 20 => format!("; there are: {}", known.join(", ")),
        None => String::new(),
    }
}

/// Edits (insert, delete, replace) between two names, case ignored.
fn distance(a: &str, b: &str) -> usize {
    let chars = |text: &str| {
        text.chars().take(NAME_CHARS_MAX).map(|c| c.to_ascii_lowercase()).collect::<Vec<_>>()
    };
    let (a, b) = (chars(a), chars(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_named() {
        let known = ["compensation", "action", "participant"];
        assert!(suggestion("compensaton", known).contains("\"compensation\""));
        assert!(suggestion("Action", known).contains("\"action\""));
        assert!(suggestion("zzz", known).contains("there are"));
        assert!(suggestion("zzz", []).is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
