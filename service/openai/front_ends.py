"""What front ends and libraries send that their user did not say, by the shapes of a data file."""

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias

import msgspec

from onionskin.memory.content import NO_TEXT
from onionskin.service.openai.schemas import ChatCompletionMessage

Origin: TypeAlias = Literal["user", "correction", "summary", "demonstration"]
"""Who wrote a message in the user's name: the user, or a library (see `front_ends.toml`)."""
_HEAD = 500
"""Characters at the beginning of a text that openers are compared with."""
_NAME = re.compile(
    r"<(?:file|source|document)\b[^>]{0,500}?\b(?:name|filename|path)=\"([^\"<>]{1,200})\""
)
_QUERY = re.compile(r"\s*<user_query>(.*?)</user_query>", re.DOTALL | re.IGNORECASE)
_NOTE = "(attached: "
_MOST_NAMES, _MOST_BLOCKS = 10, 50


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a text begins and what it holds; see `front_ends.toml`."""

    client: str
    purpose: str
    starts: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    any: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()

    def matches(self, text: str, opening: str) -> bool:
        """Whether a text has the shape.

        Args:
            text: The text.
            opening: Its normalized beginning.
        """
        if not opening.startswith(self.starts):
            return False
        if not (self.contains or self.any or self.lacks):
            return True
        whole = _normalized(text)
        return (
            all(part in whole for part in self.contains)
            and (not self.any or any(part in whole for part in self.any))
            and not any(part in whole for part in self.lacks)
        )


class Job(Shape, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A request that the model answers without memory."""

    message: Literal["only", "last", "system"]
    stream: bool | None = None


class Wrapper(Shape, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Text around or in front of the user's words."""

    tag: str = ""
    suffix: tuple[str, ...] = ()


class FrontEnds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shapes of `front_ends.toml`."""

    job: tuple[Job, ...]
    wrapper: tuple[Wrapper, ...]
    correction: tuple[Shape, ...]
    summary: tuple[Shape, ...]
    demonstration: tuple[Shape, ...]

    def is_job(self, messages: Sequence[ChatCompletionMessage], *, streams: bool) -> bool:
        """Whether a request asks for a title or the like."""
        system = next((one for one in messages if one.is_system), None)
        said = [one for one in messages if not one.is_system]
        places = {
            "only": said[0] if len(said) == 1 and said[0].role == "user" else None,
            "last": messages[-1] if len(messages) > 1 else None,
            "system": system,
        }
        texts = {place: message.text for place, message in places.items() if message is not None}
        openings = {place: _opening(text) for place, text in texts.items()}
        return any(
            job.message in texts
            and job.stream in (None, streams)
            and job.matches(texts[job.message], openings[job.message])
            for job in self.job
        )

    def origin(self, text: str) -> Origin:
        """Who wrote a message in the user's name."""
        opening = _opening(text)
        if any(shape.matches(text, opening) for shape in self.correction):
            return "correction"
        if any(shape.matches(text, opening) for shape in self.summary):
            return "summary"
        if any(shape.matches(text, opening) for shape in self.demonstration):
            return "demonstration"
        return "user"

    def own_words(self, text: str) -> str:
        """The user's own words in a text, and a note that names what was attached to them."""
        names: list[str] = []
        rest = text
        for wrapper in self.wrapper:
            rest, removed = _unwrapped(rest, wrapper)
            names += [name for name in _NAME.findall(removed) if name not in names]
        if rest is text:
            return text
        if not names:
            return rest.strip() or NO_TEXT
        shown = ", ".join(" ".join(name.split()) for name in names[:_MOST_NAMES])
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        return f"{rest.strip()}\n{_NOTE}{shown}{more})".lstrip()


@cache
def front_ends() -> FrontEnds:
    """The shapes of `front_ends.toml`, parsed once."""
    data = files("onionskin.service.openai").joinpath("front_ends.toml").read_bytes()
    return msgspec.toml.decode(data, type=FrontEnds)


def without_note(text: str) -> str:
    """A stored message without the note of what was attached, as a client resends it later."""
    start = text.rfind(_NOTE) if text.endswith(")") else -1
    return text if start < 0 or "\n" in text[start:] else text[:start].rstrip()


def _normalized(text: str) -> str:
    return " ".join(text.split()).casefold().lstrip("-*• ")


def _opening(text: str) -> str:
    return _normalized(text[:_HEAD])


def _unwrapped(text: str, wrapper: Wrapper) -> tuple[str, str]:
    """The text without what the wrapper describes, and what was removed."""
    if wrapper.tag:
        return _without_blocks(text, wrapper.tag)
    if wrapper.suffix:
        head, break_, last = text.rstrip().rpartition("\n\n")
        if break_ and _opening(last).startswith(wrapper.suffix):
            return head, ""
        return text, ""
    is_wrapped = wrapper.matches(text, _opening(text))
    return _after_context(text) if is_wrapped else (text, "")


def _without_blocks(text: str, tag: str) -> tuple[str, str]:
    """The text without blocks of a tag at its beginning and end."""
    start, end = f"<{tag}", f"</{tag}>"
    if end not in text:
        return text, ""
    rest, removed = text.strip(), ""
    for _ in range(_MOST_BLOCKS):
        place = max(rest.rfind(f"{start}>"), rest.rfind(f"{start} "))
        if rest.startswith((f"{start}>", f"{start} ")) and end in rest:
            block, _, rest = rest.partition(end)
        elif rest.endswith(end) and place >= 0:
            block, rest = rest[place:], rest[:place]
        else:
            break
        removed, rest = f"{removed}{block}", rest.strip()
    return (rest, removed) if removed else (text, "")


def _after_context(text: str) -> tuple[str, str]:
    """What follows the documents of a message; all of it if nothing does."""
    end = text.find("</context>", max(text.rfind("</source>"), text.find("<context>")))
    context, rest = text[:end], text[end + len("</context>") :]
    query = _QUERY.match(rest)
    if query:
        rest = rest[query.end() :].strip() or query[1]
    return (rest, context) if rest.strip() else (text, "")
