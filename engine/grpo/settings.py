"""Every setting of a training run, stated once. Knows no file and no model.

The keys of the original project keep their names and their meaning; where a key of its did nothing, it acts here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.grpo.task_settings import TaskSettings, detail, setting

_LOSSES = {"grpo": "GRPO", "bnpo": "BNPO", "dr_grpo": "Dr. GRPO", "dapo": "DAPO", "gspo": "GSPO", "cispo": "CISPO"}


class TrainConfig(TaskSettings):
    """A training run from its model to its last checkpoint."""

    # Rollouts
    num_generations: int = setting(8, "Completions per prompt", "The size of a group.", "Rollouts", ge=2, le=4096)
    max_new_tokens: int = setting(
        512,
        "Longest completion",
        "A completion ends after this many tokens at the latest.",
        "Rollouts",
        ge=1,
        le=1 << 20,
        unit="tokens",
    )
    max_completion_length: int = detail(
        1024,
        "Completion limit",
        "Caps the longest completion as well; dr_grpo divides by the smaller of the two.",
        "Rollouts",
        ge=1,
        le=1 << 20,
        unit="tokens",
    )
    temperature: float = setting(
        1.0, "Temperature", "How much completions of one prompt vary.", "Rollouts", ge=0.001, le=5.0, step=0.05
    )
    top_p: float = detail(
        1.0,
        "Top-p",
        "Keep the most likely tokens that together reach this probability; 1 keeps all.",
        "Rollouts",
        ge=0.0001,
        le=1.0,
        step=0.01,
    )
    top_k: int = detail(
        0, "Top-k", "Keep only this many of the most likely tokens; 0 keeps all.", "Rollouts", ge=0, le=100000
    )
    min_p: float = detail(
        0.0,
        "Min-p",
        "Drop tokens less likely than this share of the most likely one.",
        "Rollouts",
        ge=0.0,
        le=1.0,
        step=0.01,
    )
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = detail(
        (), "Stop strings", "A completion ends after one of these texts.", "Rollouts"
    )
    rollout_batch_size: int = detail(
        0,
        "Completions at once",
        "How many are generated side by side: others join as they end. 0 is all of a step's.",
        "Rollouts",
        ge=0,
        le=1 << 20,
    )
    quantize_for_rollouts: bool = detail(
        False,
        "Quantise for rollouts",
        "Generate with a 4-bit copy of the weights: faster on a GPU, corrected for by importance weights.",
        "Rollouts",
    )
    dynamic_sampling: bool = detail(
        False,
        "Replace flat groups",
        "Groups whose rewards are all equal teach nothing: take other rows for them.",
        "Rollouts",
    )
    max_resampling: int = detail(
        3, "Rounds of replacement", "How often flat groups of one step are replaced at most.", "Rollouts", ge=1, le=100
    )

    # Update
    batch_size: int = setting(
        1,
        "Prompts per batch",
        "A step takes this many prompts times gradient_accumulation_steps.",
        "Update",
        ge=1,
        le=1 << 16,
    )
    gradient_accumulation_steps: int = setting(
        4,
        "Batches per step",
        "Batches of prompts between two changes of the weights; micro_batch_tokens says what is computed at once.",
        "Update",
        ge=1,
        le=1 << 16,
    )
    num_iterations: int = detail(
        1, "Updates per rollout", "How often the weights change on the same completions.", "Update", ge=1, le=64
    )
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo", "gspo", "cispo"] = setting(
        "dapo",
        "Loss",
        "How the loss of tokens is put together; dapo averages over all tokens of a step.",
        "Update",
        labels=_LOSSES,
    )
    importance_sampling_level: Literal["token", "sequence"] = detail(
        "token",
        "Ratio level",
        "Compare policies token by token, or whole completions; gspo is always the latter.",
        "Update",
    )
    advantage_scale: Literal["group", "batch", "none"] = detail(
        "group",
        "Advantage scale",
        "Divide advantages by the rewards' spread in the group, in the batch, or not.",
        "Update",
    )
    reward_aggregation: Literal["sum_then_normalize", "normalize_then_sum"] = detail(
        "sum_then_normalize",
        "Several rewards",
        "Add rewards before they are compared in the group, or after.",
        "Update",
    )
    clip_eps: float = detail(0.2, "Clip range", "How far below 1 the ratio may go.", "Update", gt=0.0, lt=1.0)
    clip_eps_high: float | None = detail(
        None,
        "Upper clip range",
        "How far above 1 the ratio may go; for cispo the largest ratio, 5 where this is empty.",
        "Update",
        gt=0.0,
        le=1e6,
        empty="As below",
    )
    clip_delta: float | None = detail(
        None,
        "Ratio limit",
        "The largest ratio where the advantage is negative; empty is none.",
        "Update",
        gt=1.0,
        le=1e6,
        empty="None",
    )
    kl_coeff: float = setting(
        0.0,
        "KL factor",
        "How strongly the policy is held to the one it began as; 0 costs nothing.",
        "Update",
        ge=0.0,
        le=100.0,
        step=0.01,
    )
    kl_estimator: Literal["k1", "k2", "k3"] = detail(
        "k3", "KL estimator", "How the KL divergence is estimated.", "Update"
    )
    kl_bias_correction: bool = detail(
        True, "Unbiased KL gradient", "Weight the KL by the ratio, which makes its gradient unbiased.", "Update"
    )
    mask_truncated: bool = detail(
        False, "Leave out cut completions", "Completions that reached the longest length do not count.", "Update"
    )
    importance_correction: Literal["none", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"] = (
        detail(
            "sequence_mask",
            "Sampler correction",
            "How tokens are weighted where the sampler's probabilities were not the policy's.",
            "Update",
        )
    )
    importance_cap: float = detail(
        3.0,
        "Largest correction",
        "Weights above this are cut to it, or their tokens left out.",
        "Update",
        ge=1.0,
        le=1e6,
    )
    policy_temperature: Literal["sampling", "one"] = detail(
        "sampling",
        "Temperature of the policy",
        "Improve the policy at the sampling temperature, or at 1 with importance weights.",
        "Update",
    )

    # Optimiser
    learning_rate: float = setting(1e-6, "Learning rate", "The highest step size.", "Optimiser", gt=0.0, le=1.0)
    lr_scheduler_type: Literal["cosine", "linear", "constant"] = detail(
        "cosine", "Schedule", "How the learning rate falls after the warm-up.", "Optimiser"
    )
    warmup_ratio: float = detail(
        0.1, "Warm-up", "The share of all steps over which the learning rate rises.", "Optimiser", ge=0.0, le=1.0
    )
    max_grad_norm: float = detail(
        0.1,
        "Gradient limit",
        "Gradients are scaled down to this global norm; 0 leaves them.",
        "Optimiser",
        ge=0.0,
        le=1e6,
    )
    adam_beta1: float = detail(0.9, "Adam beta 1", "The decay of the mean gradient.", "Optimiser", ge=0.0, le=0.99999)
    adam_beta2: float = detail(0.999, "Adam beta 2", "The decay of the mean square.", "Optimiser", ge=0.0, le=0.99999)
    weight_decay: float = detail(0.0, "Weight decay", "AdamW's pull towards zero.", "Optimiser", ge=0.0, le=1.0)

    # Length
    num_epochs: int = setting(1, "Epochs", "How often every row is used.", "Length", ge=1, le=10**6)
    max_steps: int = setting(
        0, "Steps", "End after this many steps; 0 is as many as the epochs have.", "Length", ge=0, le=10**9
    )
    target_accuracy: float = setting(
        0.0, "Accuracy to reach", "End once an evaluation reaches this; 0 never does.", "Length", ge=0.0, le=1.0
    )
    early_stop_patience: int = detail(
        0,
        "Evaluations without a rise",
        "End after this many evaluations in a row without a higher accuracy than before; 0 never does.",
        "Length",
        ge=0,
        le=10000,
    )
    early_stop_reward: float = detail(
        0.0,
        "Share of the best reward",
        "End once the mean reward of recent steps is below this share of the highest such mean; 0 never does.",
        "Length",
        ge=0.0,
        lt=1.0,
        step=0.05,
    )
    early_stop_window: int = detail(
        20,
        "Steps of a mean reward",
        "How many recent steps the mean is over by which a fall of the reward is told.",
        "Length",
        ge=1,
        le=10000,
        unit="steps",
    )
    max_kl: float = detail(
        10.0,
        "KL limit",
        "A mean KL per token above this stops the run; 0 never does. It is measured where the KL factor is above 0.",
        "Length",
        ge=0.0,
    )

    # Evaluation
    eval_steps: int = setting(
        50,
        "Evaluate every",
        "Steps between evaluations; 0 evaluates before and after only.",
        "Evaluation",
        ge=0,
        unit="steps",
    )
    eval_samples: int = setting(
        200, "Rows to evaluate", "Held-out rows of an evaluation; 0 is none at all.", "Evaluation", ge=0
    )
    eval_every_updates: int = detail(
        0,
        "Quick look every",
        "Steps between evaluations on fewer rows; 0 takes none.",
        "Evaluation",
        ge=0,
        unit="steps",
    )
    eval_subset_size: int = detail(
        50, "Rows of a quick look", "Held-out rows of an evaluation on fewer rows.", "Evaluation", ge=1
    )
    eval_max_new_tokens: int = detail(
        0, "Longest evaluated completion", "0 is as in training.", "Evaluation", ge=0, le=1 << 20, unit="tokens"
    )
    eval_generations: int = detail(
        1,
        "Completions for pass@k",
        "Sampled completions for each row; 1 evaluates the greedy one alone.",
        "Evaluation",
        ge=1,
        le=1024,
    )

    # Speed and memory
    micro_batch_tokens: int = setting(
        2048,
        "Tokens at once",
        "How many tokens of an update are computed at once; less takes less memory.",
        "Speed and memory",
        ge=1,
        le=1 << 24,
        unit="tokens",
    )
    gradient_checkpointing: bool = setting(
        False, "Recompute activations", "Takes less memory and a third more time.", "Speed and memory"
    )
    share_prompts: bool = detail(
        True, "Share prompts", "Compute a group's prompt once, where the architecture allows it.", "Speed and memory"
    )
    use_compile: bool = detail(True, "Compile", "Fuse operations of the update on an Apple GPU.", "Speed and memory")

    # What is kept
    save_steps: int = setting(
        50, "Save every", "Steps between checkpoints; 0 saves at the end only.", "Kept", ge=0, unit="steps"
    )
    keep_checkpoints: int = detail(
        2, "Checkpoints to keep", "The newest ones; the best is kept besides.", "Kept", ge=1, le=10000
    )
    logging_steps: int = detail(1, "Report every", "Steps between reported figures.", "Kept", ge=1, unit="steps")
    log_jsonl: bool = detail(
        True, "Keep every completion", "Write all completions and their scores to samples.jsonl.", "Kept"
    )
    fuse: bool = setting(False, "Write a whole model", "Merge the adapters into the model at the end.", "Kept")
    report_to: tuple[Literal["tensorboard", "wandb"], ...] = detail(
        (),
        "Also report to",
        "tensorboard, wandb or both; each needs its package.",
        "Kept",
        labels={"tensorboard": "TensorBoard", "wandb": "Weights & Biases"},
    )

    @model_validator(mode="after")
    def _goes_together(self) -> TrainConfig:
        if self.reward_weights and len(self.reward_weights) != len(self.rewards):
            raise ValueError(
                f"{len(self.rewards)} rewards are named and {len(self.reward_weights)} reward_weights are given"
            )
        return self

    @property
    def longest_completion(self) -> int:
        """The most tokens a completion may have."""
        return min(self.max_new_tokens, self.max_completion_length)

    @property
    def prompts_per_step(self) -> int:
        """Prompts between two changes of the weights."""
        return self.batch_size * self.gradient_accumulation_steps

    @property
    def rows_at_once(self) -> int:
        """Completions that are generated side by side."""
        together = self.prompts_per_step * self.num_generations
        return min(together, self.rollout_batch_size or together)
