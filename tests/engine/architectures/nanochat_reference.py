"""nanochat's five architectures in torch, written from their description. Run in a child process by its tests.

Plain and slow on purpose: the whole text in one go, attention as a matrix, no cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

EPSILON = 1.1920929e-07
# rotary base, factor on queries and keys, share of the context in a short window, channels of a gate, its reach
FACTS = {
    "A": (1e4, 1.0, 2, 0, 0),
    "B": (1e4, 1.0, 2, 0, 0),
    "C": (1e4, 1.0, 2, 32, 2),
    "D": (1e5, 1.15, 3, 12, 3),
    "E": (1e5, 1.2, 4, 12, 3),
}


def shapes(epoch: str, config: dict[str, Any], padding: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a checkpoint of this epoch."""
    width, layers, head = config["n_embd"], config["n_layer"], config["n_embd"] // config["n_head"]
    rows, keys = config["vocab_size"] + padding, config["n_kv_head"] * head
    found: dict[str, tuple[int, ...]] = {"transformer.wte.weight": (rows, width), "lm_head.weight": (rows, width)}
    for layer in range(layers):
        at = f"transformer.h.{layer}."
        found |= {at + "attn.c_q.weight": (width, width), at + "attn.c_proj.weight": (width, width)}
        found |= {at + "attn.c_k.weight": (keys, width), at + "attn.c_v.weight": (keys, width)}
        found |= {at + "mlp.c_fc.weight": (4 * width, width), at + "mlp.c_proj.weight": (width, 4 * width)}
        if epoch >= "C" and layer % 2 == (layers - 1) % 2:
            found[at + "attn.ve_gate.weight"] = (config["n_kv_head"], FACTS[epoch][3])
            found[f"value_embeds.{layer}.weight"] = (rows, keys)
    if epoch >= "B":
        found |= {"resid_lambdas": (layers,), "x0_lambdas": (layers,)}
    if epoch == "E":
        found |= {"smear_gate.weight": (1, 24), "smear_lambda": (1,), "backout_lambda": (1,)}
    return found


def make(
    torch: Any,
    folder: str,
    epoch: str,
    config: dict[str, Any],
    *,
    padding: int = 0,
    step: int = 650,
    prefix: str = "",
    coarse: bool = False,
    scale: float = 1.0,
    seed: int = 0,
) -> None:
    """Write model_<step>.pt with random weights; `coarse` embeddings are bfloat16, as nanochat keeps them.

    The same is written to scratch/model_<step>.safetensors, for tests that are not about reading torch files.
    """
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    weights = {}
    for name, shape in shapes(epoch, config, padding).items():
        weight = torch.randn(shape) * 0.3 * scale / (1 if name.endswith("lambdas") else shape[-1] ** 0.5 / 4)
        if "lambda" in name:
            weight = torch.rand(shape) * 0.5 + (0.7 if name == "resid_lambdas" else 0.2)
        if coarse and ("wte" in name or "value_embeds" in name):
            weight = weight.bfloat16()
        weights[prefix + name] = weight
    Path(folder, "scratch").mkdir(parents=True, exist_ok=True)
    torch.save(weights, Path(folder, f"model_{step:06d}.pt"))
    save_file(weights, Path(folder, "scratch", f"model_{step:06d}.safetensors"))


def logits(
    torch: Any, file: str, epoch: str, config: dict[str, Any], ids: list[list[int]], softcap: float = 15.0
) -> Any:
    """Float32 logits of shape (batch, time, vocabulary)."""
    weights = {
        name.removeprefix("_orig_mod."): weight.float() for name, weight in torch.load(file, weights_only=True).items()
    }
    base, factor, share, channels, reach = FACTS[epoch]
    tokens = torch.tensor(ids)
    batch, time = tokens.shape
    layers, heads, key_heads = config["n_layer"], config["n_head"], config["n_kv_head"]
    head = config["n_embd"] // heads

    def norm(x: Any) -> Any:
        return x / torch.sqrt(x.square().mean(-1, keepdim=True) + EPSILON)

    frequencies = base ** (-torch.arange(0, head, 2).float() / head)
    angles = torch.arange(time).float()[:, None] * frequencies
    cosine, sine = angles.cos()[:, None], angles.sin()[:, None]

    def rotate(x: Any) -> Any:
        one, two = x[..., : head // 2], x[..., head // 2 :]
        return torch.cat([one * cosine + two * sine, two * cosine - one * sine], -1)

    context = config["sequence_len"]
    short = context // 2 if share == 2 else -(-context // share // 128) * 128
    pattern = config.get("window_pattern", "L")
    windows = [short if pattern[layer % len(pattern)] == "S" else context for layer in range(layers - 1)] + [context]
    if epoch == "A":
        windows = [time] * layers

    x = norm(weights["transformer.wte.weight"][tokens])
    if epoch == "E":
        gate = weights["smear_lambda"] * torch.sigmoid(x[:, 1:, :24] @ weights["smear_gate.weight"].T)
        x = torch.cat([x[:, :1], x[:, 1:] + gate * x[:, :-1]], 1)
    embedded, middle = x, None
    for layer in range(layers):
        at = {
            name.removeprefix(f"transformer.h.{layer}."): weight
            for name, weight in weights.items()
            if name.startswith(f"transformer.h.{layer}.")
        }
        if epoch >= "B":
            x = weights["resid_lambdas"][layer] * x + weights["x0_lambdas"][layer] * embedded
        y = norm(x)
        queries = (y @ at["attn.c_q.weight"].T).view(batch, time, heads, head)
        keys = (y @ at["attn.c_k.weight"].T).view(batch, time, key_heads, head)
        values = (y @ at["attn.c_v.weight"].T).view(batch, time, key_heads, head)
        if "attn.ve_gate.weight" in at:
            extra = weights[f"value_embeds.{layer}.weight"][tokens].view(batch, time, key_heads, head)
            gate = reach * torch.sigmoid(y[..., :channels] @ at["attn.ve_gate.weight"].T)
            values = values + gate[..., None] * extra
        queries, keys = norm(rotate(queries)) * factor, norm(rotate(keys)) * factor
        keys, values = (z.repeat_interleave(heads // key_heads, 2) for z in (keys, values))
        scores = torch.einsum("bqhd,bkhd->bhqk", queries, keys) / head**0.5
        back = torch.arange(time)[:, None] - torch.arange(time)
        scores = scores.masked_fill((back < 0) | (back > windows[layer]), float("-inf"))
        y = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), values).reshape(batch, time, -1)
        x = x + y @ at["attn.c_proj.weight"].T
        x = x + torch.relu(norm(x) @ at["mlp.c_fc.weight"].T).square() @ at["mlp.c_proj.weight"].T
        if epoch == "E" and layer == layers // 2:
            middle = x
    if middle is not None:
        x = x - weights["backout_lambda"] * middle
    result = (norm(x) @ weights["lm_head.weight"].T)[..., : config["vocab_size"]]
    return softcap * torch.tanh(result / softcap)
