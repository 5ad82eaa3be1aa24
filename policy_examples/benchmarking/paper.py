"""X-Distill's own results, for a table of their own beside ours.

Source: arXiv 2601.11269 (Shao et al., January 2026) by its abstract, a digest and readers' notes. The 34 tasks are 29
of MetaWorld, 3 of Adroit, 2 of DexArt; 3 seeds, of each the best evaluation counts.
"""

SOURCE = "X-Distill, arXiv 2601.11269, by its abstract, a digest and readers' notes"

ENCODERS = ("X-Distill", "ResNet-18 from scratch", "DINOv2 ViT-S fine-tuned", "PointNet-DP3", "unnamed baseline")

SUCCESS_PERCENT: dict[str, dict[str, str]] = {
    "34 tasks": {
        "X-Distill": "87.2",
        "ResNet-18 from scratch": "64.1 (another source: 54.5)",
        "DINOv2 ViT-S fine-tuned": "66.2",
    },
    "MetaWorld, 29 tasks": {"X-Distill": "90.7", "PointNet-DP3": "84.0"},
    "MetaWorld easy, 20": {
        "X-Distill": "93.9",
        "ResNet-18 from scratch": "76.6",
        "DINOv2 ViT-S fine-tuned": "78.5",
    },
    "MetaWorld medium, 7": {"X-Distill": "88.3", "unnamed baseline": "48.0"},
    "MetaWorld very hard, 1": {"X-Distill": "88.0", "unnamed baseline": "50.0"},
}
"""{tasks: {encoder: success in percent}}; what no source states is missing."""
