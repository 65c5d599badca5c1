"""Traces for OpenTelemetry: an extra, and nothing at all where no exporter is configured."""
