"""The command line as a test calls it."""

from zoo.cli import main


def run_command(capsys, *argv):
    """Return the exit code of ``zoo ARGV`` and all that it printed."""
    code = main(list(argv))
    result = capsys.readouterr()
    return code, result.out + result.err
