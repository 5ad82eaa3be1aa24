"""The layer of a teacher's classifier that reads its embedding."""

from torch import nn

from distillation.teachers import Teacher
from distillation.towers.timm_models import TimmTower

TRANSFORMERS_READS = {
    "vit": "cls",
    "convnext": "avg",
    "convnextv2": "avg",
    "siglip": "avg",
    "siglip_vision_model": "avg",
}
"""Which embedding `...ForImageClassification` reads, by `model_type`; DINOv2's reads both, CLIP's an unnormed one."""


def embedding_classifier(teacher: Teacher) -> nn.Module | None:
    """(B, D) embeddings as the teacher gives them -> (B, K) logits: `classify(images)` is this of `teacher(images)`.

    So it can be asked what the teacher would say of an embedding that a student estimates. None where the teacher has
    no classifier, or one that reads more or other than the embedding that was asked of it.
    """
    tower = teacher.tower
    if tower.classifier is None:
        return None
    if not isinstance(tower, TimmTower):
        reads = TRANSFORMERS_READS.get(tower.model.config.model_type)
        return tower.classifier.get_submodule("classifier") if reads == teacher.embedding else None
    pool = getattr(tower.model, "global_pool", None)  # a word in token models, absent or a layer in most convnets
    reads = {"token": "cls", "avg": "avg"}.get(pool) if isinstance(pool, str) else "avg"
    return tower.classifier if reads == teacher.embedding else None
