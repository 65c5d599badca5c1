"""Sessions of a user and their turns."""
