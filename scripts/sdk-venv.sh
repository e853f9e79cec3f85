#!/bin/sh
# Installs the official Python SDK, the simulator's judge, and prometheus_client, the page's, into target/sdk-venv. Does nothing where it is installed.
set -eu
cd "$(dirname "$0")/.."
requirements=tests/sdk/requirements.txt
venv=target/sdk-venv
stamp=$venv/requirements.sha256
wanted=$(sha256sum <"$requirements")
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
echo "Installing the official Python SDK into $venv"
python3 -m venv --clear "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
# Written last: an interrupted installation leaves no stamp.
echo "$wanted" >"$stamp"
