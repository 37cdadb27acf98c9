"""Writes tests/engine/grpo/trl_reference.json by running TRL's own trainer methods. Knows nothing of this program.

`GRPOTrainer._compute_loss` and `_generate_and_score_completions` run as they are, in float64, on a stand-in for the
trainer that answers with given log-probabilities and rewards instead of those of a model.

Run, from the root of the repository, on the environment of the program (which has torch and transformers):
    pip install --no-deps --target build/trl trl==1.16.0 accelerate
    PYTHONPATH=build/trl python -m scripts.trl_reference
"""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict, deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from accelerate import PartialState
from trl import __version__
from trl.trainer.grpo_trainer import GRPOTrainer

FILE = Path(__file__).parent.parent / "tests" / "engine" / "grpo" / "trl_reference.json"
_ROWS, _TIME, _LONGEST = 6, 5, 8
_LENGTHS = (5, 3, 1, 4, 0, 5)
_LOSS_TYPES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo")
_LOGS = ("prompt", "completion", "advantages", "images")
_METRICS = {
    "kl": "kl",
    "clip_ratio/low_mean": "clipped_low",
    "clip_ratio/high_mean": "clipped_high",
    "clip_ratio/region_mean": "clipped",
    "cispo_clip_ratio": "clipped_high",
}


class _Stub(SimpleNamespace):
    """What the two methods look at of a trainer on one device, at its defaults."""

    def __init__(self, **rest: Any) -> None:
        alone = SimpleNamespace(
            num_processes=1,
            process_index=0,
            device=torch.device("cpu"),
            gather=lambda values: values,
            reduce=lambda values, reduction: values,
        )
        super().__init__(
            accelerator=alone,
            model=SimpleNamespace(training=True, is_gradient_checkpointing=False),
            _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
            aux_loss_enabled=False,
            top_entropy_quantile=1.0,
            off_policy_mask_threshold=None,
            _entropy_bonus_enabled=False,
            use_vllm=False,
            vllm_importance_sampling_correction=True,
            current_gradient_accumulation_steps=1,
            **rest,
        )


def _plain(values: torch.Tensor) -> Any:
    """With None for NaN, and as many digits as the comparison needs."""
    if values.ndim == 0:
        number = float(values)
        return None if math.isnan(number) else float(f"{number:.8g}")
    return [_plain(value) for value in values]


def _losses() -> dict[str, Any]:
    random = torch.Generator().manual_seed(0)
    logps = -torch.rand(_ROWS, _TIME, generator=random) * 3 - 0.05
    old = logps + torch.randn(_ROWS, _TIME, generator=random) * 0.4
    ref = logps + torch.randn(_ROWS, _TIME, generator=random) * 0.5
    advantages = torch.tensor([1.3, -0.7, 0.4, -1.6, 0.9, -0.2])
    mask = (torch.arange(_TIME)[None] < torch.tensor(_LENGTHS)[:, None]).long()
    mask[0, 2] = 0  # A hole, as a tool's answer leaves one.
    weights = torch.rand(_ROWS, _TIME, generator=random) * 2
    bounds: list[tuple[float, float | None, float | None]] = [(0.2, None, None), (0.1, 0.28, None), (0.2, 0.28, 1.4)]
    kl = [(0.0, False), (0.04, False), (0.5, True)]
    settings = itertools.product(_LOSS_TYPES, ("token", "sequence"), (True, False), bounds, kl, ("none",))
    weighted = itertools.product(_LOSS_TYPES, ("token",), (True,), bounds[:1], kl[2:], ("token", "sequence"))
    cases = []
    for loss_type, level, with_old, (epsilon, high, delta), (beta, corrected), weighting in [*settings, *weighted]:
        given = {"old_logps": old if with_old else None, "ref_logps": ref}
        given["weights"] = {"none": None, "token": weights, "sequence": weights[:, :1]}[weighting]
        # The recommended cap, where the clip range is not the point.
        largest = 1.1 if loss_type == "cispo" and high is not None else high
        for items in (None, 40) if loss_type in {"dapo", "cispo"} else (None,):
            arguments = {
                "loss_type": loss_type,
                "importance_sampling_level": level,
                "epsilon": epsilon,
                "epsilon_high": largest,
                "delta": delta,
                "beta": beta,
                "use_bias_correction_kl": corrected,
                "max_completion_length": _LONGEST,
                "num_items": items,
            }
            result = _loss(logps, advantages, mask, given, arguments)
            cases.append({"old": with_old, "weighting": weighting, "arguments": arguments, **result})
    return {
        "logps": _plain(logps),
        "old_logps": _plain(old),
        "ref_logps": _plain(ref),
        "advantages": _plain(advantages),
        "mask": mask.tolist(),
        "weights": _plain(weights),
        "cases": cases,
    }


def _loss(
    logps: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor,
    given: dict[str, torch.Tensor | None],
    arguments: dict[str, Any],
) -> dict[str, Any]:
    variable = logps.clone().requires_grad_()
    high = arguments["epsilon_high"]
    stub = _Stub(
        _get_per_token_logps_and_entropies=lambda *_, **__: (variable, torch.zeros_like(logps), None),
        loss_type=arguments["loss_type"],
        importance_sampling_level=arguments["importance_sampling_level"],
        epsilon_low=arguments["epsilon"],
        epsilon_high=arguments["epsilon"] if high is None else high,
        beta=arguments["beta"],
        max_completion_length=arguments["max_completion_length"],
        args=SimpleNamespace(
            delta=arguments["delta"],
            use_bias_correction_kl=arguments["use_bias_correction_kl"],
            steps_per_generation=1,
        ),
    )
    stub.use_vllm = given["weights"] is not None
    items = mask.sum() if arguments["num_items"] is None else torch.tensor(arguments["num_items"])
    inputs = {
        "prompt_ids": torch.zeros(_ROWS, 1, dtype=torch.long),
        "prompt_mask": torch.ones(_ROWS, 1, dtype=torch.long),
        "completion_ids": torch.zeros(_ROWS, _TIME, dtype=torch.long),
        "completion_mask": mask,
        "advantages": advantages,
        "old_per_token_logps": given["old_logps"],
        "ref_per_token_logps": given["ref_logps"],
        "importance_sampling_ratio": given["weights"],
        "num_items_in_batch": items,
    }
    loss = GRPOTrainer._compute_loss(stub, None, inputs)
    [gradient] = torch.autograd.grad(loss, variable)
    figures = stub._metrics["train"]
    metrics = {ours: _plain(torch.tensor(figures[name][0])) for name, ours in _METRICS.items() if name in figures}
    return {"loss": _plain(loss.detach()), "gradient": _plain(gradient), "metrics": metrics}


def _advantages() -> dict[str, Any]:
    nan = float("nan")
    sets = {
        "plain": [[1.0, 0.5], [0.0, 0.5], [2.0, -0.25], [1.5, 0.125], [0.3, 0.3], [0.3, 0.1], [2.0, 0.0], [0.0, 2.5]],
        "large": [[900.0, 3.0], [910.0, 1.0], [905.0, 2.0], [880.0, 7.0], [0.1, 0.3], [-40.0, 0.2], [5.5, 1], [6, 1]],
        "some none": [
            [1.0, nan],
            [nan, 0.5],
            [2.0, nan],
            [1.5, 0.125],
            [0.3, nan],
            [0.25, nan],
            [2.0, nan],
            [0.0, nan],
        ],
        "rows none": [[1.0, 0.5], [nan, nan], [2.0, -0.25], [1.5, nan], [nan, nan], [nan, nan], [nan, nan], [0.5, 2.5]],
        "flat group": [[1.0, 0.5], [1.0, 0.5], [1.0, 0.5], [1.0, 0.5], [0.0, 1.0], [2.0, 0.5], [1.5, 0.25], [0.5, 0.0]],
        "flat": [[0.5, 0.25]] * 8,
    }
    cases = []
    for (name, rewards), weights, group_size in itertools.product(sets.items(), ([1.0, 1.0], [0.5, 2.0]), (2, 4, 8)):
        schemes = [("sum_then_normalize", scale) for scale in ("group", "batch", "none")]
        for aggregation, scale in [*schemes, ("normalize_then_sum", "group")]:
            arguments = {"weights": weights, "scale": scale, "aggregation": aggregation}
            stub = _scoring_stub(rewards, [[0.0]] * len(rewards), None)
            stub.num_generations = group_size
            stub.reward_weights = torch.tensor(weights)
            stub.scale_rewards = scale
            stub.multi_objective_aggregation = aggregation
            advantages = _score(stub)["advantages"]
            cases.append({"set": name, "group_size": group_size, "arguments": arguments, "wanted": _plain(advantages)})
    return {"sets": {name: _plain(torch.tensor(rewards)) for name, rewards in sets.items()}, "cases": cases}


def _corrections() -> dict[str, Any]:
    random = torch.Generator().manual_seed(1)
    lengths = (5, 3, 4, 5)
    policy = -torch.rand(4, 5, generator=random) * 3
    sampler = policy + torch.randn(4, 5, generator=random) * 0.6
    sampler[1, 1] = float("nan")
    cases = []
    for mode, cap in itertools.product(
        ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"), (1.25, 3.0)
    ):
        stub = _scoring_stub(
            [[1.0]] * 4, [row[:length].tolist() for row, length in zip(sampler, lengths, strict=True)], policy
        )
        stub.use_vllm = True
        stub.vllm_importance_sampling_mode = mode
        stub.vllm_importance_sampling_clip_max = cap
        stub.vllm_importance_sampling_clip_min = None
        cases.append({"mode": mode, "cap": cap, "wanted": _plain(_score(stub)["importance_sampling_ratio"])})
    return {"policy_logps": _plain(policy), "sampler_logps": _plain(sampler), "lengths": lengths, "cases": cases}


def _scoring_stub(
    rewards: list[list[float]], sampler_logps: list[list[float]], policy_logps: torch.Tensor | None
) -> _Stub:
    tokens = [[7] * len(row) for row in sampler_logps]
    functions = len(rewards[0])
    return _Stub(
        _generate=lambda prompts: (
            [[1]] * len(prompts),
            tokens,
            None,
            ["x"] * len(prompts),
            sampler_logps,
            {},
            None,
            [],
        ),
        _calculate_rewards=lambda *_: torch.tensor(rewards),
        _get_per_token_logps_and_entropies=lambda *_, **__: (policy_logps, None, None),
        _tokenizer=SimpleNamespace(pad_token_id=0),
        _logs={"rewards": defaultdict(list), "extra": defaultdict(list), **{n: deque() for n in _LOGS}},
        _pending_extra_logs={},
        _pending_metrics={},
        environments=None,
        environment_factories=None,
        tools=None,
        pad_to_multiple_of=None,
        mask_truncated_completions=False,
        num_iterations=1,
        num_generations=2,
        beta=0.0,
        reward_funcs=[None] * functions,
        reward_func_names=[f"f{index}" for index in range(functions)],
        reward_weights=torch.ones(functions),
        scale_rewards="group",
        multi_objective_aggregation="sum_then_normalize",
        args=SimpleNamespace(
            per_device_train_batch_size=len(rewards),
            per_device_eval_batch_size=len(rewards),
            gradient_checkpointing_kwargs=None,
            steps_per_generation=1,
            gradient_accumulation_steps=1,
        ),
    )


def _score(stub: _Stub) -> dict[str, torch.Tensor]:
    rows = stub.args.per_device_train_batch_size
    return GRPOTrainer._generate_and_score_completions(stub, [{"prompt": "?"}] * rows)


def main() -> None:
    torch.set_default_dtype(torch.float64)
    PartialState(cpu=True)
    content = {"trl": __version__, "losses": _losses(), "advantages": _advantages(), "corrections": _corrections()}
    FILE.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{FILE}: {FILE.stat().st_size} bytes, TRL {__version__}")


if __name__ == "__main__":
    main()
