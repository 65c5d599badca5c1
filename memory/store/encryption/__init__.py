"""Encryption at rest: ciphers, data keys of users, master keys and migrations."""
