#!/bin/sh
# Builds the release into target/release-archives: for each architecture the program with settings, dashboards, rules, unit and
# documents; the chart; the SBOM; SHA256SUMS. The same commit makes the same bytes, wherever and whenever it is built.
#
#   scripts/release.sh                        both architectures
#   ARCHITECTURES=amd64 scripts/release.sh    one
#   PROGRAM=path scripts/release.sh           pack this program instead of building one (one architecture)
set -eu
cd "$(dirname "$0")/.."
. scripts/build-variables.sh

name=emr-serverless-spark-exporter
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
out=${OUT:-target/release-archives}
architectures=${ARCHITECTURES:-amd64 arm64}
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
rm -rf "$out"
mkdir -p "$out"

# pack DIRECTORY ARCHIVE: what is below $stage/DIRECTORY, sorted, nobody's, of the commit's time, links followed.
pack() {
    find "$stage/$1" -type d -exec chmod 0755 {} +
    find "$stage/$1" -type f -perm -u+x -exec chmod 0755 {} +
    find "$stage/$1" -type f ! -perm -u+x -exec chmod 0644 {} +
    tar --create --directory "$stage" --dereference --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="@$SOURCE_DATE_EPOCH" --format=gnu "$1" | gzip --best >"$out/$2"
}

scripts/sbom.py >"$out/$name-$version.cdx.json"

[ -n "${PROGRAM:-}" ] || scripts/static-tools.sh
for architecture in $architectures; do
    program=${PROGRAM:-$(scripts/static-build.sh "$architecture")}
    directory=$name-$version.linux-$architecture
    mkdir -p "$stage/$directory"
    install -m 0755 "$program" "$stage/$directory/$name"
    cp README.md CHANGELOG.md LICENSE "$stage/$directory/"
    cp --recursive --dereference config docs "$stage/$directory/"
    mkdir "$stage/$directory/dashboards"
    cp dashboards/*.json "$stage/$directory/dashboards/"
    mkdir -p "$stage/$directory/deploy"
    cp --recursive deploy/systemd "$stage/$directory/deploy/"
    cp "$out/$name-$version.cdx.json" "$stage/$directory/sbom.cdx.json"
    pack "$directory" "$directory.tar.gz"
done

# Helm reads it as it reads its own packages. The links to dashboards and rules become files.
cp --recursive --dereference "deploy/helm/$name" "$stage/"
rm -rf "$stage/${name:?}/ci" "$stage/$name/dashboards/generator"
pack "$name" "$name-chart-$version.tgz"

(cd "$out" && sha256sum -- *.tar.gz *.tgz *.cdx.json >SHA256SUMS)
ls -l "$out"
