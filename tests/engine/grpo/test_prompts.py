"""What a policy reads of a row, and what is read of its answer."""

from __future__ import annotations

from typing import Any

import pytest
from mlx_lm.tokenizer_utils import TokenizerWrapper, load

from engine import places
from engine.errors import UserError
from engine.grpo import prompts
from engine.grpo.data import Row
from engine.grpo.settings import TrainConfig


@pytest.fixture(scope="module")
def tokenizer() -> TokenizerWrapper:
    return load(places.starter_folder())


def row(prompt: str, index: int = 0) -> Row:
    return Row(index, prompt, "", {})


def config(**values: Any) -> TrainConfig:
    return TrainConfig(**{"system_prompt": "", "completion_prefill": "", **values})


def test_the_prefill_follows_the_chat_as_text(tokenizer: TokenizerWrapper) -> None:
    bare = prompts.encode(tokenizer, row("What is 1 + 1?"), config())
    assert bare == tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is 1 + 1?"}], add_generation_prompt=True, tokenize=True
    )
    prefilled = prompts.encode(tokenizer, row("What is 1 + 1?"), config(completion_prefill="<reasoning>"))
    assert prefilled[: len(bare)] == bare
    assert tokenizer.decode(prefilled[len(bare) :]) == "<reasoning>"


def test_the_system_prompt_is_read(tokenizer: TokenizerWrapper) -> None:
    ids = prompts.encode(tokenizer, row("What is 1 + 1?"), config(system_prompt="Be brief."))
    assert "Be brief." in tokenizer.decode(ids)


REFUSING = """\
{%- for message in messages -%}
{%- if message.role == "system" or word in message.content -%}{{ raise_exception("no " + word) }}{%- endif -%}
{{ message.content }}
{%- endfor -%}
"""


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("What is 1 + 1?", ("refuses system_prompt", 'set it to ""')),
        ("What is pepper?", ("refuses the prompt of row 3", "What is pepper?", "Mend or delete that row")),
    ],
)
def test_what_a_chat_template_refuses_is_named(prompt: str, words: tuple[str, ...]) -> None:
    fussy = load(places.starter_folder())
    fussy.chat_template = '{%- set word = "pepper" -%}' + REFUSING
    assert prompts.encode(fussy, row("What is salt?"), config(system_prompt="Be brief."))
    with pytest.raises(UserError) as caught:
        prompts.encode(fussy, row(prompt, 2), config(system_prompt="Use pepper."))
    said = f"{caught.value.what} {caught.value.why} {caught.value.remedy}"
    assert all(word in said for word in (*words, "no pepper")), said
    assert "conversation" not in caught.value.remedy


def test_special_tokens_in_the_data_stay_text(tokenizer: TokenizerWrapper) -> None:
    special = set(tokenizer.all_special_ids)
    plain = prompts.encode(tokenizer, row("a"), config())
    spelled = tokenizer.eos_token
    ids = prompts.encode(tokenizer, row(f"a {spelled} b"), config(completion_prefill=f"{spelled}<reasoning>"))
    assert [token for token in ids if token in special] == [token for token in plain if token in special]
    assert spelled in tokenizer.decode(ids)


def test_a_completion_is_read_without_its_end(tokenizer: TokenizerWrapper) -> None:
    ids = tokenizer.encode(" 7+8=15</reasoning>", add_special_tokens=False)
    end = tokenizer.eos_token_id
    assert prompts.decode(tokenizer, [*ids, end], {end}) == " 7+8=15</reasoning>"
    assert prompts.decode(tokenizer, ids, {end}) == " 7+8=15</reasoning>"
    assert prompts.decode(tokenizer, [end], {end}) == ""
    assert prompts.decode(tokenizer, [], {end}) == ""
    # What comes before the end was said, and is judged.
    assert prompts.decode(tokenizer, [end, *ids], {end}) == f"{tokenizer.eos_token} 7+8=15</reasoning>"


def test_long_rows_are_passed_over(tokenizer: TokenizerWrapper) -> None:
    rows = [row("1 + 1 " * (40 if index % 3 else 1), index) for index in range(9)]
    settings = config(max_prompt_length=30, seed=5)
    taken, cursor = [], 0
    for _ in range(6):
        chosen, prompt, after = prompts.next_row(tokenizer, rows, settings, cursor)
        assert prompts.fits(prompt, settings)
        assert prompt == prompts.encode(tokenizer, chosen, settings)
        assert after > cursor
        taken, cursor = [*taken, chosen.index], after
    assert (sorted(taken[:3]), sorted(taken[3:])) == ([0, 3, 6], [0, 3, 6])
    assert cursor <= 18
    # From any place in an epoch.
    assert {prompts.next_row(tokenizer, rows, settings, place)[0].index for place in range(9)} <= {0, 3, 6}


def test_where_every_row_is_too_long_the_needed_length_is_named(tokenizer: TokenizerWrapper) -> None:
    rows = [row("1 + 1 " * (index + 1), index) for index in range(3)]
    shortest = len(prompts.encode(tokenizer, rows[0], config()))
    with pytest.raises(UserError, match="too long") as caught:
        prompts.next_row(tokenizer, rows, config(max_prompt_length=shortest - 1), 1)
    assert f"max_prompt_length to {shortest} or more" in caught.value.remedy
    assert prompts.next_row(tokenizer, rows, config(max_prompt_length=shortest), 1)[0].index == 0
