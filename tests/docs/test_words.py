"""The README is short, and the measure of words and sentences counts what it says."""

import doc_words

README = (doc_words.ROOT / "README.md").read_text()


def test_the_readme_is_short_and_plain():
    counts = doc_words.measure(README)
    assert counts.words <= 900
    assert counts.lines <= 150
    assert counts.long == []
    # Numbers stand in tables.
    assert max(doc_words.numbers(README)) <= 2


def test_no_page_has_a_long_sentence():
    for name, text in doc_words.pages().items():
        assert doc_words.long_sentences(text) == [], name


def test_a_sentence_ends_at_a_period_and_code_is_one_word():
    text = "One two, e.g. three `four five` by Li et al. in 2017. Seven!\n\n- eight\n- nine ten\n"
    assert doc_words.sentences(text) == [
        "One two, e.g. three CODE by Li et al. in 2017.", "Seven!", "eight", "nine ten"
    ]  # fmt: skip
    assert doc_words.long_sentences("word " * 35) == []
    assert len(doc_words.long_sentences("word " * 36)) == 1


def test_blocks_comments_and_tables_are_no_sentences_of_prose():
    text = "```\n" + "word " * 40 + "\n```\n<!-- " + "word " * 40 + "-->\n| a b | c |\n|---|---|\n"
    assert doc_words.long_sentences(text) == []
    assert doc_words.numbers("From 1 to 2.5, `3`, v4.\n\n| 5 |\n") == [2]


def test_docstrings_of_fields_and_arguments_are_measured(tmp_path):
    source = tmp_path / "module.py"
    source.write_text(
        'class Public:\n    """Doc."""\n\n    field: int = 1\n    """Field."""\n\n\n'
        'def _private():\n    """Hidden."""\n\n\n'
        'def public(a):\n    """Does.\n\n    Args:\n      a: an argument.\n    """\n'
    )
    text = "\n\n".join(doc_words.docstrings(source))
    assert "Field." in text
    assert "Hidden" not in text
    assert "a: an argument." in doc_words.sentences(text)
