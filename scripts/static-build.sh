#!/bin/sh
# Builds the program as one static file: scripts/static-build.sh amd64|arm64 [cargo's further flags]
# Prints the path of the file as its last line. The release archives and the image both hold what this builds.
set -eu
cd "$(dirname "$0")/.."

case "${1-}" in
    amd64) target=x86_64-unknown-linux-musl ;;
    arm64) target=aarch64-unknown-linux-musl ;;
    *)
        echo "usage: $0 amd64|arm64 [flags]" >&2
        exit 64
        ;;
esac
shift
venv=${STATIC_VENV:-target/static-venv}
if [ ! -x "$venv/bin/cargo-zigbuild" ]; then
    echo "$venv/bin/cargo-zigbuild is missing: run scripts/static-tools.sh" >&2
    exit 69
fi

# zig compiles its libc in one go, and has all files of it open.
# shellcheck disable=SC3045 # dash and bash have it
ulimit -S -n "$(ulimit -H -n)"

# No path of this machine in the program: the same sources make the same file in any directory.
home=${CARGO_HOME:-$HOME/.cargo}
remap="--remap-path-prefix=$PWD=/source --remap-path-prefix=$home=/cargo"
files="-ffile-prefix-map=$PWD=/source -ffile-prefix-map=$home=/cargo"
underscored=$(echo "$target" | tr - _)
variable=CARGO_TARGET_$(echo "$underscored" | tr '[:lower:]' '[:upper:]')_RUSTFLAGS
export "$variable=$remap" "CFLAGS_$underscored=$files"

PATH="$(cd "$venv" && pwd)/bin:$PATH" cargo zigbuild --release --locked --target "$target" \
    --bin emr-serverless-spark-exporter "$@" >&2
echo "${CARGO_TARGET_DIR:-target}/$target/release/emr-serverless-spark-exporter"
