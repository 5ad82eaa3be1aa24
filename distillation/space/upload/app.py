"""The page on a Hugging Face Space: `xdistill space`."""

import sys

from xdistill_encoder.cli import main

if __name__ == "__main__":
    sys.argv = ["xdistill", "space"]  # with "--images", "org/dataset" for neighbours among your own images
    main()
