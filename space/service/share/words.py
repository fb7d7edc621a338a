"""A story's words in the reader's language."""

from __future__ import annotations

from space.contract import Text
from space.service.page.languages import Words
from space.service.share.story import Story


class StoryWords(Words):
    """The words of one language, for reports that may be older than these texts."""

    def say(self, text: Text) -> str:
        """A report's text; in the report's own English where this version no longer has the words."""
        try:
            return super().say(text)
        except (KeyError, IndexError):
            return text.en

    def summary(self, story: Story) -> str:
        """What is most worth saying after the verdict, in one sentence: the facial parts, or the first reason."""
        if story.verdict.code in ("strong", "some") and story.parts is not None:
            return self.say(story.parts.sentence)
        return self.say(story.verdict.reasons[0]) if story.verdict.reasons else ""
