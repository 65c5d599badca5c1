"""Whether anybody is told of a run: what LangChain does for handlers costs more than the rest."""

from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManager, Callbacks
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config


def is_unheard(
    config: RunnableConfig | None, callbacks: Callbacks = None, *, verbose: bool = False
) -> bool:
    """Whether a run has no handler: none of its own, none around it, neither LangSmith nor debug.

    Args:
        config: of the run.
        callbacks: of the model or chain itself.
        verbose: whether that prints what it does.
    """
    if isinstance(cast("object", config), _Quiet) and not callbacks and not verbose:
        return True
    given = ensure_config(config).get("callbacks")
    return not AsyncCallbackManager.configure(given, callbacks, verbose).handlers


def quiet(config: RunnableConfig | None) -> RunnableConfig:
    """The config of a run that is unheard, for the runs within it: they need not look again."""
    return cast("RunnableConfig", _Quiet(ensure_config(config).items()))


class _Quiet(dict[str, Any]):
    """A config of which it is known that nobody hears of its run."""
