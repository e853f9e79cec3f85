#!/bin/sh
# Installs what `make bench` measures against, where it is missing: nginx, a real Prometheus, and client_golang as Debian packages it.
set -eu

missing=
need() { # need FILE PACKAGE
    [ -e "$1" ] || missing="$missing $2"
}
need /usr/sbin/nginx nginx-light
need /usr/bin/prometheus prometheus
need /usr/bin/strip binutils
need /usr/lib/go/bin/go golang-go
need /usr/share/gocode/src/github.com/prometheus/client_golang golang-github-prometheus-client-golang-dev

if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    echo "installing:$missing"
    $sudo apt-get update -qq
    # The servers are started by the bench itself, on loopback: no service of theirs is to run. A policy that is already
    # there is kept.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
        $sudo chmod +x $policy
        trap '$sudo rm -f $policy' EXIT
    fi
    # shellcheck disable=SC2086 # a list of packages
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing
fi
