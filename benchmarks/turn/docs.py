"""Writes the figures of a run: the page docs/performance.md, and a table of the README."""

import re
from pathlib import Path

from onionskin.benchmarks.turn.figures import Figures
from onionskin.benchmarks.turn.report import markdown, tables

_COMMAND = "onionskin bench turn --write-docs"
_BEGIN, _END = "<!-- turn: written by onionskin bench turn -->", "<!-- turn ends -->"
_HOW = f"""\
# What a turn costs

Written by `{_COMMAND}`, which needs the extra `bench` and wrk, on: {{hardware}}.

Each side is a server in a process of its own. All sides call one local server of the OpenAI
protocol, and get their load from wrk, with one connection and one user per client. Rounds of load
are interleaved, and ratios compare values of the same round, because the machine may be busy with
other work. Milliseconds and turns a second hold for this machine and for that hour.

- `bare`: a FastAPI endpoint that passes the message to ChatOpenAI, without memory.
- `onionskin none`, `onionskin layered`: `onionskin serve` with the embedded Redis (`appendfsync
  always`) and the built-in embedder; `remote`: with OpenAI's embedder, on the same local server.
- `classic`: LangChain's ConversationChain with a CombinedMemory of RedisChatMessageHistory,
  ConversationSummaryMemory and VectorStoreRetrieverMemory on FAISS, at their defaults, with
  Onionskin's built-in embedder and a Redis of its own that syncs its file each second.
- `mem0`: search, call, add, over its FAISS store with the built-in embedder; without and with its
  inference, which calls the model after each turn. One client only: that store is not
  thread-safe.

wrk corrects the p99 for coordinated omission. Processor time includes the server and its Redis.
Prompt tokens are estimated as in Onionskin's budgets: four ASCII characters a token. A turn waits
for the awaited embedding calls; the others follow the answer. Cacheable is the share of a prompt,
in characters, that is a prefix of the previous prompt of the session. Histories are stored in bulk,
in sessions of twenty turns. Bytes of a user are the mean over the given number of new users; those
of the first user include what a server allocates once.
"""
_WHY = """\
## Why some bounds are missed

The profile of a turn is flat, and all of it except the ranking is Python.
[Decision 19](decisions/0019-speed.md) shows the profile and the optimisations.

- **p50 and turns a second, compared with bare.** Bare calls ChatOpenAI through its SDK. Onionskin
  without memory has a faster client of the model. For one client it takes about as long as bare,
  including two calls of Redis, one of them synced to disk; sixteen clients it serves faster.
  Layered memory adds 2 to 3 ms of processor time. No part is more than a sixth of a turn, and each
  takes up to four times as long as in a loop of its own, because a turn runs so much code that the
  processor's caches are cold. Compiled ranking
  ([decision 20](decisions/0020-a-compiled-ranking.md)) halved the largest part. Even with a search
  that takes no time, one client's p50 would be 1.54 times bare's in a short run.
- **A history of 10,000 turns, compared with one of 10,** is near its bound, and exceeds it in some
  runs. The query is compared with the vectors of all 20,000 messages (0.3 ms), which do not fit
  into the processor's L2 cache.
- **Turns a second, compared with classic.** Five times classic would be more than bare.

`onionskin bench turn --quick` fails if a ratio is worse than twice its bound. Three limits are
wider: 6 and 8 times bare for one client's p50 (on a busy machine, a short run measured 3.6 and
5.1), and classic's turns a second.
"""


def write_docs(figures: Figures, plots: dict[str, Path], root: Path) -> None:
    """Write the page, and the table of the README in `root`."""
    page = [_HOW.format(hardware=figures.hardware)]
    for title, heads, rows in tables(figures):
        page.append(f"## {title}\n\n{markdown(heads, rows)}\n")
    page.append(_WHY)
    plot_lines = [
        f"![{title}]({file.relative_to(root / 'docs').as_posix()})" for title, file in plots.items()
    ]
    page.append("## Plots\n\n" + "\n\n".join(plot_lines) + "\n")
    (root / "docs" / "performance.md").write_text("\n".join(page), encoding="utf-8")
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    between = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)
    readme.write_text(between.sub(lambda _: _readme_table(figures), text), encoding="utf-8")


def _readme_table(figures: Figures) -> str:
    by_title = {title: (heads, rows) for title, heads, rows in tables(figures)}
    heads, rows = by_title["Turns under load"]
    first = f"{figures.cells[0].history:,}"
    selected = [row[:1] + row[2:7] for row in map(tuple, rows) if row[1] == first]
    table = markdown((*heads[:1], *heads[2:7]), selected)
    bounds = markdown(*by_title["Bounds"])
    return f"{_BEGIN}\n{figures.hardware}.\n\n{table}\n\n{bounds}\n{_END}"
