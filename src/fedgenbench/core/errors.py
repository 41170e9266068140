"""The one error that a user is meant to read."""


class UserError(Exception):
    """Something that the user can mend; the message names the key, file or client and the way out.

    Entry points print the message alone, without a traceback, and exit with status 2.
    """
