"""Writes down what the property tests of readers tried."""

import fuzzing


def pytest_sessionfinish():
    fuzzing.write_log()


def pytest_terminal_summary(terminalreporter):
    if fuzzing.EXAMPLES and fuzzing.COUNTS:
        total = sum(count["inputs"] for count in fuzzing.COUNTS.values())
        terminalreporter.write_line(f"{total:,} inputs to {len(fuzzing.COUNTS)} readers: values or errors of ours")
