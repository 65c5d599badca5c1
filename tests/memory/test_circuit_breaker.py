"""A circuit breaker: opens after failures in a row, rests, probes with one call, closes."""

from datetime import timedelta

import pytest

from onionskin.memory.circuit_breaker import CircuitBreaker
from tests.conftest import Clock

_SECOND, _MOMENT = timedelta(seconds=1), timedelta(milliseconds=1)


@pytest.fixture
def circuit(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(failures=3, window=60 * _SECOND, slow=10 * _SECOND, clock=clock)


def _open(circuit: CircuitBreaker) -> timedelta:
    for _ in range(3):
        circuit.record_failure()
    wait = circuit.admit()
    assert wait
    assert circuit.level == 1.0
    return wait + _MOMENT


def test_it_opens_after_so_many_failures_in_a_row(circuit: CircuitBreaker) -> None:
    for _ in range(5):
        circuit.record_failure()
        circuit.record_failure()
        circuit.record_success()
    assert circuit.admit() is None
    assert timedelta(seconds=3.75) <= _open(circuit) <= 5 * _SECOND + _MOMENT


def test_failures_far_apart_are_not_in_a_row(circuit: CircuitBreaker, clock: Clock) -> None:
    for _ in range(9):
        circuit.record_failure()
        clock.advance(61 * _SECOND)
    assert circuit.admit() is None


def test_one_call_probes_and_the_others_go_on_waiting(
    circuit: CircuitBreaker, clock: Clock
) -> None:
    clock.advance(_open(circuit))
    assert circuit.level == 0.5
    assert circuit.admit() is None
    assert circuit.admit()
    circuit.record_success()
    assert circuit.level == 0.0
    assert circuit.admit() is None


def test_a_probe_that_fails_doubles_the_rest_up_to_a_bound(
    circuit: CircuitBreaker, clock: Clock
) -> None:
    rests = [_open(circuit)]
    for _ in range(6):
        clock.advance(rests[-1])
        assert circuit.admit() is None
        circuit.record_failure()
        wait = circuit.admit()
        assert wait
        rests.append(wait + _MOMENT)
    for rest, most in zip(rests, (5, 10, 20, 40, 60, 60, 60), strict=True):
        assert 0.74 * most <= rest.total_seconds() <= most + 0.001


def test_a_probe_that_nothing_is_heard_of_is_followed_by_another(
    circuit: CircuitBreaker, clock: Clock
) -> None:
    clock.advance(_open(circuit))
    assert circuit.admit() is None
    circuit.record_cancellation(_SECOND)  # the client disconnected, which is no outcome
    assert circuit.admit()
    clock.advance(11 * _SECOND)
    assert circuit.admit() is None


def test_calls_that_were_under_way_when_it_opened_change_nothing(
    circuit: CircuitBreaker, clock: Clock
) -> None:
    wait = _open(circuit)
    for _ in range(20):
        circuit.record_failure()
    clock.advance(wait)
    assert circuit.admit() is None


def test_a_call_that_was_cut_off_late_failed(circuit: CircuitBreaker) -> None:
    for _ in range(3):
        circuit.record_cancellation(10 * _SECOND)
    assert circuit.admit()


def test_the_provider_may_say_until_when_within_a_bound(circuit: CircuitBreaker) -> None:
    circuit.record_failure(7 * _SECOND)
    wait = circuit.admit()
    assert wait
    assert abs(wait - 7 * _SECOND) < _MOMENT
    circuit.record_success()
    circuit.record_failure(timedelta(hours=1))
    wait = circuit.admit()
    assert wait
    assert abs(wait - timedelta(minutes=1)) < _MOMENT


def test_with_no_failures_set_it_never_opens(clock: Clock) -> None:
    circuit = CircuitBreaker(failures=0, window=60 * _SECOND, slow=_SECOND, clock=clock)
    for _ in range(50):
        circuit.record_failure(_SECOND)
    assert circuit.admit() is None
