"""What goes wrong through no fault of the code: said in one line, without a traceback."""


class UserError(ValueError):
    """Something the user can put right; the message says what to do. Exit code 2."""


class TrainingError(RuntimeError):
    """Training cannot go on (a number is not finite); the message says where. Exit code 1."""
