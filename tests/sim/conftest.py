import pytest


@pytest.fixture(scope="session")
def builds(tmp_path_factory):
    """Folder of simulator builds, shared by the whole session and by its workers."""
    folder = tmp_path_factory.getbasetemp()
    if folder.name.startswith("popen-"):  # pytest-xdist puts a worker's folder below the shared one
        folder = folder.parent
    return folder / "builds"
