"""An output that cannot be written is one line, whichever command was to write it."""

import importlib
import sys

import pytest

from policy_examples.store import save_demonstrations


@pytest.mark.parametrize("command", ["formats.convert", "train", "demos"])
def test_an_output_inside_a_file_is_one_line(command, tmp_path, demonstrations, monkeypatch):
    (tmp_path / "taken").write_text("a file")
    store, output = str(tmp_path / "store.zarr"), str(tmp_path / "taken" / "out")
    save_demonstrations(demonstrations, tmp_path / "store.zarr")
    arguments = {
        "formats.convert": [store, output],
        "train": ["--preset=cpu", f"--demos={store}", f"--output={output}", "--steps=1", "--channels", "16", "32"],
        "demos": ["--task=reach", "--episodes=1", f"--output={output}"],
    }[command]
    monkeypatch.setattr(sys, "argv", ["xdistill", *arguments])
    with pytest.raises(SystemExit, match=r"^xdistill (convert|finetune|demos): .*taken"):
        importlib.import_module(f"policy_examples.{command}").main()
