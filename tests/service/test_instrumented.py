"""Wrappers that make spans repeat every public method of what they wrap."""

import inspect

import pytest

from onionskin.service.observability.instrumented import (
    InstrumentedConsolidator,
    InstrumentedRecordService,
)


@pytest.mark.parametrize("wrapper", [InstrumentedRecordService, InstrumentedConsolidator])
def test_a_wrapper_repeats_every_method_with_its_signature(wrapper: type) -> None:
    wrapped = wrapper.__mro__[1]
    for name, method in inspect.getmembers(wrapped, inspect.isfunction):
        if not name.startswith("_"):
            assert name in vars(wrapper), f"{wrapper.__name__} does not wrap {name}"
            assert inspect.signature(vars(wrapper)[name]) == inspect.signature(method), name
