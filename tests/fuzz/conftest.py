"""Writes down what the property tests of readers tried."""

import fuzzing


def pytest_sessionfinish():
    fuzzing.write_log()


def pytest_terminal_summary(terminalreporter):
    if fuzzing.EXAMPLES and fuzzing.COUNTS:
        terminalreporter.write_line(fuzzing.table(fuzzing.COUNTS))
