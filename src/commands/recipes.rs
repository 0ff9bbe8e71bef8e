//! `recipes`: the built-in recipes, their texts, and examples of each denoiser.

use anyhow::Result;

use crate::cli::recipes::RecipesArgs;
use crate::recipe::{self, Recipe};
use crate::report;
use crate::settings::{self, preview};
use crate::tokenize::TokenizerPath;
use crate::tokenize::file::BYTES;

pub(crate) fn execute_recipes(args: &RecipesArgs) -> Result<()> {
    if args.schema {
        return Ok(report::data(&format!("{:#}\n", recipe::schema()))?);
    }
    let file = settings::tokenizer::tokenizer_file(args.tokenizer.as_deref().unwrap_or(BYTES))?;
    let names = file.names();
    let text = match (&args.name, &args.example) {
        (None, _) => report::recipes::recipes(&preview::built_in(names, &args.spec())?),
        (Some(name), None) => {
            args.refuse_for_a_file()?;
            let text = Recipe::text(name)?;
            Recipe::find(name)?;
            text
        }
        (Some(name), Some(text)) => {
            let spec = settings::spec::resolve(&Recipe::find(name)?, names, &args.spec())?;
            let tokenizer = file.tokenizer(spec.vocabulary().clone(), TokenizerPath::Oracle);
            report::recipes::example(&preview::example(&spec, names, tokenizer.as_ref(), text, &args.label)?)
        }
    };
    Ok(report::data(&text)?)
}
