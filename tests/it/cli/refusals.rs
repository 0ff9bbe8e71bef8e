//! What is refused: recipes, columns, tokenizers, tokens, numbers, folders; and what is warned of.

use fs_err as fs;
use insta::assert_snapshot;

use super::{fixture, small};
use crate::support::record;

#[test]
fn an_empty_path_is_a_usage_error_and_touches_no_file_of_the_current_folder() {
    let fixture = small();
    fixture.write("README.md", "mine");
    fixture.run("masked", "a.jsonl");
    for line in [
        "run a.jsonl --out",
        "run a.jsonl --out masked --tokenizer",
        "run --plan",
        "run --out masked",
        "plan a.jsonl --out",
        "reproduce masked a.jsonl --out",
        "reproduce",
        "status",
        "finalize",
        "inspect",
        "stats",
        "stats masked --html",
        "verify",
        "verify masked --sources",
        "inspect a.jsonl:1 --name",
        "recipes",
    ] {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.push("");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_ul2-prep"))
            .args(&words)
            .current_dir(fixture.path(""))
            .output()
            .unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {message}");
        let said = ["is a variable of the shell not set?", "a value is required for '--html <FILE>'"];
        assert!(said.iter().any(|said| message.contains(said)), "{line}: {message}");
    }
    assert_eq!(fs::read_to_string(fixture.path("README.md")).unwrap(), "mine");
    assert!(!fixture.path(".ul2-prep").exists());
}

#[test]
fn an_extension_of_nothing_is_an_error() {
    let fixture = small();
    let message = fixture.ran("run a.jsonl --out new --extend").failed(2);
    assert_snapshot!(message, @r"
    error: `new/` holds no data set that could be extended

    hint: without `--extend` the run begins one
    ");
    assert!(!fixture.path("new").exists());
}

#[test]
fn an_unknown_recipe_gets_the_nearest_name() {
    let fixture = small();
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --recipe ul2R").failed(2), @r"
    error: there is no recipe `ul2R`

    hint: there is a recipe `ul2r`
    ");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --recipe bert").failed(2), @r"
    error: there is no recipe `bert`

    hint: `ul2-prep recipes` lists the built-in ones; a file's name ends in `.toml`
    ");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --recipe none.toml").failed(2), @"error: cannot read the recipe: failed to open file `none.toml`: No such file or directory (os error 2)");
    assert_snapshot!(fixture.ran("recipes ul").failed(2), @r"
    error: there is no recipe `ul`

    hint: there is a recipe `ul2`
    ");
}

#[test]
fn columns_are_chosen_by_name_and_refused_where_rows_have_none() {
    let fixture = small();
    let refused = |options: &str| fixture.ran(&format!("run a.jsonl --out masked {options}")).failed(2);
    assert_snapshot!(refused("--columns input_ids,label"), @"
    error: invalid value 'label' for '--columns <NAME,…>': there is no column `label`; there is `labels`

    For more information, try '--help'.
    ");
    assert_snapshot!(refused("--columns input_ids,prefix_length"), @"
    error: only rows of the causal layout have a column `prefix_length`

    hint: `--layout causal` makes rows for decoder-only models
    ");
    assert_snapshot!(refused("--columns input_segment_ids"), @"
    error: only packed rows have a column `input_segment_ids`

    hint: `--pack` puts several examples into a row
    ");
    assert_snapshot!(refused("--layout causal --pack --columns label_positions"), @"
    error: rows of the causal layout have no column `label_positions`: labels stand at the places of their ids

    hint: use `input_segment_ids` and `position_ids` for the labels as well
    ");
    assert_snapshot!(refused("--layout causal --pack --pad --columns input_ids,labels,attention_mask"), @"
    error: packed rows of the causal layout have no column `attention_mask`: its ones would let an example see those before it

    hint: a mask follows from `position_ids`, which begin anew with each example: the data set card has the code
    ");
    assert_snapshot!(refused("--layout causal --pack --columns input_positions,position_ids"), @"
    error: `input_positions` and `position_ids` are the same column

    hint: leave one of them out
    ");
    assert_snapshot!(refused("--pack --columns position_ids"), @"
    error: only rows of the causal layout have a column `position_ids`

    hint: `--layout causal` makes rows for decoder-only models
    ");
    assert_snapshot!(refused("--columns labels,labels"), @"error: the column `labels` is asked for twice");
    let chosen = fixture.run("chosen", "a.jsonl --columns attention_mask,labels,input_ids");
    let shard = fs::File::open(&chosen.shards()[0]).unwrap().into_file();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(shard).unwrap();
    let names: Vec<&str> = reader.schema().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["attention_mask", "labels", "input_ids"]);
    // Packed causal rows begin their positions anew, by the name that models take or by that of other packed rows.
    for (out, asked, name) in [
        ("usual", "", "position_ids"),
        (
            "other",
            "--columns input_ids,labels,input_segment_ids,input_positions,denoiser,source,line,segment,epoch",
            "input_positions",
        ),
    ] {
        let packed = fixture.run(out, &format!("a.jsonl --layout causal --pack --pad {asked}"));
        let shard = fs::File::open(&packed.shards()[0]).unwrap().into_file();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(shard).unwrap();
        let names: Vec<&str> = reader.schema().fields().iter().map(|field| field.name().as_str()).collect();
        assert!(names.contains(&name) && !names.contains(&"attention_mask"), "{names:?}");
        let card = fs::read_to_string(packed.path("README.md")).unwrap();
        assert!(card.contains(&format!("padded(rows, \"{name}\", 0)")), "{card}");
        fixture.ran(&format!("verify {out} --sources a.jsonl --reproduce")).succeeded();
    }
    // Columns are of the plan: the same command goes on, one with other columns does not.
    let other = fixture.ran("run a.jsonl --out chosen").failed(2);
    assert!(other.contains("`columns`"), "{other}");
}

#[test]
fn a_recipe_with_something_wrong_is_refused_with_its_line() {
    let fixture = small();
    let refused = |recipe: &str| {
        fixture.write("mine.toml", recipe);
        let message = fixture.ran("run a.jsonl --out masked --recipe mine.toml").failed(2);
        assert!(!fixture.path("masked").exists());
        message
    };
    let denoiser = "[[denoiser]]\nname = \"a\"\nmode = \"R\"\nweight = 1\n";
    let spans = |density: &str, mean: &str| {
        format!("{denoiser}random_spans = {{ noise_density = {density}, mean_span_length = {mean} }}\n")
    };
    assert_snapshot!(refused(&format!("{}noise = 3\n", spans("0.15", "3"))), @"
    error: mine.toml:6: unknown field `noise`, expected one of `name`, `mode`, `weight`, `mode_token`, `layout`, `s_sentinel`, `closing_sentinel`, `random_spans`, `independent_tokens`, `union`, `suffix`, `whole`, `label`, `separate`, `permute`, `multiple_choice`

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&spans("1.5", "3")), @"
    error: mine.toml:1: denoiser `a`: `noise_density` must lie between 0 and 1, both excluded, found 1.5

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&spans("0.9", "1")), @"
    error: mine.toml:1: denoiser `a`: noise of density 0.9 in spans of mean length 1 needs more spans than there are kept tokens to separate them

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&spans("0.15", "0.5")), @"
    error: mine.toml:1: denoiser `a`: `mean_span_length` must be at least 1 token, found 0.5

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&format!("{}layout = \"split\"\n", spans("0.15", "3"))), @"
    error: mine.toml:1: denoiser `a`: layout `split` needs noise that is a suffix

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&format!("{}{}", spans("0.15", "3"), spans("0.5", "3"))), @"
    error: mine.toml:6: two denoisers are named `a`: the name addresses the random stream and must be unique

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    let mode = |token: &str| spans("0.15", "3").replace("weight", &format!("mode_token = {token}\nweight"));
    assert_snapshot!(refused(&mode("\"<extra_id_3>\"")), @"
    error: mine.toml:1: denoiser `a`: id 262 of its mode token is sentinel 3 already

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&mode("1")), @"
    error: mine.toml:1: denoiser `a`: id 1 of its mode token is EOS already

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&mode("384")), @"
    error: mine.toml:1: denoiser `a`: its mode token is id 384, but the vocabulary has 384 ids

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&mode("[1]")), @r#"
    error: mine.toml:4: expected a text, an id or `{ text = "…" }`

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    "#);
    assert_snapshot!(refused(&format!("{denoiser}label = {{}}\n")), @"
    error: mine.toml:1: denoiser `a`: its noise is that of a label, but records have one field

    hint: name the label's field with `--label-field`, or `label_field` in the recipe
    ");
    assert_snapshot!(refused(&format!("label_field = \"b\"\nsegmenting = {{ concat = {{ eos_between = true }} }}\n{denoiser}label = {{}}\n")), @r#"error: mine.toml:3: denoiser `a`: a pattern of labels needs `segmenting = "document"`"#);
    assert_snapshot!(refused(&format!("layout = \"causal\"\nseparator = \"<extra_id_7>\"\n{}", spans("0.15", "3"))), @"
    error: the separator `<extra_id_7>` is sentinel 7 already

    hint: a separator is a token that nothing else uses, or EOS
    ");
    assert_snapshot!(refused(&format!("layout = \"causal\"\nseparator = \"<sep>\"\n{}", spans("0.15", "3"))), @"
    error: the tokenizer has no token `<sep>` (`separator` in mine.toml:2)

    hint: tokens are looked up by their exact name in the tokenizer file
    ");
    assert_snapshot!(refused(&format!("layout = \"causal\"\nsequence_length = 2000\n{}", spans("0.15", "3"))), @"
    error: mine.toml:2: `sequence_length` must be at least 2 and at most `inputs_length` and `labels_length` together, 1024, found 2000

    hint: `--sequence-length` alone lets inputs and labels be as long as the row
    ");
    assert_snapshot!(refused(&format!("segmenting = {{ window = {{ tokens = 2 }} }}\n{}", spans("0.15", "3"))), @"error: mine.toml:1: a window of 2 tokens is too short for `min_segment = 2`, which needs 3");
    assert_snapshot!(refused(&format!("segmenting = \"sentence\"\n{}", spans("0.15", "3"))), @"
    error: mine.toml:1: unknown variant `sentence`, expected one of `document`, `concat`, `window`

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&format!("{denoiser}permute = {{ rows = 0 }}\n")), @"
    error: mine.toml:1: denoiser `a`: `rows` must be between 1 and 65536, found 0

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&format!("{denoiser}multiple_choice = {{ least = 3, most = 2 }}\n")), @"
    error: mine.toml:1: denoiser `a`: `least` and `most` must be numbers of other labels with least ≤ most ≤ 1000, found 3 and 2

    hint: `ul2-prep recipes ul2r` prints a recipe with every key explained
    ");
    assert_snapshot!(refused(&format!("inputs_length = 4\nmin_segment = 40\n{}", spans("0.15", "3"))), @"
    error: mine.toml:3: denoiser `a` fits segments of at most 3 tokens into inputs of 4 and labels of 512 with 125 sentinels, but `min_segment = 40` needs 79

    hint: raise `--inputs-length` and `--labels-length`, or use a tokenizer with more sentinels
    ");
    assert_snapshot!(refused(&format!("sentinels = [\"<mask_{{n}}>\"]\n{}", spans("0.15", "3"))), @r"
    error: the tokenizer has no sentinels: none of its tokens is named `<mask_{n}>` (`sentinels` in mine.toml:1)

    hint: `--sentinels '<extra_id_{0..}>'` takes as many as the recipe needs of tokens that the file has: `<extra_id_{0..124}>` (125 tokens)
    ");
}

#[test]
fn a_tokenizer_that_is_none_is_refused() {
    let fixture = fixture();
    fixture.write_source("a.jsonl", record("some text"));
    fixture.write("broken.json", "{\"model\": 3}");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --tokenizer missing").failed(2), @r#"
    error: no such file: `missing` (`--tokenizer`)

    hint: `--tokenizer` takes a file, a folder, or `bytes`; if `missing` is a name of the Hugging Face Hub, `hf download missing --include "tokenizer*" "*.model" --local-dir FOLDER` fetches its files
    "#);
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --tokenizer fixtures/shards").failed(2), @r"
    error: no `tokenizer.json` in `fixtures/shards`, nor a SentencePiece model

    hint: `--tokenizer` takes a Hugging Face `tokenizer.json` or a SentencePiece model, whose name ends in `.model`
    ");
    let broken = fixture.ran("run a.jsonl --out masked --tokenizer broken.json").failed(2);
    // The reason is the library's.
    assert!(broken.starts_with("error: `broken.json` is not a usable tokenizer: "), "{broken}");
    assert!(!fixture.path("masked").exists());
}

#[test]
fn a_token_that_the_tokenizer_has_not_is_refused() {
    let fixture = small();
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --eos-token <eos>").failed(2), @r"
    error: the tokenizer has no token `<eos>` (`--eos-token`)

    hint: tokens are looked up by their exact name in the tokenizer file
    ");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --eos-token <extra_id_0>").failed(2), @"error: the tokenizer's ids cannot be used: sentinel 0 and another reserved token are both id 259");
}

#[test]
fn numbers_out_of_range_are_refused() {
    let fixture = small();
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --workers 0").failed(2), @"error: `--workers` must be at least 1");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --epochs 0").failed(2), @"error: recipe `ul2r` cannot be used: `epochs` must be between 1 and 65536, found 0");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --inputs-length 200000").failed(2), @"error: recipe `ul2r` cannot be used: `inputs_length` must be between 2 and 131072, found 200000");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --inputs-length 8").failed(2), @"
    error: ul2r:94: denoiser `r` fits segments of at most 2 tokens into inputs of 8 and labels of 512 with 125 sentinels, but `min_segment = 2` needs 3

    hint: raise `--inputs-length` and `--labels-length`, or use a tokenizer with more sentinels
    ");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --max-rejects few").failed(2), @r"
    error: invalid value 'few' for '--max-rejects <N|SHARE%>': expected a number of lines or a share like `0.1%`, found `few`

    For more information, try '--help'.
    ");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --shard-size big").failed(2), @r"
    error: invalid value 'big' for '--shard-size <SIZE>': expected a size like `256MiB`, found `big`

    For more information, try '--help'.
    ");
    assert!(!fixture.path("masked").exists());
}

#[test]
fn too_few_sentinels_are_refused_if_asked_to() {
    let fixture = small();
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --strict-sentinels").failed(2), @r"
    error: denoiser `x-dense` needs 127 sentinels for segments of 759 tokens, but the vocabulary has 125

    hint: leave `--strict-sentinels` out to shorten the segments, or use a tokenizer with more sentinels
    ");
    assert!(!fixture.path("masked").exists());
    fixture.ran("run a.jsonl --out masked --strict-sentinels --recipe t5").succeeded();
}

#[test]
fn mode_tokens_that_are_alike_are_a_warning() {
    let fixture = small();
    let denoiser = |name: &str, mode: &str, noise: &str| {
        format!("[[denoiser]]\nname = \"{name}\"\nmode = \"{mode}\"\nweight = 1\nmode_token = \"[M]\"\n{noise}\n")
    };
    let recipe = denoiser("one", "S", "suffix = {}")
        + &denoiser("two", "R", "random_spans = { noise_density = 0.15, mean_span_length = 3 }");
    fixture.write("mine.toml", recipe);
    let ran = fixture.ran("run a.jsonl --out masked --recipe mine.toml --quiet").succeeded();
    assert_snapshot!(ran.stderr.lines().next().unwrap(), @"warning: the mode tokens of `one` (S) and `two` (R) are the same ids [94, 80, 96]");
}

#[test]
fn a_folder_with_something_else_in_it_is_left_alone() {
    let fixture = small();
    fixture.write("thesis/chapter.tex", "");
    assert_snapshot!(fixture.ran("run a.jsonl --out thesis").failed(2), @r"
    error: `thesis` is not empty and holds no data set of `ul2-prep`

    hint: name a new or an empty folder with `--out`
    ");
    assert_eq!(fs::read_dir(fixture.path("thesis")).unwrap().count(), 1);
}

#[test]
fn other_settings_in_the_same_folder_are_refused_by_name() {
    let fixture = small();
    let before = fixture.run("masked", "a.jsonl --seed 7").digests();
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --seed 8").failed(2), @r"
    error: the data set in `masked/` was begun with other settings: `spec.seed` is 7 in the data set, but 8 asked for

    hint: use the same settings, or name another folder with `--out`
    ");
    assert_snapshot!(fixture.ran("run a.jsonl --out masked --seed 7 --shard-size 1MiB --epochs 2").failed(2), @r"
    error: the data set in `masked/` was begun with other settings: `shard_bytes` is 268435456 in the data set, but 1048576 asked for; `spec.epochs` is 1 in the data set, but 2 asked for

    hint: use the same settings, or name another folder with `--out`
    ");
    fixture.write_source("b.jsonl", record("another"));
    assert_snapshot!(fixture.ran("run *.jsonl --out masked --seed 7").failed(2), @r"
    error: the data set in `masked/` was begun with other settings: `sources[b.jsonl]` is not in the data set, but asked for

    hint: `--extend` adds the new sources to the data set
    ");
    assert_eq!(fixture.data_set("masked").digests(), before);
}
