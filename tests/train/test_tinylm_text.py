"""The second text of the tiny language model: words without markup."""

from __future__ import annotations

import pytest

from edgekit.core.errors import InputError
from edgekit.train.tinylm_text import LAST_WORDS, plain

EXPORTED = f"""$$$[ Module Heading ]
about this Bible
$$$Genesis 1:1
<title>The Creation</title><div sID="gen1" type="x-p"/>In the <w lemma="x">beginning</w><note n="1">or: <i>first</i></note>, God said, “Let there be—light” .
$$$Psalms 1:1
<lb/>Blessed<l level="1"/>is the man’s way
$$$Revelation 22:21
<div sID="rev22" type="paragraph"/>The grace {LAST_WORDS}
$$$Glossary 1:1
words explained
"""


def test_words_stay_and_everything_else_goes() -> None:
    assert plain(EXPORTED).splitlines() == [
        'In the beginning, God said, "Let there be - light".',
        "Blessed is the man's way",
        f"The grace {LAST_WORDS}",
    ]


def test_another_text_is_refused() -> None:
    with pytest.raises(InputError, match="does not end as the Bible does"):
        plain("$$$Genesis 1:1\nIn the beginning\n")
