# Certwright's image: one static program, and the list of what it is made of. deploy/image builds both and the image;
# docs/image.md says how.
FROM scratch
ARG VERSION
LABEL org.opencontainers.image.title="certwright" \
      org.opencontainers.image.description="Issues, renews and rolls out TLS certificates in a Kubernetes cluster" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY certwright certwright.cdx.json LICENSE /
USER 65532:65532
ENTRYPOINT ["/certwright"]
