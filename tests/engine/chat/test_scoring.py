"""Rewards judge a stored answer as they judge a completion, and what one cannot judge is said beside its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import jobs
from engine.chat.conversations import Conversations
from engine.chat.requests import ScoreAnswer
from engine.chat_events import AnswerScored
from engine.errors import UserError
from engine.events import Progress, ReplyFinished
from engine.jobs import Workbench

RIGHT = "<reasoning>12 + 30 = 42</reasoning>\n<answer>42</answer>"
EVERY = ("accuracy", "correctness", "integer", "strict_format", "soft_format", "xml_count", "repetition")


@pytest.fixture(name="database")
def _database(tmp_path: Path) -> Path:
    return tmp_path / "conversations.db"


def stored(database: Path, text: str, tokens: int = 0) -> int:
    """A question with an answer; the answer."""
    with Conversations(database) as store:
        conversation = store.create(model="starter").id
        question = store.add(conversation, None, "user", "What is 12 + 30?").id
        answer = store.add(conversation, question, "assistant", "", model="starter", state="writing").id
        stats = ReplyFinished(text, "end", 10, 0, tokens, 0.1, 10.0, 0, 1) if tokens else None
        store.finish(answer, text, "done", stats=stats)
        return answer


def scores(database: Path, answer: int, *rewards: str, reference: str = "") -> dict[str, tuple[float | None, str]]:
    events = list(jobs.start(ScoreAnswer(database, answer, rewards, reference), Workbench()))
    scored = events[-1]
    assert isinstance(scored, AnswerScored)
    assert scored.message == answer
    assert all(isinstance(event, Progress) for event in events[:-1])
    return {name: (score, problem) for name, score, problem in scored.scores}


def test_the_rewards_of_the_program_judge_as_in_training(database: Path) -> None:
    answer = stored(database, RIGHT, tokens=20)
    found = scores(database, answer, *EVERY, "length", reference=" 42 ")
    values = {name: score for name, (score, _) in found.items()}
    assert list(values) == [*EVERY, "length"]
    assert values == {
        "accuracy": 1.0,
        "correctness": 2.0,
        "integer": 0.5,
        "strict_format": 0.5,
        "soft_format": 0.5,
        "xml_count": 0.5,
        "repetition": 0.0,
        "length": 1.0,
    }
    assert {problem for _, problem in found.values()} == {""}
    wrong = scores(database, answer, "accuracy", "math_equivalence", reference="43")
    assert wrong == {"accuracy": (0.0, ""), "math_equivalence": (0.0, "")}


def test_another_spelling_of_the_right_answer_is_judged_in_a_process(database: Path) -> None:
    answer = stored(database, "<answer>1/2</answer>")
    assert scores(database, answer, "math_equivalence", reference="0.5") == {"math_equivalence": (1.0, "")}


def test_what_cannot_be_judged_is_said_and_costs_the_others_nothing(database: Path) -> None:
    answer = stored(database, RIGHT)
    found = scores(database, answer, "accuracy", "length", "nonsense", "reasoning_gym", "integer")
    assert found["integer"] == (0.5, "")
    for name, words in (("accuracy", "right answer"), ("length", "tokens"), ("nonsense", "no reward called nonsense")):
        score, problem = found[name]
        assert score is None
        assert words in problem
    assert found["reasoning_gym"][0] is None
    assert found["reasoning_gym"][1]


OWN = '''
def polite(completions, prompt, answer, lengths, **columns):
    """1 for what is asked, answered and counted."""
    return [float(prompt[0] == "What is 12 + 30?") + (answer[0] == "42") + (lengths[0] == 20)]

def silent(completions, **columns):
    return [None]

def broken(completions, **columns):
    raise ValueError("no idea")

def greedy(completions, gold, **columns):
    return [1.0]
'''


def test_functions_of_a_persons_own_file_judge_and_fail_alone(database: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN, "utf-8")
    answer = stored(database, RIGHT, tokens=20)
    names = [f"{file}:{name}" for name in ("polite", "silent", "broken", "greedy", "missing")]
    found = scores(database, answer, *names, f"{tmp_path}/other.py:polite", reference="42")
    polite, silent, broken, greedy, missing, nowhere = found.values()
    assert polite == (3.0, "")
    assert silent == (None, "It has no opinion on this answer.")
    assert broken[0] is None
    assert "no idea" in broken[1]
    assert greedy[0] is None
    assert "gold" in greedy[1]
    assert missing[0] is None
    assert nowhere[0] is None
    assert "no reward file" in nowhere[1]


def test_another_answer_to_the_same_question_is_judged_in_its_place(database: Path) -> None:
    answer = stored(database, RIGHT, tokens=20)
    request = ScoreAnswer(database, answer, ("accuracy", "length"), "42", text="<answer>41</answer>", tokens=500)
    events = list(jobs.start(request, Workbench()))
    scored = events[-1]
    assert isinstance(scored, AnswerScored)
    (_, accuracy, _), (_, length, _) = scored.scores
    assert accuracy == 0.0
    assert length is not None
    assert length < 1.0


def test_what_is_no_answer_is_said_in_words(database: Path) -> None:
    answer = stored(database, RIGHT)
    with Conversations(database) as store:
        conversation, question = store.ancestors(answer)[0].conversation, store.ancestors(answer)[0].id
        writing = store.add(conversation, question, "assistant", "so", state="writing").id
    for message, rewards, words in (
        (question, ("integer",), "nothing to judge"),
        (writing, ("integer",), "still being written"),
        (answer, (), "No reward is chosen"),
        (999, ("integer",), "does not exist"),
    ):
        with pytest.raises(UserError, match=words):
            list(jobs.start(ScoreAnswer(database, message, rewards), Workbench()))
