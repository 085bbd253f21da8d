"""The one exception that users meet: something they can put right."""

__all__ = ["EcoformerError"]


class EcoformerError(Exception):
    """A condition the user can mend; the command line prints it and exits with code 2.

    The text is one line that says what is wrong, where, and what to do.
    """
