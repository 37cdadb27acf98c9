"""One bar over all stages of a conversion."""

from __future__ import annotations

import pytest

from engine.convert.settings import ConversionSettings
from engine.events import Progress
from engine.jobs import Convert
from gui.convert.journey import Journey
from tests.gui.convert.plans import PLAN, plan, request


def writing(share: float) -> Progress:
    return Progress("Writing the weights", share * 1e6, 1e6, "bytes", "model.norm.weight")


def test_only_what_will_happen_is_a_stage() -> None:
    assert Journey(PLAN, request()).stages == ["ready", "check", "write"]
    assert Journey(plan(checked=False), request()).stages == ["ready", "write"]
    unchecked = Convert(PLAN.source, PLAN.output, ConversionSettings(check="never"), report=True)
    assert Journey(PLAN, unchecked).stages == ["ready", "measure", "write"]


def test_the_share_grows_from_stage_to_stage_and_ends_at_one() -> None:
    journey, shares = Journey(PLAN, request()), [0.0]
    for second, event in enumerate(
        (
            Progress("Looking at the checkpoint", 0),
            Progress("Starting the engine", 3, 6, "modules", "mlx"),
            Progress("Checking against the source", 1, 2, "steps"),
            Progress("Writing the tokenizer", 0),
            writing(0.1),
            writing(0.6),
            writing(1.0),
        )
    ):
        journey.feed(event, float(second))
        shares.append(journey.share)
    assert shares == sorted(shares)
    assert len(set(shares)) > 5
    assert journey.share == pytest.approx(1)
    assert journey.stage == "write"


def test_reading_that_was_not_foreseen_becomes_a_stage_and_moves_no_bar_back() -> None:
    journey = Journey(PLAN, request())
    journey.feed(Progress("Checking against the source", 2, 2, "steps"), 0.0)
    before = journey.share
    journey.feed(Progress("Reading torch files", 10, 100, "bytes"), 1.0)
    assert journey.stages == ["ready", "read", "check", "write"]
    assert journey.stage == "check"
    assert journey.share >= before


def test_an_unknown_word_belongs_to_the_stage_under_way() -> None:
    journey = Journey(PLAN, request())
    journey.feed(writing(0.2), 0.0)
    journey.feed(Progress("Polishing", 1, 2), 1.0)
    assert journey.stage == "write"
    assert journey.stages == ["ready", "check", "write"]


def test_speed_and_time_left_come_from_the_bytes() -> None:
    journey = Journey(PLAN, request())
    for second in range(6):
        journey.feed(writing(second / 10), float(second))
    assert journey.speed == pytest.approx(1e5, rel=0.01)
    assert journey.left == pytest.approx(5, rel=0.2)
    journey.feed(Progress("Writing the tokenizer", 0), 7.0)
    assert journey.speed == 0


def test_steps_of_a_comparison_promise_no_time() -> None:
    journey = Journey(PLAN, request())
    for second in range(6):
        journey.feed(Progress("Comparing with the source", second, 200, "steps"), float(second))
    assert journey.left is None


def test_the_tokenizer_that_is_written_first_does_not_tick_the_comparison() -> None:
    journey = Journey(plan(), request())
    for when, what in enumerate(("Looking at the checkpoint", "Writing the tokenizer", "Comparing with the source")):
        journey.feed(Progress(what, 0), float(when))
    assert journey.stage == "check"
    journey.feed(Progress("Writing the weights", 10, 100, "bytes"), 4.0)
    assert journey.stage == "write"
