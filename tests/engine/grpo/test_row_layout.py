"""Layouts of rows: each row stands once in the table of its prompt. No keys and values here."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.grpo.row_layout import RowLayout


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.data())
def test_each_row_stands_in_the_line_of_its_prompt(prompts: list[int], data: st.DataObject) -> None:
    count = len(prompts)
    starts = np.array(data.draw(st.lists(st.integers(0, 9), min_size=count, max_size=count)))
    lengths = np.array(data.draw(st.lists(st.integers(0, 9), min_size=5, max_size=5)))
    layout = RowLayout.of(np.array(prompts), starts, lengths)
    assert layout.size == max(prompts.count(prompt) for prompt in prompts)
    table = np.arange(count) if layout.spread is None else np.array(layout.spread)
    places = np.arange(count) if layout.places is None else np.array(layout.places)
    assert len(table) == 5 * layout.size
    assert table[places].tolist() == list(range(count))
    assert (places // layout.size).tolist() == prompts
    assert np.array(layout.before).tolist() == [lengths[p] - s for p, s in zip(prompts, starts, strict=True)]
    mask = layout.own_mask(10)
    seen = np.ones((count, 10), bool) if mask is None else np.array(mask)[:, 0, 0]
    assert (seen == (np.arange(10) >= starts[:, None])).all()


def test_rows_prompt_by_prompt_need_no_table() -> None:
    layout = RowLayout.of(np.array([0, 0, 1, 1]), np.zeros(4, int), np.array([3, 3]))
    assert (layout.spread, layout.places, layout.starts, layout.padded) == (None, None, None, False)


def test_an_empty_prompt_is_padding() -> None:
    assert RowLayout.of(np.array([0, 1]), np.zeros(2, int), np.array([0, 0])).padded
