"""The training page's part of the self-test: a real run from its start to a chat with it, and runs in every state.

Knows the page as a person does.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from engine import config, places
from engine.events import to_json
from engine.grpo.settings import TrainConfig
from engine.training_events import TrainingFailed, TrainingStopped
from gui.self_test_tools import SelfTestError, Tools
from gui.text import tr
from gui.train.adjust import Adjust
from gui.train.monitor import Monitor

# Long enough to be held and changed, too small to learn much.
_SETTINGS = {
    "model_name": "starter",
    "precision": "float32",
    "train_type": "full",
    "dataset": "arithmetic",
    "system_prompt": "",
    "completion_prefill": "",
    "max_prompt_length": 64,
    "rewards": ["accuracy", "strict_format"],
    "reward_weights": [1.0, 0.4],
    "batch_size": 8,
    "gradient_accumulation_steps": 1,
    "num_generations": 4,
    "max_new_tokens": 40,
    "temperature": 0.7,
    "learning_rate": 2e-4,
    "kl_coeff": 0.01,
    "max_grad_norm": 1.0,
    "max_steps": 5000,
    "eval_steps": 10,
    "eval_samples": 40,
    "save_steps": 10,
}


class TrainingTour:
    """Start, watch, hold, change, talk, stop, go on, look at everything, and at runs that something is wrong with."""

    def __init__(self, tools: Tools) -> None:
        self._tools, self._page = tools, tools.window.train
        self.steps: tuple[Callable[[], None], ...] = (
            self._starts_a_run,
            self._holds_and_changes_it,
            self._talks_to_the_policy,
            self._stops_and_goes_on,
            self._looks_at_every_part,
            self._explains_what_is_wrong,
            self._compares_and_deletes,
        )

    def _starts_a_run(self) -> None:
        self._tools.window.go("train")
        form = self._page.new_run()
        self._tools.until("a recipe is offered", lambda: self._can(tr("Start Training")))
        self._tools.settle(1.0)
        self._tools.picture("train-new")
        for name in ("settings", "data", "rewards"):
            form.show_page(name)
            self._tools.settle(2.0)
            self._tools.picture(f"train-new-{name}")
        form.start_from(config.build(TrainConfig, _SETTINGS), tr("the self-test"))
        self._tools.until("the run can start", lambda: self._can(tr("Start Training")))
        self._tools.click(form, tr("Start Training"))
        self._tools.until("steps arrive", lambda: self._has_steps(25))
        self._tools.picture("train-charts")

    def _holds_and_changes_it(self) -> None:
        monitor = self._monitor()
        self._tools.click(monitor, tr("Pause"))
        self._tools.settle(1.0)
        self._tools.picture("train-paused")
        step = monitor.record.step
        self._tools.settle(1.0)
        self._tools.check("nothing comes while it is held", monitor.record.step == step)
        self._tools.click(monitor, tr("Adjust…"))
        window = self._tools.window
        self._tools.until("the settings are offered", lambda: bool(window.findChildren(Adjust)))
        (dialog,) = window.findChildren(Adjust)
        self._tools.picture("train-adjust", dialog)
        dialog.form.set_settings(dialog.form.settings().model_copy(update={"learning_rate": 1e-4}))
        dialog.form.changed.emit(dialog.form.settings())
        self._tools.click(dialog, tr("Apply"))
        self._tools.click(monitor, tr("Go On"))
        self._tools.until("the change is in the record", lambda: bool(monitor.record.changes))

    def _talks_to_the_policy(self) -> None:
        monitor, chat = self._monitor(), self._tools.window.chat
        self._tools.click(monitor, tr("Chat"))
        name = Path(monitor.record.folder).name
        self._tools.until("the policy is there", lambda: chat.loaded is not None and chat.loaded.name == name)
        self._tools.type("What is 47 + 38?")
        self._tools.until("it answers while it trains", lambda: not chat.answering)
        self._tools.picture("train-chat")
        self._tools.window.go("train")

    def _stops_and_goes_on(self) -> None:
        monitor = self._monitor()
        self._tools.click(monitor, tr("Stop and Save"))
        self._tools.until("it is stopped and saved", lambda: isinstance(monitor.record.ending, TrainingStopped))
        self._tools.until("its job has ended", lambda: not self._page.busy)
        self._tools.picture("train-stopped")
        steps = len(monitor.record)
        self._tools.click(monitor, tr("Resume"))
        self._tools.until("it goes on", lambda: self._page.busy and len(monitor.record) > steps)
        self._tools.click(monitor, tr("Stop and Save"))
        self._tools.until("it is stopped again", lambda: not self._page.busy)

    def _looks_at_every_part(self) -> None:
        monitor = self._monitor()
        for tab in ("samples", "checkpoints", "compare", "about"):
            monitor.show_tab(tab)
            self._tools.settle(1.0)
            self._tools.picture(f"train-{tab}")
        self._page.reach.write_report(monitor.record.folder, str(places.runs_folder() / "report.html"))
        notice = self._tools.window.notice
        self._tools.until("the report is written", notice.isVisible)
        self._tools.check("it is there", (places.runs_folder() / "report.html").is_file())
        notice.hide()

    def _explains_what_is_wrong(self) -> None:
        whole = Path(self._monitor().record.folder)
        for name, change in (
            ("torn", _tear),
            ("newer", _renew),
            ("failed", _fail),
            ("interrupted", _interrupt),
            ("missing", _empty),
        ):
            folder = places.runs_folder() / name
            shutil.copytree(whole, folder)
            change(folder)
            self._page.open(str(folder))
            monitor = self._monitor()
            self._tools.until(f"the {name} run is read", partial(getattr, monitor.record, "loaded"))
            self._tools.settle()
            charts = monitor.view("charts")
            self._tools.until("its charts are drawn", lambda charts=charts: not charts.busy)  # type: ignore[misc]
            said = monitor.failure.isVisible() or bool(monitor.warnings.sentences)
            self._tools.check(f"what is wrong with the {name} run is said", said)
            self._tools.picture(f"train-{name}")
            self._page.open(str(whole))

    def _compares_and_deletes(self) -> None:
        runs = self._page.runs
        self._tools.until("all runs are listed", lambda: len(runs.runs) >= 6)
        folders = [run.folder for run in runs.runs if run.name not in ("missing", "newer")][:2]
        self._page.compare(folders)
        self._tools.settle(2.0)
        self._tools.picture("train-comparison")
        count = len(runs.runs)
        self._page.delete(folders[0])
        self._tools.until("one is deleted", lambda: len(runs.runs) == count - 1)
        self._tools.click(self._tools.window.notice, tr("Undo"))
        self._tools.until("it is back", lambda: len(runs.runs) == count)

    def _monitor(self) -> Monitor:
        monitor = self._page.current
        if monitor is None:
            raise SelfTestError("there is no run in view")
        return monitor

    def _has_steps(self, count: int) -> bool:
        return self._page.current is not None and len(self._page.current.record) >= count

    def _can(self, name: str) -> bool:
        try:
            return self._tools.button(self._page, name).isEnabled()
        except SelfTestError:
            return False


def _record(folder: Path) -> Path:
    return folder / "events.jsonl"


def _tear(folder: Path) -> None:
    """The process died in the middle of a line."""
    lines = _record(folder).read_text("utf-8").splitlines(keepends=True)
    _record(folder).write_text("".join(lines[:-1]) + lines[-1][:30], "utf-8")


def _renew(folder: Path) -> None:
    """A newer version wrote some of it."""
    with _record(folder).open("a", encoding="utf-8") as record:
        record.write('{"event": "policy_distilled", "step": 3}\n' * 12)


def _fail(folder: Path) -> None:
    """An error ended it."""
    failed = TrainingFailed("The reward function judge failed.", "ZeroDivisionError: division by zero", "Mend it.")
    with _record(folder).open("a", encoding="utf-8") as record:
        record.write(to_json(failed) + "\n")


def _interrupt(folder: Path) -> None:
    """Its process was killed."""
    kept = [line for line in _record(folder).read_text("utf-8").splitlines() if "training_stopped" not in line]
    _record(folder).write_text("\n".join(kept) + "\n", "utf-8")


def _empty(folder: Path) -> None:
    """Its record was lost."""
    _record(folder).unlink()
