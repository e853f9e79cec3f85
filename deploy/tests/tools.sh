#!/bin/sh
# Installs the tools of `make test-deploy` into target/deploy-tools: programs of the Go modules below, at these versions,
# Kubernetes' own schemas, Python packages, and Debian's podman, runc and strace. Does nothing where they are installed.
set -eu
cd "$(dirname "$0")/../.."

KUBERNETES=v1.36.3
PROMETHEUS_OPERATOR=v0.85.0
PROGRAMS="
helm                helm.sh/helm/v3/cmd/helm@v3.22.0
kubeconform         github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0
compose-spec        github.com/compose-spec/compose-go/v2/cmd@v2.16.2
dashboard-linter    github.com/grafana/dashboard-linter@v0.0.0-20241224134444-1765d94aec4a
pint                github.com/cloudflare/pint/cmd/pint@v0.60.0
promtool            github.com/prometheus/prometheus/cmd/promtool@v0.315.0
prometheus          github.com/prometheus/prometheus/cmd/prometheus@v0.315.0
"

tools=target/deploy-tools
mkdir -p "$tools/bin"
tools=$(cd "$tools" && pwd)

if ! command -v go >/dev/null 2>&1; then
    echo "make test-deploy needs Go, 1.26 or later, to build its tools: put \`go\` on the PATH. make test does without." >&2
    exit 69
fi
# A tool may ask for a newer Go than this one: it is then fetched as a module, like everything else.
export GOTOOLCHAIN=auto GOFLAGS=-trimpath CGO_ENABLED=0

echo "$PROGRAMS" | while read -r name module; do
    [ -n "$name" ] || continue
    installed=$tools/$(echo "$module" | tr '/' '_')
    if [ ! -x "$installed/$name" ]; then
        echo "Installing $module"
        rm -rf "$installed"
        # A module whose program is called `cmd` or the like gets the name above.
        GOBIN=$installed/new go install "$module"
        mv "$installed/new/"* "$installed/$name"
    fi
    ln -sf "$installed/$name" "$tools/bin/$name"
done

missing=
for pair in podman:podman runc:runc strace:strace systemd-analyze:systemd python3:python3 cc:gcc; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="$missing python3-venv"
if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    echo "installing:$missing"
    $sudo apt-get update -qq
    # shellcheck disable=SC2086 # a list of packages
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing
fi

wanted=$(sha256sum <deploy/tests/requirements.txt)
if [ "$(cat "$tools/venv/requirements.sha256" 2>/dev/null)" != "$wanted" ]; then
    echo "Installing the Python packages of deploy/tests/requirements.txt"
    python3 -m venv --clear "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --requirement deploy/tests/requirements.txt
    echo "$wanted" >"$tools/venv/requirements.sha256"
fi

schemas=$tools/schemas-$KUBERNETES-$PROMETHEUS_OPERATOR
if [ ! -d "$schemas" ]; then
    echo "Writing the schemas of Kubernetes $KUBERNETES and the Prometheus Operator $PROMETHEUS_OPERATOR"
    directory() { # directory MODULE: where its sources are
        go mod download -json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])'
    }
    kubernetes=$(directory "k8s.io/kubernetes@$KUBERNETES")
    operator=$(directory "github.com/prometheus-operator/prometheus-operator@$PROMETHEUS_OPERATOR")
    rm -rf "$schemas.new"
    python3 deploy/tests/schemas.py "$kubernetes/api/openapi-spec/swagger.json" \
        "$operator/jsonnet/prometheus-operator" "$schemas.new"
    mv "$schemas.new" "$schemas"
fi
ln -sfn "$schemas" "$tools/schemas"
