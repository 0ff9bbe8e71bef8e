# Everyday commands. `just --list` shows them.

tool := "target/release/ul2-prep"

# All that the gate checks.
ci:
    .ci/run

# Format, lints, docs.
check:
    cargo fmt --check
    cargo clippy --profile ci --locked --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --profile ci --locked --no-deps --document-private-items
    cargo check --manifest-path fuzz/Cargo.toml --locked

# Licences, sources, duplicates and known vulnerabilities (the last needs the network).
deny:
    cargo deny --locked check

# All tests.
test *args:
    tests/run {{args}}

# Write the vectors of the masking version anew. The test fails if they differ from the committed ones.
vectors:
    UL2_PREP_BLESS=1 cargo test --profile ci --locked --test it vectors::

# Write the measured table of docs/reference/recipes.md and the schema of recipes anew.
recipes:
    UL2_PREP_BLESS=1 cargo test --profile ci --locked --test it recipes::

# Write what the pages show of the tool anew: the help of every command, and what console blocks give.
pages:
    UL2_PREP_BLESS=1 cargo test --profile ci --locked --test it command_line::
    TRYCMD=overwrite cargo test --profile ci --locked --test it readme::console_blocks

# Ids of the fast paths against the `tokenizers` crate, then against the Python package: every document of the shards in SHARDS and 100,000
# generated ones, for every `tokenizer.json` in TOKENIZERS; those of the `.model` files there against the package `sentencepiece`.
identity tokenizers shards: peers
    UL2_PREP_TOKENIZERS={{tokenizers}} UL2_PREP_SHARDS={{shards}} cargo test --release --locked --test it identity:: -- --ignored --nocapture > target/identity.log
    target/peers/bin/python tests/identity.py < target/identity.log

# Runs ended at every step, at 200 random moments, by a full disk and by each other: the long form of tests/it/kills.rs.
kills:
    UL2_PREP_LONG=1 cargo test --release --locked --test it kills:: -- --nocapture

# What a tool that is attacked must not do: lose data, say that it is well, panic, touch foreign files. `just attack --short` is the gate's part.
attack *args:
    cargo build --profile ci --locked
    tests/attack/run --tool target/ci/ul2-prep {{args}}

# Sources and data sets in object stores, on servers of this machine: kills, lost replies, many writers. `just stores --long` for more of them.
stores *args:
    cargo build --profile ci --locked
    python3 tests/scale/s3.py --tool target/ci/ul2-prep {{args}}
    python3 tests/scale/gcs.py --tool target/ci/ul2-prep
    python3 tests/scale/azure.py --tool target/ci/ul2-prep

# The launchers on Slurm and Ray clusters of this machine: nodes, daemons and workers killed (Slurm by Debian's packages, Ray of 285 MB in `target/`).
engines:
    cargo build --profile ci --locked
    python3 tests/scale/kubernetes.py --tool target/ci/ul2-prep
    python3 tests/scale/slurm.py --tool target/ci/ul2-prep
    tests/scale/ray --tool target/ci/ul2-prep

# A cluster on paper: makespan, idle workers, requests to the store.
cluster *args:
    python3 benches/cluster.py {{args}}

# What each stage costs on one thread.
stages shards tokenizer:
    UL2_PREP_SHARDS={{shards}} UL2_PREP_TOKENIZER={{tokenizer}} cargo bench --locked --bench stages

# End to end: MB/s of text per core, tokens/s, memory, scaling. SHARDS is a folder of `.jsonl.zst`, TOKENIZER a file, a folder or `bytes`.
bench shards tokenizer *args:
    cargo build --release --locked
    python3 benches/end_to_end.py --tool {{tool}} --shards {{shards}} --tokenizer {{tokenizer}} {{args}}

# The same, and in the same session what a user would run instead, from a throw-away Python environment.
bench-peers shards tokenizer *args: peers
    cargo build --release --locked
    python3 benches/end_to_end.py --tool {{tool}} --shards {{shards}} --tokenizer {{tokenizer}} --peer-python target/peers/bin/python {{args}}

# The peers' environment, in `target/`.
peers:
    test -x target/peers/bin/python || python3 -m venv target/peers
    target/peers/bin/python -m pip install --quiet --requirement benches/requirements.txt

# The examples in full, from an environment of their own (6 GB with PyPI's torch): trains on SHARDS, asks questions, runs the tests that need torch.
# Rows and pictures go to `target/`.
examples shards="fixtures/shards":
    test -x target/examples/bin/python || python3 -m venv target/examples
    target/examples/bin/python -m pip install --quiet --requirement examples/requirements.txt
    cargo build --release --locked
    rm -rf target/masked-t5 target/masked-causal
    {{tool}} run {{shards}} --out target/masked-t5 --recipe text-denoising --tokenizer fixtures/tokenizer --epochs 24 --seed 7
    {{tool}} run {{shards}} --out target/masked-causal --recipe u-palm --inputs-length 128 --labels-length 128 --tokenizer fixtures/tokenizer --seed 7
    target/examples/bin/python examples/questions.py target/masked-t5
    target/examples/bin/python examples/train_t5.py target/masked-t5 --compare --picture target/loss-t5.png
    target/examples/bin/python examples/train_causal.py target/masked-causal --picture target/loss-causal.png
    target/examples/bin/python -m pytest -q tests/readers/test_examples.py --tool {{tool}}

# Where a run's time goes, by function (needs `perf`).
profile shards tokenizer:
    cargo build --release --locked
    rm -rf target/profile && mkdir -p target/profile
    perf record --output target/profile/perf.data -- {{tool}} run {{shards}} --tokenizer {{tokenizer}} --out target/profile/out --quiet
    perf report --input target/profile/perf.data --no-children --percent-limit 1 --stdio

# Shares of a worker's time, by what stands in its stacks (needs `perf`).
shares shards tokenizer:
    cargo build --release --locked
    rm -rf target/profile && mkdir -p target/profile
    perf record --freq 999 --call-graph dwarf,12000 --output target/profile/perf.data -- {{tool}} run {{shards}} --tokenizer {{tokenizer}} --workers 1 --out target/profile/out --quiet
    perf script --input target/profile/perf.data --fields comm,ip,sym --no-inline | python3 benches/stacks.py

# The tool on other machines, in emulators and Wine: files of aarch64 Linux and Windows against this one's, wheels, the core on a big-endian machine.
machines *targets:
    cargo build --profile ci --locked
    tests/machines/run target/ci/ul2-prep {{targets}}

# Every column of plain, packed and causal rows by Spark 3.5 (its package has 320 MB; needs Java 8, 11 or 17).
spark:
    cargo build --profile ci --locked
    test -x target/spark/bin/python || python3 -m venv target/spark
    target/spark/bin/python -m pip install --quiet --requirement tests/readers/spark.txt
    tests/readers/spark target/ci/ul2-prep target/spark/bin/python

# Changes of the core, one at a time, that no test of the core notices (needs `cargo-mutants`; hours).
mutants *args:
    cargo mutants --file 'src/denoise/**' --profile ci --timeout 90 {{args}} -- --lib --test it -- tests:: core:: properties:: golden:: vectors:: statistics:: reference::

# Fuzz a target of `fuzz/` for that long: tokenize, record, lines, decode, recipe or manifest (needs nightly Rust and `cargo-fuzz`).
fuzz target seconds:
    mkdir -p fuzz/corpus/{{target}}
    cargo +nightly fuzz run --fuzz-dir fuzz {{target}} fuzz/corpus/{{target}} fuzz/seeds/{{target}} -- -max_total_time={{seconds}}
