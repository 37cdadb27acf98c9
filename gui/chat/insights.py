"""Opens what looks closer at an answer: its tokens, its scores, and what other models say. Computes nothing itself."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QDialog

from engine.chat.conversations import Message
from engine.errors import UserError
from engine.events import ReplyFinished
from gui.chat.compare_view import CompareView
from gui.chat.page import ChatPage
from gui.chat.score_choice import Judging
from gui.chat.score_sheet import ScoreSheet
from gui.chat.token_view import TokenView
from gui.desk import Desk


class Insights(QObject):
    """Connects the menu of an answer with the dialogs, and these with the conversation."""

    def __init__(self, desk: Desk, page: ChatPage) -> None:
        super().__init__(page)
        self._desk, self._page = desk, page
        self.judging = Judging()
        self.open: QDialog | None = None
        page.message_wanted.connect(self.show)
        page.talk.answering_changed.connect(self._on_answering)

    def show(self, message: int, wish: str) -> None:
        """Open what was asked for: "tokens", "score" or "compare"."""
        try:
            *before, answer = self._desk.store.ancestors(message)
        except UserError as error:
            self._desk.notices.error(error)
            return
        if wish == "tokens":
            self._show_tokens(answer)
        elif wish == "score":
            self._show_scores(answer)
        elif wish == "compare" and before:
            self._compare(before)

    def _show_tokens(self, answer: Message) -> None:
        view = TokenView(self._desk, answer, self._page.model, self._page.window())
        view.set_busy(self._page.answering)
        view.continued.connect(self._page.regenerate)
        self._open(view)

    def _show_scores(self, answer: Message) -> None:
        sheet = ScoreSheet(self._desk, answer, self.judging, self._page.window())
        sheet.judged.connect(self._remember)
        self._open(sheet)

    def _compare(self, before: list[Message]) -> None:
        manner = self._page.talk.manner
        view = CompareView(
            self._desk,
            before[-1],
            self._page.model,
            manner.system_prompt,
            manner.sampling,
            Judging((), self.judging.reference),
            alone=len(before) == 1,
            parent=self._page.window(),
        )
        view.kept.connect(lambda *kept: self._keep(before[-1], *kept))
        view.finished.connect(lambda _: self._after(view))
        self._open(view)

    def _open(self, dialog: QDialog) -> None:
        self.open = dialog
        # Not larger than the window it belongs to.
        dialog.resize(dialog.size().boundedTo(self._page.window().size()).expandedTo(dialog.minimumSize()))
        dialog.finished.connect(self._on_closed)
        dialog.open()

    def _on_closed(self, _: int) -> None:
        if self.open is not None:
            self.open.deleteLater()
        self.open = None

    def _on_answering(self) -> None:
        if isinstance(self.open, TokenView):
            self.open.set_busy(self._page.answering)

    def _remember(self, judging: Judging) -> None:
        self.judging = judging

    def _keep(self, question: Message, prompt: str, model: str, reply: ReplyFinished) -> None:
        """Add an answer beside those that the question has; where it was asked otherwise, with that question."""
        store = self._desk.store
        try:
            asked = question
            if prompt != question.text:
                asked = store.add(question.conversation, question.parent, "user", prompt)
            kept = store.add(asked.conversation, asked.id, "assistant", "", model=model, state="writing")
            store.finish(kept.id, reply.text, "done", stats=reply)
        except UserError as error:
            self._desk.notices.error(error)
            return
        if self._page.conversation == question.conversation and not self._page.answering:
            self._page.open_conversation(question.conversation, kept.id)

    def _after(self, view: CompareView) -> None:
        """Have the model of the chat again, where the comparison had another one in memory."""
        if view.displaced:
            self._page.load(self._page.model)
