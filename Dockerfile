# Ell in a container: one static binary, no shell, no root, nothing to write but /data.
#
#   docker build -t ell .
#   docker run --rm -p 127.0.0.1:8888:8888 -v ell:/data ell            # everything in one process
#   docker compose -f deploy/compose/compose.yaml up                   # the roles on Apache Kafka
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w" -o out/ell ./cmd/ell
RUN mkdir -p out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/out/ell /ell
COPY --from=build --chown=65532:65532 /src/out/data /data
USER 65532:65532
# A listener on the container's loopback could be reached by nobody.
ENV ELL_DATA=/data ELL_HTTP_ADDR=0.0.0.0:8888 ELL_GATEWAY_ADDR=0.0.0.0:8082 ELL_LOG=info ELL_LOG_FORMAT=json
VOLUME /data
EXPOSE 8888 8082
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=6 CMD ["/ell", "health"]
ENTRYPOINT ["/ell"]
