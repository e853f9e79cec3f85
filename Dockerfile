# The exporter as one static program on nothing: amd64 and arm64, cross-built on either.
#
#   docker build --tag emr-serverless-spark-exporter .
#   docker buildx build --platform linux/amd64,linux/arm64 --tag … --push .
#
# Revision and date: --build-arg REVISION="$(git rev-parse HEAD)" --build-arg BUILD_DATE="$(git log -1 --format=%cI)"

# --- The compilers, for both targets, on the machine that builds.
FROM --platform=$BUILDPLATFORM rust:1.95.0-slim-bookworm AS compilers
# Of these packages only the certificates end in the image, and those should be the latest.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY deploy/image/requirements.txt deploy/image/
COPY scripts/static-tools.sh scripts/
# Outside of target/, which later steps write to.
ENV STATIC_VENV=/opt/static-venv CARGO_INCREMENTAL=0
RUN scripts/static-tools.sh

# --- The dependencies: compiled anew only when Cargo.toml or Cargo.lock change.
FROM compilers AS dependencies
ARG TARGETARCH
COPY Cargo.toml Cargo.lock ./
COPY scripts/static-build.sh scripts/
RUN mkdir -p src tests/integration benches/figures \
    && echo 'fn main() {}' > src/main.rs \
    && cp src/main.rs tests/integration/main.rs \
    && cp src/main.rs benches/figures/main.rs \
    && touch src/lib.rs \
    && scripts/static-build.sh "$TARGETARCH"

# --- The program.
FROM dependencies AS build
ARG TARGETARCH
ARG REVISION=
ARG BUILD_DATE=
COPY src src
# Pages of the program.
COPY docs docs
# The stubs are younger than the sources that replace them, and cargo goes by age.
RUN touch src/main.rs src/lib.rs \
    && mkdir -p /image/usr/bin \
    && EMR_SPARK_EXPORTER_BUILD_REVISION="$REVISION" EMR_SPARK_EXPORTER_BUILD_DATE="$BUILD_DATE" \
        scripts/static-build.sh "$TARGETARCH" > /tmp/built \
    && install -m 0755 "$(cat /tmp/built)" /image/usr/bin/emr-serverless-spark-exporter \
    && install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
    && install -d /state \
    && printf 'exporter:x:65532:65532::/var/lib/emr-serverless-spark-exporter:/sbin/nologin\n' > /image/etc/passwd \
    && printf 'exporter:x:65532:\n' > /image/etc/group

# --- The image. Nothing runs in this stage: it is made for the target, which need not be the machine that builds.
FROM scratch AS image
ARG VERSION=0.1.0
ARG REVISION=
ARG BUILD_DATE=
LABEL org.opencontainers.image.title="emr-serverless-spark-exporter" \
      org.opencontainers.image.description="Prometheus exporter for Alibaba Cloud EMR Serverless Spark whose counters are a durable ledger" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$BUILD_DATE"
COPY --from=build /image /
COPY --from=build --chown=65532:65532 /state /var/lib/emr-serverless-spark-exporter
COPY LICENSE /usr/share/doc/emr-serverless-spark-exporter/LICENSE

# By number: Kubernetes' runAsNonRoot cannot judge a name.
USER 65532:65532
WORKDIR /var/lib/emr-serverless-spark-exporter
ENV EMR_SPARK_EXPORTER__LEDGER__PATH=/var/lib/emr-serverless-spark-exporter/ledger.db
# All that is written: the root file system may be read-only.
VOLUME /var/lib/emr-serverless-spark-exporter
EXPOSE 10990
# It reads the same variables as the daemon; where that has a settings file, give it here, too:
# --health-cmd 'emr-serverless-spark-exporter healthcheck --config.file=…'
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["/usr/bin/emr-serverless-spark-exporter", "healthcheck"]
# Commits what it has, and ends with 0.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/emr-serverless-spark-exporter"]
