import json

import pytest
import torch

from tests.xdistill_encoder.write_golden import GOLDEN_FOLDER, features, golden_image
from xdistill_encoder import bundled_checkpoints

# Of a vector's largest entry. float32 rounds to 6e-8; a layer adds up to 512 * 9 products, whose rounding errors grow
# like their square root, 68 * 6e-8 = 4e-6, and twenty layers pass it on: 1e-4 at the very worst, whatever the order in
# which a CPU or a torch version adds. Of the first checkpoint's features float64 moves 2e-7, one grey level more of red
# 3e-3 (1.5e-3 of the teacher embedding), an epsilon of 1e-3 in batch norm 1e-2, red exchanged with blue 0.5.
TOLERANCE = 1e-3


@pytest.mark.parametrize("name", bundled_checkpoints())
def test_a_bundled_checkpoint_gives_the_stored_features(name):
    file = GOLDEN_FOLDER / f"{name}.json"
    assert file.is_file(), f"{file} is missing: python -m tests.xdistill_encoder.write_golden {name}"
    golden = json.loads(file.read_text())
    assert golden["weights_sha256"] == bundled_checkpoints()[name].weights_sha256, "stored for other weights"
    for key, value in features(name).items():
        expected = torch.tensor(golden["features"][key])
        torch.testing.assert_close(value, expected, rtol=0, atol=TOLERANCE * expected.abs().max().item(), msg=key)


def test_every_golden_file_belongs_to_a_bundled_checkpoint():
    assert {file.stem for file in GOLDEN_FOLDER.glob("*.json")} == set(bundled_checkpoints())


def test_the_golden_image_is_the_one_that_was_stored():
    image = golden_image()
    assert image.shape == (1, 3, 224, 160)
    # at (0, 0), at the disc's centre (90, 60), at the last pixel: 159 * 255 // 160, 223 * 255 // 224
    # and, on the board, (223 // 16 + 159 // 16) % 2 = (13 + 9) % 2 = 0
    pixels = [image[0, :, y, x].tolist() for y, x in [(0, 0), (90, 60), (223, 159)]]
    assert pixels == [[0, 0, 96], [220, 60, 40], [253, 253, 96]]
