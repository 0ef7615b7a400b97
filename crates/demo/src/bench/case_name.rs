//! How a case is written: its shape and what is special about it, as `chain3`, `tcc3-hot` or
//! `chain3-64k-follow`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::{Case, Ending, Keys, Shape};

const SHAPES: [(&str, Shape); 7] = [
    ("chain1", Shape::Chain(1)),
    ("chain3", Shape::Chain(3)),
    ("chain10", Shape::Chain(10)),
    ("wide3", Shape::Wide(3)),
    ("wide10", Shape::Wide(10)),
    ("undo3", Shape::Undo3),
    ("tcc3", Shape::Tcc3),
];
const KEY_WORDS: [(&str, Keys); 2] = [("spread", Keys::Spread), ("hot", Keys::Hot)];
const PAYLOADS: [(&str, usize); 2] = [("1k", 1_024), ("64k", 65_536)];
const FOLLOW: &str = "follow";

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = SHAPES.iter().find(|(_, shape)| *shape == self.shape);
        f.write_str(shape.map_or("unnamed", |(word, _)| word))?;
        for (word, keys) in KEY_WORDS {
            if keys == self.keys {
                write!(f, "-{word}")?;
            }
        }
        for (word, bytes) in PAYLOADS {
            if bytes == self.payload_bytes {
                write!(f, "-{word}")?;
            }
        }
        if self.ending == Ending::Follow {
            write!(f, "-{FOLLOW}")?;
        }
        Ok(())
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split('-');
        let shape = find(&SHAPES, words.next().unwrap_or_default());
        let mut case = Self { shape: shape.ok_or_else(advice)?, ..Self::CHAIN3 };
        for word in words {
            if let Some(keys) = find(&KEY_WORDS, word) {
                case.keys = keys;
            } else if let Some(bytes) = find(&PAYLOADS, word) {
                case.payload_bytes = bytes;
            } else if word == FOLLOW {
                case.ending = Ending::Follow;
            } else {
                return Err(advice());
            }
        }
        Ok(case)
    }
}

fn find<T: Copy>(words: &[(&str, T)], word: &str) -> Option<T> {
    words.iter().find(|(own, _)| *own == word).map(|(_, value)| *value)
}

fn advice() -> String {
    let shapes = SHAPES.map(|(word, _)| word).join(", ");
    format!("a case is one of {shapes}; -spread or -hot, -1k or -64k and -follow may come after it")
}

impl Serialize for Case {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for (name, _) in SHAPES {
            for rest in ["", "-spread", "-hot", "-1k", "-64k", "-follow", "-hot-64k-follow"] {
                let case: Case = format!("{name}{rest}").parse().unwrap();
                assert_eq!(case.to_string(), format!("{name}{rest}"));
                assert_eq!(Case::of_definition(&case.definition_name()), Some(case));
            }
        }
        assert!("chain4".parse::<Case>().unwrap_err().contains("chain10"));
        assert!("chain3-cold".parse::<Case>().unwrap_err().contains("-spread"));
    }
}
