"""Accuracy of a linear classifier on fixed features.

The protocol: features are standardised by the bank's mean and standard deviation; multinomial logistic regression with
an L2 penalty is solved by L-BFGS on all images at once, as CLIP does (arXiv 2103.00020, appendix A.3). The problem is
convex, so there is no learning rate and no schedule to choose. The weight of the penalty is the one of PENALTIES under
which four fifths of the bank, drawn once and for all, classify the last fifth best; then the whole bank is fitted.
Features lie in memory once more (ImageNet-1k at D = 512: 2.6 GB); logits exist for a chunk of images at a time.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from tqdm import tqdm

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5)
"""Tried lambda of: mean cross entropy + lambda / 2 * |weight|^2 (scikit-learn's C is 1 / (N lambda)); of equally good
ones the first, the strongest."""
HELD_OUT = 0.2
"""Share of the bank on which the penalties are compared."""
MAX_ITERATIONS = 200
LOGITS_AT_ONCE = 2**27
"""Entries of the logits that exist at a time: 512 MiB of float32."""


class LinearClassifier:
    """Softmax regression, fitted by L-BFGS from where it stands.

    Args:
        classes: number K of classes.
        features: width D.
    """

    def __init__(self, classes: int, features: int, device: torch.device):
        self.weight = torch.zeros(features, classes, device=device, requires_grad=True)
        self.bias = torch.zeros(classes, device=device, requires_grad=True)

    def fit(self, features: Tensor, labels: Tensor, penalty: float) -> None:
        """Minimise the mean cross entropy + penalty / 2 * |weight|^2 over (N, D) features, (N,) labels."""
        optimizer = torch.optim.LBFGS(
            [self.weight, self.bias],
            max_iter=MAX_ITERATIONS,
            tolerance_grad=1e-6,
            tolerance_change=1e-9,
            history_size=10,
            line_search_fn="strong_wolfe",
        )
        optimizer.step(lambda: self._loss_with_gradient(features, labels, penalty))

    @torch.no_grad()
    def predict(self, features: Tensor) -> Tensor:
        """(N, D) -> (N,) int64, the most likely class."""
        return torch.cat([(features[some] @ self.weight + self.bias).argmax(1) for some in self._chunks(features)])

    @torch.no_grad()
    def _loss_with_gradient(self, features: Tensor, labels: Tensor, penalty: float) -> float:
        """The objective; its gradient, in closed form, goes into `.grad`."""
        weight_grad, bias_grad = penalty * self.weight, torch.zeros_like(self.bias)
        loss = penalty / 2 * self.weight.square().sum().double()
        for some in self._chunks(features):
            log_probabilities = (features[some] @ self.weight + self.bias).log_softmax(dim=1)  # (chunk, K)
            picked = labels[some, None]
            loss -= log_probabilities.gather(1, picked).sum(dtype=torch.float64) / len(features)
            slope = log_probabilities.exp_().scatter_add_(1, picked, -torch.ones_like(picked, dtype=torch.float32))
            weight_grad += features[some].T @ slope / len(features)
            bias_grad += slope.sum(dim=0) / len(features)
        self.weight.grad, self.bias.grad = weight_grad, bias_grad
        return loss.item()

    def _chunks(self, features: Tensor) -> Iterator[slice]:
        chunk = max(1, LOGITS_AT_ONCE // len(self.bias))
        return (slice(start, start + chunk) for start in range(0, len(features), chunk))


def linear_probe_accuracy(
    bank: Tensor, bank_labels: Tensor, queries: Tensor, query_labels: Tensor
) -> tuple[float, float]:
    """Share in [0, 1] of queries that a linear classifier of the bank labels rightly; the penalty it was fitted with.

    Features are (N, D) float32, labels (N,) int64, all on one device.

    Raises:
        ValueError: the bank holds one class only, or fewer than five images.
    """
    classes = int(bank_labels.max()) + 1
    if len(bank) < 1 / HELD_OUT or len(bank_labels.unique()) < 2:
        raise ValueError(
            f"bank: a linear probe needs five images of two classes, got {len(bank)} "
            f"of {len(bank_labels.unique())} class(es)"
        )
    mean, std = bank.mean(dim=0), bank.std(dim=0).clamp(min=1e-6)  # a dimension that never varies stays near 0
    order = torch.randperm(len(bank), generator=torch.Generator().manual_seed(0)).to(bank.device)
    shuffled, labels = bank[order].sub_(mean).div_(std), bank_labels[order]
    fitted = len(bank) - round(HELD_OUT * len(bank))

    penalty, best = PENALTIES[0], -1.0
    classifier = LinearClassifier(classes, bank.shape[1], bank.device)
    for candidate in tqdm(PENALTIES, unit="fit", desc="linear probe", leave=False):  # each starts from the one before
        classifier.fit(shuffled[:fitted], labels[:fitted], candidate)
        accuracy = _accuracy(classifier, shuffled[fitted:], labels[fitted:])
        if accuracy > best:
            penalty, best = candidate, accuracy

    classifier = LinearClassifier(classes, bank.shape[1], bank.device)
    classifier.fit(shuffled, labels, penalty)
    return _accuracy(classifier, (queries - mean) / std, query_labels), penalty


def _accuracy(classifier: LinearClassifier, features: Tensor, labels: Tensor) -> float:
    return (classifier.predict(features) == labels).float().mean().item()
