#!/bin/sh
# Makes sure that the two base images of the Dockerfile exist: debian:bookworm-slim and
# rust:1.95-slim-bookworm.
#
# Each one is taken as it is when the engine has it, pulled when a registry of images can be
# reached, and otherwise made here under the same tag: Debian's packages by debootstrap, and
# for the second one the local Rust toolchain, a linker and this machine's CA bundle. Images made
# here carry the label p2pci.base-image=local, so that `docker image inspect` tells them apart.
#
# Images made here hold this machine's certificates, proxy settings and cargo configuration.
# They are for building on this machine; do not push them anywhere.
#
# Usage: xtask/docker/base-images.sh
# Environment:
#   DOCKER         the engine's client (default: docker)
#   DEBIAN_MIRROR  where debootstrap fetches from (default: what apt is configured for here)
# Exit codes: 0 both images exist; 1 one could not be had (the reason is on standard error).

set -eu

DOCKER=${DOCKER:-docker}
SUITE=bookworm
DEBIAN_IMAGE=debian:bookworm-slim
RUST_IMAGE=rust:1.95-slim-bookworm
# The toolchain must be of the release that the tag promises.
RUST_RELEASE=1.95
# One hung connection must not hang the whole script: a pull that takes longer than this on a
# network that works is rarer than a network that drops packets.
PULL_SECONDS=600

work=
cleanup() {
    if [ -n "$work" ]; then
        # debootstrap leaves these mounted when it is interrupted; deleting through a mount
        # of /proc would be wrong, so they go first.
        for mount in "$work"/*/proc "$work"/*/sys; do
            if mountpoint -q "$mount" 2>/dev/null; then umount "$mount"; fi
        done
        rm -rf --one-file-system "$work"
    fi
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf 'base-images: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Reads one proxy (http or https) from the environment, else from apt's configuration.
proxy_of() {
    case $1 in
        http) value=${http_proxy:-${HTTP_PROXY:-}} ;;
        *) value=${https_proxy:-${HTTPS_PROXY:-}} ;;
    esac
    if [ -z "$value" ] && command -v apt-config >/dev/null; then
        APT_PROXY=
        eval "$(apt-config shell APT_PROXY "Acquire::$1::Proxy")"
        if [ "$APT_PROXY" != DIRECT ]; then value=$APT_PROXY; fi
    fi
    printf '%s' "$value"
}

# The archive that apt uses here for this suite. Empty on another system than Debian bookworm,
# where debootstrap's own default is right.
apt_mirror() {
    if command -v apt-get >/dev/null; then
        # The format is apt's own, not the shell's.
        # shellcheck disable=SC2016
        apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
            'Origin: Debian' "Codename: $SUITE" 'Component: main' 2>/dev/null | head -n 1
    fi
}

need_debootstrap() {
    [ "$(id -u)" -eq 0 ] || die "cannot pull the image, and making it needs root: run this script as root once"
    command -v debootstrap >/dev/null && return
    command -v apt-get >/dev/null || die "cannot pull the image, and making it needs debootstrap: install it"
    say "installing debootstrap"
    apt-get install -y -q debootstrap >&2 || {
        # The package lists of a new machine may be missing or old.
        apt-get update -q >&2 && apt-get install -y -q debootstrap >&2
    } || die "debootstrap could not be installed"
}

# bootstrap DIR [PACKAGES]: a minimal Debian in DIR, without what the official slim images lack too.
bootstrap() {
    root=$1
    set -- ${2:+"--include=$2"} "$SUITE" "$root" ${mirror:+"$mirror"}
    mkdir -p "$work/debs"
    if ! debootstrap --variant=minbase --cache-dir="$work/debs" "$@" >"$work/log" 2>&1; then
        tail -n 20 "$work/log" >&2
        if [ -f "$root/debootstrap/debootstrap.log" ]; then
            tail -n 20 "$root/debootstrap/debootstrap.log" >&2
        fi
        die "debootstrap failed"
    fi
    rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/info/* \
        "$root"/usr/share/locale/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* \
        "$root"/var/log/* "$root"/etc/hostname "$root"/etc/resolv.conf
}

# This machine's bundle of certificate authorities: a company's or a laboratory's own authority is
# in it, and without it the builder could not fetch crates through that network.
ca_bundle() {
    for file in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt \
        /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
        if [ -n "$file" ] && [ -r "$file" ]; then
            printf '%s' "$file"
            return
        fi
    done
}

# toolchain DIR: compiler, standard library, rustdoc (which `cargo test` wants) and cargo, without documentation and
# sources.
toolchain() {
    command -v rustc >/dev/null || die "making $RUST_IMAGE needs a local Rust $RUST_RELEASE toolchain"
    version=$(rustc --version | cut -d ' ' -f 2)
    case $version in
        "$RUST_RELEASE".*) ;;
        *) die "making $RUST_IMAGE needs Rust $RUST_RELEASE, but rustc here is $version" ;;
    esac
    sysroot=$(rustc --print sysroot)
    [ -x "$sysroot/bin/cargo" ] || die "no cargo in $sysroot/bin"
    host=$(rustc --version --verbose | sed -n 's/^host: //p')
    mkdir -p "$1/bin" "$1/lib/rustlib"
    cp "$sysroot/bin/cargo" "$sysroot/bin/rustc" "$sysroot/bin/rustdoc" "$1/bin/"
    find "$sysroot/lib" -maxdepth 1 -name '*.so*' -exec cp -P {} "$1/lib/" ';'
    # The target's folder also holds the linker that rustc uses on some hosts.
    cp -R "$sysroot/lib/rustlib/$host" "$1/lib/rustlib/"
}

# import DIR TAG [CHANGE...]: a folder becomes a one-layer image.
import_image() {
    dir=$1
    tag=$2
    shift 2
    tar -C "$dir" --numeric-owner -c . | "$DOCKER" import --change 'LABEL p2pci.base-image=local' \
        --change 'CMD ["bash"]' "$@" - "$tag" >/dev/null || die "docker import of $tag failed"
    # A pipe's exit code is that of its last command: make sure that the whole folder went through.
    "$DOCKER" run --rm "$tag" dpkg --audit >/dev/null || die "$tag was made but does not run"
    say "made $tag"
}

make_debian() {
    bootstrap "$work/debian"
    import_image "$work/debian" "$DEBIAN_IMAGE"
}

make_rust() {
    root=$work/rust
    bootstrap "$root" ca-certificates,gcc,libc6-dev,pkg-config
    toolchain "$root/usr/local/rust"
    bundle=$(ca_bundle)
    if [ -n "$bundle" ]; then cp -L "$bundle" "$root/etc/ssl/certs/ca-certificates.crt"; fi
    mkdir -p "$root/usr/local/cargo"
    # A mirror of the crates registry is configured here. Credentials are in a file of their own,
    # which is left alone.
    for file in config.toml config; do
        if [ -f "${CARGO_HOME:-$HOME/.cargo}/$file" ]; then
            cp -L "${CARGO_HOME:-$HOME/.cargo}/$file" "$root/usr/local/cargo/config.toml"
            break
        fi
    done
    set -- --change 'ENV CARGO_HOME=/usr/local/cargo' \
        --change 'ENV PATH=/usr/local/cargo/bin:/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    for name in http_proxy https_proxy no_proxy; do
        case $name in
            no_proxy) value=${no_proxy:-${NO_PROXY:-}} ;;
            *) value=$(proxy_of "${name%_proxy}") ;;
        esac
        if [ -n "$value" ]; then set -- "$@" --change "ENV $name=$value"; fi
    done
    import_image "$root" "$RUST_IMAGE" "$@"
    "$DOCKER" run --rm "$RUST_IMAGE" cargo --version >&2 || die "$RUST_IMAGE was made but its cargo does not run"
}

# ensure TAG MAKER
ensure() {
    if "$DOCKER" image inspect "$1" >/dev/null 2>&1; then
        say "have $1"
        return
    fi
    if pull_error=$(timeout "$PULL_SECONDS" "$DOCKER" pull -q "$1" 2>&1); then
        say "pulled $1"
        return
    fi
    say "cannot pull $1 ($(printf '%s' "$pull_error" | tr '\n' ' ' | cut -c 1-200)); making it"
    need_debootstrap
    if [ -z "$work" ]; then
        # /tmp may be a small tmpfs, often mounted noexec or nodev, where debootstrap cannot work.
        work=$(mktemp -d "${TMPDIR:-/var/tmp}/p2pci-base.XXXXXX")
        mirror=${DEBIAN_MIRROR:-$(apt_mirror)}
        http_proxy=$(proxy_of http)
        https_proxy=$(proxy_of https)
        # An empty proxy variable is not the same as none to every tool.
        if [ -n "$http_proxy" ]; then export http_proxy; else unset http_proxy; fi
        if [ -n "$https_proxy" ]; then export https_proxy; else unset https_proxy; fi
    fi
    "$2"
}

# The toolchain file of the project decides which rustc is meant.
cd "$(dirname "$0")/../.."
"$DOCKER" version >/dev/null 2>&1 || die "no Docker engine answers"
ensure "$DEBIAN_IMAGE" make_debian
ensure "$RUST_IMAGE" make_rust
