"""One chat turn: recall, build the prompt, call the model, store the turn."""
