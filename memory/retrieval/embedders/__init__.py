"""Embedders: the built-in static model, remote providers, and their circuit breaker."""
