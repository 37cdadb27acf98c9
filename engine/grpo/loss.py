"""The loss of GRPO and its relatives from log-probabilities that others computed. Knows no model and no tokens.

Call `engine.backend.prepare()` before importing this module: it imports MLX.
All functions can be differentiated and compiled: nothing is read back from the device. The values are those of
TRL 1.16 (https://github.com/huggingface/trl, `GRPOTrainer`); `scripts/trl_reference.py` says how they are compared.
"""

from __future__ import annotations

from typing import Literal

import mlx.core as mx

LossType = Literal["grpo", "bnpo", "dr_grpo", "dapo", "gspo", "cispo"]
Level = Literal["token", "sequence"]
Estimator = Literal["k1", "k2", "k3"]
CorrectionMode = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]


def policy_loss(
    logps: mx.array,
    old_logps: mx.array | None,
    ref_logps: mx.array | None,
    advantages: mx.array,
    mask: mx.array,
    *,
    loss_type: LossType = "dapo",
    importance_sampling_level: Level = "token",
    epsilon: float = 0.2,
    epsilon_high: float | None = None,
    delta: float | None = None,
    beta: float = 0.0,
    kl_estimator: Estimator = "k3",
    use_bias_correction_kl: bool = False,
    max_completion_length: int | None = None,
    num_items: int | mx.array | None = None,
    importance_weights: mx.array | None = None,
) -> tuple[mx.array, dict[str, mx.array]]:
    """The loss to minimise and figures about it, in float32.

    Args:
        logps: (batch, time) log-probabilities of the completions' tokens under the policy, in nats.
        old_logps: The same under the policy that wrote them; None where that is this policy.
        ref_logps: The same under the reference policy; needed where beta is not 0, else left alone.
        advantages: (batch,) or (batch, time).
        mask: (batch, time); tokens at 0 do not count, whatever the other arrays hold there.
        loss_type: How tokens are put together. grpo (arXiv 2402.03300): mean over each completion, then over them.
            bnpo: mean over the tokens given here. dr_grpo (arXiv 2503.20783): sum over batch * max_completion_length.
            dapo (arXiv 2503.14476): sum over num_items. gspo (arXiv 2507.18071): grpo with one ratio a completion.
            cispo (arXiv 2506.13585): as dapo, with the ratio as a capped weight of log-probabilities.
        importance_sampling_level: One ratio a token, or one a completion: its tokens' geometric mean.
        epsilon: The ratio is clipped below at 1 - epsilon.
        epsilon_high: And above at 1 + epsilon_high; None is epsilon. For cispo this is the largest ratio itself,
            and 5 is usual: with None every ratio counts as epsilon at most.
        delta: The largest ratio where the advantage is negative (arXiv 2505.07291).
        beta: What the KL divergence from the reference counts.
        kl_estimator: k1, k2 or k3 of http://joschu.net/blog/kl-approx.html. All are of the policy's own tokens.
        use_bias_correction_kl: Multiply the divergence by the ratio (arXiv 2512.02556).
        max_completion_length: In tokens, for dr_grpo; None is the arrays' time axis.
        num_items: Tokens that count in the whole optimiser batch, for dapo and cispo, so that the losses of its
            parts add up; None is the tokens given here. The other types know their own part alone.
        importance_weights: (batch, time) or (batch, 1), from `correction_weights`; they leave the KL term alone.

    Returns:
        The loss, and scalars without gradient: ratio_max and ratio_mean over tokens; clipped_low, clipped_high and
        clipped, the share of ratios (of tokens, or of completions where there is one ratio each) that lie
        beyond the bound their advantage pushes them over; kl, the mean over tokens, where beta is not 0.

    Raises:
        ValueError: An unknown name, or beta without ref_logps.
    """
    keep = mask.astype(mx.bool_)
    logps = _kept(logps, keep)
    old_logps = mx.stop_gradient(logps) if old_logps is None else _kept(old_logps, keep)
    advantages = advantages.astype(mx.float32)[:, None] if advantages.ndim == 1 else _kept(advantages, keep)
    high = epsilon if epsilon_high is None else epsilon_high

    level = "sequence" if loss_type == "gspo" else importance_sampling_level
    ratio = _ratio(logps - old_logps, keep, level)
    if loss_type == "cispo":
        per_token = -mx.stop_gradient(mx.minimum(ratio, high)) * advantages * logps
        low_clipped = mx.zeros(ratio.shape)
        high_clipped = (ratio > high) & (advantages > 0)
    else:
        limited = ratio if delta is None else mx.minimum(ratio, delta)
        plain, clipped = limited * advantages, mx.clip(ratio, 1 - epsilon, 1 + high) * advantages
        # Where both are equal the gradient is the plain one's, also at a bound, where a clip has none.
        per_token = -mx.where(clipped < plain, clipped, plain)
        low_clipped = (limited < 1 - epsilon) & (advantages < 0)
        high_clipped = (limited > 1 + high) & (advantages > 0)

    metrics = {
        "ratio_max": mx.where(keep, ratio, 0.0).max(),
        "ratio_mean": _mean(mx.broadcast_to(ratio, keep.shape), keep),
        "clipped_low": _mean(low_clipped, keep),
        "clipped_high": _mean(high_clipped, keep),
        "clipped": _mean(low_clipped + high_clipped, keep),
    }
    if importance_weights is not None:
        per_token = per_token * _kept(importance_weights, keep)
    if beta != 0.0:
        if ref_logps is None:
            raise ValueError("beta is not 0, so ref_logps are needed")
        divergence = _divergence(logps, _kept(ref_logps, keep), kl_estimator)
        if use_bias_correction_kl:
            divergence = divergence * ratio
        per_token = per_token + beta * divergence
        metrics["kl"] = _mean(divergence, keep)

    loss = _reduce(mx.where(keep, per_token, 0.0), keep, loss_type, max_completion_length, num_items)
    return loss, {name: mx.stop_gradient(value) for name, value in metrics.items()}


def correction_weights(
    policy_logps: mx.array, sampler_logps: mx.array, mask: mx.array, *, mode: CorrectionMode, cap: float
) -> mx.array:
    """How much more likely the policy was to write the tokens than the sampler that did, within bounds.

    Truncated or masked importance sampling as in TRL's `vllm_importance_sampling_mode`. A token the sampler has no
    log-probability for (NaN) counts as equally likely; a masked one has weight 1.

    Args:
        policy_logps: (batch, time), in nats, under the policy the loss calls old.
        sampler_logps: (batch, time), under the distribution that was sampled from.
        mask: (batch, time); tokens at 0 do not count.
        mode: One weight a token, or one a completion (the product over its tokens); a weight beyond the cap becomes
            the cap (truncate) or 0 (mask).
        cap: The largest weight.

    Returns:
        (batch, time) for the token modes, (batch, 1) for the sequence modes; float32, without gradient.

    Raises:
        ValueError: An unknown mode.
    """
    level, _, bound = mode.partition("_")
    if level not in {"token", "sequence"} or bound not in {"truncate", "mask"}:
        raise ValueError(f"unknown mode: {mode}")
    keep = mask.astype(mx.bool_)
    difference = _kept(policy_logps, keep) - _kept(sampler_logps, keep)
    difference = mx.where(mx.isnan(difference), 0.0, difference)
    weights = mx.exp(difference.sum(axis=1, keepdims=True) if level == "sequence" else difference)
    weights = mx.minimum(weights, cap) if bound == "truncate" else mx.where(weights > cap, 0.0, weights)
    return mx.stop_gradient(weights)


def _kept(values: mx.array, keep: mx.array) -> mx.array:
    """Zero before anything is computed of them: a NaN or an overflow would come back in the gradient."""
    return mx.where(keep, values.astype(mx.float32), 0.0)


def _ratio(log_ratio: mx.array, keep: mx.array, level: str) -> mx.array:
    """(batch, time), or (batch, 1) where one ratio holds for a completion."""
    if level == "token":
        return mx.exp(log_ratio)
    if level == "sequence":
        return mx.exp(log_ratio.sum(axis=1, keepdims=True) / mx.maximum(keep.sum(axis=1, keepdims=True), 1))
    raise ValueError(f"unknown importance_sampling_level: {level}")


def _divergence(logps: mx.array, ref_logps: mx.array, estimator: str) -> mx.array:
    difference = ref_logps - logps
    if estimator == "k1":
        return -difference
    if estimator == "k2":
        return difference.square() / 2
    if estimator == "k3":
        return mx.expm1(difference) - difference
    raise ValueError(f"unknown kl_estimator: {estimator}")


def _reduce(
    per_token: mx.array,
    keep: mx.array,
    loss_type: str,
    max_completion_length: int | None,
    num_items: int | mx.array | None,
) -> mx.array:
    if loss_type in {"grpo", "gspo"}:
        return (per_token.sum(axis=1) / mx.maximum(keep.sum(axis=1), 1)).mean()
    if loss_type == "bnpo":
        return per_token.sum() / mx.maximum(keep.sum(), 1)
    if loss_type == "dr_grpo":
        batch, time = keep.shape
        return per_token.sum() / (batch * (time if max_completion_length is None else max_completion_length))
    if loss_type in {"dapo", "cispo"}:
        return per_token.sum() / mx.maximum(keep.sum() if num_items is None else num_items, 1)
    raise ValueError(f"unknown loss_type: {loss_type}")


def _mean(values: mx.array, keep: mx.array) -> mx.array:
    """Over the tokens that count, or over completions where there is one value each."""
    if values.shape == keep.shape:
        return mx.where(keep, values, 0.0).sum() / mx.maximum(keep.sum(), 1)
    return values.mean()
