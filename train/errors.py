"""Errors that are reported in one line, without a traceback."""


class UserError(ValueError):
    """A mistake that the user can correct; the message says how. Exit code 2."""


class TrainingError(RuntimeError):
    """Training cannot continue (NaN or infinity); the message says where. Exit code 1."""
