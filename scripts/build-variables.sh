# Sourced: exports what a build says of itself, from the commit unless the environment has it already.
# shellcheck shell=sh
# A tree without git, such as an unpacked archive, builds too: it says `unknown`.
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
: "${EMR_SPARK_EXPORTER_BUILD_REVISION:=$(git rev-parse HEAD 2>/dev/null || echo)}"
if [ -z "${EMR_SPARK_EXPORTER_BUILD_DATE:-}" ] && [ "$SOURCE_DATE_EPOCH" != 0 ]; then
    EMR_SPARK_EXPORTER_BUILD_DATE=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
fi
: "${EMR_SPARK_EXPORTER_BUILD_DATE:=}"
export SOURCE_DATE_EPOCH EMR_SPARK_EXPORTER_BUILD_REVISION EMR_SPARK_EXPORTER_BUILD_DATE
