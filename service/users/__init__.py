"""Users: list, statistics, import, export and erasure."""
