# What deploys, tests, rotates and destroys a stack. scripts/build-images stages what is copied.
# BASE: an image with Python 3.10 or later and its venv module, bash, and CA certificates.
ARG BASE=python:3.13-slim
FROM ${BASE}
WORKDIR /countersign
COPY tools/ ./
# What sam needs to build functions goes again: half a gigabyte, and they are built.
RUN PIP_NO_CACHE_DIR=1 bash -c 'source scripts/lib.sh && use sam client' \
    && .tools/sam/bin/pip uninstall --quiet --yes cargo-lambda ziglang
COPY bin/ /usr/local/bin/
COPY project/ ./
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="countersign-operator" \
      org.opencontainers.image.description="Deploys, tests, rotates and destroys a stack, as ACTION says" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A home that any user can write to.
ENV HOME=/tmp
USER 65532:65532
ENTRYPOINT ["operator"]
