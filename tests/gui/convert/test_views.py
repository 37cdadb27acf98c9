"""The wizard's views on their own, fed with what the engine says."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QLabel, QWidget
from pytestqt.qtbot import QtBot

from engine import library
from engine.conversion_events import ModelChecked
from engine.convert.settings import ConversionSettings
from engine.events import Failed
from gui import theme as looks
from gui.convert import words as say
from gui.convert.about_view import AboutView
from gui.convert.choices import Choices
from gui.convert.estimates import EstimateCard
from gui.convert.output import OutputField
from gui.convert.plot import LossPlot, loss
from gui.convert.presets import CUSTOM, EIGHT, EXACT, FOUR, KEPT, WHOLE
from gui.convert.quality_view import QualityView
from gui.parts import FailureCard, PathLabel
from gui.text import duration, parameters
from tests.gui.convert.plans import FIGURES, PLAN, plan

pytestmark = pytest.mark.usefixtures("theme")


def shown(qtbot: QtBot, widget: QWidget, width: int = 700, height: int = 500) -> None:
    qtbot.addWidget(widget)
    widget.resize(width, height)
    widget.show()


def test_page_one_says_what_it_is_in_plain_words(qtbot: QtBot) -> None:
    view = AboutView()
    shown(qtbot, view)
    view.show_plan(PLAN)
    facts = view.facts.texts()
    assert view.title.text() == "SmolLM2-135M-Instruct"
    assert view.kind.text() == "A model as Hugging Face publishes it"
    assert facts["Architecture"] == "llama, 30 layers"
    assert facts["Parameters"] == "135 million"
    assert facts["Number format"] == "16-bit numbers (bfloat16)"
    assert facts["Size now"] == "269 MB, one file"
    assert "conversations" in facts["Chat template"]
    assert view.warnings.isHidden()
    view.show_plan(plan(warnings=("A stray file was left out.", "No licence."), shards=3, tokenizer="", layers=0))
    assert view.facts.texts()["Size now"] == "269 MB, 3 files"
    assert view.facts.texts()["Tokenizer"] == "none was found"
    assert view.warnings.isVisible()
    assert [label.text() for label in view.warnings.findChildren(QLabel) if label.text()] == [
        "A stray file was left out.",
        "No licence.",
    ]


def test_markup_in_a_models_name_stays_text(qtbot: QtBot) -> None:
    view = AboutView()
    shown(qtbot, view)
    view.show_plan(plan(name="<b>bold</b>", warnings=("<img src=x>",)))
    assert view.title.textFormat() == Qt.TextFormat.PlainText
    assert all(label.textFormat() == Qt.TextFormat.PlainText for label in view.warnings.findChildren(QLabel)[1::2])


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999"), (1_500_000, "1.5 million"), (135_000_000, "135 million"), (7.2e9, "7.2 billion")]
)
def test_parameters_in_words(count: int, text: str) -> None:
    assert parameters(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 seconds"),
        (1, "1 second"),
        (59.4, "59 seconds"),
        (61, "1 minute"),
        (600, "10 minutes"),
        (9000, "2 h 30 min"),
    ],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_verdicts_in_words() -> None:
    assert say.verdict(ModelChecked("same", "", 2e-4, 1.0, 812, 600))[0] == "Computes what its source computes"
    assert "below 0.001" in say.verdict(ModelChecked("same", "", 1e-7, 1.0, 812, 600))[1]
    assert "0.020" in say.verdict(ModelChecked("same", "", 2e-4, 1.0, 812, 600))[1]
    assert say.verdict(ModelChecked("different", "Layer 3 differs.")) == (
        "Does not compute what its source computes",
        "Layer 3 differs.",
    )
    assert say.verdict(ModelChecked("not checked", "Too large."))[1] == "Too large."
    assert say.verdict(None)[0] == "Not checked"


def test_the_cards_set_what_they_say_and_tell_the_size(qtbot: QtBot) -> None:
    choices = Choices(PLAN)
    shown(qtbot, choices)
    assert choices.settings() == ConversionSettings(quantize=True, bits=4)
    sizes = {name: card.size_label.text() for name, card in choices.cards.cards.items()}
    assert sizes["Exact copy"] == "269 MB"
    assert sizes["8-bit"] == "143 MB"
    assert sizes["4-bit"] == "76.0 MB"
    for preset, settings in (
        (EXACT, ConversionSettings()),
        (EIGHT, ConversionSettings(quantize=True, bits=8)),
        (FOUR, ConversionSettings(quantize=True, bits=4)),
        (CUSTOM, ConversionSettings(quantize=True)),
    ):
        qtbot.mouseClick(choices.cards.cards[preset.title], Qt.MouseButton.LeftButton)
        assert choices.settings() == settings
        assert choices.numbers.isVisible() is (preset is CUSTOM)


def test_the_arrow_keys_go_from_card_to_card(qtbot: QtBot) -> None:
    choices = Choices(PLAN)
    shown(qtbot, choices)
    card = choices.cards.cards["4-bit"]
    choices.activateWindow()
    card.setFocus()
    qtbot.waitUntil(card.hasFocus)
    qtbot.keyClick(card, Qt.Key.Key_Left)
    assert choices.cards.preset is EIGHT


def test_every_card_has_room_for_its_words(qtbot: QtBot) -> None:
    choices = Choices(PLAN)
    for width in (480, 560, 680):
        shown(qtbot, choices, width)
        qtbot.waitUntil(lambda width=width: choices.cards.width() == width)
        for card in choices.cards.cards.values():
            for label in card.findChildren(QLabel):
                assert label.height() >= label.heightForWidth(label.width()), (width, label.text())


def test_what_is_for_some_sources_only_is_shown_for_those(qtbot: QtBot) -> None:
    plain, nano, packed = Choices(PLAN), Choices(plan(kind="nanochat")), Choices(plan(kind="gguf", dtype="Q4_K"))
    for choices in (plain, nano, packed):
        qtbot.addWidget(choices)
    assert "rope_theta" not in plain.others._rows
    assert {"rope_theta", "softcap", "qk_scale"} <= set(nano.others._rows)
    assert WHOLE.title not in plain.cards.cards
    assert packed.cards.preset is KEPT
    packed.cards.choose(WHOLE)
    assert packed.settings() == ConversionSettings(dequantize=True)
    packed.cards.choose(CUSTOM)
    packed.numbers._edited("quantize", False)
    assert packed.settings() == ConversionSettings(dequantize=True)


def test_what_cannot_go_together_is_said_and_holds_the_start_back(qtbot: QtBot) -> None:
    choices = Choices(PLAN)
    shown(qtbot, choices)
    choices.cards.choose(CUSTOM)
    choices.numbers._edited("mode", "mxfp4")
    choices.numbers._edited("bits", 8)
    assert not choices.valid
    assert "mxfp4 takes 4 bits" in choices.numbers._rows["bits"]._complaint.text()
    choices.cards.choose(FOUR)
    assert choices.valid
    choices.cards.choose(CUSTOM)
    choices.numbers._edited("bits", None)
    assert choices.valid
    assert choices.settings() == ConversionSettings(quantize=True, mode="mxfp4")
    choices.numbers._edited("quantize", False)
    assert not choices.numbers._rows["mode"].isEnabled()


def test_the_estimates_warn_where_something_does_not_suffice(qtbot: QtBot) -> None:
    card = EstimateCard()
    shown(qtbot, card)
    card.show_plan(PLAN)
    assert card.texts()["size"] == "269 MB, 16.0 bits a weight"
    assert card.texts()["disk"] == "269 MB of 45.0 GB free"
    assert card.warnings.isHidden()
    card.show_plan(plan(free_disk=10**8, peak_memory=10**15))
    assert len(card.warnings.sentences) == 2
    assert "169 MB more" in card.warnings.sentences[0]
    assert card.warnings.isVisible()


def test_the_output_follows_the_settings_until_it_is_changed(qtbot: QtBot, tmp_path: Path) -> None:
    field = OutputField("/models/source", lambda _: False)
    shown(qtbot, field)
    field.set_default(library.folder_for(PLAN.name, ConversionSettings(quantize=True, bits=4).label()))
    assert field.folder.name == "SmolLM2-135M-Instruct-4bit"
    field.set_default(library.folder_for(PLAN.name, ConversionSettings(quantize=True, bits=8).label()))
    assert field.folder.name == "SmolLM2-135M-Instruct-8bit"
    field.line.clear()
    qtbot.keyClicks(field.line, str(tmp_path / "mine"))
    field.set_default(library.folder_for(PLAN.name, ConversionSettings().label()))
    assert field.folder == tmp_path / "mine"
    assert field.valid


def test_an_output_that_cannot_be_written_is_said_at_once(qtbot: QtBot, tmp_path: Path) -> None:
    source, model, other = tmp_path / "source", tmp_path / "model", tmp_path / "other"
    for folder in (source, model, other):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    (other / "config.json").rename(other / "holiday.jpg")
    field = OutputField(str(source), lambda folder: folder == tmp_path / "queued")
    shown(qtbot, field)

    def complaint(folder: Path) -> str:
        field.line.set_text(str(folder))
        field.check()
        return field.complaint.text()

    assert "model itself" in complaint(source)
    assert "model itself" in complaint(tmp_path)
    assert "Another conversion" in complaint(tmp_path / "queued")
    assert complaint(tmp_path / "new") == ""
    assert "no home folder ~nobody-here" in complaint(Path("~nobody-here/new"))
    assert "exists already" in complaint(model)
    field.replace.setChecked(True)
    assert field.valid
    assert complaint(model) == ""
    field._on_written()
    assert "exists already" in field.complaint.text(), "that one may be replaced says nothing of another"
    field.line.set_text(str(other))
    field.replace.setChecked(True)
    assert "not a model's folder" in complaint(other)


def test_a_long_path_loses_its_middle_and_tells_all_in_its_tooltip(qtbot: QtBot) -> None:
    path = "/Users/anna/" + "很长的文件夹/" * 30 + "model"
    label = PathLabel(path)
    shown(qtbot, label, 240, 20)
    assert "…" in label.text()
    assert label.text().endswith("model")
    assert label.toolTip() == label.accessibleName() == path


def test_an_error_says_what_why_and_what_to_do(qtbot: QtBot) -> None:
    card = FailureCard()
    shown(qtbot, card)
    card.show_failure(Failed("It is broken.", "A shard is missing.", "Get it again.", "bug", "Traceback"))
    assert card.text() == "It is broken.\nA shard is missing.\nGet it again."
    assert card._details.isVisible()
    card.show_failure(Failed("It is broken.", "", "Get it again."))
    assert not card._details.isVisible()
    assert not card._why.isVisible()


def test_quality_is_a_sentence_a_table_and_a_plot(qtbot: QtBot) -> None:
    view = QualityView()
    shown(qtbot, view)
    assert view.isVisible()
    view.show_figures(FIGURES)
    cells = [[view.table.item(row, column).text() for column in range(7)] for row in range(3)]
    assert cells[1] == ["✓ 4-bit", "76.0 MB", "4.50", "0.062", "87.1\u00a0%", "13.20", "121.4"]
    assert [row[0] for row in cells] == ["8-bit", "✓ 4-bit", "2-bit"]
    assert cells[2][-1] == "–"
    assert "87.1" in view.sentence.text()
    assert "2-bit: 45.0 MB, KL divergence 3.9" in view.plot.accessibleDescription()
    view.show_figures([])
    assert not view.isVisible()


@pytest.mark.parametrize("appearance", ["light", "dark"])
def test_the_plot_marks_the_chosen_setting(qtbot: QtBot, theme: looks.Theme, appearance: str) -> None:
    theme.wish(appearance)
    plot = LossPlot()
    shown(qtbot, plot, 600, 240)
    plot.show_figures(FIGURES)
    image = plot.grab().toImage()
    assert count(image, theme.colours.accent) > 60
    plot.show_figures([figure for figure in FIGURES if not figure.chosen])
    assert count(plot.grab().toImage(), theme.colours.accent) == 0
    theme.wish("light")


def count(image: QImage, colour: str) -> int:
    wanted = QColor(colour).rgb()
    return sum(image.pixel(x, y) == wanted for x in range(image.width()) for y in range(image.height()))


def test_the_plot_bears_figures_that_are_zero_alike_or_one(qtbot: QtBot) -> None:
    plot = LossPlot()
    shown(qtbot, plot, 600, 240)
    zero = FIGURES[0].__class__("bfloat16", True, 0, 16.0, 0.0, 1.0, 9.0, 0.0, 10)
    for figures in ([zero], [zero, zero], FIGURES, []):
        plot.show_figures(figures)
        assert not plot.grab().isNull()


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.00042, "0.00042"), (0.1, "0.1"), (0.0617, "0.062"), (3.94, "3.9"), (12.3, "12")]
)
def test_losses_have_the_digits_that_say_something(value: float, text: str) -> None:
    assert loss(value) == text
