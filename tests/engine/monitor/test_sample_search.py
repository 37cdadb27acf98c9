"""A text is found in completions and prompts, whatever its case and however it is written in the file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.events import Progress
from engine.monitor import sample_search, samples
from engine.run_events import SampleFound
from tests.engine.grpo.runs import only
from tests.engine.monitor.steps import SAMPLE, many_steps, sample_line, write_samples


def search(folder: Path, text: str, limit: int = 200) -> list[SampleFound]:
    return only(list(sample_search.search(folder, text, limit)), SampleFound)


def marked(found: SampleFound) -> str:
    return found.excerpt[found.start : found.start + found.length]


def test_the_newest_come_first_with_their_places(tmp_path: Path) -> None:
    write_samples(tmp_path, *many_steps([1, 2, 5]))
    found = search(tmp_path, "G1 C2")
    assert [(hit.step, hit.group, hit.completion) for hit in found] == [(5, 1, 2), (2, 1, 2), (1, 1, 2)]
    assert {marked(hit) for hit in found} == {"g1 c2"}
    assert [hit.step for hit in search(tmp_path, "g1 c2", 2)] == [5, 2]


def test_a_prompt_is_named_once_a_group(tmp_path: Path) -> None:
    write_samples(tmp_path, *many_steps([1, 2]))
    found = search(tmp_path, "what is")
    assert [(hit.step, hit.group, hit.completion) for hit in found] == [(2, 1, -1), (2, 0, -1), (1, 1, -1), (1, 0, -1)]
    assert marked(found[0]) == "What is"


@pytest.mark.parametrize(
    ("text", "wanted", "hit"),
    [
        ('She said "four".\nThen she left.', '"four".\nthen', '"four".\nThen'),
        ("C:\\new", "c:\\NEW", "C:\\new"),
        ("tab\there", "TAB\there", "tab\there"),
        ("小明有三个苹果", "三个", "三个"),
        ("die STRASSE dort", "straße", "STRASSE"),
        ("die Straße dort", "STRASSE", "Straße"),
        ("300 \u212a", "300 k", "300 \u212a"),  # the sign of Kelvin
        ("\u0130stanbul", "i\u0307stanbul", "\u0130stanbul"),
        ("x = ½ √2", "½ √", "½ √"),
        ("bell \x07 rings", "bell \x07", "bell \x07"),
        ("only half \ud83d of it", "half", "half"),
    ],
)
def test_case_and_escapes_are_no_matter(tmp_path: Path, text: str, wanted: str, hit: str) -> None:
    line = json.dumps(SAMPLE | {"text": text}).encode()  # all that is not ASCII as escapes
    write_samples(tmp_path, sample_line(text="nothing of the kind"), sample_line(text=text, completion=1))
    assert [marked(found) for found in search(tmp_path, wanted)] == [hit]
    write_samples(tmp_path, line + b"\n")
    assert [marked(found) for found in search(tmp_path, wanted)] == [hit]


@given(st.text(min_size=1, max_size=8), st.text(max_size=30), st.text(max_size=30), st.integers(1, 500))
def test_what_is_there_is_found(wanted: str, before: str, after: str, block: int) -> None:
    if not wanted.casefold():
        return
    text = before + wanted + after
    if wanted.casefold() not in text.casefold() or "\ufffd" in wanted:
        return
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "BLOCK", block)
        patch.setattr(sample_search, "BREATH", 0.0)
        write_samples(Path(name), *many_steps([1]), sample_line(step=2, text=text), *many_steps([3]))
        places = {(found.step, found.completion) for found in search(Path(name), wanted)}
    assert (2, 0) in places


@given(st.text(min_size=1, max_size=3), st.text(max_size=20))
def test_what_is_marked_is_what_was_looked_for(wanted: str, text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        write_samples(Path(name), sample_line(text=text, prompt=""))
        for found in search(Path(name), wanted):
            assert wanted.casefold() in marked(found).casefold()


def test_every_sign_that_folds_to_ascii_is_known() -> None:
    """Among all there are, in this Python's version of Unicode."""
    signs = [chr(code) for code in range(128, 0x110000) if not 0xD800 <= code < 0xE000]
    folding = [sign for sign in signs if any(part.isascii() for part in sign.casefold())]
    assert len(folding) > 10
    assert [sign for sign in folding if not sample_search._FOLDING.fullmatch(sign.encode())] == []


def test_a_long_text_is_cut_around_what_was_found(tmp_path: Path) -> None:
    write_samples(tmp_path, sample_line(text="a" * 5000 + "needle" + "b" * 5000))
    (found,) = search(tmp_path, "NEEDLE")
    assert len(found.excerpt) < 200
    assert marked(found) == "needle"


def test_a_search_tells_how_far_it_is_and_can_be_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "BLOCK", 2000)
    monkeypatch.setattr(sample_search, "_PROGRESS", 4)
    write_samples(tmp_path, *many_steps(range(1, 60)))
    steps = sample_search.search(tmp_path, "nowhere at all")
    assert isinstance(next(steps), Progress)
    told = only(list(steps), Progress)
    shares = [event.done / event.total for event in told]
    assert shares == sorted(shares)
    assert len(told) > 3


@pytest.mark.parametrize("text", ["", "nothing"])
def test_there_may_be_nothing_to_find(tmp_path: Path, text: str) -> None:
    assert search(tmp_path, text) == []
    write_samples(tmp_path)
    assert search(tmp_path, text) == []
    assert search(tmp_path, "2 + 2", 0) == []


def test_a_folder_that_is_gone_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not there any more"):
        search(tmp_path / "away", "x")
