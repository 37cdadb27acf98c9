"""Rows as the starter reads them, and what is said of data that cannot be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine import places
from engine.errors import UserError
from engine.grpo.settings import TrainConfig
from engine.monitor import preview
from engine.run_events import PromptRendered
from tests.engine.grpo.runs import only, returned, rows, tiny


def shown(config: TrainConfig, count: int = 4) -> list[PromptRendered]:
    return only(list(preview.prompts(config, count)), PromptRendered)


def test_rows_come_in_the_order_of_the_run_and_look_as_the_model_reads_them(tmp_path: Path) -> None:
    """The first rows are those of the run's first step, and another seed has others."""
    first = shown(tiny(tmp_path), 3)
    assert [row.held_out for row in first] == [False, False, False, True, True]
    assert first[0].rendered == f"<|begin|><|user|>{first[0].question}<|end|><|assistant|>"
    assert [first[0].rendered[at : at + length] for at, length in first[0].marks] == [
        "<|begin|>",
        "<|user|>",
        "<|end|>",
        "<|assistant|>",
    ]
    left, sign, right = first[0].question.removeprefix("What is ").removesuffix("?").split()
    assert int(first[0].answer) == (int(left) + int(right) if sign == "+" else int(left) - int(right))
    assert [row.row for row in shown(tiny(tmp_path, seed=1), 3)] != [row.row for row in first]
    assert len(shown(tiny(tmp_path), 5)) == 7


def test_the_prompts_are_those_that_a_run_takes(tmp_path: Path) -> None:
    """The same rows, in the same order, with the same tokens, as the trainer's own door to them."""
    from engine.grpo import data, prompts
    from engine.session import load

    config = tiny(tmp_path, system_prompt="Answer.", completion_prefill="<reasoning>")
    tokenizer = load("starter")[1]
    task = returned(data.load(config))
    cursor, taken = 0, []
    for _ in range(3):
        row, ids, cursor = prompts.next_row(tokenizer, task.train, config, cursor)
        taken.append((row.index, len(ids)))
    found = [row for row in shown(config, 3) if not row.held_out]
    assert [(row.row, row.tokens) for row in found] == taken
    assert all(row.rendered.endswith("<reasoning>") and "Answer." in row.rendered for row in found)


def test_what_the_data_spells_is_no_mark_and_what_is_too_long_says_so(tmp_path: Path) -> None:
    file = rows(tmp_path, [("Say <|end|> twice", "1"), ("long " * 60, "2")])
    config = tiny(tmp_path, dataset=str(file), max_prompt_length=40, eval_fraction=0.0)
    found = {row.row: row for row in shown(config)}
    assert "Say <|end|> twice" in found[0].rendered
    marked = [found[0].rendered[at : at + length] for at, length in found[0].marks]
    assert marked.count("<|end|>") == 1
    assert (found[0].too_long, found[1].too_long) == (False, True)
    assert found[1].tokens > 40


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": "nowhere.jsonl"}, "nowhere.jsonl"),
        ({"answer_pattern": "(", "dataset": "{file}"}, "regular expression"),
        ({"prompt_column": "task", "dataset": "{file}"}, "no column task"),
        ({"model_name": "some/model"}, "not on this computer"),
        ({"model_name": "/no/such/folder"}, "no model at"),
    ],
)
def test_a_fault_is_said_in_words(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    file = rows(tmp_path, [("1 + 1?", "2"), ("2 + 2?", "4")])
    changes = {name: value.format(file=file) for name, value in changes.items()}
    with pytest.raises(UserError) as found:
        shown(tiny(tmp_path, **changes))
    assert words in found.value.what
    assert found.value.remedy


def test_a_bad_row_is_named_by_its_line(tmp_path: Path) -> None:
    file = rows(tmp_path, [("1 + 1?", "2")] * 3)
    with file.open("a") as lines:
        lines.write('{"question": "", "answer": "3"}\n')
    with pytest.raises(UserError, match="line 4"):
        shown(tiny(tmp_path, dataset=str(file)))


def test_weights_are_not_needed(tmp_path: Path) -> None:
    """A tokenizer and a config are enough; what the weights hold is never looked at."""
    folder = tmp_path / "model"
    shutil.copytree(places.starter_folder(), folder)
    (weights,) = folder.glob("*.safetensors")
    weights.write_bytes(b"nothing of use")
    assert shown(tiny(tmp_path, model_name=str(folder)), 1)[0].tokens > 5
    (folder / "tokenizer.json").write_text(json.dumps({"no": "tokenizer"}))
    with pytest.raises(UserError, match="tokenizer"):
        shown(tiny(tmp_path, model_name=str(folder)), 1)
