"""The pages that hold a run's figures: docs/performance.md, and a table in the README."""

import re
from pathlib import Path

from onionskin.benchmarks.turn.figures import Figures
from onionskin.benchmarks.turn.report import markdown, tables

_COMMAND = "onionskin bench turn --write-docs"
_BEGIN, _END = "<!-- turn: written by onionskin bench turn -->", "<!-- turn ends -->"
_HOW = f"""\
# What a turn costs

Written by `{_COMMAND}`, which needs the extra `bench` and wrk, on: {{hardware}}.

Each side is a server in a process of its own, all ask one local server that speaks the OpenAI
protocol, and wrk is their client: one connection and one user for each client. Stretches of load
are interleaved, and ratios compare stretches of the same round, since the machine may be busy with
other things; milliseconds and turns a second are of this machine, and of that hour.

- `bare`: a FastAPI endpoint that hands the message to ChatOpenAI. No memory.
- `onionskin none`, `onionskin layered`: `onionskin serve`, its Redis embedded (`appendfsync always`), with
  the built-in embedder; `remote`: with OpenAI's, on the same local server.
- `classic`: LangChain's ConversationChain with a CombinedMemory of RedisChatMessageHistory,
  ConversationSummaryMemory and VectorStoreRetrieverMemory on FAISS, at their defaults, with
  Onionskin's built-in embedder and a Redis of its own that syncs its file each second.
- `mem0`: search, call, add, over its FAISS store with the built-in embedder; without and with its
  inference, which calls the model after each turn. One client alone: that store is not made for
  several threads.

A turn's p99 is wrk's, corrected for coordinated omission. The processor time is that of the server
and its Redis. Prompt tokens are estimated as Onionskin's budgets are: four ASCII characters a token.
Awaited are the embedding calls that a turn waits for; the others follow the answer. Cacheable is
the share of a prompt, in characters, that is the beginning of the one before it in the session.
Histories are imported or filled in bulk, in sessions of twenty turns. What a user takes up is the
mean over so many users who came at once; the first one's share holds what a server allocates once.
"""
_WHY = """\
## Why some bounds are missed

The profile of a turn is flat, and but for the ranking all of it is Python:
[decision 19](decisions/0019-speed.md) has it, with what was cut and what was left.

- **p50 and turns a second beside bare.** Bare is ChatOpenAI through its SDK. Onionskin without memory,
  which takes a shorter way to the model, costs a single client about as much, with two calls of
  Redis, one of them synced to disk, and serves sixteen clients faster than bare. Layered memory
  adds 2 to 3 ms of processor time to that: no part is more than a sixth of a turn, and each takes
  up to four times what it takes in a loop of its own, since a turn runs through so much code that
  the processor's caches are cold for all of it. Ranking in compiled code
  ([decision 20](decisions/0020-a-compiled-ranking.md)) halved the largest part; with a search that
  took no time at all one client's p50 would still be 1.54 times bare's in a short run.
- **A history of 10,000 turns beside one of 10** is near its bound, and beyond it in some runs. The
  vectors of 20,000 messages are compared with the query one by one (0.3 ms), and they do not fit
  the processor's second cache.
- **Turns a second beside classic.** Five times classic would be more than bare itself.

`onionskin bench turn --quick` fails when a ratio is worse than twice its bound. Three gates stand
further out: 6 and 8 times bare for one client's p50 (in an hour when neighbours took most of this
machine, a short run came to 3.6 and 5.1), and classic's turns a second.
"""


def write_docs(figures: Figures, plots: dict[str, Path], root: Path) -> None:
    """Write the page, and the table of the README in `root`."""
    page = [_HOW.format(hardware=figures.hardware)]
    for title, heads, rows in tables(figures):
        page.append(f"## {title}\n\n{markdown(heads, rows)}\n")
    page.append(_WHY)
    pictures = [
        f"![{title}]({file.relative_to(root / 'docs').as_posix()})" for title, file in plots.items()
    ]
    page.append("## Pictures\n\n" + "\n\n".join(pictures) + "\n")
    (root / "docs" / "performance.md").write_text("\n".join(page), encoding="utf-8")
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    between = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)
    readme.write_text(between.sub(lambda _: _readme_table(figures), text), encoding="utf-8")


def _readme_table(figures: Figures) -> str:
    found = {title: (heads, rows) for title, heads, rows in tables(figures)}
    heads, rows = found["Turns under load"]
    first = f"{figures.cells[0].history:,}"
    shown = [row[:1] + row[2:7] for row in map(tuple, rows) if row[1] == first]
    table = markdown((*heads[:1], *heads[2:7]), shown)
    bounds = markdown(*found["Bounds"])
    return f"{_BEGIN}\n{figures.hardware}.\n\n{table}\n\n{bounds}\n{_END}"
