#!/bin/sh
# Installs what scripts/static-build.sh needs into target/static-venv, and Rust's standard library for the targets.
# Does nothing where it is installed.
set -eu
cd "$(dirname "$0")/.."
requirements=deploy/image/requirements.txt
venv=${STATIC_VENV:-target/static-venv}
stamp=$venv/requirements.sha256
wanted=$(sha256sum <"$requirements")

for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do
    # The directory is looked for first: rustup asks the network about a target that is there.
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || rustup target add "$target"
done

if [ -x "$venv/bin/cargo-zigbuild" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
echo "Installing zig and cargo-zigbuild into $venv"
python3 -m venv --clear "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
# Written last: an interrupted installation leaves no stamp.
echo "$wanted" >"$stamp"
