"""Completion: the scripts that ``--tyro-print-completion`` prints, asked as a shell would ask."""

import shutil
import subprocess

import pytest
from running import ROOT, check_error

from train.cli import ALL_VERBS, main


@pytest.mark.parametrize(("shell", "first"), [("bash", "complete"), ("zsh", "#compdef train")])
def test_a_script_is_printed(shell: str, first: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tyro-print-completion", shell]) == 0
    out = capsys.readouterr().out
    assert first in out
    for word in (*ALL_VERBS, "--optim.learning-rate", "--coordinator", "--topology"):
        assert repr(word) in out


def test_bash_completes_verbs_options_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    assert main(["--tyro-print-completion", "bash"]) == 0
    script = capsys.readouterr().out + "complete -p train\n"
    asked = {
        "train pl": "plot",
        "train fit configs/quickstart.py --optim.le": "--optim.learning-rate",
        "train fit configs/quickstart.py --model.padding-mode ref": "reflection",
    }
    for line in asked:
        script += f"COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _tyro_train\n"
        script += 'echo "${COMPREPLY[*]}"\n'
    done = subprocess.run([bash, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
    expected = ["complete -o default -F _tyro_train train", *asked.values()]
    assert done.stdout.splitlines() == expected


@pytest.mark.parametrize("arguments", [[], ["tcsh"], ["bash", "zsh"]])
def test_other_shells_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tyro-print-completion", *arguments]) == 2
    check_error(capsys, ["--tyro-print-completion", "bash, zsh, fish"])
