"""The one error that a user's input can cause."""


class UsageError(ValueError):
    """An argument, a file or a folder breaks a rule.

    It is raised before any long work starts. The message is one line with the argument's name,
    the rule and the value. The command prints it and exits with status 2; every other exception
    is a bug of jaxclust and shows its traceback.
    """
