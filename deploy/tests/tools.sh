#!/bin/sh
# Installs the tools of `make test-deploy` into target/deploy-tools: programs of the Go modules below, at these versions,
# Kubernetes' own schemas, Python packages, and Debian packages. Does nothing where they are installed.
set -eu
cd "$(dirname "$0")/../.."

KUBERNETES=v1.36.3
PROMETHEUS_OPERATOR=v0.85.0
# Name, module, package, and the checksum where not every checksum database knows the version. Each is built in its own directory,
# by its own go.sum: `go install` refuses a module that replaces another, and asks the proxy for lists that not each has.
PROGRAMS="
helm                helm.sh/helm/v3@v3.22.0 ./cmd/helm
kubeconform         github.com/yannh/kubeconform@v0.8.0 ./cmd/kubeconform
compose-spec        github.com/compose-spec/compose-go/v2@v2.16.2 ./cmd
pint                github.com/cloudflare/pint@v0.60.0 ./cmd/pint h1:7vUoyx+3HjEHtZmgyyi8PtX6hME1V/KAeZdqZYieN1A=
dashboard-linter    github.com/grafana/dashboard-linter@v0.0.0-20241224134444-1765d94aec4a . h1:wpyAYX8+Rqu0LIEE7zXBR/qjBH4t0yXvqlRGa1wD5rg=
promtool            github.com/prometheus/prometheus@v0.315.0 ./cmd/promtool
prometheus          github.com/prometheus/prometheus@v0.315.0 ./cmd/prometheus
"

tools=target/deploy-tools
mkdir -p "$tools/bin"
tools=$(cd "$tools" && pwd)

if ! command -v go >/dev/null 2>&1; then
    echo "make test-deploy needs Go, 1.26 or later, to build its tools: put \`go\` on the PATH. make test does without." >&2
    exit 69
fi
missing=
for pair in podman:podman runc:runc /usr/lib/podman/netavark:netavark mmdebstrap:mmdebstrap qemu-aarch64-static:qemu-user-static strace:strace \
    systemd-analyze:systemd readelf:binutils ps:procps python3:python3 cc:gcc; do
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

# A tool may ask for a newer Go than this one: it is then fetched as a module, like everything else. Prometheus comes without the
# clients of thirty clouds that it could discover targets in, and all without what only a debugger reads: half of the time.
export GOTOOLCHAIN=auto GOWORK=off CGO_ENABLED=0 GOFLAGS="-trimpath -tags=remove_all_sd '-ldflags=-s -w'"

field() { # field NAME MODULE: what `go mod download` says of it
    go mod download -json "$2" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

echo "$PROGRAMS" | while read -r name module package sum; do
    [ -n "$name" ] || continue
    directory=$(echo "$module" | tr '/' '_')
    installed=$tools/$directory
    if [ ! -x "$installed/$name" ]; then
        echo "Building $name of $module"
        [ -z "$sum" ] || export GONOSUMDB="${module%@*}"
        found=$(field Sum "$module")
        sources=$(field Dir "$module")
        unset GONOSUMDB
        if [ -n "$sum" ] && [ "$found" != "$sum" ]; then
            echo "$module is not what it was: its checksum is $found, not $sum" >&2
            exit 65
        fi
        (cd "$sources" && go build -mod=readonly -o "$installed/$name" "$package")
    fi
    ln -sf "../$directory/$name" "$tools/bin/$name"
done

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
    kubernetes=$(field Dir "k8s.io/kubernetes@$KUBERNETES")
    operator=$(field Dir "github.com/prometheus-operator/prometheus-operator@$PROMETHEUS_OPERATOR")
    rm -rf "$schemas.new"
    python3 deploy/tests/schemas.py "$kubernetes/api/openapi-spec/swagger.json" \
        "$operator/jsonnet/prometheus-operator" "$schemas.new"
    mv "$schemas.new" "$schemas"
fi
ln -sfn "$(basename "$schemas")" "$tools/schemas"
