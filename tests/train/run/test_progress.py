"""Console output: plain lines where there is no terminal, and tables."""

import pytest

from train.run.progress import ProgressBar, log, show_table
from train.tasks.classification import METRICS


def test_plain_lines_are_printed_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = {"loss": 1.5, "error": 12.25}
    with ProgressBar(0, 200, METRICS) as bar:
        bar.show_training(100, numbers, speed=1234.0)
        bar.show_training(101, numbers, speed=1234.0)
        bar.show_evaluation(150, "valid", numbers)
        bar.show_training(200, numbers, speed=1234.0)
    lines = capsys.readouterr().out.splitlines()
    # Step 101 comes too soon after step 100; the last step is always printed.
    assert [line.split()[1] for line in lines] == ["100", "150", "200"]
    assert "loss 1.500  error 12.25 %  1,234 examples/s" in lines[0]
    assert "valid  loss 1.500  error 12.25 %" in lines[1]


@pytest.mark.parametrize("text", ["[bold]text[/]", "runs[/x]", ":dog:", "a=b " * 60, "$x$", "犬"])
def test_text_is_printed_as_it_is(capsys: pytest.CaptureFixture[str], text: str) -> None:
    log(text)
    show_table({"test error": "1.75 %", "picture": text})
    assert capsys.readouterr().out == f"{text}\ntest error  1.75 %\npicture     {text}\n"
