"""At temperature 0 the answers of converted models are those of torch, alone and side by side."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import jobs, places
from engine.batch.side_by_side import SideBySide
from engine.batch.writing import Ask
from engine.chat.streaming import stream_reply
from engine.config import Sampling
from engine.convert.settings import ConversionSettings
from engine.events import Token
from engine.session import drain, open_session
from tests.support.torch_child import TorchChild, torch_child

COMMON: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {"class": "LlamaConfig"},
    "qwen2": {"class": "Qwen2Config"},
    "qwen3": {"class": "Qwen3Config", "head_dim": 16},
    "gemma3_text": {"class": "Gemma3TextConfig", "head_dim": 16, "sliding_window": 8},
}
PROMPTS = [[1, 4, 300, 17, 90, 33, 210], [1, 8, 9], [1, *range(40, 71)]]
LONGEST = 24
GREEDY = """
import torch
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
model.eval()
result = []
for ids in prompts:
    text = list(ids)
    for _ in range(longest):
        with torch.no_grad():
            logits = model(torch.tensor([text])).logits[0, -1]
        text.append(int(logits.argmax()))
        if text[-1] in ends:
            break
    result.append(text[len(ids):])
"""


@pytest.fixture(scope="module")
def torch() -> Iterator[TorchChild]:
    with torch_child() as child:
        yield child


@pytest.mark.parametrize("kind", CONFIGS)
def test_greedy_is_torchs_greedy(torch: TorchChild, tmp_path: Path, kind: str) -> None:
    import json

    starter = places.starter_folder()
    vocabulary = json.loads((starter / "config.json").read_text())["vocab_size"]
    source = torch.make(tmp_path / "source", COMMON | {"vocab_size": vocabulary} | CONFIGS[kind], scale=2.0)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(starter / name, source / name)
    asked = jobs.Convert(str(source), str(tmp_path / "model"), ConversionSettings(check="never"))
    list(jobs.start(asked, jobs.Workbench()))
    session = drain(open_session(str(tmp_path / "model")))
    ends = sorted(map(int, session.tokenizer.eos_token_ids))
    expected = torch.run(GREEDY, folder=str(source), prompts=PROMPTS, longest=LONGEST, ends=ends)
    sampling = Sampling(temperature=0.0, max_tokens=LONGEST)
    for prompt, tokens in zip(PROMPTS, expected, strict=True):
        events = list(stream_reply(session, prompt, sampling))
        found = [event.token for event in events if isinstance(event, Token) and event.token is not None]
        assert found == [token for token in tokens if token not in ends]
    batch = SideBySide(session, sampling, iter([Ask(n, ids, 0, LONGEST, "length")] for n, ids in enumerate(PROMPTS)))
    written = {}
    while (ended := batch.advance()) is not None:
        written |= {each.place: each for each in ended}
    for place, tokens in enumerate(expected):
        shown = [token for token in tokens if token not in ends]
        assert written[place].completion_tokens == len(tokens)
        assert written[place].text == session.tokenizer.decode(shown)
