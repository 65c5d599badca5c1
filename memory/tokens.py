"""Token estimates without a tokenizer, and texts clipped by them: excerpts and titles.

Tokenizers differ by model and download their tables. A budget needs an estimate that errs on the
high side: four ASCII characters per token, one other character per token.
"""

_TITLE_TOKENS = 16


def count_tokens(text: str) -> int:
    """The estimated tokens of `text`, at least 1 unless it is empty."""
    if text.isascii():
        return (len(text) + 3) // 4
    ascii_count = len(text.encode("ascii", "ignore"))
    return (ascii_count + 3) // 4 + len(text) - ascii_count


def title_of(text: str) -> str:
    """A title: the beginning of a text, on one line."""
    return clip_tokens(" ".join(text.split()), _TITLE_TOKENS)


def clip_tokens(text: str, budget: int) -> str:
    """`text`, cut to `budget` tokens with an ellipsis if it is longer."""
    if count_tokens(text) <= budget:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count_tokens(text[:middle]) < budget else (low, middle - 1)
    return text[:low].rstrip() + "…" if low else ""
