"""Opens the policies that mjrl pickled, with an unpickler that runs nothing of theirs.

Python's pickle lets a file call any function. This one lets it name fifteen things, and each of them is a stand-in that
only keeps numbers: neither mjrl nor torch is imported, whatever the file says.
"""

import io
import pickle
from collections import OrderedDict
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_NUMBERS = {"f4": "<f4", "f8": "<f8", "i8": "<i8"}


class _Shell:
    """In place of a policy, a network, a layer: keeps its attributes."""


class _DType:
    """In place of numpy's dtype."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = _NUMBERS[code]

    def __setstate__(self, state: tuple) -> None:
        if state[1] != "<":
            raise pickle.UnpicklingError(f"numbers of byte order {state[1]!r}")


class _Array:
    """In place of numpy's array."""

    def __init__(self, *_: object) -> None:
        self.value = np.empty(0)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, content = state
        order = "F" if fortran else "C"
        self.value = np.frombuffer(content, dtype.code).reshape(shape, order=order)


def _scalar(dtype: _DType, content: bytes) -> float:
    return np.frombuffer(content, dtype.code)[0].item()


def _attribute(_: object, name: str) -> str:
    """The nonlinearity is pickled as the attribute of torch that computes it."""
    if name != "tanh":
        raise pickle.UnpicklingError(f"the nonlinearity is {name!r}, only tanh is known")
    return name


def _nothing(*_: object) -> None:
    return None


def _tensor(storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object):
    contiguous = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
    if strides != contiguous or offset < 0 or min(shape, default=1) < 0 or offset + prod(shape) > len(storage):
        raise pickle.UnpicklingError(f"a tensor of shape {shape} and strides {strides} at {offset} of {len(storage)}")
    return storage[offset : offset + prod(shape)].reshape(shape)


def _parameter(tensor: np.ndarray, *_: object) -> np.ndarray:
    return tensor


class _StorageUnpickler(pickle.Unpickler):
    """The headers of torch's legacy format, which may name the type of the numbers and nothing else."""

    def find_class(self, module: str, name: str) -> str:
        if (module, name) != ("torch", "FloatStorage"):
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed among the weights")
        return "<f4"

    def persistent_load(self, pid: tuple) -> tuple[str, int]:
        _, dtype, _, _, count, _ = pid
        return dtype, count


def _storage(serialized: bytes) -> np.ndarray:
    """torch's legacy format: magic number, version, machine, type, keys, each a pickle; then a count; then numbers."""
    file = io.BytesIO(serialized)
    magic, version, _, (dtype, count), _ = (_StorageUnpickler(file).load() for _ in range(5))
    if (magic, version) != (_TORCH_MAGIC, 1001) or int.from_bytes(file.read(8), "little") != count:
        raise pickle.UnpicklingError("weights in a format other than torch's legacy one")
    return np.frombuffer(file.read(), dtype, count)


_ALLOWED: dict[tuple[str, str], Any] = {
    ("mjrl.policies.gaussian_mlp", "MLP"): _Shell,
    ("mjrl.utils.fc_network", "FCNetwork"): _Shell,
    ("torch.nn.modules.container", "ModuleList"): _Shell,
    ("torch.nn.modules.linear", "Linear"): _Shell,
    ("torch.nn.backends.thnn", "_get_thnn_function_backend"): _nothing,
    ("torch._C", "_VariableFunctions"): None,
    ("builtins", "getattr"): _attribute,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
}


class _PolicyUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no policy needs")
        return _ALLOWED[module, name]


def read_network(path: Path) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """The network of a policy that mjrl pickled.

    Returns:
        Weight (outputs, inputs) and bias (outputs,) of one layer after the other, float32; then the shifts and scales
        `in_shift`, `in_scale`, `out_shift`, `out_scale`.

    Raises:
        ValueError: the file is missing, damaged, or anything but such a policy; none of it was run.
    """
    try:
        policy = _PolicyUnpickler(io.BytesIO(path.read_bytes())).load()
        network = policy.model
        layers = network._modules["fc_layers"]._modules.values()
        parameters = [layer._parameters[name] for layer in layers for name in ("weight", "bias")]
        scaling = {name: getattr(network, name) for name in ("in_shift", "in_scale", "out_shift", "out_scale")}
    except FileNotFoundError:
        raise ValueError(f"expert: there is no file {path}.") from None
    except Exception as error:  # whatever the bytes of a foreign file lead to
        raise ValueError(f"expert: {path} is damaged or no policy of mjrl: {error}. Nothing of it was run.") from error
    return parameters, scaling
