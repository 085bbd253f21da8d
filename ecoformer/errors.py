"""The one exception that users meet: something they can put right."""

__all__ = ["EcoformerError", "first_line"]


class EcoformerError(Exception):
    """A condition the user can mend; the command line prints it and exits with code 2.

    The text is one line that says what is wrong, where, and what to do.
    """


def first_line(error):
    """What another library's ``error`` says, short enough for a message; its type if nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
