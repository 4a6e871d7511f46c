# The client, the roots that it trusts, and nothing else. scripts/build-images stages what is copied.
FROM scratch
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="countersign-client" \
      org.opencontainers.image.description="Proves that a container holds its group's pool, and receives what policy allows" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY root/ /
ENV COUNTERSIGN_MATERIAL=/material
USER 65532:65532
ENTRYPOINT ["/countersign"]
