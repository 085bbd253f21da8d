# SPDX-License-Identifier: Apache-2.0
import pytest


@pytest.fixture
def proof(record_property):
    """Function that asserts a verdict and reports it as a row of the results."""

    def report(component, configuration, verdict):
        record_property(
            "proof",
            [
                component, configuration, "; ".join(verdict.claims), verdict.method,
                verdict.depth, "ABC", f"{verdict.seconds:.1f}", verdict.proved,
            ],
        )
        assert verdict.proved, f"{component}, {configuration}: {verdict.trace}"
        assert not verdict.unreached

    return report
