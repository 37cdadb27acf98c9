"""Every form of tokenizer, saved and opened by the programs that will read it: ids, template, stops, streaming."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from engine import places
from engine.convert import tokenizer_files
from engine.convert.tokenizer_forms import HARD_TEXT
from tests.engine.convert.tokenizer_probe import assert_streams, loaded, plain, refusal, saved
from tests.support import tiny_tokenizers as tiny

CONVERSATION = [{"role": "user", "content": "Hi 日本"}]
CHAT = {"eos_token": "<|im_end|>", "bos_token": "<s>", "chat_template": tiny.TEMPLATE}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


@pytest.fixture
def fast(source: Path) -> Path:
    """A chat model with a tokenizer.json."""
    tiny.write_folder(source, "llama", CHAT | {"tokenizer_class": "PreTrainedTokenizerFast"}, eos_token_id=[4, 2])
    tiny.byte_level().save(str(source / "tokenizer.json"))
    return source


@pytest.mark.parametrize("make", [tiny.byte_level, tiny.with_spaces_marked, tiny.word_pieces, tiny.unigram])
def test_a_tokenizer_json_stays_what_it_is(source: Path, make: Callable[[], Tokenizer]) -> None:
    tiny.write_folder(source, "llama", CHAT | {"tokenizer_class": "PreTrainedTokenizerFast"}, eos_token_id=[4, 2])
    make().save(str(source / "tokenizer.json"))
    assert tokenizer_files.describe(source) == "tokenizer.json"
    before, after = loaded(source), loaded(saved(source))
    text = HARD_TEXT + "<|im_start|>user\n"
    assert after.encode(text) == before.encode(text)
    assert len(plain(after, text)) > 50
    assert after.apply_chat_template(CONVERSATION, add_generation_prompt=True) == before.apply_chat_template(
        CONVERSATION, add_generation_prompt=True
    )
    assert after.eos_token_ids == before.eos_token_ids == {4, 2}
    assert type(after.detokenizer) is type(before.detokenizer)
    if make in {tiny.byte_level, tiny.with_spaces_marked}:  # the others lose characters, at once as well as streamed
        assert_streams(after)


def test_the_starter_stays_what_it_is(tmp_path: Path) -> None:
    before = loaded(places.starter_folder())
    source = tmp_path / "starter"
    shutil.copytree(places.starter_folder(), source, ignore=shutil.ignore_patterns("*.safetensors"))
    after = loaded(saved(source))
    assert after.encode(HARD_TEXT) == before.encode(HARD_TEXT)
    assert after.eos_token_ids == before.eos_token_ids
    assert after.apply_chat_template(CONVERSATION, tokenize=False) == before.apply_chat_template(
        CONVERSATION, tokenize=False
    )


def test_the_words_of_transformers_5_are_said_in_those_of_4(fast: Path) -> None:
    config = CHAT | {"tokenizer_class": "TokenizersBackend", "extra_special_tokens": ["<|im_start|>", "<|im_end|>"]}
    (fast / "tokenizer_config.json").write_text(json.dumps(config))
    before = loaded(fast)
    output = saved(fast)
    written = json.loads((output / "tokenizer_config.json").read_text())
    assert written["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert written["additional_special_tokens"] == ["<|im_start|>", "<|im_end|>"]
    assert "extra_special_tokens" not in written
    after = loaded(output)
    assert after.all_special_tokens == before.all_special_tokens
    assert after.decode([3, 70, 4], skip_special_tokens=True) == before.decode([3, 70, 4], skip_special_tokens=True)


NAMED = {"default": tiny.TEMPLATE, "tool_use": "TOOLS " + tiny.TEMPLATE}


def template_file(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(tiny.TEMPLATE)


def template_of_a_processor(folder: Path) -> None:
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": tiny.TEMPLATE}))


def template_list(folder: Path) -> None:
    listed = [{"name": name, "template": text} for name, text in NAMED.items()]
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": listed}))


def template_folder(folder: Path) -> None:
    template_file(folder)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text(NAMED["tool_use"])


@pytest.mark.parametrize("write", [template_file, template_of_a_processor, template_list, template_folder])
def test_the_chat_template_is_where_every_program_looks(fast: Path, write: Callable[[Path], None]) -> None:
    config = CHAT | {"tokenizer_class": "PreTrainedTokenizerFast"}
    del config["chat_template"]
    (fast / "tokenizer_config.json").write_text(json.dumps(config))
    assert not tokenizer_files.has_chat_template(fast)
    write(fast)
    assert tokenizer_files.has_chat_template(fast)
    output = saved(fast)
    several = write in {template_list, template_folder}
    listed = json.loads((output / "tokenizer_config.json").read_text())["chat_template"]
    assert ({entry["name"]: entry["template"] for entry in listed} if several else listed) == (
        NAMED if several else tiny.TEMPLATE
    )
    assert (output / "chat_template.jinja").read_text() == tiny.TEMPLATE
    assert (output / "additional_chat_templates" / "tool_use.jinja").exists() == several
    tokenizer = loaded(output)
    expected = "<s><|im_start|>user\nHi 日本<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.apply_chat_template(CONVERSATION, tokenize=False, add_generation_prompt=True) == expected
    assert tokenizer.chat_template == (NAMED if several else tiny.TEMPLATE)


def test_another_end_of_text_token(fast: Path) -> None:
    (fast / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": "<|im_end|>"}}))
    wanted = "<s>"
    assert tokenizer_files.save(fast, fast.parent / "output", eos_token=wanted) == {"eos_token_id": 1}
    tokenizer = loaded(saved(fast, eos_token=wanted))
    assert tokenizer.eos_token_ids == {1}
    assert tokenizer.eos_token == wanted


def test_an_unknown_end_of_text_token_is_refused_with_the_nearest(fast: Path) -> None:
    wanted = "<|im_ends|>"
    error = refusal(fast, eos_token=wanted)
    assert wanted in error.what
    assert "<|im_end|>" in error.why


def test_stop_tokens_stated_in_a_nested_config_are_raised(fast: Path) -> None:
    (fast / "generation_config.json").unlink()
    nested = {"model_type": "gemma3", "text_config": {"eos_token_id": [2, 4]}}
    (fast / "config.json").write_text(json.dumps(nested))
    assert tokenizer_files.save(fast, fast.parent / "output") == {"eos_token_id": [2, 4]}


CODE = {"auto_map": {"AutoTokenizer": ["tokenization_own.OwnTokenizer", None]}, "tokenizer_class": "OwnTokenizer"}
BOMB = "import pathlib\npathlib.Path('{}').write_text('ran')\nclass OwnTokenizer: pass\n"


@pytest.fixture
def bomb(source: Path) -> Path:
    """A folder whose tokenizer's code leaves a file behind when it runs."""
    tiny.write_folder(source, "own", CODE | {"bos_token": "<s>", "eos_token": "</s>"})
    (source / "tokenization_own.py").write_text(BOMB.format(source / "ran"))
    return source


def test_a_tokenizer_that_is_code_is_refused_by_name(bomb: Path) -> None:
    tiny.write_sentencepiece(bomb / "tokenizer.model", **tiny.LLAMA)
    error = refusal(bomb)
    assert "tokenization_own.py" in error.why
    assert "--trust-remote-code" in error.remedy
    assert not (bomb / "ran").exists()


def test_a_tokenizer_that_is_code_is_kept_where_it_is_trusted(bomb: Path) -> None:
    (bomb / "qwen.tiktoken").write_text("YQ== 0\n")
    assert tokenizer_files.describe(bomb) == "tiktoken"
    output = saved(bomb, trust_remote_code=True)
    assert (output / "tokenization_own.py").is_file()
    assert (output / "qwen.tiktoken").is_file()
    assert json.loads((output / "tokenizer_config.json").read_text())["auto_map"] == CODE["auto_map"]


@pytest.mark.parametrize("trusted", [True, False])
def test_code_beside_a_tokenizer_json_is_left_behind(bomb: Path, trusted: bool) -> None:
    tiny.byte_level().save(str(bomb / "tokenizer.json"))
    output = saved(bomb, trust_remote_code=trusted)
    assert plain(loaded(output)) == tiny.byte_level().encode(HARD_TEXT).ids
    assert not list(output.glob("*.py"))
    assert not (bomb / "ran").exists()


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "version https://git-lfs.github.com/spec/v1"])
def test_damaged_files_are_named(fast: Path, name: str, content: str) -> None:
    (fast / name).write_text(content)
    assert name in refusal(fast).what


def test_no_tokenizer_is_a_refusal(source: Path) -> None:
    tiny.write_folder(source, "llama", {})
    assert tokenizer_files.describe(source) == ""
    assert "tokenizer.json" in refusal(source).why


@pytest.mark.parametrize("name", ["../../../outside", "/outside", "a/b", 5])
def test_a_chat_template_cannot_name_a_file_elsewhere(fast: Path, tmp_path: Path, name: object) -> None:
    config = json.loads((fast / "tokenizer_config.json").read_text())
    config["chat_template"] = [{"name": "first", "template": "x"}, {"name": name, "template": "x"}]
    (fast / "tokenizer_config.json").write_text(json.dumps(config))
    assert "is damaged" in refusal(fast).what
    assert not list(tmp_path.rglob("outside*"))
