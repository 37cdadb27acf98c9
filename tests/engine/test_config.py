"""Settings: where they come from, that nothing is lost on the way, and what a mistake is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Sampling, Settings, assign, build, read, write
from engine.errors import UserError

SAMPLINGS = st.builds(
    Sampling,
    temperature=st.floats(0, 2),
    top_p=st.floats(0, 1, exclude_min=True),
    top_k=st.integers(0, 1000),
    min_p=st.floats(0, 1),
    repetition_penalty=st.floats(1, 2),
    max_tokens=st.integers(1, 131072),
    seed=st.none() | st.integers(0, 2**31 - 1),
    stop=st.lists(st.text()).map(tuple),
)
SETTINGS = st.builds(
    Settings,
    appearance=st.sampled_from(["system", "light", "dark"]),
    send_key=st.sampled_from(["return", "command-return"]),
    model=st.text(),
    precision=st.sampled_from(["auto", "stored", "float32", "bfloat16", "float16"]),
    memory_limit=st.integers(0, 1 << 20),
    system_prompt=st.text(),
    sampling=SAMPLINGS,
)


@given(SETTINGS)
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> None:
    """Any valid settings, with any text in them."""
    file = tmp_path_factory.mktemp("settings") / "settings.toml"
    write(settings, file)
    assert read(Settings, file) == settings


def test_a_file_that_is_not_there_gives_the_defaults(tmp_path: Path) -> None:
    """And is not made by reading."""
    file = tmp_path / "settings.toml"
    assert read(Settings, file) == Settings()
    assert not file.exists()


def test_a_mark_of_byte_order_is_no_fault(tmp_path: Path) -> None:
    """Editors of Windows write one."""
    file = tmp_path / "sampling.toml"
    file.write_text("top_k = 40\n", "utf-8-sig")
    assert read(Sampling, file) == Sampling(top_k=40)


def test_the_file_wins_over_the_defaults_and_set_over_the_file(tmp_path: Path) -> None:
    """Setting by setting, not as a whole."""
    file = tmp_path / "sampling.toml"
    file.write_text("temperature = 0.5\ntop_k = 40\n", "utf-8")
    assert read(Sampling, file) == Sampling(temperature=0.5, top_k=40)
    values = assign({"temperature": 0.5, "top_k": 40}, "temperature=0.25")
    assert build(Sampling, values) == Sampling(temperature=0.25, top_k=40)


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    """So that a better default of a later version reaches everybody who never chose."""
    file = tmp_path / "a" / "new" / "folder" / "settings.toml"
    write(Settings(appearance="dark", sampling=Sampling(top_k=3)), file)
    assert file.read_text("utf-8") == 'appearance = "dark"\n\n[sampling]\ntop_k = 3\n'
    write(Settings(), file)
    assert file.read_text("utf-8") == ""


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the disk is full, or the last step is refused."""
    file = tmp_path / "settings.toml"
    write(Settings(model="old"), file)

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "refused", str(target))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuse)
        with pytest.raises(PermissionError):
            write(Settings(model="new"), file)
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", _full)
        with pytest.raises(OSError, match="full"):
            write(Settings(model="new"), file)
    assert read(Settings, file).model == "old"
    assert list(tmp_path.iterdir()) == [file]


def _full(_: int) -> None:
    raise OSError(28, "full")


@pytest.mark.parametrize(
    ("model", "values", "what", "remedy"),
    [
        (Sampling, {"temprature": 1}, "There is no setting temprature.", "Did you mean temperature?"),
        (Settings, {"sampling": {"topp": 1}}, "There is no setting sampling.topp.", "Did you mean top_p?"),
        (
            Settings,
            {"sampling": {"model": 1}},
            "There is no setting sampling.model.",
            "Known settings: max_tokens, min_p",
        ),
        (Settings, {"zzz": 1}, "There is no setting zzz.", "Known settings: appearance, draft_model"),
    ],
)
def test_an_unknown_key_names_the_nearest(model: Any, values: dict[str, Any], what: str, remedy: str) -> None:
    """Of the table it stands in; where none is near, it names all."""
    with pytest.raises(UserError) as caught:
        build(model, values)
    assert caught.value.what == what
    assert caught.value.remedy.startswith(remedy)
    assert caught.value.fault == "input"


@pytest.mark.parametrize(
    ("values", "what", "why"),
    [
        ({"temperature": 3}, "The setting temperature cannot be 3.", "less than or equal to 2."),
        ({"top_p": 0}, "The setting top_p cannot be 0.", "greater than 0."),
        ({"temperature": float("nan")}, "The setting temperature cannot be nan.", "than or equal to"),
        ({"seed": "many"}, "The setting seed cannot be 'many'.", "valid integer"),
        ({"stop": "text"}, "The setting stop cannot be 'text'.", "valid tuple."),
        ({"stop": ["good", 3]}, "The setting stop cannot be 3.", "valid string."),
        ({"temperature": "{why}"}, "The setting temperature cannot be '{why}'.", "valid number"),
    ],
)
def test_a_value_that_cannot_be_says_what_can(values: dict[str, Any], what: str, why: str) -> None:
    """In the words of the field's bounds; a text with braces in it is still only a text."""
    with pytest.raises(UserError) as caught:
        build(Sampling, values)
    assert caught.value.what == what
    assert why in caught.value.why


def test_a_value_deep_inside_is_named_with_its_table() -> None:
    """As it would be written in the file."""
    with pytest.raises(UserError) as caught:
        build(Settings, {"sampling": {"top_k": -1}})
    assert caught.value.what == "The setting sampling.top_k cannot be -1."


@pytest.mark.parametrize(
    "content", [b"appearance = ", b"appearance = 'dark'\nappearance = 'light'\n", b"\xff\xfe", b"}"]
)
def test_a_file_that_is_not_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """It is the person's file, and stays as it is."""
    file = tmp_path / "settings.toml"
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read(Settings, file)
    assert str(file) in caught.value.what
    assert caught.value.why
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("key=1", 1),
        ("key=-0.5", -0.5),
        ("key=1e-6", 1e-6),
        ("key=true", True),
        ("key=Yes", True),
        ("key=off", False),
        ("key=starter", "starter"),
        ("key = starter ", "starter"),
        ("key=", ""),
        ("key='3'", "3"),
        ("key=a=b", "a=b"),
        ("key=/a folder/with spaces", "/a folder/with spaces"),
        ('key=["\\n", "</s>"]', ["\n", "</s>"]),
        ("key=[1, 2]", [1, 2]),
        ("key=1\nother=2", "1\nother=2"),
        ("key=a # b", "a # b"),
    ],
)
def test_set_reads_toml_where_it_is_toml_and_text_where_not(assignment: str, value: object) -> None:
    """The value keeps its type, and nothing else is set."""
    before = {"key": "before", "kept": 1}
    assert assign(before, assignment) == {"key": value, "kept": 1}
    assert before == {"key": "before", "kept": 1}


def test_set_reaches_into_a_table() -> None:
    """With dots, as TOML writes it."""
    values = assign({"sampling": {"top_k": 4}}, "sampling.temperature=0.5")
    assert build(Settings, values) == Settings(sampling=Sampling(top_k=4, temperature=0.5))
    assert build(Settings, assign({}, "sampling.seed=1")).sampling.seed == 1


@pytest.mark.parametrize("assignment", ["temperature", "temperature 0.5", ""])
def test_set_without_a_value_shows_how(assignment: str) -> None:
    """The remedy is a line that works."""
    with pytest.raises(UserError) as caught:
        assign({}, assignment)
    assert "--set temperature=0.5" in caught.value.remedy
