"""What a trained model's weights allow that random ones do not show."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.grpo.settings import TrainConfig
from tests.engine.grpo import cases

pytestmark = pytest.mark.real_model


def test_completions_share_their_prompt_in_bfloat16(smollm2_folder: Path) -> None:
    """16-bit logits of the same row differ by whole units where its tokens mean nothing."""
    config = TrainConfig(model_name=str(smollm2_folder), train_type="lora", precision="bfloat16")
    assert cases.policy_of(config).shares_prompts
