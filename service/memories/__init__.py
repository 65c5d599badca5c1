"""Memories of a user: records, preferences and quarantine."""
