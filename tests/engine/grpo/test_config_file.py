"""Settings of a run: where they come from, and what a mistake is told."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.grpo import config_file
from engine.grpo.settings import TrainConfig

# Every key of the original project, written as its files write them.
ORIGINAL = """
model_name = "models/one"
output_dir = "outputs/one"
run_name   = "one"
learning_rate = 3e-6
num_epochs = 2
batch_size = 2
gradient_accumulation_steps = 3    # a remark ← with other signs
max_train_samples = 500
warmup_ratio = 0.05
max_grad_norm = 1
logging_steps = 2
num_generations = 4
max_new_tokens = 128
max_prompt_length = 256
max_completion_length = 99
temperature = 0.8
clip_eps = 0.1
kl_coeff = 0.02
adam_beta1 = 0.8
adam_beta2 = 0.95
weight_decay = 0.01
lr_scheduler_type = "linear"
eval_steps = 25
eval_samples = 20
eval_every_updates = 5
eval_subset_size = 10
eval_max_new_tokens = 64
save_steps = 10
log_jsonl = false
seed = 42
use_compile = false
quantize_for_rollouts = true
"""
READ = {
    "model_name": "models/one",
    "output_dir": "outputs/one",
    "run_name": "one",
    "learning_rate": 3e-6,
    "num_epochs": 2,
    "batch_size": 2,
    "gradient_accumulation_steps": 3,
    "max_train_samples": 500,
    "warmup_ratio": 0.05,
    "max_grad_norm": 1.0,
    "logging_steps": 2,
    "num_generations": 4,
    "max_new_tokens": 128,
    "max_prompt_length": 256,
    "max_completion_length": 99,
    "temperature": 0.8,
    "clip_eps": 0.1,
    "kl_coeff": 0.02,
    "adam_beta1": 0.8,
    "adam_beta2": 0.95,
    "weight_decay": 0.01,
    "lr_scheduler_type": "linear",
    "eval_steps": 25,
    "eval_samples": 20,
    "eval_every_updates": 5,
    "eval_subset_size": 10,
    "eval_max_new_tokens": 64,
    "save_steps": 10,
    "log_jsonl": False,
    "seed": 42,
    "use_compile": False,
    "quantize_for_rollouts": True,
}
SETTINGS = st.builds(
    TrainConfig,
    model_name=st.text(),
    system_prompt=st.text(),
    answer_pattern=st.text(),
    seed=st.integers(0, 2**31 - 1),
    precision=st.sampled_from(["auto", "float32"]),
    learning_rate=st.floats(0, 1, exclude_min=True),
    clip_eps_high=st.none() | st.floats(0, 100, exclude_min=True),
    use_compile=st.booleans(),
    stop=st.lists(st.text(min_size=1)).map(tuple),
    lora_keys=st.lists(st.text()).map(tuple),
    columns=st.dictionaries(st.text(), st.text()),
    report_to=st.sampled_from([(), ("wandb",), ("tensorboard", "wandb")]),
)


def write(folder: Path, text: str) -> str:
    file = folder / "run.toml"
    file.write_text(text, "utf-8")
    return str(file)


def fails(path: str | None, *assignments: str) -> UserError:
    with pytest.raises(UserError) as caught:
        config_file.load(path, assignments)
    assert caught.value.fault == "input"
    return caught.value


@pytest.mark.parametrize("head", ["", "[mlx_grpo]\n", "\ufeff"])
def test_files_of_the_original_project_load_unchanged(tmp_path: Path, head: str) -> None:
    settings = config_file.load(write(tmp_path, head + ORIGINAL), [])
    assert settings == TrainConfig.model_validate(READ)
    assert all(value != TrainConfig.model_fields[key].default for key, value in READ.items())


def test_the_file_wins_over_the_defaults_and_an_assignment_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "num_generations = 4\ntemperature = 0.8\n")
    settings = config_file.load(file, ["temperature=0.5", "seed=3", "seed=4"])
    assert (settings.num_generations, settings.temperature, settings.seed) == (4, 0.5, 4)
    assert settings.max_new_tokens == TrainConfig().max_new_tokens


@given(SETTINGS)
def test_settings_survive_a_file_and_a_command_line(
    tmp_path_factory: pytest.TempPathFactory, given: TrainConfig
) -> None:
    file = write(tmp_path_factory.mktemp("config"), config_file.to_toml(given))
    assert config_file.load(file, []) == given
    base = str(config_file.built_in("starter"))
    assert config_file.load(base, config_file.to_assignments(given)) == given
    assert all("\n" not in assignment for assignment in config_file.to_assignments(given))


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("rewards=accuracy", "rewards", ("accuracy",)),
        ("rewards=accuracy, integer", "rewards", ("accuracy", "integer")),
        ('rewards=["accuracy"]', "rewards", ("accuracy",)),
        ("reward_weights=", "reward_weights", ()),
        ("lora_keys=self_attn.q_proj", "lora_keys", ("self_attn.q_proj",)),
        ("run_name=5", "run_name", "5"),
        ("run_name=on", "run_name", "on"),
        ("run_name = 2026-01-01", "run_name", "2026-01-01"),
        ('run_name="a b"', "run_name", "a b"),
        ("prompt_template={question} = ?", "prompt_template", "{question} = ?"),
        ("system_prompt=", "system_prompt", ""),
        ("clip_eps_high=0.28", "clip_eps_high", 0.28),
        ("clip_eps_high=", "clip_eps_high", None),
        ("use_compile=off", "use_compile", False),
        ("use_compile=1", "use_compile", True),
        ("learning_rate=1", "learning_rate", 1.0),
        ("columns.gold=answer", "columns", {"gold": "answer"}),
    ],
)
def test_an_assignment_means_what_the_setting_needs(assignment: str, key: str, value: object) -> None:
    assert getattr(config_file.load("smoke_test", [assignment]), key) == value


def test_without_a_file_the_environment_names_one_and_else_the_starter_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLX_GRPO_CONFIG", raising=False)
    assert config_file.load(None, []).model_name == "starter"
    monkeypatch.setenv("MLX_GRPO_CONFIG", write(tmp_path, "seed = 7"))
    assert config_file.load(None, []).seed == 7
    assert config_file.load("starter", []).seed == 0
    monkeypatch.setenv("MLX_GRPO_CONFIG", "")
    assert config_file.load(None, []).model_name == "starter"


@pytest.mark.parametrize("name", ["prod", "prod.toml", "configs/prod.toml"])
def test_a_built_in_file_is_known_by_name_where_none_lies_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_file.load(name, []).max_train_samples == 2000
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("max_train_samples = 3", "utf-8")
    assert config_file.load(name, []).max_train_samples == 3


def test_an_unknown_key_is_told_the_nearest_one(tmp_path: Path) -> None:
    for error in (fails(write(tmp_path, "kl_coef = 0.1")), fails(None, "kl_coef=0.1")):
        assert error.what == "There is no setting kl_coef."
        assert error.remedy == "Did you mean kl_coeff?"


def test_a_key_outside_the_table_is_an_error(tmp_path: Path) -> None:
    error = fails(write(tmp_path, "seed = 1\n[mlx_grpo]\nnum_epochs = 2\n"))
    assert "settings outside it: seed" in error.what
    assert "[mlx_grpo]" in fails(write(tmp_path, "mlx_grpo = 1")).what


@pytest.mark.parametrize(
    ("text", "reason"), [("seed = 1\nnum_epochs = = 2\n", "line 2"), ("seed = 1\nseed = 2", "line 2")]
)
def test_a_broken_file_is_told_its_line(tmp_path: Path, text: str, reason: str) -> None:
    error = fails(write(tmp_path, text))
    assert "run.toml is not a TOML file" in error.what
    assert reason in error.why


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_bytes('run_name = "é"'.encode("latin-1"))
    assert "is not a TOML file" in fails(str(file)).what


def test_a_missing_file_is_told_what_there_is(tmp_path: Path) -> None:
    assert fails("smoketest").remedy == "Did you mean smoke_test?"
    assert all(name in fails(str(tmp_path / "x.toml")).remedy for name in config_file.BUILT_IN)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("temperature=0", ["temperature", "greater than or equal to 0.001"]),
        ("temperature=1e-40", ["temperature", "greater than or equal to 0.001"]),
        ("top_p=1e-50", ["top_p", "greater than or equal to 0.0001"]),
        ("adam_beta2=0.9999999999", ["adam_beta2", "less than or equal to 0.99999"]),
        ('stop=[""]', ["stop", "''", "at least 1 character"]),
        ("reward_weights=[nan, 1, 1, 1]", ["reward_weights", "nan", "finite number"]),
        ("reward_weights=1,1,1,-inf", ["reward_weights", "-inf", "finite number"]),
        ("reward_weights=1e308,1,1,1", ["reward_weights", "1e308", "less than or equal to 1000"]),
        ("loss_type=ppo", ["loss_type", "'dapo'"]),
        ("num_generations=x", ["num_generations", "'x'"]),
        ("seed", ["has no value"]),
        ("reward_weights=1,2", ["4 rewards are named and 2"]),
    ],
)
def test_a_value_that_cannot_be_is_told_why(assignment: str, words: list[str]) -> None:
    error = fails("smoke_test", assignment)
    assert all(word in f"{error.what} {error.why}" for word in words), (error.what, error.why)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400"])
def test_every_number_is_finite(value: str) -> None:
    for key, field in TrainConfig.model_fields.items():
        if float in (field.annotation, *get_args(field.annotation)):
            words = fails("smoke_test", f"{key}={value}, 1, 1, 1" if key == "reward_weights" else f"{key}={value}")
            assert f"{words.what} {words.why}".endswith("Input should be a finite number."), words.what


def test_every_number_has_bounds() -> None:
    """What is finite in a file but not in float32 would end a run in the middle."""
    for key, stated in TrainConfig.model_json_schema()["properties"].items():
        for number in [*stated.get("anyOf", []), stated.get("items", {}), stated]:
            # max_kl is only compared, in Python.
            if number.get("type") == "number" and key != "max_kl":
                assert "maximum" in number or "exclusiveMaximum" in number, key


def test_a_reward_may_count_nothing_or_against() -> None:
    assert config_file.load("smoke_test", ["reward_weights=0,-2.5,1000,1"]).reward_weights == (0.0, -2.5, 1000.0, 1.0)
