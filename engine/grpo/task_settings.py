"""The settings of a run's model, weights, data and rewards, stated once. Knows no file and no model.

The keys of the original project keep their names and their meaning; where a key of its did nothing, it acts here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SYSTEM_PROMPT = """\
Respond in the following format:
<reasoning>
...
</reasoning>
<answer>
...
</answer>
"""
"""What the original project tells the model."""


_FOR_FORMS = ("unit", "step", "empty", "multiline", "advanced", "path", "labels")


def setting(default: Any, title: str, description: str, group: str, **rest: Any) -> Any:
    """A field of this group; the words of `_FOR_FORMS` go to the form, all else are bounds."""
    shown: dict[str, Any] = {name: rest.pop(name) for name in _FOR_FORMS if name in rest}
    return Field(default, title=title, description=description, json_schema_extra={"group": group, **shown}, **rest)


def detail(default: Any, title: str, description: str, group: str, **rest: Any) -> Any:
    """A field that most runs leave as it is: a form folds it away."""
    return setting(default, title, description, group, advanced=True, **rest)


class TaskSettings(BaseModel):
    """What is trained, and on what."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )

    # Model and run
    model_name: str = setting(
        "Qwen/Qwen2.5-1.5B-Instruct", "Model", "A model folder, a Hugging Face id, or an alias such as starter.", "Run"
    )
    output_dir: str = detail(
        "", "Folder of runs", "Where the run's folder is made; empty takes the program's own.", "Run", path="folder"
    )
    run_name: str = setting(
        "", "Name of the run", "The run's folder; empty takes the model's name and a number.", "Run"
    )
    seed: int = detail(0, "Seed", "Decides the order of the data and every sampled token.", "Run", ge=0, le=2**31 - 1)
    precision: Literal["auto", "stored", "float32", "bfloat16", "float16"] = detail(
        "auto",
        "Number format",
        "The type weights are computed in; auto keeps the stored type on a GPU and takes float32 on a CPU.",
        "Run",
    )
    trust_remote_code: bool = detail(
        False, "Run the model's own code", "Run Python code that comes with the model. It can do anything.", "Run"
    )
    memory_limit: int = detail(
        0,
        "Memory limit",
        "Refuse runs that need more than this; 0 takes what the machine recommends.",
        "Run",
        ge=0,
        le=1 << 20,
        unit="MiB",
        step=1024,
    )

    # What is trained
    train_type: Literal["auto", "lora", "dora", "full"] = setting(
        "auto",
        "What is trained",
        "Adapters (lora, dora) or all weights (full); auto takes lora on a quantised model and full otherwise.",
        "Weights",
        labels={"auto": "Automatic", "lora": "Adapters (LoRA)", "dora": "Adapters (DoRA)", "full": "All weights"},
    )
    lora_rank: int = setting(8, "Adapter rank", "The width of each adapter.", "Weights", ge=1, le=1024)
    lora_scale: float = detail(
        20.0, "Adapter scale", "What an adapter's output is multiplied by.", "Weights", gt=0.0, le=1000.0
    )
    lora_dropout: float = detail(
        0.0,
        "Adapter dropout",
        "The share of an adapter's inputs left out in the update; rollouts use them all.",
        "Weights",
        ge=0.0,
        lt=1.0,
        step=0.05,
    )
    lora_layers: int = detail(
        0, "Adapted layers", "How many layers get adapters, counted from the last; 0 is all.", "Weights", ge=0, le=10000
    )
    lora_keys: tuple[str, ...] = detail(
        (), "Adapted modules", "Names inside a layer, such as self_attn.q_proj; empty is every linear one.", "Weights"
    )

    # Data
    dataset: str = setting(
        "openai/gsm8k",
        "Data set",
        "arithmetic (built in), reasoning_gym:TASK, a JSONL, CSV or parquet file, or a Hugging Face data set.",
        "Data",
    )
    dataset_config: str = detail("", "Configuration", "The data set's configuration; empty is its default.", "Data")
    dataset_revision: str = detail("", "Revision", "A branch, tag or commit of a Hugging Face data set.", "Data")
    train_split: str = detail("train", "Training split", "The split that is learned from.", "Data")
    eval_split: str = detail(
        "test",
        "Held-out split",
        "The split that is only evaluated on; left out of the training data if it is absent.",
        "Data",
    )
    eval_file: str = detail("", "Held-out file", "A file to evaluate on instead of a split.", "Data", path="file")
    eval_fraction: float = detail(
        0.1,
        "Held-out share",
        "The share of the training rows kept for evaluation alone where there is no held-out split.",
        "Data",
        ge=0.0,
        le=0.9,
        step=0.05,
    )
    prompt_column: str = setting("question", "Prompt column", "The column that holds the question.", "Data")
    answer_column: str = setting(
        "answer", "Answer column", "The column that holds the right answer; empty where there is none.", "Data"
    )
    answer_pattern: str = detail(
        r"####\s*(.+)",
        "Answer pattern",
        "A regular expression whose first group is the answer; where it does not match, the whole text is.",
        "Data",
    )
    columns: dict[str, str] = detail(
        {}, "Columns", "New names for columns, as reward functions expect them: new = old.", "Data"
    )
    prompt_template: str = detail(
        "",
        "Prompt template",
        "The prompt with {column} places; empty is the prompt column alone.",
        "Data",
        multiline=True,
    )
    system_prompt: str = setting(
        SYSTEM_PROMPT, "System prompt", "What the model is told about how to answer.", "Data", multiline=True
    )
    completion_prefill: str = setting(
        "<reasoning>", "Prefill", "Text put before every completion; rewards see it as part of the completion.", "Data"
    )
    max_train_samples: int = setting(
        0, "Training rows", "Train on this many rows at most; 0 is all.", "Data", ge=0, le=10**9
    )
    max_prompt_length: int = detail(
        512, "Longest prompt", "Rows with longer prompts are left out.", "Data", ge=1, le=1 << 20, unit="tokens"
    )

    # Rewards
    rewards: tuple[str, ...] = setting(
        ("correctness", "integer", "soft_format", "xml_count"),
        "Rewards",
        "Names of reward functions, built in or from the reward file.",
        "Rewards",
        min_length=1,
    )
    reward_weights: tuple[Annotated[float, Field(ge=-1000.0, le=1000.0)], ...] = setting(
        (), "Weights", "One factor for each reward; empty is 1 for all.", "Rewards"
    )
    reward_file: str = setting(
        "", "Reward file", "A Python file with reward functions of your own.", "Rewards", path="python"
    )
    reward_timeout: float = detail(
        60.0,
        "Time limit",
        "A reward function that takes longer for one step stops the run.",
        "Rewards",
        gt=0.0,
        le=86400.0,
        unit="s",
    )
    length_target: int = detail(
        0,
        "Length to stay under",
        "The length reward falls once a completion is longer; 0 is half of the longest completion.",
        "Rewards",
        ge=0,
        le=1 << 20,
        unit="tokens",
    )
    repetition_size: int = detail(
        4,
        "Repeated words",
        "The repetition reward counts runs of this many words that come again.",
        "Rewards",
        ge=1,
        le=100,
    )
