"""Answers written side by side: the same as alone in any company, and what prompts share is read once."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import mlx.core as mx
import pytest

from engine.batch import reading, side_by_side, trial
from engine.batch.side_by_side import SideBySide
from engine.batch.writing import Ask, Written
from engine.chat import prompts
from engine.chat.streaming import stream_reply
from engine.config import Sampling
from engine.errors import UserError
from engine.session import ModelSession, drain, open_session
from tests.engine.tiny import make_model

WARM = Sampling(temperature=1.3, max_tokens=40)


@pytest.fixture(scope="module")
def session() -> ModelSession:
    return drain(open_session("starter"))


def questions(session: ModelSession, count: int, samples: int, limit: int = 40) -> list[list[Ask]]:
    texts = [
        f"What is {7 * n % 90} + {13 * n % 900}?" if n % 4 else f"Hello number {n} " * (n + 1) for n in range(count)
    ]
    asks = []
    for row, text in enumerate(texts):
        ids = prompts.encode_chat(session.tokenizer, [("user", text)])
        asks.append([Ask(row * samples + n, ids, 50 + row + n, limit, "length") for n in range(samples)])
    return asks


def answers(batch: SideBySide) -> dict[int, Written]:
    found = {}
    while (written := batch.advance()) is not None:
        found |= {each.place: each for each in written}
    return found


def told(written: Written) -> tuple[str, str, int]:
    return written.text, written.stop_reason, written.completion_tokens


def alone(
    session: ModelSession, asks: Iterable[list[Ask]], sampling: Sampling, stops: Sequence[str] = ()
) -> dict[int, tuple[str, str, int]]:
    found = {}
    for ask in itertools.chain.from_iterable(asks):
        *_, end = stream_reply(session, ask.prompt, sampling.model_copy(update={"seed": ask.seed}), stops=stops)
        found[ask.place] = (end.text, end.stop_reason, end.completion_tokens)
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"temperature": 0.0},
        {"temperature": 0.7, "top_k": 20, "min_p": 0.02},
        {"repetition_penalty": 1.3},
        {"stop": ("+", "9")},
    ],
)
def test_a_seed_gives_the_same_answer_alone_and_in_any_company(
    session: ModelSession, changes: dict[str, object]
) -> None:
    sampling = WARM.model_copy(update=changes)
    asks = questions(session, 10, 2)
    expected = alone(session, asks, sampling)
    assert alone(session, asks[:3], sampling) == {place: expected[place] for place in range(6)}
    assert len({text for text, _, _ in expected.values()}) > 6
    companies = [(asks, 0, False), (asks[::-1], 5, True), (asks[3:9], 32, True), ([g[1:] for g in asks[::2]], 3, False)]
    for company, rows, sharing in companies:
        found = answers(SideBySide(session, sampling, iter(company), rows=rows, sharing=sharing))
        assert {place: told(each) for place, each in found.items()} == {
            ask.place: expected[ask.place] for ask in itertools.chain(*company)
        }


def test_the_seed_is_told_and_the_length_too(session: ModelSession) -> None:
    asks = questions(session, 2, 2, limit=3)
    found = answers(SideBySide(session, WARM, iter(asks)))
    for ask in itertools.chain(*asks):
        written = found[ask.place]
        assert (written.seed, written.prompt_tokens) == (ask.seed, len(ask.prompt))
        assert written.completion_tokens == 3 or written.stop_reason == "end"


@pytest.mark.parametrize("sharing", [False, True])
def test_what_prompts_have_in_common_is_read_once(
    session: ModelSession, monkeypatch: pytest.MonkeyPatch, sharing: bool
) -> None:
    system = "You are asked for sums, one after the other, and you answer each of them as well as you can. " * 3
    texts = [f"What is {n} + 1?" for n in range(10, 16)]
    encoded = [prompts.encode_chat(session.tokenizer, [("user", text)], system) for text in texts]
    asks = [[Ask(row * 4 + n, ids, n, 5, "length") for n in range(4)] for row, ids in enumerate(encoded)]
    read: list[int] = []
    whole = side_by_side.InFloat32.__call__

    def counted(self: side_by_side.InFloat32, ids: mx.array, cache: object = None) -> mx.array:
        read.append(ids.size if ids.shape[1] > 1 else 0)
        return whole(self, ids, cache)

    monkeypatch.setattr(side_by_side.InFloat32, "__call__", counted)
    found = answers(SideBySide(session, WARM, iter(asks), sharing=sharing))
    assert len(found) == 24
    common = reading.common(encoded)
    assert common > 60
    # Padding counts as read.
    assert sum(read) <= common + 6 * max(len(ids) - common for ids in encoded)


def test_prompts_without_the_common_beginning_are_answered_too(session: ModelSession) -> None:
    system = "Sums are asked, one after the other." * 2
    encoded = [prompts.encode_chat(session.tokenizer, [("user", f"What is {n} + 1?")], system) for n in range(9)]
    encoded.append(prompts.encode_chat(session.tokenizer, [("user", "What is 5 + 1?")]))
    encoded.append(encoded[0][:12])
    asks = [[Ask(row, ids, row, 12, "length")] for row, ids in enumerate(encoded)]
    found = answers(SideBySide(session, WARM, iter(asks)))
    assert {place: told(each) for place, each in found.items()} == alone(
        session, asks, WARM.model_copy(update={"max_tokens": 12})
    )


@pytest.mark.parametrize("sharing", [False, True])
def test_prompts_of_one_token(session: ModelSession, sharing: bool) -> None:
    asks = [[Ask(row * 2 + n, [7 + row], n, 8, "length") for n in range(2)] for row in range(3)]
    asks.append([Ask(6, [7, 9, 11], 3, 8, "length")])
    sampling = WARM.model_copy(update={"max_tokens": 8})
    for company in (asks, asks[:3]):
        found = answers(SideBySide(session, sampling, iter(company), sharing=sharing))
        assert {place: told(each) for place, each in found.items()} == alone(session, company, sampling)


def test_long_prompts_are_read_in_pieces(session: ModelSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "piece_length", lambda _: 16)
    asks = questions(session, 9, 2)
    found = answers(SideBySide(session, WARM, iter(asks)))
    assert {place: told(each) for place, each in found.items()} == alone(session, asks, WARM)


def test_what_is_unfinished_is_asked_again(session: ModelSession) -> None:
    asks = questions(session, 12, 2)
    expected = alone(session, asks, WARM)
    waiting = iter(asks)
    found: dict[int, Written] = {}
    for steps in (1, 2, 7, 20, 10_000):
        batch = SideBySide(session, WARM, waiting, rows=6)
        for _ in range(steps):
            if (written := batch.advance()) is None:
                break
            found |= {each.place: each for each in written}
        rest = batch.unfinished()
        assert not {ask.place for ask in rest} & {*found}
        groups = [list(group) for _, group in itertools.groupby(rest, lambda ask: id(ask.prompt))]
        waiting = itertools.chain(groups, waiting)
    assert {place: told(each) for place, each in found.items()} == expected


def test_little_memory_means_fewer_rows(session: ModelSession, monkeypatch: pytest.MonkeyPatch) -> None:
    most = []
    rows = SideBySide._step

    def counted(self: SideBySide) -> list[Written]:
        most.append(len(self._rows))
        return rows(self)

    monkeypatch.setattr(SideBySide, "_step", counted)
    asks = questions(session, 6, 2)
    found = answers(SideBySide(session, WARM, iter(asks), memory_limit=1))
    assert len(found) == 12
    assert set(most) == {1}


@pytest.mark.parametrize("kind", ["qwen3", "gemma3_text", "mamba"])
def test_other_architectures(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    changes = {
        "qwen3": {"head_dim": 16, "rope_scaling": {}},
        # Every layer but the second looks 6 tokens back.
        "gemma3_text": {"head_dim": 16, "sliding_window": 6, "sliding_window_pattern": 2, "num_hidden_layers": 4},
        "mamba": {
            "intermediate_size": 64,
            "state_size": 4,
            "conv_kernel": 4,
            "use_bias": False,
            "use_conv_bias": True,
            "time_step_rank": 4,
        },
    }[kind]
    folder = make_model(tmp_path_factory.mktemp("models") / kind, model_type=kind, **changes)
    session = drain(open_session(str(folder)))
    asks = questions(session, 6, 2, limit=20)
    sampling = WARM.model_copy(update={"max_tokens": 20})
    if trial.can_merge(session):
        sharing = trial.can_share(session)
        assert sharing == (kind == "qwen3")
        found = answers(SideBySide(session, sampling, iter(asks), rows=5, sharing=sharing))
        assert {place: told(each) for place, each in found.items()} == alone(session, asks, sampling)
    else:
        assert kind == "mamba"


def test_a_model_whose_caches_cannot_be_merged_is_told(session: ModelSession, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlx_lm.models.cache import BatchKVCache

    assert trial.can_merge(session)
    assert trial.can_share(session)
    # As where a model takes the padding of a row for text.
    monkeypatch.setattr(BatchKVCache, "make_mask", lambda *_args, **_named: None)
    assert not trial.can_merge(session)
    monkeypatch.delattr(BatchKVCache, "extract")
    assert not trial.can_share(session)


def test_weights_that_are_no_numbers_are_said(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "nan")
    weights = mx.load(str(folder / "model.safetensors"))
    weights["model.norm.weight"] = mx.full(weights["model.norm.weight"].shape, float("nan"))
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    session = drain(open_session(str(folder)))
    for sharing in (False, True):
        with pytest.raises(UserError, match="computes no numbers"):
            answers(SideBySide(session, WARM, iter(questions(session, 2, 2)), sharing=sharing))


def test_a_piece_is_as_long_as_the_model_is_fast(session: ModelSession) -> None:
    model = side_by_side.InFloat32(session)
    assert reading.piece_length(model) == 2048
    big = dataclasses.replace(session, model=_Large())
    assert reading.piece_length(side_by_side.InFloat32(big)) == 64


class _Large:
    """Seven thousand million parameters, as far as one counts them."""

    def leaf_modules(self) -> dict[str, object]:
        from mlx import nn

        layer = nn.Linear(1, 1, bias=False)
        layer.weight = mx.broadcast_to(mx.zeros(()), (70_000, 100_000))
        return {"layer": layer}
