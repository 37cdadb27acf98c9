"""A run from its start to its saved model, its record on the disk, and how it ends where something is at fault."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from engine import config as settings
from engine.errors import UserError
from engine.events import Event, ModelLoaded, Note, Progress, from_json
from engine.grpo import checkpoint, trainer
from engine.grpo.order import row_at
from engine.grpo.policy import Policy
from engine.grpo.settings import TrainConfig
from engine.session import open_session
from engine.training_events import CheckpointSaved, Evaluated, StepFinished, TrainingFinished, TrainingStarted
from tests.engine.grpo.runs import last, only, returned, reward_file, rows, run, tiny


def recorded(events: list[Event]) -> list[Event]:
    """What belongs into a run's record."""
    return [event for event in events if not isinstance(event, Progress | ModelLoaded)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    return run(tiny(tmp_path_factory.mktemp("runs")))


def test_a_run_says_what_it_does_in_order(finished: list[Event]) -> None:
    said = [type(event).__name__ for event in recorded(finished)]
    step, saved, evaluated = "StepFinished", "CheckpointSaved", "Evaluated"
    whole = ["TrainingStarted", evaluated, step, step, evaluated, saved, step, step, saved, evaluated]
    assert said[: len(whole)] == whole
    # The last evaluation may be the best one, and its step is then saved as such.
    assert said[len(whole) :] in (["TrainingFinished"], [saved, "TrainingFinished"])
    started = only(finished, TrainingStarted)[0]
    assert (started.model, started.train_type, started.step, started.steps) == ("starter", "full", 0, 4)
    assert not started.resumed
    assert [event.when for event in only(finished, Evaluated)] == ["before", "during", "after"]
    assert [event.step for event in only(finished, StepFinished)] == [1, 2, 3, 4]
    end = last(finished)
    accuracies = [event.accuracy for event in only(finished, Evaluated)]
    assert (end.step, end.steps, end.reason, end.fused) == (4, 4, "finished", "")
    assert (end.accuracy_before, end.accuracy_after) == (accuracies[0], accuracies[-1])


def test_the_record_is_what_was_said(finished: list[Event]) -> None:
    lines = (Path(last(finished).run) / "events.jsonl").read_text("utf-8").splitlines()
    assert [from_json(line) for line in lines] == recorded(finished)


def test_figures_are_those_of_the_samples(finished: list[Event]) -> None:
    lines = (Path(last(finished).run) / "samples.jsonl").read_text("utf-8").splitlines()
    samples = [json.loads(line) for line in lines]
    assert len(samples) == 4 * 16
    for event in only(finished, StepFinished):
        of_step = [one for one in samples if one["step"] == event.step]
        assert event.completions == len(of_step) == 16
        lengths = [one["tokens"] for one in of_step]
        assert (event.tokens, event.shortest, event.longest) == (sum(lengths), min(lengths), max(lengths))
        assert event.reward == pytest.approx(sum(one["reward"] for one in of_step) / 16)
        assert event.cut_short == sum(one["stop_reason"] == "length" for one in of_step) / 16
        assert {one["row"] for one in of_step} == set(event.rows)
        for name, mean, _ in event.rewards:
            assert mean == pytest.approx(sum(one["rewards"][name] for one in of_step) / 16)
        for start in range(0, 16, 4):
            assert sum(one["advantage"] for one in of_step[start : start + 4]) == pytest.approx(0.0, abs=1e-4)
    assert {"prompt", "text", "rewards", "advantage", "tokens", "stop_reason", "answer"} <= samples[0].keys()


def test_the_settings_of_a_run_are_kept(finished: list[Event]) -> None:
    folder = Path(last(finished).run)
    assert settings.read(TrainConfig, folder / "config.toml") == tiny(folder.parent)
    assert "adam_beta2" in (folder / "config.toml").read_text("utf-8")


def test_nothing_else_lies_in_the_folder(finished: list[Event]) -> None:
    names = {path.name for path in Path(last(finished).run).iterdir()}
    assert names == {"config.toml", "events.jsonl", "samples.jsonl", "checkpoints", "model", ".lock"}
    checkpoints = Path(last(finished).run) / "checkpoints"
    assert {path.name for path in checkpoints.iterdir()} == {"000002", "000004"}


def test_a_training_row_is_never_evaluated_on(finished: list[Event]) -> None:
    from engine.grpo import data, evaluation

    config = tiny(Path("unused"))
    task = returned(data.load(config))
    asked = {one.prompt for one in evaluation.choose(task.held_out, config.eval_samples, config.seed)}
    lines = (Path(last(finished).run) / "samples.jsonl").read_text("utf-8").splitlines()
    assert not asked & {json.loads(line)["prompt"] for line in lines}


def loaded(folder: str, adapter: str = "") -> dict[str, mx.array]:
    """All weights of a model that the chat's own door opened."""
    from mlx.utils import tree_flatten

    session = returned(open_session(folder, precision="float32", adapter=adapter))
    weights: Any = tree_flatten(session.model.parameters())
    session.close()
    return dict(weights)


def test_the_model_is_what_was_trained(finished: list[Event]) -> None:
    import mlx_lm

    end = last(finished)
    newest, _ = checkpoint.latest(Path(end.run) / "checkpoints")
    assert newest is not None
    trained = checkpoint.load(newest).tensors["weights"]
    weights = loaded(end.model)
    assert all(mx.array_equal(weights[name], array) for name, array in trained.items())
    before = loaded("starter")
    assert any(not mx.array_equal(before[name], array) for name, array in trained.items())
    model, tokenizer = mlx_lm.load(end.model)[:2]
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "12+34"}], add_generation_prompt=True)
    assert "<answer>" in mlx_lm.generate(model, tokenizer, prompt, max_tokens=40)


@pytest.mark.parametrize("train_type", ["lora", "dora"])
def test_adapters_load_and_fuse(train_type: str, tmp_path: Path) -> None:
    import mlx_lm

    end = last(run(tiny(tmp_path, train_type=train_type, fuse=True, max_steps=2, eval_steps=0)))
    adapted, _ = mlx_lm.load(_starter(), adapter_path=end.model)[:2]
    fused, _ = mlx_lm.load(end.fused)[:2]
    plain, _ = mlx_lm.load(_starter())[:2]
    ids = mx.array([[1, 5, 9, 2, 7, 3]])
    assert mx.allclose(adapted(ids), fused(ids), atol=1e-4)
    assert not mx.allclose(adapted(ids), plain(ids), atol=1e-4)
    assert any(name.endswith("lora_a") for name in loaded("starter", end.model))
    assert loaded(end.fused).keys() == loaded("starter").keys()
    assert sorted(path.name for path in Path(end.model).iterdir()) == ["adapter_config.json", "adapters.safetensors"]


def _starter() -> str:
    from engine import library

    folder = library.locate("starter")
    assert folder is not None
    return str(folder)


def test_a_run_reaches_its_accuracy_and_ends(tmp_path: Path) -> None:
    events = run(tiny(tmp_path, target_accuracy=0.01, eval_steps=1))
    end = last(events)
    assert (end.step, end.steps, end.reason) == (1, 4, "target reached")
    assert end.accuracy_after == only(events, Evaluated)[-1].accuracy >= 0.01
    assert checkpoint.latest(Path(end.run) / "checkpoints")[0] == Path(end.run) / "checkpoints" / "000001"


def test_without_evaluation_nothing_is_held_against_it(tmp_path: Path) -> None:
    events = run(tiny(tmp_path, eval_samples=0, max_steps=1, log_jsonl=False))
    end = last(events)
    assert (end.accuracy_before, end.accuracy_after) == (None, None)
    assert not only(events, Evaluated)
    assert (Path(end.run) / "samples.jsonl").read_bytes() == b""


def test_quick_looks_take_fewer_rows_and_count_for_nothing(tmp_path: Path) -> None:
    events = run(tiny(tmp_path, eval_steps=3, eval_every_updates=1, eval_subset_size=5, save_steps=0))
    found = [(event.when, event.step, event.rows) for event in only(events, Evaluated)]
    assert found == [("before", 0, 20), ("quick", 1, 5), ("quick", 2, 5), ("during", 3, 20), ("after", 4, 20)]


def test_reported_steps_may_be_fewer_than_done(tmp_path: Path) -> None:
    events = run(tiny(tmp_path, logging_steps=3, eval_steps=0))
    assert [event.step for event in only(events, StepFinished)] == [3, 4]


def test_dynamic_sampling_counts_what_it_replaced(tmp_path: Path) -> None:
    events = run(tiny(tmp_path, dynamic_sampling=True, max_steps=2, eval_samples=0))
    assert sum(event.replaced for event in only(events, StepFinished)) > 0


@pytest.mark.parametrize("dynamic_sampling", [False, True])
def test_flat_groups_are_counted_before_they_are_replaced(dynamic_sampling: bool, tmp_path: Path) -> None:
    """The first completion of a group gets a point where the answer is odd: every second row's group is flat."""
    body = "    return [float(place % 4 == 0) * (int(one) % 2) for place, one in enumerate(columns['answer'])]"
    config = tiny(
        tmp_path, dynamic_sampling=dynamic_sampling, max_resampling=8, max_steps=1, eval_samples=0, eval_fraction=0.0,
        dataset=str(rows(tmp_path, [(f"{a}+0", str(a)) for a in range(40)])), **reward_file(tmp_path, body),
    )  # fmt: skip
    (step,) = only(run(config), StepFinished)
    taken = round(step.epoch * 40)
    order = [row_at(config.seed, 40, place) for place in range(taken)]
    assert (step.replaced > 0, taken > 4) == (dynamic_sampling, dynamic_sampling)
    assert step.flat_groups == pytest.approx(sum(row % 2 == 0 for row in order) / taken)
    assert sum(row % 2 == 0 for row in step.rows) == (0 if dynamic_sampling else round(step.flat_groups * 4))


def test_a_small_data_set_comes_again(tmp_path: Path) -> None:
    file = rows(tmp_path, [(f"{a}+{a}", str(2 * a)) for a in range(11, 17)])
    config = tiny(tmp_path, dataset=str(file), eval_fraction=0.4, eval_steps=0, max_steps=0, num_epochs=3)
    events = run(config)
    steps = only(events, StepFinished)
    assert len(steps) == 3
    assert steps[-1].epoch == 3.0
    assert len({row for step in steps for row in step.rows}) == 4
    assert only(events, Evaluated)[0].rows == 2


def test_waiting_between_events_is_not_the_runs_time(tmp_path: Path) -> None:
    began = time.monotonic()
    waited = 0.0
    for event in trainer.train(tiny(tmp_path, eval_samples=0, max_steps=1)):
        if isinstance(event, Progress) and event.what in {"Generating completions", "Scoring completions"}:
            time.sleep(0.05)
            waited += 0.05
        if isinstance(event, StepFinished):
            step = event
    assert isinstance(event, TrainingFinished)
    assert waited > 0.5
    assert 0.0 < step.rollout_seconds + step.reward_seconds + step.update_seconds <= step.elapsed
    assert event.elapsed <= time.monotonic() - began - waited


def test_waiting_between_events_is_not_an_evaluations_time(tmp_path: Path) -> None:
    began = time.monotonic()
    waited = 0.0
    for event in trainer.train(tiny(tmp_path, eval_steps=0, max_steps=1)):
        if isinstance(event, Progress) and event.what == "Evaluating":
            time.sleep(0.05)
            waited += 0.05
        if isinstance(event, Evaluated) and event.when == "before":
            break
    assert waited > 0.5
    assert 0.0 < event.seconds <= time.monotonic() - began - waited


def test_a_name_is_not_taken_twice(finished: list[Event]) -> None:
    folder = Path(last(finished).run)
    before = (folder / "events.jsonl").read_bytes()
    with pytest.raises(UserError, match="exists already"):
        run(tiny(folder.parent))
    assert (folder / "events.jsonl").read_bytes() == before


def test_evaluating_a_model_is_the_evaluation_before(finished: list[Event]) -> None:
    before, *_, after = only(finished, Evaluated)
    config = tiny(Path("unused"))
    found = only(list(trainer.evaluate_model("starter", "", config)), Evaluated)[-1]
    assert (found.accuracy, found.mean_reward, found.rows) == (before.accuracy, before.mean_reward, before.rows)
    trained = only(list(trainer.evaluate_model(last(finished).model, "", config)), Evaluated)[-1]
    assert (trained.accuracy, trained.mean_reward) == (after.accuracy, after.mean_reward)


def test_evaluating_a_model_judges_the_rows_that_a_run_judges(tmp_path: Path) -> None:
    """Those whose prompts are not too long."""
    long = [(f"What, if you please, would {a}+{a} be, all in all?", str(2 * a)) for a in range(11, 21)]
    file = rows(tmp_path, [*long, *((f"{a}+{a}", str(2 * a)) for a in range(21, 31))])
    config = tiny(tmp_path, dataset=str(file), eval_fraction=0.5, max_prompt_length=20, max_steps=1, eval_samples=10)
    judged = {event.rows for event in only(run(config), Evaluated)}
    (found,) = only(list(trainer.evaluate_model("starter", "", config)), Evaluated)
    assert judged == {found.rows}
    assert 0 < found.rows < 10
    short = config.model_copy(update={"max_prompt_length": 3})
    with pytest.raises(UserError, match="nothing to evaluate on"):
        list(trainer.evaluate_model("starter", "", short))


def test_evaluating_with_an_adapter(tmp_path: Path) -> None:
    events = run(tiny(tmp_path, train_type="lora", learning_rate=1e-2, max_steps=3, eval_steps=0))
    after = only(events, Evaluated)[-1]
    found = only(list(trainer.evaluate_model("starter", last(events).model, tiny(tmp_path))), Evaluated)[-1]
    assert (found.accuracy, found.mean_reward, found.mean_length) == (
        after.accuracy,
        after.mean_reward,
        after.mean_length,
    )


def test_a_policy_is_given_back_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    whole = Policy.close
    monkeypatch.setattr(Policy, "close", lambda self: closed.append(whole(self)))
    run(tiny(tmp_path, max_steps=1, eval_samples=0))
    assert len(closed) == 1
    assert closed[0] > 0


def test_checkpoints_are_said_where_they_are(finished: list[Event]) -> None:
    for event in only(finished, CheckpointSaved):
        assert Path(event.folder) == Path(last(finished).run) / "checkpoints" / f"{event.step:06}"


def test_a_note_is_part_of_the_record(tmp_path: Path) -> None:
    file = rows(tmp_path, [(f"{a}+{a}", str(2 * a)) for a in (*range(11, 21), *range(11, 21))])
    events = run(tiny(tmp_path, dataset=str(file), eval_fraction=0.1, max_steps=1, eval_samples=0))
    assert only(events, Note)
    lines = (tmp_path / "run" / "events.jsonl").read_text("utf-8").splitlines()
    assert [from_json(line) for line in lines] == recorded(events)
