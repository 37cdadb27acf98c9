"""Texts that are meant to do harm, each made from a number; and a program that reads many of them."""

from __future__ import annotations

import random
import sys

_MARKUP = (
    "* ** _ __ ~~ ` `` ``` ~~~ [ ] ( ) ![ ]( < > - + # ## --- === | |-| |:-:| \\ $ $$ \\( \\) \\[ \\] \\begin{align} "
    "\\end{align} \\frac{ } ^ & &amp; &#0; &#x202e; &#xFDD0; &#xFFFC; &#x2029; &#xD800; &#99999999; &lt; "
    "<b> </b> <!-- --> <script>alert(1)</script> <think> </think> <reasoning> <answer> </answer> <|im_end|> "
    "<|endoftext|> [INST] www.a.b a@b.c javascript:alert(1) data:text/html,x [^1] [x] 5 x a word . , ' \" ="
).split(" ")
_LAYOUT = [
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\t",
    "    ",
    "  \n",
    "\\\n",
    "> ",
    "- ",
    "1. ",
    "- [ ] ",
    "| ",
    "[a]: b\n",
    " ",
    " ",
]
_LETTERS = (
    "\0 \a \x1b[31m \x85 \u2028 \u2029 \ufdd0 \ufdd1 \ufdd2 \ufde0 \ufffc \ufffe \uffff \ud800 \udfff \u202e \u2066 "
    "\u2069 \u200d \ufe0f \u0301 \u00ad \ufeff \U000e0041 ب 中 😀 👨‍👩‍👧 ﷺ జ్ఞా"
).split(" ")
# `PLACE` stands for an address that must not be asked for anything.
_FETCHING = [
    "![x](PLACE/x.png)",
    "![](<PLACE>)",
    "![x][r]\n\n[r]: PLACE\n",
    "[x](PLACE 'PLACE')",
    "<img src=PLACE>",
    '<link rel="stylesheet" href="PLACE">',
    "<style>@import url(PLACE)</style>",
    "<iframe src='PLACE'></iframe>",
    "$\\href{PLACE}{x} \\includegraphics{PLACE} \\input{PLACE}$",
    "<PLACE>",
]
PIECES = [*_MARKUP, *_LAYOUT, *_LETTERS, *_FETCHING]


def text(seed: int, places: list[str], longest: int = 24) -> str:
    """The text of a number: pieces at random, or a few of them again and again."""
    numbers = random.Random(seed)
    pieces = PIECES if numbers.random() < 0.5 else numbers.sample(PIECES, numbers.randint(2, 6))
    return "".join(
        numbers.choice(pieces).replace("PLACE", numbers.choice(places)) for _ in range(numbers.randint(1, longest))
    )


def main(first: int, last: int, places: list[str]) -> None:
    """Read the texts of some numbers as a message would be, and say which ones are done."""
    from PySide6.QtGui import QTextCursor, QTextDocument
    from PySide6.QtWidgets import QApplication

    from gui import theme
    from gui.chat import rich_text
    from gui.chat.segments import Splitter, plain_segments

    application = QApplication(sys.argv[:1])
    theme.install(application)
    document = QTextDocument()
    document.setTextWidth(500)
    for seed in range(first, last):
        splitter, message = Splitter(), text(seed, places)
        splitter.feed(message)
        for segment in splitter.segments(final=True):
            marks = rich_text.fill(document, segment.text)
            document.size()
            marks.place(document, 500)
            cursor = QTextCursor(document)
            cursor.select(QTextCursor.SelectionType.Document)
            rich_text.selected_text(cursor)
            assert not {"\ufdd2", "\ufde0"} & set(document.toRawText()), seed
        for segment in plain_segments(message):
            rich_text.fill_plain(document, segment.text)
        if seed % 100 == 99:
            sys.stdout.write(f"{seed}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
