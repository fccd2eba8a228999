"""Comparing transcripts: word and character errors, by jiwer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from autocompress.errors import DataError

if TYPE_CHECKING:
    from autocompress.data.rows import Rows
    from autocompress.tasks.base import Score


def normalised(transcript: str) -> str:
    """Lower case, without punctuation other than apostrophes, one space between words."""
    return " ".join(re.sub(r"[^\w\s']", " ", transcript.casefold()).split())


def references(rows: Rows) -> list[str]:
    """The normalised transcripts.

    Raises:
        DataError: a transcript without a word; names the row.
    """
    texts = [normalised(str(text)) for text in rows.columns["text"]]
    empty = next((row for row, text in enumerate(texts, 1) if not text), None)
    if empty is not None:
        raise DataError(f"the transcript of row {empty} holds no word", where=rows.source, remedy="Remove the row.")
    return texts


def transcript_score(hypothesis: str, reference: str) -> Score:
    """Errors and reference length, in words (``wer``) and in characters (``cer``)."""
    import jiwer

    words = jiwer.process_words(reference, normalised(hypothesis))
    characters = jiwer.process_characters(reference, normalised(hypothesis))
    return {
        "wer": (float(words.substitutions + words.deletions + words.insertions), float(len(reference.split()))),
        "cer": (
            float(characters.substitutions + characters.deletions + characters.insertions),
            float(len(reference)),
        ),
    }
