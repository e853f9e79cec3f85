#!/bin/sh
# Installs what the test of the pages drives Chromium with into target/page-tools, at the versions of
# tests/page/package-lock.json. Does nothing where it is installed.
set -eu
cd "$(dirname "$0")/.."
tools=target/page-tools
stamp=$tools/package-lock.sha256
wanted=$(sha256sum <tests/page/package-lock.json)
if [ -d "$tools/node_modules" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
echo "Installing the tools of the page's test into $tools"
mkdir -p "$tools"
cp tests/page/package.json tests/page/package-lock.json "$tools"
(cd "$tools" && npm ci --silent --ignore-scripts --no-audit --no-fund)
# Written last: an interrupted installation leaves no stamp.
echo "$wanted" >"$stamp"
