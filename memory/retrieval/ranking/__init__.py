"""Ranking: from a parsed query to candidates, features, scores and selected hits."""
