from datetime import timedelta

import pytest
from django.db.models.functions import Now

from deployments.models import Round
from deployments.pipeline import rounds
from deployments.pipeline.rounds import Due

pytestmark = pytest.mark.django_db


def test_each_is_begun_once_in_its_time_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    due = (Due("a", 60, lambda: done.append("a")), Due("b", 0, lambda: done.append("b")))
    monkeypatch.setattr(rounds, "ROUNDS", due)
    for _ in range(3):
        rounds.run_due()
    assert done == ["a", "b", "b", "b"]
    Round.objects.filter(name="a").update(begun_at=Now() - timedelta(seconds=61))
    rounds.run_due()
    rounds.run_due()
    assert done.count("a") == 2


def test_one_that_fails_does_not_keep_the_others_from_running(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    due = (Due("broken", 0, lambda: 1 / 0 and None), Due("b", 0, lambda: done.append("b")))
    monkeypatch.setattr(rounds, "ROUNDS", due)
    rounds.run_due()
    assert done == ["b"]
