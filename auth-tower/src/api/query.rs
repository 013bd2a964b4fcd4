//! Reading the parameters of a query, so that no two parsers could read them differently.

use std::collections::BTreeMap;

use auth_core::FieldErrors;
use http::Uri;

/// The parameters of a query that were asked for; others are ignored.
///
/// Each may stand there once, and counts as missing if it is empty. What is wrong with them is told
/// of all together, by [`finish`](Self::finish).
pub(super) struct Query {
    parameters: BTreeMap<&'static str, String>,
    errors: FieldErrors,
}

impl Query {
    pub(super) fn read(uri: &Uri, names: &[&'static str]) -> Self {
        let mut query = Self {
            parameters: BTreeMap::new(),
            errors: FieldErrors::default(),
        };
        let pairs = uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(pairs.as_bytes()) {
            let Some(name) = names.iter().find(|known| **known == name) else {
                continue;
            };
            if query.parameters.insert(name, value.into_owned()).is_some() {
                query.errors.add(name, "must not be repeated");
            }
        }
        query
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let text = self.parameters.remove(name);
        text.filter(|text| !text.is_empty())
    }

    /// Takes out a parameter that may be missing, but not be anything else.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.errors.add(name, expected);
        }
        parsed
    }

    /// Fails if anything was wrong.
    pub(super) fn finish(self) -> Result<(), FieldErrors> {
        self.errors.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> (Option<String>, Option<u8>, Vec<String>) {
        let uri = format!("/?{query}").parse().unwrap();
        let mut query = Query::read(&uri, &["text", "number"]);
        let text = query.text("text");
        let number = query.parsed("number", "must be a number", |text| text.parse().ok());
        let errors = query.finish().err();
        let errors = errors.iter().flat_map(FieldErrors::iter);
        let errors = errors.map(|(name, messages)| format!("{name} {}", messages.join(", ")));
        (text, number, errors.collect())
    }

    #[test]
    fn what_is_asked_for_is_decoded_and_may_be_missing_or_empty() {
        let both = (Some("a b&é".to_owned()), Some(7), vec![]);
        assert_eq!(read("text=a+b%26%C3%A9&number=7"), both);
        for nothing in ["", "&", "other=1&other=2", "text=&number=", "TEXT=a"] {
            assert_eq!(read(nothing), (None, None, vec![]), "{nothing}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let (_, number, errors) = read("number=x&text=a&text=b&%74ext=c");
        assert_eq!(number, None);
        let repeated = "text must not be repeated, must not be repeated";
        assert_eq!(errors, ["number must be a number", repeated]);
        assert_eq!(read("text=&text=").2, ["text must not be repeated"]);
    }
}
