"""Indexes of a user: words, vectors and features of the messages, and their cache."""
