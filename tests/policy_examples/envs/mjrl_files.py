"""Writes pickles as mjrl wrote its policies, or as an attacker would."""

import io
import pickle
from typing import Any

import numpy as np


class Named:
    """Something that a pickle mentions by module and name; it need not exist here."""

    def __init__(self, module: str, name: str) -> None:
        self.line = f"c{module}\n{name}\n".encode()

    def __call__(self) -> None:
        """pickle insists that what it is to call can be called."""


class Built:
    """What calling something by name with arguments gives, then a state that is set."""

    def __init__(self, maker: Named, arguments: tuple = (), state: Any = None) -> None:
        self.maker, self.arguments, self.state = maker, arguments, state

    def __reduce__(self):
        return (self.maker, self.arguments, *([self.state] if self.state is not None else []))


_PythonsPickler: Any = pickle._Pickler  # type: ignore[attr-defined]  # the one in Python, which can be extended


class _Pickler(_PythonsPickler):
    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Named):
            self.write(obj.line)
        else:
            super().save(obj, save_persistent_id)


class _StoragePickler(_Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return obj.value if isinstance(obj, _Persistent) else None


class _Persistent:
    def __init__(self, value: tuple) -> None:
        self.value = value


def dumps(what: Any, pickler: type = _Pickler) -> bytes:
    file = io.BytesIO()
    pickler(file, 3).dump(what)
    return file.getvalue()


def storage(values: np.ndarray, kind: Named | None = None) -> bytes:
    """torch's legacy format of a float storage."""
    described = ("storage", kind or Named("torch", "FloatStorage"), "0", "cpu", values.size, None)
    headers = [dumps(header) for header in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    headers += [dumps(_Persistent(described), _StoragePickler), dumps(["0"])]
    return b"".join(headers) + values.size.to_bytes(8, "little") + values.astype("<f4").tobytes()


def tensor(values: np.ndarray, offset: int = 0) -> Built:
    loaded = Built(Named("torch.storage", "_load_from_bytes"), (storage(values),))
    strides = tuple(stride // values.itemsize for stride in np.ascontiguousarray(values).strides)
    return Built(Named("torch._utils", "_rebuild_tensor_v2"), (loaded, offset, values.shape, strides, False, {}))


def policy(layers: list[tuple[np.ndarray, np.ndarray]], scaling: dict[str, np.ndarray]) -> bytes:
    """A policy of these weights and biases, with `in_shift`, `in_scale`, `out_shift`, `out_scale`."""
    linear = Named("torch.nn.modules.linear", "Linear")
    modules = {
        str(index): Built(linear, (), {"_parameters": {"weight": tensor(weight), "bias": tensor(bias)}})
        for index, (weight, bias) in enumerate(layers)
    }
    fc_layers = Built(Named("torch.nn.modules.container", "ModuleList"), (), {"_modules": modules})
    network = Built(
        Named("mjrl.utils.fc_network", "FCNetwork"),
        (),
        {"_modules": {"fc_layers": fc_layers}, **{name: tensor(value) for name, value in scaling.items()}},
    )
    return dumps(Built(Named("mjrl.policies.gaussian_mlp", "MLP"), (), {"model": network}))
