from tests.sim.conftest import builds

__all__ = ["builds"]
