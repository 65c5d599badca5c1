"""Turns: chat with the model, and the prompt for a message."""
