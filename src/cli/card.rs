//! Flags for the data set card: of `run`, `plan --write` and `finalize`.

use clap::Args;

use crate::output::card_fields::CardFields;

/// The heading of these flags.
pub(crate) const CARD: &str = "Data set card";

/// What the data set card says.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CardArgs {
    /// The title of the data set card.
    #[arg(long, value_name = "TEXT", value_parser = title, help_heading = CARD)]
    title: Option<String>,
    /// The license of the data set, as the Hub names it: `apache-2.0`, `cc-by-4.0`, `other`.
    #[arg(long, value_name = "ID", value_parser = license, help_heading = CARD)]
    license: Option<String>,
    /// The languages of the data set, as codes: `en,de`. Repeatable.
    #[arg(long, value_name = "CODE,…", value_delimiter = ',', value_parser = language, help_heading = CARD)]
    language: Vec<String>,
}

impl CardArgs {
    /// What they say.
    #[must_use]
    pub(crate) fn fields(&self) -> CardFields {
        let Self { title, license, language } = self.clone();
        CardFields { title, license, languages: language }
    }
}

/// Parses a title: a line of text.
fn title(text: &str) -> Result<String, String> {
    let is_line = !text.trim().is_empty() && text.len() <= 200 && !text.contains(char::is_control);
    let what = || "expected a line of text of at most 200 bytes".to_owned();
    if is_line { Ok(text.trim().to_owned()) } else { Err(what()) }
}

/// Parses the name of a license.
fn license(text: &str) -> Result<String, String> {
    let is_of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.+".contains(&byte);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(is_of_name) {
        Ok(text.to_owned())
    } else {
        Err(format!("expected a name of the Hub like `apache-2.0` or `other`, found `{text}`"))
    }
}

/// Parses the code of a language: two or three letters, and further parts after hyphens.
fn language(text: &str) -> Result<String, String> {
    let mut parts = text.split('-');
    let is_code = |part: &str| (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if parts.next().is_some_and(is_code) && parts.all(is_part) && text.len() <= 64 {
        Ok(text.to_owned())
    } else {
        Err(format!("expected the code of a language like `en` or `pt-BR`, found `{text}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_card_cannot_hold_is_refused() {
        for good in ["en", "deu", "pt-BR", "zh-Hant-TW"] {
            assert_eq!(language(good), Ok(good.to_owned()));
        }
        for bad in ["", "e", "English", "EN", "en-", "en_GB", "en\n"] {
            assert!(language(bad).is_err(), "{bad}");
        }
        assert!(license("mit").is_ok() && license("cc-by-sa-4.0").is_ok());
        assert!(license("MIT License").is_err() && license("").is_err());
        assert_eq!(title(" Wörter "), Ok("Wörter".to_owned()));
        assert!(title("a\nb").is_err() && title(" ").is_err() && title(&"x".repeat(201)).is_err());
    }
}
