import csv
import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "distillation"
README = (FOLDER / "README.md").read_text()


def test_the_tables_of_settings_are_the_rows_of_the_ablation_all_of_them_in_order():
    with (FOLDER / "results" / "ablation.csv").open(newline="") as file:
        rows = [
            (row["variant"], float(row["imagenette_val_knn10_percent"]), float(row["caltech101_test_knn10_percent"]))
            for row in csv.DictReader(file)
        ]
    section = README[README.index("## What the settings are worth") : README.index("## A robot's own frames")]
    lines = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \|$", section, flags=re.MULTILINE)
    assert lines == [(variant, f"{near:.1f}", f"{far:.1f}") for variant, near, far in rows] != []
