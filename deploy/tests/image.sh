#!/bin/sh
# Builds the image by its Dockerfile, and puts the program that is in it at target/deploy-image/emr-serverless-spark-exporter, for
# all tests of deploy/. Layers stay in target/deploy-image/storage: with the same Cargo.lock only the program is built anew.
#
# What is replaced: no registry of images is asked. In the place of the official image of Rust the Dockerfile begins here with one
# of the same Debian packages, in which this machine's Rust is mounted, and with this machine's certificates and settings
# of cargo and pip. All instructions run as they stand, in a chroot.
set -eu
cd "$(dirname "$0")/../.."
. scripts/build-variables.sh

# In the mounted toolchain nothing can be installed any more: what it lacks comes before.
scripts/static-tools.sh

name=emr-serverless-spark-exporter
out=target/deploy-image
base=localhost/$name:test-base
mkdir -p "$out"
out=$(cd "$out" && pwd)
podman() {
    command podman --root="$out/storage" --runroot="$out/run" --runtime=runc --cgroup-manager=cgroupfs --log-level=error "$@"
}

# Layers of earlier sources gather there.
[ "$(du -sm "$out" | cut -f1)" -lt 8000 ] || rm -rf "$out/storage"
if ! podman image exists "$base"; then
    echo "Making an image of Debian's packages to build in"
    rm -rf "$out/base"
    mkdir "$out/base"
    # Documents are nobody's to read there.
    mmdebstrap --quiet --variant=minbase --include=ca-certificates,gcc,libc6-dev \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$out/base/debian.tar"
    cp /etc/ssl/certs/ca-certificates.crt "$out/base/"
    cat >"$out/base/Containerfile" <<'END'
FROM scratch
ADD debian.tar /
COPY ca-certificates.crt /etc/ssl/certs/
ENV PATH=/toolchain/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin CARGO_HOME=/usr/local/cargo \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
END
    podman build --quiet --isolation=chroot --format=docker --tag "$base" "$out/base"
    rm -rf "$out/base"
fi

set -- --volume="$(rustc --print sysroot):/toolchain:ro"
for file in "${CARGO_HOME:-$HOME/.cargo}/config.toml" "$HOME/.config/pip/pip.conf" /etc/pip.conf; do
    case $file in
        */config.toml) inside=/usr/local/cargo/config.toml ;;
        *) inside=/etc/pip.conf ;;
    esac
    [ ! -e "$file" ] || set -- "$@" --volume="$file:$inside:ro"
done
files=$(ulimit -H -n)
podman build --isolation=chroot --format=docker --ulimit="nofile=$files:$files" --from="$base" --tag="localhost/$name:test-deploy" \
    --build-arg=REVISION="$EMR_SPARK_EXPORTER_BUILD_REVISION" --build-arg=BUILD_DATE="$EMR_SPARK_EXPORTER_BUILD_DATE" "$@" .

container=$(podman create --no-healthcheck "localhost/$name:test-deploy")
podman cp "$container:/usr/bin/$name" "$out/$name"
podman rm "$container" >/dev/null
# What it has to say of itself: whoever commits meanwhile need not build anew.
echo "$EMR_SPARK_EXPORTER_BUILD_REVISION" >"$out/revision"
