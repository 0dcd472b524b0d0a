"""The name of a dataset: which source it selects, and the error for an unknown one."""

import pytest
from loading import refused


@pytest.mark.parametrize("name", ["nosuch", "fashon_mnist", "", "./nowhere", "no/such/folder"])
def test_unknown_name_is_refused(name, tmp_path):
    said = refused(name, data_dir=str(tmp_path))
    assert said.startswith(f"data.name={name!r} is unknown")
    for allowed in ("'bundled'", "'mnist'", ".npz", "folder of images", "tensorflow-datasets"):
        assert allowed in said
    assert ("did you mean 'fashion_mnist'?" in said) == (name == "fashon_mnist")
