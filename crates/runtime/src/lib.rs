//! What every process needs, once: configuration, telemetry, lifecycle, gRPC, clock.
