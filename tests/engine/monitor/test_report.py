"""The page about a run: true to its record, whole, harmless and bounded, whatever is in the run's folder."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from engine import jobs
from engine.errors import UserError
from engine.events import Event, Progress, to_json
from engine.grpo import config_file
from engine.monitor import report, report_samples, report_story
from engine.monitor.requests import WriteReport
from engine.run_events import ReportWritten
from engine.training_events import (
    Evaluated,
    SettingChanged,
    StepFinished,
    TrainingFailed,
    TrainingFinished,
    TrainingStopped,
)
from tests.engine.grpo.runs import only, run, tiny

VOID = {"meta", "br", "hr", "img", "link", "input"}
# Where a hostile text would do harm, were it not escaped.
HOSTILE = '</pre><script>alert(1)</script><img src=x onerror="alert(1)">&amp;\'"\0\x1b\u202e]]>'


class Page(HTMLParser):
    """A page taken apart; fails where its elements do not close in order."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.source = file.read_text("utf-8")
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in {"path", "circle"}
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def within(self, tag: str) -> list[str]:
        return [data for inside, data in self.texts if inside == tag]

    @property
    def text(self) -> str:
        return " ".join(data for inside, data in self.texts if inside != "style").replace("\xa0", " ")

    @property
    def titles(self) -> list[str]:
        return self.within("b")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    folder = tmp_path_factory.mktemp("runs")
    events = run(tiny(folder, name="sums", kl_coeff=0.02))
    return folder / "sums", events


@pytest.fixture
def folder(trained: tuple[Path, list[Event]], tmp_path: Path) -> Path:
    copy = tmp_path / "sums"
    shutil.copytree(trained[0], copy)
    return copy


def written(folder: Path, output: str = "") -> Page:
    *progress, last = list(report.write(folder, output))
    assert progress
    assert all(isinstance(event, Progress) for event in progress)
    assert isinstance(last, ReportWritten)
    page = Page(Path(last.path))
    assert_harmless(page)
    return page


def assert_harmless(page: Page) -> None:
    tags = {tag for tag, _ in page.tags}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "a", "form", "input", "base"})
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "href", "style"}]
        if tag != "svg":
            assert "xmlns" not in attributes
    addresses = re.findall(r"https?://[^\s\"'<]*", page.source)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in page.source
    assert "@import" not in page.source
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", page.source)


def append(folder: Path, *events: Event) -> None:
    with (folder / "events.jsonl").open("a", encoding="utf-8") as record:
        record.writelines(to_json(event) + "\n" for event in events)


def test_it_says_what_came_of_the_run(trained: tuple[Path, list[Event]], folder: Path) -> None:
    page, events = written(folder), trained[1]
    (end,) = only(events, TrainingFinished)
    evaluations = only(events, Evaluated)
    assert f"from {end.accuracy_before:.1%}".replace("%", " %") in page.text
    assert f"{end.accuracy_after:.1%}".replace("%", " %") in page.text
    last = evaluations[-1]
    assert f"{100 * last.low:.1f} % to {100 * last.high:.1f} %" in page.text
    assert "in 4 steps" in page.text
    assert "Finished" in page.within("dd")
    assert "starter" in page.within("dd")
    assert page.within("h1") == ["sums"]
    assert page.within("title")[0] == "sums"


def test_it_is_a_page_by_itself_and_can_be_read_by_all(folder: Path) -> None:
    page = written(folder)
    assert page.source.startswith("<!DOCTYPE html>")
    tags = dict(page.tags)
    assert tags["html"]["lang"] == "en"
    assert any(attributes.get("charset") == "utf-8" for tag, attributes in page.tags if tag == "meta")
    assert "prefers-color-scheme: dark" in page.source
    assert "@media print" in page.source
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(drawings) == len([tag for tag, _ in page.tags if tag == "figcaption"]) >= 10
    assert all(attributes["role"] == "img" for attributes in drawings)
    assert len(page.within("desc")) == len(drawings)


def test_its_curves_are_those_of_the_record(trained: tuple[Path, list[Event]], folder: Path) -> None:
    page = written(folder)
    assert page.titles[:4] == ["Held-out accuracy", "Mean reward", "Reward “accuracy”", "Reward “strict_format”"]
    assert {"KL divergence", "Entropy", "Length", "Loss", "Learning rate"} <= set(page.titles)
    steps = only(trained[1], StepFinished)
    story = drained(folder)
    assert list(story.column("reward")) == [step.reward for step in steps]
    assert list(story.column("rewards/accuracy")) == [step.rewards[0][1] for step in steps]
    reward = page.within("desc")[1].replace("\xa0", " ")
    assert reward == f"From {steps[0].reward:.3g} to {steps[-1].reward:.3g}."


def test_a_reward_alone_is_drawn_once(tmp_path: Path) -> None:
    run(tiny(tmp_path, rewards=["accuracy"], reward_weights=[], max_steps=1, eval_samples=0))
    page = written(tmp_path / "run")
    assert "Reward “accuracy”" not in page.titles
    assert "KL divergence" not in page.titles


def drained(folder: Path) -> report_story.Story:
    steps = report_story.gathered(folder)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def test_the_settings_that_differ_come_first_and_all_are_there(folder: Path) -> None:
    page = written(folder)
    cells = page.within("td")
    config = config_file.of_run(folder)
    for name in type(config).model_fields:
        assert any(cell.endswith(f"({name})") for cell in cells)
    first = page.source[page.source.index("<h2>Settings") : page.source.index(" settings</summary>")]
    assert "(kl_coeff)" in first
    assert "(adam_beta1)" not in first
    assert "(output_dir)" not in first


def test_samples_of_both_ends_are_chosen_the_same_way_each_time(folder: Path) -> None:
    chosen = report_samples.chosen(folder)
    assert chosen == report_samples.chosen(folder)
    assert 0 < len(chosen.early) <= 5
    assert 0 < len(chosen.late) <= 5
    assert max(one.step for one in chosen.early) < min(one.step for one in chosen.late)
    page = written(folder)
    for one in (*chosen.early, *chosen.late):
        assert one.text in page.within("pre")
        assert one.prompt in page.within("pre")


def test_what_was_put_before_a_completion_stands_before_it(tmp_path: Path) -> None:
    run(tiny(tmp_path, completion_prefill="<reasoning>", max_steps=1, eval_samples=0))
    page = written(tmp_path / "run")
    assert "<reasoning>" in page.within("span")


def sample(step: int, row: int, completion: int, reward: float, **rest: object) -> str:
    fields = {
        "step": step,
        "row": row,
        "completion": completion,
        "prompt": f"question {row}",
        "answer": "1",
        "text": f"answer {step} {row} {completion}",
        "rewards": {"accuracy": reward},
        "reward": reward,
        "advantage": 0.0,
        "tokens": 3,
        "stop_reason": "end",
        "left_out": False,
    }
    return json.dumps(fields | rest) + "\n"


def write_samples(folder: Path, lines: list[str]) -> None:
    (folder / "samples.jsonl").write_text("".join(lines), "utf-8")


def test_the_same_prompt_is_shown_at_both_ends_where_there_is_one(folder: Path) -> None:
    lines = [
        sample(step, row, completion, float(completion == row % 4))
        for step, rows in [(1, (1, 2, 3)), (2, (4, 5, 6)), (3, (7, 8, 9)), (4, (10, 5, 11))]
        for row in rows
        for completion in range(4)
    ]
    write_samples(folder, lines)
    chosen = report_samples.chosen(folder)
    assert chosen.same_prompt
    assert [(one.step, one.row, one.role) for one in chosen.early] == [
        (2, 5, "best"),
        (2, 5, "typical"),
        (2, 5, "worst"),
        (1, 1, "another"),
        (1, 2, "another"),
    ]
    assert [(one.step, one.row) for one in chosen.late] == [(4, 5)] * 3 + [(4, 10), (4, 11)]
    assert "same at both times" in written(folder).text


def test_only_the_ends_of_a_long_file_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_samples, "_BYTES", 4000)
    lines = [
        sample(step, 100 * step + row, completion, float(completion))
        for step in range(1, 101)
        for row in range(3)
        for completion in range(4)
    ]
    write_samples(folder, lines)
    opened: list[int] = []
    chosen = report_samples.chosen(folder)
    opened += [one.step for one in (*chosen.early, *chosen.late)]
    assert set(opened) == {1, 100}
    assert [one.reward for one in chosen.early[:3]] == [3.0, 1.0, 0.0]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [
            "\n",
            "nonsense\n",
            "[]\n",
            '{"step": 1}\n',
            sample(1, 1, 0, 1.0, rewards=[1]),
            sample(1, 1, 0, 1.0, tokens="x"),
        ],
        [sample(1, 1, 0, 1.0)[:-20]],
    ],
)
def test_samples_that_are_none(folder: Path, lines: list[str]) -> None:
    write_samples(folder, lines)
    assert report_samples.chosen(folder) == report_samples.Chosen()
    assert "No completions of this run were kept." in written(folder).text


def test_a_run_that_kept_no_samples(folder: Path) -> None:
    (folder / "samples.jsonl").unlink()
    assert "No completions of this run were kept." in written(folder).text


def test_one_step_is_its_own_beginning(folder: Path) -> None:
    write_samples(folder, [sample(1, 1, completion, 0.0) for completion in range(4)])
    chosen = report_samples.chosen(folder)
    assert [one.step for one in chosen.early] == [1, 1, 1]
    assert chosen.late == ()
    page = written(folder)
    assert "At the end" not in page.text


def test_a_run_without_evaluations_is_told_by_its_reward(tmp_path: Path) -> None:
    events = run(tiny(tmp_path, eval_samples=0))
    page = written(tmp_path / "run")
    assert page.text.count("accuracy rose") == 0
    assert re.search(r"The mean reward (rose|fell|stayed)", page.text)
    assert "Held-out accuracy" not in page.titles
    assert "no evaluation was made yet" in page.text
    assert only(events, Evaluated) == []


def test_intervals_that_overlap_are_said_to(folder: Path) -> None:
    text = written(folder).text
    story = drained(folder)
    first, last = story.whole[0], story.whole[-1]
    assert ("overlap" in text) == (
        first.accuracy != last.accuracy and first.high >= last.low and last.high >= first.low
    )
    far = dataclasses.replace(last, accuracy=1.0, low=0.99, high=1.0)
    near = dataclasses.replace(last, accuracy=first.accuracy + 0.01, low=first.low, high=first.high)
    append(folder, far)
    assert "overlap" not in written(folder).text
    append(folder, near)
    assert "overlap" in written(folder).text


def ended(folder: Path) -> list[str]:
    return (folder / "events.jsonl").read_text("utf-8").splitlines(keepends=True)


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (None, "Interrupted"),
        (TrainingStopped("", 3), "Stopped and saved"),
        (TrainingFailed("The disk is full.", "why", "remedy"), "Failed: The disk is full."),
    ],
)
def test_how_a_run_stands(folder: Path, ending: Event | None, status: str) -> None:
    lines = [line for line in ended(folder) if "training_finished" not in line]
    (folder / "events.jsonl").write_text("".join(lines), "utf-8")
    os.utime(folder / "events.jsonl", (1e9, 1e9))
    if ending:
        append(folder, ending)
    assert any(said.startswith(status) for said in written(folder).within("dd"))


def test_a_run_that_trains_now(folder: Path) -> None:
    import fcntl

    lines = ended(folder)
    middle = next(place for place, line in enumerate(lines) if '"step": 2' in line and "step_finished" in line)
    (folder / "events.jsonl").write_text("".join(lines[: middle + 1]) + lines[middle + 1][:20], "utf-8")
    with (folder / ".lock").open("r+") as lock:
        lock.write("1")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        page = written(folder)
    assert "Training" in page.within("dd")
    assert "2 of 4" in page.within("dd")
    assert "not understood" not in page.text


def test_lines_that_were_not_understood_are_counted(folder: Path) -> None:
    with (folder / "events.jsonl").open("a", encoding="utf-8") as record:
        record.write('nonsense\n{"event": "of_tomorrow"}\n{"event": "step_fin')
    os.utime(folder / "events.jsonl", (1e9, 1e9))
    assert "3 lines of its record were not understood" in written(folder).text


def test_events_of_the_wrong_kind_and_figures_that_are_none(folder: Path) -> None:
    lines = ended(folder)
    step = next(line for line in lines if "step_finished" in line)
    with (folder / "events.jsonl").open("a", encoding="utf-8") as record:
        record.write(
            re.sub(r'"reward": [^,]*, "reward_spread": [^,]*', '"reward": Infinity, "reward_spread": NaN', step)
        )
        record.write(re.sub(r'"loss": [^,]*', '"loss": "none"', step))
        record.write('{"event": "evaluated", "when": "during", "step": 3, "rows": "x", "accuracy": null}\n')
        record.write('{"event": "setting_changed", "step": 3, "name": ["x"], "before": "a", "after": {}}\n')
        record.write('{"event": "checkpoint_saved", "step": null, "folder": 3}\n')
    page = written(folder)
    assert "3 lines of its record were not understood" in page.text
    assert page.titles[1] == "Mean reward"


def test_hostile_texts_stay_texts(folder: Path) -> None:
    hostile = folder.with_name("<img src=x>&'\"")
    folder.rename(hostile)
    row = {"prompt": HOSTILE, "answer": HOSTILE, "text": HOSTILE * 2, "rewards": {HOSTILE: None}}
    write_samples(hostile, [sample(step, step, 0, 1.0, **row, stop_reason=HOSTILE) for step in (1, 2)])
    (hostile / "notes.json").write_text(json.dumps({"notes": HOSTILE, "tags": [HOSTILE, 3]}), "utf-8")
    config = config_file.of_run(hostile).model_copy(update={"system_prompt": HOSTILE, "model_name": HOSTILE})
    (hostile / "config.toml").write_text(config_file.to_toml(config), "utf-8")
    append(
        hostile,
        SettingChanged(2, HOSTILE, 1.0, 2.0),
        TrainingFailed(HOSTILE, HOSTILE, HOSTILE),
    )
    page = written(hostile)
    seen = HOSTILE.replace("\0", "␀").replace("\x1b", "␛")
    assert page.within("h1") == [hostile.name]
    assert seen in page.within("li")
    assert seen * 2 in page.within("pre")
    assert any(seen in said for said in page.within("dd"))
    assert any(seen in said for said in page.within("td"))


def test_half_of_a_surrogate_pair(folder: Path) -> None:
    write_samples(folder, [sample(1, 1, 0, 1.0, text="half \ud83d of it")])
    assert "half ? of it" in written(folder).within("pre")


def test_very_long_texts_are_cut(folder: Path) -> None:
    write_samples(folder, [sample(step, step, 0, 1.0, text="word " * 200_000) for step in (1, 2)])
    page = written(folder)
    assert "996,000 more characters" in page.text
    assert len(page.source) < 300_000


@pytest.mark.parametrize("notes", ["", "{", "[]", '{"notes": 3, "tags": 4}', '{"notes": "x"}', "[" * 100_000])
def test_damaged_notes_and_settings_are_no_reason_for_no_report(folder: Path, notes: str) -> None:
    (folder / "notes.json").write_text(notes, "utf-8")
    (folder / "config.toml").write_text("nonsense", "utf-8")
    page = written(folder)
    assert "The settings cannot be shown." in page.text
    assert "starter" in page.within("dd")


def test_checkpoints_that_are_there_and_what_was_changed(folder: Path) -> None:
    append(folder, SettingChanged(2, "learning_rate", 1e-3, 5e-4))
    page = written(folder)
    kept = sorted(int(path.name) for path in (folder / "checkpoints").iterdir())
    said = next(text for text in page.within("p") if text.startswith("Kept on the disk"))
    assert [int(step) for step in re.findall(r"step (\d+)", said)] == kept
    assert {"learning_rate", "0.001", "0.0005"} <= set(page.within("td"))
    assert 'class="mark"' in page.source
    shutil.rmtree(folder / "checkpoints")
    assert "Kept on the disk" not in written(folder).text


def test_nothing_tells_where_this_person_lives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    config = config_file.of_run(folder).model_copy(update={"dataset": f"{folder.parent}/problems.jsonl"})
    (folder / "config.toml").write_text(config_file.to_toml(config), "utf-8")
    page = written(folder)
    assert "~/problems.jsonl" in page.within("dd")
    assert str(folder.parent) not in page.source


def test_a_run_of_100_000_steps_makes_a_page_that_can_be_sent(folder: Path) -> None:
    record = ended(folder)
    step = next(line for line in record if "step_finished" in line)
    head, tail = step.split('"step": 1', 1)
    begun = [line for line in record if "training_started" in line]
    lines: Iterator[str] = (f'{head}"step": {number}{tail}' for number in range(1, 100_001))
    with (folder / "events.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(begun)
        file.writelines(lines)
    page = written(folder)
    assert len(page.source.encode()) < 1_000_000
    points = [attributes["d"].count("L") for tag, attributes in page.tags if tag == "path" and attributes.get("d")]  # type: ignore[union-attr]
    assert max(points) <= 1500
    assert "100,000 of" in page.text


def test_the_file_is_written_whole_or_not_at_all(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "page.html"
    with pytest.raises(UserError, match=r"page\.html"):
        list(report.write(folder, str(target)))
    target.parent.mkdir()
    written(folder, str(target))
    assert [path.name for path in target.parent.iterdir()] == ["page.html"]
    before = target.read_text("utf-8")
    steps = report.write(folder, str(target))
    next(steps)
    steps.close()
    assert target.read_text("utf-8") == before
    (target.parent / "folder").mkdir()
    with pytest.raises(UserError):
        list(report.write(folder, str(target.parent / "folder")))
    assert sorted(path.name for path in target.parent.iterdir()) == ["folder", "page.html"]


def test_it_is_asked_for_as_a_job(folder: Path) -> None:
    events = list(jobs.start(WriteReport(str(folder)), jobs.Workbench()))
    assert events[-1] == ReportWritten(str(folder / "report.html"))


def test_it_lies_in_the_folder_of_the_run_unless_told(folder: Path) -> None:
    written(folder)
    assert (folder / "report.html").is_file()
    assert not list(folder.glob(".report*"))


def test_where_nothing_is_recorded_it_says_so(folder: Path, tmp_path: Path) -> None:
    (folder / "events.jsonl").unlink()
    with pytest.raises(UserError, match="nothing to report"):
        list(report.write(folder))
    with pytest.raises(UserError, match="not there any more"):
        list(report.write(tmp_path / "gone"))


def test_a_run_that_has_only_begun(folder: Path) -> None:
    begun = [line for line in ended(folder) if "training_started" in line]
    (folder / "events.jsonl").write_text("".join(begun), "utf-8")
    page = written(folder)
    assert "Nothing was recorded yet" in page.text
    assert page.titles == []
