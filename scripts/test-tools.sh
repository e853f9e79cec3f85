#!/bin/sh
# Installs the Debian packages that the tests use, where they are missing.
set -eu

missing=
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need cc gcc
need promtool prometheus
need prometheus prometheus
need prometheus-alertmanager prometheus-alertmanager
need amtool prometheus-alertmanager
need python3 python3
need curl curl
need chromium chromium
need node nodejs
need npm npm
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="$missing python3-venv"

if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    echo "installing:$missing"
    $sudo apt-get update -qq
    # shellcheck disable=SC2086 # a list of packages
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing
fi

for component in rustfmt clippy; do
    if ! cargo "$( [ $component = rustfmt ] && echo fmt || echo clippy )" --version >/dev/null 2>&1; then
        rustup component add $component
    fi
done
