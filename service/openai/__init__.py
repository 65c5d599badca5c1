"""OpenAI's chat completions, with a memory behind them."""
