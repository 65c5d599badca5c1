"""Authentication: API keys, JSON Web Tokens, and the principals they name."""
