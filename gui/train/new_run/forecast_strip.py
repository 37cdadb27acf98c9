"""What a run would need, in two lines and a bar, with the button for what stands in its way. Starts no run."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from engine import library
from engine.training_events import TrainingPlanned
from gui import theme
from gui.parts import button, words
from gui.text import duration, number, size, tr
from gui.train.new_run.download import Download
from gui.train.new_run.forecast import Forecast
from gui.train.new_run.memory_bar import MemoryBar
from gui.train.new_run.suggestions import in_words, values
from gui.train.new_run.words import said

_EXPLAINED = (
    "An upper bound: for completions that are all as long as they may be. A model whose answers end early takes less."
)

# Where the recipes for models of a person's own expect them; no name on the Hub.
_CONVERTED = "models/"
_LONGEST = 60  # characters of a model's name


class ForecastStrip(QWidget):
    """The forecast of one draft."""

    changes_wanted = Signal(dict)  # settings with which the run would fit
    judged = Signal()  # whether the run can start may be another answer now

    def __init__(self, forecast: Forecast, download: Download) -> None:
        super().__init__()
        self._forecast, self._download = forecast, download
        self.title, self.about = words(role="strong"), words(role="caption")
        self.bar = MemoryBar()
        self.progress = QProgressBar(textVisible=False)
        self.progress.setAccessibleName(tr("Progress"))
        self.action = button("")
        self.action.clicked.connect(self._act)
        texts = QVBoxLayout()
        texts.setSpacing(theme.TINY)
        for widget in (self.title, self.bar, self.progress, self.about):
            texts.addWidget(widget)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.MEDIUM)
        row.addLayout(texts, 1)
        row.addWidget(self.action, 0, Qt.AlignmentFlag.AlignVCenter)
        self._does = ""
        forecast.changed.connect(self._show)
        download.changed.connect(self._show)
        download.fetched.connect(forecast.again)
        self._show()

    @property
    def obstacle(self) -> str:
        """Why the run cannot start, in one sentence; "" where it can, or where that is not known yet."""
        forecast, plan = self._forecast, self._forecast.plan
        if self._download.model:
            return tr("The model is being downloaded.")
        if forecast.busy:
            return ""
        if forecast.failure is not None:
            return said(forecast.failure.what)
        if plan is not None and not plan.parameters:
            return tr("The model is not on this computer yet.")
        if plan is not None and not plan.fits:
            return tr("The run does not fit into this computer's memory.")
        return ""

    def _show(self) -> None:
        self._does = ""
        forecast, plan, failure = self._forecast, self._forecast.plan, self._forecast.failure or self._download.failure
        wrong = False
        if self._download.model:
            self._show_download()
        elif failure is not None and not forecast.busy:
            wrong, self._does = True, "again"
            rest = [failure.why, failure.remedy]
            self._say(said(failure.what), "\n".join(said(text) for text in rest if text))
        elif plan is None:
            stage = tr(forecast.stage) if forecast.stage else tr("Looking at what the run will need")
            self._say(f"{stage}…" if forecast.busy else "", "")
        elif not plan.parameters:
            self._show_absent(plan)
        else:
            wrong = not plan.fits
            self._show_plan(plan)
        self.title.setProperty("role", "wrong" if wrong else "strong")
        self.title.style().unpolish(self.title)
        self.title.style().polish(self.title)
        known = plan is not None and bool(plan.parameters) and not self._download.model
        self.bar.setVisible(known and (failure is None or forecast.busy))
        self.bar.show_plan(plan)
        self.progress.setVisible(bool(self._download.model) or (plan is None and forecast.busy))
        if not self._download.model:
            self.progress.setRange(0, 0)
        names = {
            "": "",
            "use": tr("Use This"),
            "download": tr("Download It"),
            "cancel": tr("Cancel"),
            "again": tr("Try Again"),
        }
        self.action.setText(names[self._does])
        self.action.setVisible(bool(self._does))
        self.judged.emit()

    def _say(self, title: str, about: str, tip: str = "") -> None:
        self.title.setText(title)
        self.about.setText(about)
        self.about.setVisible(bool(about))
        self.about.setToolTip(f"<qt>{tip}</qt>" if tip else "")

    def _show_plan(self, plan: TrainingPlanned) -> None:
        need = {"need": size(plan.peak), "there": size(plan.available)}
        if plan.fits:
            self._say(tr("Needs {need} of {there} of memory", **need), self._length(plan), tr(_EXPLAINED))
        elif plan.suggestion:
            self._does = "use"
            self._say(
                tr("Does not fit: it needs {need}, and {there} can be used", **need),
                tr("It would fit with: {settings}", settings=in_words(plan.suggestion)),
            )
        else:
            self._say(
                tr("Does not fit: it needs {need}, and {there} can be used", **need),
                tr("Choose a smaller or quantised model, or close other programs."),
            )

    @staticmethod
    def _length(plan: TrainingPlanned) -> str:
        found = []
        if plan.steps:
            found.append(tr("{count} steps", count=number(plan.steps)) if plan.steps != 1 else tr("1 step"))
        if plan.seconds_per_step and plan.steps:
            found.append(tr("at most {time}", time=duration(plan.seconds_per_step * plan.steps)))
        elif plan.seconds_per_step:
            found.append(tr("at most {time} a step", time=duration(plan.seconds_per_step)))
        if plan.rows >= 0:
            found.append(tr("{count} rows to learn from", count=number(plan.rows)))
        if plan.held_out > 0:
            found.append(tr("{count} held out to judge by", count=number(plan.held_out)))
        return " · ".join(found)

    def _show_absent(self, plan: TrainingPlanned) -> None:
        if plan.model.startswith(_CONVERTED):
            about = tr("Convert your checkpoint on the page Convert, then choose it as the model.")
        elif library.is_hub_id(plan.model):
            self._does = "download"
            about = tr("What the run needs is told once it is here.")
        else:
            about = tr("Choose a model that is here, or name one on Hugging Face as owner/model.")
        # Of a path its end says most.
        name = plan.model if len(plan.model) <= _LONGEST else f"…{plan.model[-_LONGEST:]}"
        self._say(tr("{name} is not on this computer", name=name), about)

    def _show_download(self) -> None:
        download = self._download
        self._does = "cancel"
        if download.share is None:
            self.progress.setRange(0, 0)
            about = tr("Looking the model up…")
        else:
            self.progress.setRange(0, 1000)
            self.progress.setValue(int(1000 * download.share))
            about = tr("{done} of {total}", done=size(download.done), total=size(download.total))
        self._say(tr("Downloading {name}", name=download.model), about)

    def _act(self) -> None:
        plan = self._forecast.plan
        match self._does:
            case "use" if plan is not None:
                self.changes_wanted.emit(values(plan.suggestion))
            case "download" if plan is not None:
                self._download.start(plan.model)
            case "cancel":
                self._download.cancel()
            case "again":
                self._download.failure = None
                self._forecast.again()
