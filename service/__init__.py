"""The service: HTTP API, background tasks and command line."""
