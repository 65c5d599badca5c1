"""No memory of one user ever reaches another: a state machine over all that the API offers.

    ONIONSKIN_ISOLATION_STEPS=5000 .venv/bin/python -m pytest tests/service/test_isolation.py

Three users in two tenants, one id in both, say, keep, find, fork, export, move and erase things
that bear their mark; whatever an answer to one of them holds, it holds no other's mark.
"""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.services import environment, run_command, running_service

_STEPS = int(os.environ.get("ONIONSKIN_ISOLATION_STEPS", "150"))
_EACH = 50


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whose things bear a mark."""

    tenant: str
    id: str
    mark: str
    key: str


_MARKS = (("acme", "ann", "quokka"), ("acme", "bob", "narwhal"), ("other", "ann", "axolotl"))
_people = st.integers(0, len(_MARKS) - 1)
_words = st.sampled_from(("lamp", "river", "key", "cello", "winter", "bread"))


class Isolation(RuleBasedStateMachine):
    """Steps of three people, each checked."""

    client: httpx.Client
    people: tuple[Person, ...]
    steps = 0

    @initialize()
    def begin(self) -> None:
        """Nothing is known of where people's things are."""
        self.ids: dict[str, list[str]] = {"session": [], "memory": [], "turn": []}

    def _call(self, who: Person, method: str, path: str, **more: Any) -> httpx.Response:
        type(self).steps += 1
        headers = {"Authorization": f"Bearer {who.key}"}
        answer = self.client.request(method, path, headers=headers, **more)
        assert answer.status_code < 500, answer.text
        for other in self.people:
            if other.mark != who.mark:
                assert other.mark not in answer.text, (who, method, path)
        return answer

    def _any(self, kind: str, place: int, default: str) -> str:
        known = self.ids[kind]
        return known[place % len(known)] if known else default

    @rule(who=_people, word=_words, profile=st.sampled_from(("layered", "window", "vector")))
    def say(self, who: int, word: str, profile: str) -> None:
        """Say something and ask for it."""
        one = self.people[who]
        message = f"My {word} is of the {one.mark}. Which {word} is mine, and what do you know?"
        body = {"user_id": one.id, "message": message, "profile": profile}
        answer = self._call(one, "POST", "/v1/chat", json=body)
        if answer.is_success:
            self.ids["session"].append(answer.json()["session_id"])
            self.ids["turn"].append(answer.json()["turn_id"])

    @rule(who=_people, word=_words, whose=_people)
    def complete(self, who: int, word: str, whose: int) -> None:
        """Ask as an OpenAI client does, perhaps for somebody else."""
        one, named = self.people[who], self.people[whose]
        said = [{"role": "user", "content": f"Which {word} is of the {one.mark}?"}]
        body = {"model": "layered", "user": named.id, "messages": said}
        self._call(one, "POST", "/v1/chat/completions", json=body)

    @rule(who=_people, word=_words, pinned=st.booleans())
    def keep(self, who: int, word: str, pinned: bool) -> None:
        """Keep a memory."""
        one = self.people[who]
        body = {"content": f"The {word} of the {one.mark}.", "topic": word, "pinned": pinned}
        answer = self._call(one, "POST", f"/v1/users/{one.id}/memories", json=body)
        if answer.is_success:
            self.ids["memory"].append(answer.json()["id"])

    @rule(who=_people, whose=_people, word=_words)
    def search(self, who: int, whose: int, word: str) -> None:
        """Look for memories, perhaps of somebody else."""
        one, named = self.people[who], self.people[whose]
        base = f"/v1/users/{named.id}"
        self._call(one, "POST", f"{base}/memories/search", json={"query": f"{word} quokka"})
        for path in (
            "memories",
            "memories/stats",
            "preferences",
            "sessions",
            "stats",
            "export",
            "quarantine",
        ):
            self._call(one, "GET", f"{base}/{path}")

    @rule(who=_people, whose=_people, place=st.integers(0, 1000))
    def reach(self, who: int, whose: int, place: int) -> None:
        """Reach for things by ids that may be anybody's."""
        one, named = self.people[who], self.people[whose]
        base = f"/v1/users/{named.id}"
        session = self._any("session", place, "s_0000000000000000")
        memory = self._any("memory", place, "m_0000000000000000")
        turn = self._any("turn", place, "s_0000000000000000.0")
        for path in (
            f"sessions/{session}",
            f"sessions/{session}/messages",
            f"memories/{memory}",
            f"memories/{memory}/history",
            f"memories/{memory}/why",
            f"turns/{turn}",
        ):
            self._call(one, "GET", f"{base}/{path}")
        self._call(one, "POST", f"{base}/sessions/{session}/fork")
        self._call(one, "POST", f"{base}/memories/{memory}/restore")
        self._call(one, "PATCH", f"{base}/memories/{memory}", json={"importance": 0.4})
        body = {"user_id": named.id, "message": "Who am I?", "session_id": session}
        self._call(one, "POST", "/v1/chat", json=body)

    @rule(who=_people, whose=_people)
    def erase(self, who: int, whose: int) -> None:
        """Erase somebody, if they are one's own."""
        self._call(self.people[who], "DELETE", f"/v1/users/{self.people[whose].id}")

    @rule(who=_people)
    def move(self, who: int) -> None:
        """Export, erase, import."""
        one = self.people[who]
        exported = self._call(one, "GET", f"/v1/users/{one.id}/export").content
        self._call(one, "DELETE", f"/v1/users/{one.id}")
        self._call(one, "POST", f"/v1/users/{one.id}/import", content=exported)


def test_no_memory_of_one_user_reaches_another() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings_of = {"ONIONSKIN_AUTH": "keys", "ONIONSKIN_MODEL": "offline"}
        with running_service(Path(folder), **settings_of) as service, service.client() as client:
            Isolation.client = client
            Isolation.people = tuple(
                Person(tenant, user, mark, _key(folder, tenant, user))
                for tenant, user, mark in _MARKS
            )
            Isolation.steps = 0
            run_state_machine_as_test(  # pyright: ignore[reportUnknownMemberType]
                Isolation,
                settings=settings(
                    max_examples=max(1, _STEPS // _EACH),
                    stateful_step_count=_EACH,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
                ),
            )
            assert Isolation.steps >= _STEPS // 2


def _key(folder: str, tenant: str, user: str) -> str:
    done = run_command(
        ["keys", "create", "--json", "--tenant", tenant, "--user", user],
        environment=environment(ONIONSKIN_DATA_DIR=folder),
        check=True,
    )
    return json.loads(done.stdout)["key"]
