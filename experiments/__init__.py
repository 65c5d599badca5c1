"""Experiments: memory types compared on conversations, in numbers and pictures."""
