"""Adds the rows of docs/hosts/onnx.csv: exactness and latency of the exported encoder beside PyTorch's float32."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from distillation.scoring.results_csv import append_row
from xdistill_encoder.provenance import commit

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "hosts" / "onnx.csv"


def main() -> None:
    """Export in each precision by the command line; four rows each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder of pictures, for int8's ranges and for the comparison")
    parser.add_argument("--beside", default="nothing else", help="what ran on the machine meanwhile")
    arguments = parser.parse_args()
    machine = f"{os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}, beside {arguments.beside}"
    version = commit(Path(__file__))  # before the first row changes the checkout
    for precision in ("fp32", "fp16", "int8"):
        options = ["--precision", precision, "--image-size", "96", "96", "--images", str(arguments.images)]
        with TemporaryDirectory() as folder:
            file = Path(folder) / "encoder.onnx"
            command = [sys.executable, "-W", "ignore", "-m", "xdistill_encoder", "export", str(file), *options]
            subprocess.run(command, check=True, cwd=ROOT)
            parity = json.loads(file.with_name("encoder.onnx.json").read_text())["parity"]
            values = {
                "size, MB": file.stat().st_size / 1e6,
                "largest relative error": parity["relative_error"],
                "a 96 px image by ONNX Runtime, ms": parity["exported_ms"],
                "the same by PyTorch in fp32, ms": parity["torch_ms"],
            }
        for what, value in values.items():
            cells = {
                "what": f"{precision}: {what}",
                "value": f"{value:.3g}",
                "machine": machine,
                "command": f"xdistill export encoder.onnx {' '.join(options[:-1])} {arguments.images.name}",
                "commit": version,
            }
            append_row(TABLE, cells)


if __name__ == "__main__":
    main()
