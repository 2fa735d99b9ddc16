# One image with both programs, `registry` and `peer`, and the sample RFCs.
#
#   docker build -t p2p-ci .
#   docker run --rm p2p-ci peer --help
#
# Kept to what the builder of Docker 20.10 understands: no RUN --mount, no heredoc, no COPY --chmod.
# Where the base images cannot be pulled, xtask/docker/base-images.sh makes them.

# The workspace reduced to its manifests, with empty sources. This stage runs whenever anything
# changes, but its result changes only with a manifest, the lock file or the name of a source file.
FROM rust:1.95-slim-bookworm AS skeleton
# The older builder leaves the images of these stages behind, nameless. By this label they can be found:
# docker image prune --filter label=p2pci.stage
LABEL p2pci.stage=skeleton
WORKDIR /build
COPY . .
RUN find . -type f ! -name '*.rs' ! -name Cargo.toml ! -name Cargo.lock ! -path './.cargo/*' -delete \
    && find . -type d -empty -delete \
    && find . -name '*.rs' -exec sh -c 'for file; do echo "#![allow(dead_code)] fn main() { }" > "$file"; done' sh {} +

FROM rust:1.95-slim-bookworm AS builder
LABEL p2pci.stage=builder
WORKDIR /build
# The dependencies: a layer of its own, which a change in the sources leaves in the cache.
COPY --from=skeleton /build .
RUN cargo build --release --locked -p registry -p peer
# The programs. cargo compares times of modification, and the sources are older than what was
# just built from the empty ones.
COPY . .
RUN find . -name target -prune -o -name '*.rs' -exec touch {} + \
    && cargo build --release --locked -p registry -p peer

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="P2P-CI" \
    org.opencontainers.image.description="A registry of active peers and the RFCs that they share, and the peer" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0"
# Where a peer keeps its digest cache and the port that its health check asks. Anybody may write
# here, like /tmp, because `docker run --user` may set any user.
RUN mkdir -m 1777 /run/p2pci
ENV P2PCI_STATE_DIR=/run/p2pci
COPY xtask/samples/alice /usr/share/p2pci/samples/alice
COPY xtask/samples/bob /usr/share/p2pci/samples/bob
COPY xtask/samples/carol /usr/share/p2pci/samples/carol
COPY --from=builder /build/target/release/registry /build/target/release/peer /usr/local/bin/
# A number without a name in /etc/passwd: nothing in the image belongs to it.
USER 65532:65532
# No EXPOSE: of the two programs only the registry has a port that is known beforehand (7734).
# No entry point: the image holds two programs, and each is started by its name. Both handle
# SIGTERM as process 1 and start no children, so no init process stands above them.
CMD ["registry", "--help"]
