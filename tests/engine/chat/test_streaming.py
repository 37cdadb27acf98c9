"""Streaming one answer: the same tokens as mlx_lm, the cache between turns, and every way an answer ends."""

from __future__ import annotations

import mlx.core as mx
import pytest
from mlx_lm.generate import stream_generate
from mlx_lm.models.cache import RotatingKVCache
from mlx_lm.sample_utils import make_logits_processors

from engine.chat import prompts, reading
from engine.chat.reading import Held
from engine.chat.sampling import Chooser
from engine.chat.streaming import stream_reply
from engine.config import Sampling
from engine.errors import UserError
from engine.events import Event, PromptRead, ReplyFinished, Token
from engine.session import ModelSession, drain, open_session
from tests.engine.tiny import make_model

GREEDY = Sampling(temperature=0.0, max_tokens=40)
LONG = "What is 47 + 38? " * 20


@pytest.fixture(scope="module")
def starter() -> ModelSession:
    return drain(open_session("starter"))


@pytest.fixture
def session(starter: ModelSession) -> ModelSession:
    starter.prompts.trim_to(n_sequences=0)
    return starter


def chat(session: ModelSession, *turns: str) -> list[int]:
    roles = ["user", "assistant"] * len(turns)
    return prompts.encode_chat(session.tokenizer, list(zip(roles, turns, strict=False)))


def reply(session: ModelSession, ids: list[int], sampling: Sampling = GREEDY) -> tuple[list[Event], ReplyFinished]:
    events = list(stream_reply(session, ids, sampling))
    finished = events[-1]
    assert isinstance(finished, ReplyFinished)
    return events, finished


def test_greedy_tokens_and_text_are_those_of_mlx_lm(session: ModelSession) -> None:
    ids = chat(session, "What is 47 + 38?")
    events, finished = reply(session, ids)
    theirs = list(stream_generate(session.model, session.tokenizer, ids, max_tokens=40))
    tokens = [event.token for event in events if isinstance(event, Token)]
    assert finished.text == "".join(response.text for response in theirs)
    assert tokens[: len(theirs) - 1] == [response.token for response in theirs[:-1]]
    assert "".join(event.text for event in events if isinstance(event, Token)) == finished.text
    assert finished.stop_reason == "end"
    assert finished.prompt_tokens == len(ids)


@pytest.mark.parametrize("penalty", [1.0, 1.7])
def test_the_repetition_penalty_is_that_of_mlx_lm(session: ModelSession, penalty: float) -> None:
    ids = chat(session, "What is 12 + 13?")
    _, finished = reply(session, ids, Sampling(temperature=0.0, max_tokens=30, repetition_penalty=penalty))
    processors = make_logits_processors(repetition_penalty=penalty)
    theirs = stream_generate(session.model, session.tokenizer, ids, max_tokens=30, logits_processors=processors)
    assert finished.text == "".join(response.text for response in theirs)


def test_log_probabilities_are_those_of_a_full_forward(session: ModelSession) -> None:
    ids = chat(session, "What is 64 + 19?")
    events, _ = reply(session, ids, Sampling(temperature=1.0, seed=3, max_tokens=20))
    tokens = [event for event in events if isinstance(event, Token)]
    whole = mx.array([ids + [event.token for event in tokens]])
    logits = session.model(whole)[0, len(ids) - 1 : -1]
    expected = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    for position, event in enumerate(tokens):
        assert event.logprob == pytest.approx(float(expected[position, event.token].item()), abs=1e-4)


def test_the_second_turn_reads_only_what_is_new(session: ModelSession) -> None:
    first = chat(session, LONG)
    _, answer = reply(session, first)
    assert answer.cached_tokens == 0
    second = chat(session, LONG, answer.text, "What is 11 + 22?")
    events, finished = reply(session, second)
    assert finished.cached_tokens >= len(first)
    read = [event for event in events if isinstance(event, PromptRead)]
    assert read[0].cached == finished.cached_tokens
    session.prompts.trim_to(n_sequences=0)
    _, fresh = reply(session, second)
    assert fresh.cached_tokens == 0
    assert fresh.text == finished.text


def test_an_edited_question_keeps_what_is_still_common(session: ModelSession) -> None:
    reply(session, chat(session, LONG + "What is 1 + 1?"))
    changed = chat(session, LONG + "What is 2 + 2?")
    _, finished = reply(session, changed)
    assert len(changed) // 2 < finished.cached_tokens < len(changed)
    session.prompts.trim_to(n_sequences=0)
    assert reply(session, changed)[1].text == finished.text


def test_asking_again_reads_nothing_again(session: ModelSession) -> None:
    ids = chat(session, LONG)
    _, first = reply(session, ids)
    _, again = reply(session, ids)
    assert again.cached_tokens >= len(ids) - 2
    assert again.text == first.text


def test_an_answer_that_is_stopped_leaves_a_right_cache(session: ModelSession) -> None:
    ids = chat(session, LONG)
    steps, heard = stream_reply(session, ids, GREEDY), ""
    for event in steps:
        heard += event.text if isinstance(event, Token) else ""
        if len(heard) > 10:
            break
    steps.close()
    second = chat(session, LONG, heard, "What is 11 + 22?")
    _, finished = reply(session, second)
    assert finished.cached_tokens >= len(ids)
    session.prompts.trim_to(n_sequences=0)
    assert reply(session, second)[1].text == finished.text


def test_stopping_while_the_prompt_is_read_keeps_what_was_read(session: ModelSession) -> None:
    ids = chat(session, LONG * 2)
    steps = stream_reply(session, ids, GREEDY)
    for event in steps:
        if isinstance(event, PromptRead) and event.done >= 256:
            break
    steps.close()
    _, finished = reply(session, ids)
    assert finished.cached_tokens >= 256


def test_a_cache_that_cannot_be_cut_back_serves_the_next_turn(tmp_path: object) -> None:
    """A sliding-window model: its full rotating cache cannot be trimmed."""
    del tmp_path
    session = drain(open_session("starter"))
    layers = len(session.model.layers)
    type(session.model).make_cache = lambda _: [RotatingKVCache(max_size=64) for _ in range(layers)]  # type: ignore[attr-defined]
    try:
        first = chat(session, LONG)
        _, answer = reply(session, first)
        second = chat(session, LONG, answer.text, "What is 11 + 22?")
        _, finished = reply(session, second)
        assert finished.cached_tokens > 0
        session.prompts.trim_to(n_sequences=0)
        assert reply(session, second)[1].text == finished.text
    finally:
        del type(session.model).make_cache  # type: ignore[attr-defined]


def test_the_seed_reproduces_the_answer(session: ModelSession) -> None:
    ids = chat(session, "What is 64 + 19?")
    warm = Sampling(temperature=1.5, top_p=1.0, max_tokens=30)
    _, first = reply(session, ids, warm)
    _, again = reply(session, ids, warm.model_copy(update={"seed": first.seed}))
    assert again.text == first.text
    assert len({reply(session, ids, warm)[1].text for _ in range(5)}) > 1


def test_it_ends_at_the_maximum_length(session: ModelSession) -> None:
    _, finished = reply(session, chat(session, "What is 64 + 19?"), Sampling(temperature=0.0, max_tokens=5))
    assert (finished.completion_tokens, finished.stop_reason) == (5, "length")


def test_it_ends_where_the_context_is_full(session: ModelSession) -> None:
    ids = chat(session, "What is 64 + 19?")
    ids = [ids[0]] * (session.files.context - 3 - len(ids)) + ids
    _, finished = reply(session, ids)
    assert (finished.completion_tokens, finished.stop_reason) == (3, "context full")


def test_it_ends_at_a_stop_string_and_leaves_it_out(session: ModelSession) -> None:
    ids = chat(session, "What is 47 + 38?")
    whole = reply(session, ids)[1].text
    stop = "</reasoning>"
    assert stop in whole
    events, finished = reply(session, ids, Sampling(temperature=0.0, stop=(stop,)))
    assert finished.stop_reason == "stop string"
    assert finished.text == whole.partition(stop)[0]
    assert "".join(event.text for event in events if isinstance(event, Token)) == finished.text


def test_a_prompt_longer_than_the_context_is_refused(session: ModelSession) -> None:
    with pytest.raises(UserError, match="longer than the model can read") as caught:
        list(stream_reply(session, [5] * session.files.context, GREEDY))
    assert "1,024" in caught.value.why


def test_an_empty_prompt_is_refused(session: ModelSession) -> None:
    with pytest.raises(UserError, match="nothing to answer"):
        list(stream_reply(session, [], GREEDY))


def test_a_model_without_a_chat_template_gets_plain_turns(session: ModelSession) -> None:
    wrapper = session.tokenizer
    wrapper.has_chat_template = False
    try:
        ids = prompts.encode_chat(wrapper, [("user", "Hi"), ("assistant", "Yes?"), ("user", "1")], "Be brief.")
    finally:
        wrapper.has_chat_template = True
    text = wrapper.decode(ids)
    assert "System: Be brief.\n\nUser: Hi\n\nAssistant: Yes?\n\nUser: 1\n\nAssistant:" in text


def test_a_template_without_a_system_role_still_hears_the_system_prompt(session: ModelSession) -> None:
    inner = session.tokenizer._tokenizer
    before = inner.chat_template
    inner.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "[{{ m.role }}] {{ m.content }}{% endfor %}"
    )
    try:
        ids = prompts.encode_chat(session.tokenizer, [("user", "Hi")], "Be brief.")
        assert session.tokenizer.decode(ids) == "[user] Be brief.\n\nHi"
        inner.chat_template = "{{ raise_exception('never') }}"
        with pytest.raises(UserError, match="chat template"):
            prompts.encode_chat(session.tokenizer, [("user", "Hi")])
    finally:
        inner.chat_template = before


def test_two_answers_at_once_do_not_disturb_each_other(session: ModelSession) -> None:
    """What the compute lane does: two generators of one model, advanced in turn."""
    sampling = Sampling(temperature=1.0, seed=5, max_tokens=25)
    one, other = chat(session, "What is 47 + 38?"), chat(session, "What is 83 - 27?")
    alone = [reply(session, one, sampling)[1].text, reply(session, other, sampling)[1].text]
    steps = [stream_reply(session, one, sampling), stream_reply(session, other, sampling)]
    texts = ["", ""]
    while steps[0] is not None or steps[1] is not None:
        for index, generator in enumerate(steps):
            event = next(generator, None) if generator is not None else None
            if event is None:
                steps[index] = None  # type: ignore[call-overload]
            elif isinstance(event, ReplyFinished):
                texts[index] = event.text
    assert texts == alone


def test_a_random_model_streams_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = make_model(tmp_path_factory.mktemp("models") / "qwen3", model_type="qwen3", head_dim=16, rope_scaling={})
    session = drain(open_session(str(folder)))
    _, finished = reply(session, chat(session, "Hello"), Sampling(temperature=0.0, max_tokens=8))
    assert finished.completion_tokens == 8 or finished.stop_reason == "end"


@pytest.mark.parametrize("fails_at", [1, 3])
def test_after_an_error_no_half_filled_cache_is_kept(
    session: ModelSession, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    ids = chat(session, "What is 47 + 38?")
    right = reply(session, ids)[1].text
    session.prompts.trim_to(n_sequences=0)
    calls: list[int] = []
    choose = Chooser.__call__

    def out_of_memory(self: Chooser, logprobs: mx.array) -> mx.array:
        calls.append(1)
        if len(calls) == fails_at:
            raise RuntimeError("out of memory")
        return choose(self, logprobs)

    with monkeypatch.context() as patch:
        patch.setattr(Chooser, "__call__", out_of_memory)
        with pytest.raises(RuntimeError, match="out of memory"):
            list(stream_reply(session, ids, GREEDY))
    assert reply(session, ids)[1].text == right


def test_a_template_that_shows_nothing_is_not_blamed_on_the_person(session: ModelSession) -> None:
    inner = session.tokenizer._tokenizer
    before = inner.chat_template
    try:
        for template, words in (("", "shows nothing"), ("{{ 1/0 }}", "chat template")):
            inner.chat_template = template
            with pytest.raises(UserError, match=words):
                prompts.encode_chat(session.tokenizer, [("user", "Hi")])
    finally:
        inner.chat_template = before


def test_bytes_that_are_no_text_are_refused(session: ModelSession) -> None:
    with pytest.raises(UserError, match="not text"):
        prompts.encode_chat(session.tokenizer, [("user", "\udcff")])


def test_weights_that_are_no_numbers_are_said_and_not_babbled(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = make_model(tmp_path_factory.mktemp("models") / "nan")
    weights = mx.load(str(folder / "model.safetensors"))
    weights["model.norm.weight"] = mx.full(weights["model.norm.weight"].shape, float("nan"))
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    session = drain(open_session(str(folder)))
    for sampling in (GREEDY, Sampling(temperature=1.0)):
        with pytest.raises(UserError, match="computes no numbers"):
            reply(session, chat(session, "Hello"), sampling)


def test_pieces_of_a_prompt_end_at_the_same_places_whatever_the_clock_says(
    session: ModelSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a seed gives the same rounding from run to run, also where a beginning was remembered."""
    monkeypatch.setattr(reading, "_PIECES", ())
    ids = chat(session, LONG * 3)
    assert len(ids) > 600
    read = [event.done for event in reply(session, ids)[0] if isinstance(event, PromptRead)]
    assert read == [0, 256, 512, len(ids) - 1]
    session.prompts.trim_to(n_sequences=0)
    reply(session, ids[:300])
    read = [event.done for event in reply(session, ids)[0] if isinstance(event, PromptRead)]
    assert read[0] in (299, 300)
    assert read[1:] == [512, len(ids) - 1]


def test_an_answer_whose_beginning_is_as_long_as_it_may_be(session: ModelSession) -> None:
    ids = chat(session, "What is 47 + 38?")
    prefix = session.tokenizer.encode("It is 85", add_special_tokens=False)
    events = list(stream_reply(session, ids, GREEDY.model_copy(update={"max_tokens": 3}), prefix=prefix))
    finished = events[-1]
    assert isinstance(finished, ReplyFinished)
    assert (finished.text, finished.stop_reason) == ("It is 85", "length")
    assert (finished.completion_tokens, finished.tokens_per_second) == (len(prefix), 0.0)


def test_a_stop_string_in_the_beginning_ends_the_answer(session: ModelSession) -> None:
    ids = chat(session, "What is 47 + 38?")
    prefix = session.tokenizer.encode("It is 85", add_special_tokens=False)
    events = list(stream_reply(session, ids, Sampling(stop=("is",)), prefix=prefix))
    finished = events[-1]
    assert isinstance(finished, ReplyFinished)
    assert (finished.text, finished.stop_reason) == ("It ", "stop string")


def test_what_is_held_serves_where_the_session_remembers_less(session: ModelSession) -> None:
    ids = chat(session, LONG)
    held = Held()
    *_, first = stream_reply(session, ids, GREEDY, held=held)
    assert isinstance(first, ReplyFinished)
    assert held.tokens[: len(ids)] == ids
    session.prompts.trim_to(n_sequences=0)
    # Another question after the same beginning: what differs is cut off.
    other = chat(session, LONG + "1 + 1?")
    *_, second = stream_reply(session, other, GREEDY, held=held)
    assert isinstance(second, ReplyFinished)
    assert len(ids) // 2 < second.cached_tokens < len(other)
    assert held.tokens[: len(other)] == other
    session.prompts.trim_to(n_sequences=0)
    assert reply(session, other)[1].text == second.text
