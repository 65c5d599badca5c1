"""Experiments that compare memory types on recorded conversations."""
