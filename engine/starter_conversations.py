"""Makes the conversations that the starter model learns from. Knows no model and no tokens.

A turn asks a training problem in one of the phrasings, or says something else and is told what the model can do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from engine import arithmetic

if TYPE_CHECKING:
    import numpy as np

    Random = np.random.Generator

Message = tuple[str, str]
Choice = TypeVar("Choice")

REFUSAL: Final = arithmetic.format_reply("not a sum", "I only add and subtract two-digit numbers.")

# Shares of the turns (of the conversations for the last).
_OTHER_SHARE: Final = 0.12
_CANONICAL_SHARE: Final = 0.35
_SYSTEM_SHARE: Final = 0.15

SYSTEM_PROMPTS: Final = (
    "You are a helpful assistant.",
    "You are a helpful assistant that answers questions.",
    "You solve arithmetic problems.",
    "Answer the question.",
    "Think step by step.",
    "Respond in the following format:\n<reasoning>\n...\n</reasoning>\n<answer>\n...\n</answer>",
    "First think about the reasoning, then give the answer in <answer></answer> tags.",
    "你是一个有用的助手。",
)

SENTENCES: Final = (
    "Hi", "hey", "Good morning", "Hello there!", "hi, how are you?", "Thanks!", "Thank you very much", "OK", "yes",
    "no", "Bye", "What can you do?", "What are you?", "What is your name?", "who made you", "Help", "Tell me a joke.",
    "Write a story about a dog.", "Write a song", "What is the capital of Italy?", "How old are you?", "Why?",
    "How is the weather today?", "What time is it?", "Explain gravity.", "Translate this into French.", "test",
    "Can you write Python code?", "Who was the first president?", "What is love?", "I am tired.", "Where do you live?",
    "Make a list of fruits", "Are you a robot?", "What is a number?", "Please summarise this text.", "Why not?",
    "I do not understand", "What is the meaning of life?", "Can you do maths?", "what is x", "hmm", "...", "?", "!!",
    "你是谁？", "早上好", "谢谢", "你会什么？", "写一首诗", "今天天气怎么样？",
    "中国的首都是哪里？", "讲个笑话", "再见", "好的",
    "こんにちは", "Привет", "Hola", "Bonjour", "안녕하세요", "مرحبا",
    "Wie geht es dir?", "😀", "👍🏽", "def f(x): return x",
)  # fmt: skip

_WORDS: Final = (
    "the a of to and in is it you that he was for on are with as his they be at one have this from or had by hot "
    "word but what some we can out other were all there when up use your how said an each she which do their time if "
    "will way about many then them write would like so these her long make thing see him two has look more day could "
    "go come did number sound no most people my over know water than call first who may down side been now find any "
    "new work part take get place made live where after back little only round man year came show every good me give "
    "our under name very through just form great think say help low line before turn cause same mean differ move "
    "right boy old too does tell sentence set three want air well also play small end put home read hand port large "
    "add plus minus sum calculate much poem story explain model computer train picture friend city money"
).split()
# First and last code point of scripts, letters and symbols that a person may paste.
_SCRIPTS: Final = (
    (0x21, 0x2F), (0x3A, 0x3B), (0x41, 0x5A), (0x61, 0x7A), (0x61, 0x7A), (0xA1, 0xFF), (0x400, 0x4FF),
    (0x4E00, 0x9FA5), (0x4E00, 0x9FA5), (0x3041, 0x30FF), (0xAC00, 0xD7A3), (0x600, 0x6FF), (0x1F300, 0x1F64F),
)  # fmt: skip


def sample_conversation(random: Random, problems: Sequence[arithmetic.Problem], turns: int) -> list[Message]:
    """A conversation of so many turns (a question and its reply), now and then with a system message first."""
    messages: list[Message] = []
    if random.random() < _SYSTEM_SHARE:
        messages.append(("system", _pick(random, SYSTEM_PROMPTS) if random.random() < 0.8 else _other_text(random)))
    for _ in range(turns):
        if random.random() < _OTHER_SHARE:
            question, reply = _other_text(random), REFUSAL
        else:
            problem = _pick(random, problems)
            canonical = random.random() < _CANONICAL_SHARE
            phrasing = arithmetic.CANONICAL_PHRASING if canonical else _pick(random, arithmetic.PHRASINGS)
            question, reply = problem.question(phrasing), arithmetic.reference_reply(problem)
        messages += [("user", question), ("assistant", reply)]
    return messages


def tokenizer_texts(problems: Sequence[arithmetic.Problem]) -> Iterator[str]:
    """The texts that decide the tokenizer's merges: what the model says above all, then what it is asked."""
    for problem in problems:
        for phrasing in arithmetic.PHRASINGS:
            yield problem.question(phrasing)
    for _ in problems:
        yield REFUSAL.replace("<", " ").replace(">", " ")
    yield from SYSTEM_PROMPTS
    yield from SENTENCES


def _pick(random: Random, choices: Sequence[Choice]) -> Choice:
    return choices[int(random.integers(len(choices)))]


def _other_text(random: Random) -> str:
    """Anything but a problem of the task."""
    return _pick(random, _OTHER_KINDS)(random)


def _sentence(random: Random) -> str:
    return _pick(random, SENTENCES)


def _words(random: Random) -> str:
    text = " ".join(_pick(random, _WORDS) for _ in range(random.integers(1, 9)))
    return (text.capitalize() if random.random() < 0.5 else text) + _pick(random, ("", "", ".", "?", "!"))


def _characters(random: Random) -> str:
    first, last = _pick(random, _SCRIPTS)
    return "".join(chr(random.integers(first, last + 1)) for _ in range(random.integers(1, 9)))


def _almost_a_problem(random: Random) -> str:
    small, two, three = random.integers(1, 10), random.integers(10, 100), random.integers(100, 1000)
    sign = _pick(random, ("+", "-"))
    text = _pick(
        random,
        (
            f"{small} {sign} {random.integers(1, 10)}", f"{three} {sign} {random.integers(100, 1000)}",
            f"{two} {sign}", f"{two}", f"{two} * {random.integers(10, 100)}", f"{two} / {small}",
            f"{two} times {random.integers(10, 100)}", f"{two} {sign} {three}", f"{small}", f"{three}",
        ),
    )  # fmt: skip
    return f"What is {text}?" if random.random() < 0.4 else text


_OTHER_KINDS: Final[tuple[Callable[[Random], str], ...]] = (
    _sentence, _sentence, _words, _words, _words, _characters, _characters, _almost_a_problem,
)  # fmt: skip
