"""The one error that is meant for the person at the keyboard."""


class UsageError(Exception):
    """A mistake in the input: one line that names the cause and the mend.

    `launch.py` prints the line and exits with code 2, without a traceback. Every module may raise it; nothing catches it on the way.
    """
