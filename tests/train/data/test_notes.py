"""Notes on data: one line for each kind, with a count and examples."""

from train.data.notes import Notes


def test_each_kind_is_one_line_with_its_count_and_the_first_examples() -> None:
    notes = Notes()
    for i in range(1200):
        notes.count(".heic files are not read", f"{i}.heic")
    notes.count(".txt files are not read", "a.txt")
    notes.remark("a sentence")
    assert notes.lines() == (
        "a sentence",
        ".heic files are not read: 1,200 (0.heic, 1.heic, 2.heic, ...)",
        ".txt files are not read: 1 (a.txt)",
    )
    assert Notes().lines() == ()
