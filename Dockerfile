# A static binary in an empty image; beside it only the root certificates that object stores are known by.
#
#   docker build -t ul2-prep .
#   docker run --rm -v "$PWD:/data" -u "$(id -u):$(id -g)" ul2-prep run shards --out masked
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates musl-tools && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
# The image's Rust is the one of `rust-toolchain.toml`; what that names besides is not needed here.
RUN rm rust-toolchain.toml && rustup target add x86_64-unknown-linux-musl
RUN cargo build --release --locked --target x86_64-unknown-linux-musl
RUN mkdir -p /image/tmp /image/data /image/etc/ssl/certs && chmod 1777 /image/tmp \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && cp target/x86_64-unknown-linux-musl/release/ul2-prep /image/ul2-prep

FROM scratch
COPY --from=build /image /
WORKDIR /data
ENTRYPOINT ["/ul2-prep"]
