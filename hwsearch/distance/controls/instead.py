"""What passes between layers, seen or changed from outside while a network runs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

ACTIVATIONS = frozenset({F.relu, F.relu6, F.gelu})


class Instead(TorchFunctionMode):
    """While it is entered, some functions of torch are replaced.

    Args:
        functions: Which ones.
        replacement: Called with the function, its input and its other arguments.
    """

    def __init__(
        self,
        functions: Iterable[Callable[..., Tensor]],
        replacement: Callable[..., Tensor],
    ) -> None:
        super().__init__()
        self._functions, self._replacement = frozenset(functions), replacement

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401 - torch's own signature
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Runs a function or its replacement."""
        if func in self._functions:
            return self._replacement(func, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))
