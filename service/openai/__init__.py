"""OpenAI's chat completions API, with memory."""
