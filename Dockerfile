# Two static programs and nothing else: no shell, no package manager, no library.
#
#     docker build -t podreload --build-arg VERSION=$(git describe --tags --always) .
#
# Other architectures are cross-compiled, not emulated: --platform linux/arm64. The Go
# release is named in full, so that the same sources make the same bytes.
ARG GO_VERSION=1.26.8
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY daemonset daemonset
COPY nsenter nsenter
COPY shim shim
ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION=dev
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH
# As `make build` does: podreload knows the digest of the shim of its own build and takes no other.
RUN go build -trimpath -buildvcs=false -ldflags "-s -w" -o /out/podreload-shim ./cmd/podreload-shim && \
    go build -trimpath -buildvcs=false -o /out/podreload -ldflags \
    "-s -w -X main.version=$VERSION -X main.shimDigest=$(sha256sum /out/podreload-shim | cut -d' ' -f1)" ./cmd/podreload

FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="podreload" \
      org.opencontainers.image.description="Keeps files in running containers current from etcd and has the server there load them" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="https://github.com/podreload/podreload" \
      org.opencontainers.image.documentation="https://github.com/podreload/podreload/blob/main/daemonset/README.md" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/podreload /out/podreload-shim /usr/bin/
# /usr/bin is in everybody's PATH: kubectl exec POD -- podreload ps
ENTRYPOINT ["/usr/bin/podreload"]
CMD ["daemon"]
