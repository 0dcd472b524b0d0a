"""Errors that are reported in one line, without a traceback."""


class UserError(ValueError):
    """A mistake that the user can correct; the message says how. Exit code 2."""


class TrainingError(RuntimeError):
    """Training cannot continue (NaN or infinity); the message says where. Exit code 1."""


def shorten(value: object, most: int = 300) -> str:
    """Returns a text, or what an error of another library says, as one line of limited length."""
    text = " ".join(str(value).split()) or type(value).__name__
    return text if len(text) <= most else f"{text[:most]} ..."
