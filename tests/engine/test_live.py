"""A chat with the policy of a run while it trains: on the run's own weights, and without a trace in the run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from engine import jobs
from engine.chat.conversations import Conversations
from engine.config import Sampling
from engine.errors import UserError
from engine.events import Event, ModelLoaded, ModelUnloaded, Progress, PromptRead, ReplyFinished, Token
from engine.grpo.settings import TrainConfig
from engine.jobs import Generate, LoadModel, Reply, Train, UnloadModel, Workbench
from engine.training_events import StepFinished, TrainingFinished, TrainingStarted
from tests.engine.grpo.runs import last, only, run, tiny
from tests.engine.grpo.test_resume import figures, samples_of, weights_sum

HARD: dict[str, Any] = {
    "kl_coeff": 0.05,
    "num_iterations": 2,
    "gradient_checkpointing": True,
    "micro_batch_tokens": 256,
    "max_steps": 2,
    "eval_steps": 1,
    "eval_samples": 4,
    "eval_generations": 2,
    "save_steps": 1,
}
LORA = {"train_type": "lora", "lora_dropout": 0.5, "learning_rate": 2e-3, "max_kl": 0.0}
GREEDY = Sampling(temperature=0.0, max_tokens=6)


def ask(folder: Path, prompt: str = "12+34", sampling: Sampling = GREEDY) -> Generate:
    return Generate(LoadModel(f"run:{folder}"), prompt, sampling=sampling)


def answer(bench: Workbench, request: Generate) -> list[Event]:
    return list(jobs.start(request, bench))


def logprobs(events: list[Event]) -> list[tuple[int | None, float | None]]:
    return [(event.token, event.logprob) for event in only(events, Token)]


def likelihoods(events: list[Event]) -> dict[tuple[int, int | None], float | None]:
    """The log-probability of each token, by its place and id."""
    return {(place, token): logprob for place, (token, logprob) in enumerate(logprobs(events))}


def training(config: TrainConfig, bench: Workbench) -> Iterator[tuple[Event, bool]]:
    """The events of a run, each with whether its policy is there to chat with."""
    there = False
    for event in jobs.start(Train(config), bench):
        there = there or isinstance(event, TrainingStarted)
        yield event, there


class Chatter:
    """Chats at every event of a run: whole answers, and answers that are left open and gone on with later."""

    def __init__(self, bench: Workbench, folder: Path) -> None:
        self._bench, self._folder, self._random = bench, folder, random.Random(0)
        self._open: list[Iterator[Event]] = []
        self.answers = self.refused = 0

    def meet(self) -> None:
        sampling = Sampling(temperature=0.9, max_tokens=3, seed=self.answers)
        steps = jobs.start(ask(self._folder, f"{self.answers}+1", sampling), self._bench)
        if self._random.random() < 0.3:
            next(event for event in steps if isinstance(event, Token))
            self._open.append(steps)
        else:
            assert isinstance(list(steps)[-1], ReplyFinished)
        self.answers += 1
        if self._open and self._random.random() < 0.2:
            older = self._open.pop(0)
            try:
                list(older)
            except UserError:
                self.refused += 1


# A KL term sets the mode of the model anew for every micro-batch, which would hide a mode that was not put back.
KINDS = {"adapters": LORA | {"kl_coeff": 0.0}, "adapters with KL": LORA, "all weights": {"train_type": "full"}}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_run_is_the_same_with_a_chat_at_every_moment(kind: dict[str, Any], tmp_path: Path) -> None:
    events = run(tiny(tmp_path, "alone", **HARD | kind))
    assert all(event.gradient_norm > 0 for event in only(events, StepFinished))
    alone = Path(last(events).run)
    bench, folder = Workbench(), tmp_path / "chatted"
    chatter, moments = Chatter(bench, folder), set()
    for event, there in training(tiny(tmp_path, "chatted", **HARD | kind), bench):
        if there and not isinstance(event, TrainingFinished):
            chatter.meet()
            moments.add(event.what if isinstance(event, Progress) else type(event).__name__)
    assert {"Updating the weights", "Generating completions", "Evaluating", "StepFinished"} <= moments
    assert chatter.answers > 100
    assert chatter.refused > 0
    assert weights_sum(folder) == weights_sum(alone)
    assert figures(folder) == figures(alone)
    assert samples_of(folder) == samples_of(alone)


def second_update(config: TrainConfig, bench: Workbench) -> Iterator[Event]:
    """The run, stopped in the middle of the second step's first update; closed by whoever asked."""
    steps = jobs.start(Train(config), bench)
    done = updates = 0
    for event in steps:
        done += isinstance(event, StepFinished)
        updates += done == 1 and isinstance(event, Progress) and event.what == "Updating the weights"
        if updates == 2:
            return steps
    raise AssertionError("no second update")


def test_the_chat_is_with_the_policy_as_it_is_now(tmp_path: Path) -> None:
    """With its adapters on and dropout off, while the update has the model in training mode."""
    bench = Workbench()
    steps = second_update(tiny(tmp_path, **HARD | LORA), bench)
    folder = tmp_path / "run"
    other = LoadModel("starter", "float32", adapter=str(folder / "checkpoints" / "000001"))
    saved = answer(bench, Generate(other, "12+34", sampling=GREEDY))
    live = answer(bench, ask(folder))
    # The layers of a policy round otherwise than those of a loaded model.
    assert likelihoods(live) == pytest.approx(likelihoods(saved), abs=1e-5)
    base = answer(Workbench(), Generate(LoadModel("starter", "float32"), "12+34", sampling=GREEDY))
    assert likelihoods(live) != pytest.approx(likelihoods(base), abs=1e-3)
    steps.close()  # type: ignore[attr-defined]


def test_the_persons_own_model_stays_loaded_beside_it(tmp_path: Path) -> None:
    bench = Workbench()
    mine = Generate(LoadModel("starter", "float32"), "1+1", sampling=GREEDY)
    answer(bench, mine)
    steps = second_update(tiny(tmp_path, **HARD | LORA), bench)
    said = answer(bench, ask(tmp_path / "run"))
    (loaded,) = only(said, ModelLoaded)
    assert (loaded.name, loaded.model_type) == ("run", "llama")
    assert not only(said, ModelUnloaded)
    assert not only(answer(bench, mine), ModelLoaded)
    # Giving that one's memory back leaves the run what it is.
    assert only(list(jobs.start(UnloadModel(), bench)), ModelUnloaded)
    assert answer(bench, ask(tmp_path / "run"))
    assert isinstance(list(steps)[-1], TrainingFinished)


def test_a_stored_conversation_goes_on_with_the_policy(tmp_path: Path) -> None:
    bench, database = Workbench(), tmp_path / "conversations.sqlite3"
    steps = second_update(tiny(tmp_path, **HARD | LORA), bench)
    with Conversations(database) as store:
        conversation = store.create()
        asked = store.add(conversation.id, None, "user", "12+34")
        message = store.add(conversation.id, asked.id, "assistant", "", state="writing").id
    said = list(jobs.start(Reply(LoadModel(f"run:{tmp_path / 'run'}"), database, message, GREEDY), bench))
    live = answer(bench, ask(tmp_path / "run"))
    assert [token for token, _ in logprobs(said)] == [token for token, _ in logprobs(live)]
    with Conversations(database) as store:
        assert store.ancestors(message)[-1].state == "done"
    steps.close()  # type: ignore[attr-defined]


def test_prompts_are_remembered_until_the_weights_change(tmp_path: Path) -> None:
    bench, folder = Workbench(), tmp_path / "run"
    steps = second_update(tiny(tmp_path, **HARD | LORA), bench)

    def known() -> int:
        return max(event.cached for event in only(answer(bench, ask(folder)), PromptRead))

    known()
    assert known() > 0
    while not isinstance(next(steps), StepFinished):
        pass
    assert known() == 0
    assert known() > 0
    steps.close()  # type: ignore[attr-defined]


def test_an_answer_does_not_go_on_with_other_weights(tmp_path: Path) -> None:
    bench, folder = Workbench(), tmp_path / "run"
    steps = second_update(tiny(tmp_path, **HARD), bench)
    reply = jobs.start(ask(folder), bench)
    assert any(isinstance(event, Token) for event in reply)
    while not isinstance(next(steps), StepFinished):
        pass
    with pytest.raises(UserError, match="changed while it answered") as caught:
        list(reply)
    assert caught.value.remedy == "Ask again."
    steps.close()  # type: ignore[attr-defined]


def test_a_run_that_ended_says_what_to_open(tmp_path: Path) -> None:
    bench = Workbench()
    config = tiny(tmp_path, max_steps=1, eval_samples=0)
    steps = jobs.start(Train(config), bench)
    reply: Iterator[Event] | None = None
    for event in steps:
        if isinstance(event, StepFinished):
            reply = jobs.start(ask(tmp_path / "run"), bench)
            next(reply)
    assert reply is not None
    with pytest.raises(UserError, match="changed while it answered"):
        list(reply)
    with pytest.raises(UserError, match="does not train now") as caught:
        answer(bench, ask(tmp_path / "run"))
    assert str(tmp_path / "run" / "model") in caught.value.remedy


def test_a_run_that_was_stopped_or_is_elsewhere_says_so(tmp_path: Path) -> None:
    bench = Workbench()
    second_update(tiny(tmp_path, **HARD), bench).close()  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="does not train here now") as caught:
        answer(bench, ask(tmp_path / "run"))
    assert str(tmp_path / "run" / "checkpoints") in caught.value.remedy
    for name in ("run:", "run:nowhere"):
        with pytest.raises(UserError, match="no training run"):
            answer(bench, Generate(LoadModel(name), "1"))


def test_a_run_is_found_by_its_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLX_GRPO_HOME", str(tmp_path))
    bench = Workbench()
    steps = second_update(own(tmp_path), bench)
    assert answer(bench, Generate(LoadModel("run:mine"), "1+1", sampling=GREEDY))
    steps.close()  # type: ignore[attr-defined]


def own(folder: Path) -> TrainConfig:
    return tiny(folder, "mine", **HARD).model_copy(update={"output_dir": ""})


def test_a_chat_leaves_nothing_of_a_run_in_memory(tmp_path: Path) -> None:
    held = []
    for chatted in (False, False, True):
        bench, folder = Workbench(), tmp_path / f"run{len(held)}"
        for event in jobs.start(Train(tiny(tmp_path, folder.name, max_steps=1, eval_samples=0)), bench):
            if chatted and isinstance(event, StepFinished):
                answer(bench, ask(folder))
        held.append(mx.get_active_memory())
    assert held[2] <= held[1] + 64 * 1024
