"""How many tokens a text takes, estimated without a tokenizer.

Real tokenizers differ by model and fetch their tables from the network. A budget needs an estimate
that errs on the high side: four ASCII characters a token, one other character a token.
"""

_TITLE_TOKENS = 16


def count_tokens(text: str) -> int:
    """Estimate the tokens of `text`: at least one for a text that is not empty."""
    if text.isascii():
        return (len(text) + 3) // 4
    ascii_count = len(text.encode("ascii", "ignore"))
    return (ascii_count + 3) // 4 + len(text) - ascii_count


def title_of(text: str) -> str:
    """A text's beginning, on one line."""
    return clip_tokens(" ".join(text.split()), _TITLE_TOKENS)


def clip_tokens(text: str, budget: int) -> str:
    """The beginning of `text` that fits `budget` tokens, with an ellipsis where it was cut."""
    if count_tokens(text) <= budget:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count_tokens(text[:middle]) < budget else (low, middle - 1)
    return text[:low].rstrip() + "…" if low else ""
