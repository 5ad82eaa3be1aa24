import json
from importlib.metadata import version

from policy_examples.training.settings import write_settings


def test_packages_are_listed_by_name_but_for_broken_ones_that_have_none(tmp_path, monkeypatch):
    (tmp_path / "broken-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    write_settings(tmp_path / "config.json", {"steps": 5})
    facts = json.loads((tmp_path / "config.json").read_text())
    assert facts["config"] == {"steps": 5}
    assert facts["packages"]["torch"] == version("torch")
    assert list(facts["packages"]) == sorted(facts["packages"])
