"""The policies of the runs that train on this thread, for a chat with one as it is now. Loads nothing.

A chat works on the run's own weights, so that there is one copy of them. It leaves no trace in the run: every call of
the model is in evaluation mode and puts the former mode back, and what the chat remembers of prompts is its own, and is
gone once the weights change.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import memory, places
from engine.errors import UserError

if TYPE_CHECKING:
    from mlx.nn.layers.base import Module

    from engine.events import ModelLoaded
    from engine.grpo.policy import Policy
    from engine.session import ModelSession

PREFIX = "run:"
"""What a model's name begins with where it is the policy of a run: "run:FOLDER", or "run:NAME"."""
# The run's forecast knows of no chat beside it.
_SHARE_OF_MEMORY = 16


class LivePolicies:
    """The policies that train now, by the folders of their runs. Belongs to the thread they train on."""

    def __init__(self) -> None:
        self._policies: dict[Path, Policy] = {}

    @contextmanager
    def shown(self, run: Path, policy: Policy) -> Iterator[None]:
        """Inside, the policy of the run in this folder can be chatted with."""
        self._policies[run.resolve()] = policy
        try:
            yield
        finally:
            del self._policies[run.resolve()]
            policy.chat = None

    def session(self, name: str) -> tuple[ModelSession, ModelLoaded]:
        """The policy of the run called "run:FOLDER" as it is now, and what there is to say of it.

        The session serves until the weights change or the run ends; using it later is refused. It is not to be closed.

        Raises:
            UserError: no such run trains on this thread.
        """
        given = name.removeprefix(PREFIX).strip()
        folders = [places.expand(given).resolve(), (places.runs_folder() / given).resolve()]
        run = next((folder for folder in folders if folder in self._policies), None)
        if run is None or not given:
            raise _not_here(given, next((folder for folder in folders if (folder / "config.toml").is_file()), None))
        policy = self._policies[run]
        if policy.chat is None:
            policy.chat = _opened(run, policy)
        from engine.session import loaded

        session = policy.chat
        return session, loaded(session.files, policy.model, session.tokenizer, 0.0)


def _opened(run: Path, policy: Policy) -> ModelSession:
    from mlx_lm.models.cache import LRUPromptCache

    from engine.session import ModelSession

    model: Any = _PolicyNow(policy)
    prompts = LRUPromptCache(max_size=2, max_bytes=memory.available(policy.memory_limit) // _SHARE_OF_MEMORY)
    return ModelSession(
        dataclasses.replace(policy.files, name=run.name, demonstration=False), model, policy.tokenizer, prompts
    )


class _PolicyNow:
    """The model of a policy until its weights change, called in evaluation mode whatever mode the run is in."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Logits, as the model gives them."""
        model = self._whole()
        with _evaluating(model):
            return model(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole(), name)

    def _whole(self) -> Any:
        """The model, as long as its weights are those that the session began with.

        Raises:
            UserError: they have changed, or the run has ended.
        """
        chat = self._policy.chat
        model: Any = None if chat is None else chat.model
        if model is not self:
            raise UserError(
                "The policy changed while it answered.",
                "Its run went on or ended, and the rest of the answer would be another model's.",
                "Ask again.",
            )
        return self._policy.model


@contextmanager
def _evaluating(model: Module) -> Iterator[None]:
    """Inside, the model is in evaluation mode; afterwards each of its modules is in the mode it was in."""
    training = [module for module in model.modules() if module.training]  # type: ignore[no-untyped-call]
    for module in training:
        module._training = False  # `Module.train` would change the modules inside as well
    try:
        yield
    finally:
        for module in training:
            module._training = True


def _not_here(name: str, run: Path | None) -> UserError:
    """Why there is no policy of this name, and what can be opened in place of it."""
    if run is None:
        return UserError(
            "There is no training run {name}.",
            "No run trains there now, and there is no run in this folder.",
            "Give the folder of a run that trains in this window.",
            name=name or PREFIX,
        )
    if (run / "model").is_dir():
        return UserError(
            "The run {name} does not train now.",
            "It has ended, and its policy went with it.",
            "Open what it trained: {model}",
            name=run.name,
            model=run / "model",
        )
    return UserError(
        "The run {name} does not train here now.",
        "It was stopped, or trains in another process, whose memory is its own.",
        "Go on with the run in this window, or open one of its checkpoints: {checkpoints}",
        name=run.name,
        checkpoints=run / "checkpoints",
    )
