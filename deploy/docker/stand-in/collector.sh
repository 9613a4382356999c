#!/bin/sh
# Rotel in place of OpenTelemetry's collector: listens and exports where the collector's configuration says, called as the collector is
# (--config FILE). For the stand-in of `cargo xtask stack-test` alone.
set -eu
listen=$(sed -n '/^receivers:/,/^[a-z]*ors:/ s/^ *endpoint: //p' "$2")
export_to=$(sed -n '/^exporters:/,/^service:/ s/^ *endpoint: //p' "$2")
exec /usr/local/python/rotel/rotel-agent start --otlp-grpc-endpoint "$listen" \
    --exporter otlp --otlp-exporter-endpoint "http://$export_to" --otlp-exporter-protocol grpc
