"""Benchmarks; each prints ratios between alternatives that it runs side by side."""
