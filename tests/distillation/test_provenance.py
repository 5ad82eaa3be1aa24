from importlib.metadata import version

from distillation.provenance import LIBRARIES, describe_run, versions


def test_a_run_tells_the_version_of_each_library_that_is_installed():
    told = describe_run()["versions"]
    assert told == {name: version(name) for name in LIBRARIES}
    assert versions(("torch", "no-such-library")) == {"torch": version("torch")}
