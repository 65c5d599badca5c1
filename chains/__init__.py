"""How one turn is thought: recall, prompt, model, remember."""
