import shutil

import pytest

from ecoformer.errors import EcoformerError


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip a test that asks for Icarus on a machine without it; 'make test' installs it as root."""
    try:
        return (yield)
    except EcoformerError as error:
        if shutil.which("iverilog") is None and "iverilog" in str(error):
            pytest.skip(str(error))
        raise
