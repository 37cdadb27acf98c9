"""What a person chooses for a conversion: number format, quantisation, checks. Knows no model and no file."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# What each way of quantising allows, the first being its default: group sizes, bits.
MODES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "affine": ((64, 32, 128), (4, 2, 3, 5, 6, 8)),
    "mxfp4": ((32,), (4,)),
    "mxfp8": ((32,), (8,)),
    "nvfp4": ((16,), (4,)),
}
# The bits of the many and of the few matrices that matter most, as mlx_lm.convert's recipes of these names.
RECIPES = {"mixed_2_6": (2, 6), "mixed_3_4": (3, 4), "mixed_3_6": (3, 6), "mixed_4_6": (4, 6)}


class ConversionSettings(BaseModel):
    """How a checkpoint becomes an MLX model."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    quantize: bool = Field(
        False, title="Quantise", description="Store the weights in fewer bits: smaller and faster, a little less exact."
    )
    bits: Literal[2, 3, 4, 5, 6, 8] | None = Field(
        None,
        title="Bits",
        description="Bits a weight takes; 4 is common, 8 is nearly exact, 2 is for experiments.",
        json_schema_extra={"empty": "By mode"},
    )
    group_size: Literal[16, 32, 64, 128] | None = Field(
        None,
        title="Group size",
        description="How many weights share one scale; smaller is more exact and a little larger.",
        json_schema_extra={"empty": "By mode"},
    )
    mode: Literal["affine", "mxfp4", "mxfp8", "nvfp4"] = Field(
        "affine", title="Mode", description="The number format of quantised weights; affine suits every Mac."
    )
    recipe: Literal["", "mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"] = Field(
        "",
        title="Mixed recipe",
        description="Give the matrices that matter most more bits: mixed_3_6 takes 3 bits for most and 6 for those.",
    )
    dtype: Literal["stored", "float16", "bfloat16", "float32"] = Field(
        "stored",
        title="Number format",
        description="The type of weights that are not quantised; stored keeps the type they have.",
    )
    dequantize: bool = Field(
        False,
        title="Undo quantisation",
        description="Turn a quantised model back into one with weights of full precision.",
    )
    strict: bool = Field(
        True,
        title="Strict",
        description="Refuse weights the architecture does not know; relaxed leaves them out and lists each.",
    )
    trust_remote_code: bool = Field(
        False,
        title="Run the model's own code",
        description="Run Python code that comes with the model. It can do anything on this computer.",
    )
    eos_token: str = Field(
        "", title="End-of-text token", description="The token that ends an answer; empty keeps the model's own."
    )
    check: Literal["auto", "always", "never"] = Field(
        "auto",
        title="Check against the source",
        description="Compare with what the source computes before writing; auto skips models too large for it.",
    )
    rope_theta: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        title="Rotary base",
        description="For nanochat checkpoints, which do not state it; empty infers it from the weights.",
        json_schema_extra={"empty": "Inferred"},
    )
    softcap: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        title="Logit softcap",
        description="For nanochat checkpoints, which do not state it; empty infers it from the weights.",
        json_schema_extra={"empty": "Inferred"},
    )
    qk_scale: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        title="Query and key scale",
        description="For nanochat checkpoints, which do not state it; empty infers it from the weights.",
        json_schema_extra={"empty": "Inferred"},
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        groups, bits = MODES[self.mode]
        if self.quantize and self.dequantize:
            raise ValueError("a model is either quantised or dequantised, not both")
        if self.recipe and self.mode != "affine":
            raise ValueError(f"mixed recipes exist in affine mode only, not in {self.mode}")
        if self.recipe and self.bits is not None:
            raise ValueError(f"the recipe {self.recipe} already says the bits; leave bits out")
        if self.bits is not None and self.bits not in bits:
            raise ValueError(f"{self.mode} takes {bits[0]} bits, not {self.bits}")
        if self.group_size is not None and self.group_size not in groups:
            raise ValueError(f"{self.mode} takes groups of {groups[0]}, not {self.group_size}")
        return self

    @property
    def weight_bits(self) -> int:
        """The bits that most quantised weights get."""
        if self.recipe:
            return RECIPES[self.recipe][0]
        return self.bits or MODES[self.mode][1][0]

    @property
    def weight_group(self) -> int:
        """How many quantised weights share a scale."""
        return self.group_size or MODES[self.mode][0][0]

    def label(self) -> str:
        """A short name: "4-bit", "mixed_3_6", "mxfp4", "bfloat16", or "" where all stays as it is."""
        if self.quantize:
            if self.recipe or self.mode != "affine":
                return self.recipe or self.mode
            group = "" if self.weight_group == 64 else f"-g{self.weight_group}"
            return f"{self.weight_bits}-bit{group}"
        if self.dtype != "stored":
            return self.dtype
        return "unquantised" if self.dequantize else ""

    def overrides(self) -> dict[str, Any]:
        """What the person states about a nanochat checkpoint, without what is left to be inferred."""
        stated = {"rope_theta": self.rope_theta, "softcap": self.softcap, "qk_scale": self.qk_scale}
        return {name: value for name, value in stated.items() if value is not None}
