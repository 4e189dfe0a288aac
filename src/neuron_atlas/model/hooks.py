"""Record and edit neuron values; the only module that registers hooks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

Values = Float[Tensor, "batch position neuron"]
Change = Callable[[Tensor], Tensor]
Modules = Sequence[tuple[nn.Module, bool]]


class Call(NamedTuple):
    """The arguments with which a module was called; `args[0]` is its input."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class _Recorded(Exception):
    """Ends a model's run once all values that were asked for are there."""


@contextmanager
def record(
    modules: Modules, reduce: Callable[[Tensor], Tensor] | None = None, *, stop: bool = False
) -> Iterator[dict[int, Tensor]]:
    """Yield a dict that fills with each layer's neuron values as the model runs.

    Args:
        modules: A layer's module, and whether its input (else its output) holds the neurons.
        reduce: Applied to [batch, position, neuron] values at once, so that only what is needed
            stays in memory; by default the values are copied whole.
        stop: Leave the `with` block as soon as every layer's values are there, in the middle of
            the model's run.

    Raises:
        ValueError: as the model runs, if values are not [batch, position, neuron].
    """
    values: dict[int, Tensor] = {}
    keep = reduce or Tensor.clone

    def store(layer: int) -> Change:
        def change(x: Tensor) -> Tensor:
            values[layer] = keep(_checked(x.detach(), layer))
            if stop and len(values) == len(modules):
                raise _Recorded
            return x

        return change

    with suppress(_Recorded), edit(modules, {i: store(i) for i in range(len(modules))}):
        yield values


@contextmanager
def edit(modules: Modules, changes: Mapping[int, Change]) -> Iterator[None]:
    """Pass the neuron values of the layers in `changes` through a function while open."""
    with ExitStack() as stack:
        for layer, change in changes.items():
            module, is_input = modules[layer]
            stack.callback(_register(module, change, is_input=is_input).remove)
        yield


@contextmanager
def edit_arguments(modules: Sequence[nn.Module], change: Change) -> Iterator[None]:
    """Pass every positional argument of the modules through a function while open."""

    def before(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(map(change, args))

    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_pre_hook(before).remove)
        yield


@contextmanager
def edit_keywords(
    modules: Sequence[nn.Module], new: Mapping[int, Mapping[str, Tensor]]
) -> Iterator[None]:
    """Give some of the modules other keyword arguments while open, before any other hook sees them.

    Args:
        modules: The modules.
        new: The arguments, by name, of the modules at these places.

    Raises:
        ValueError: as a module runs, if it is not called with such an argument.
    """

    def changed(own: Mapping[str, Tensor]) -> Callable[..., Any]:
        def before(
            module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            if missing := sorted(set(own) - set(kwargs)):
                raise ValueError(
                    f"expected {type(module).__name__} to be called with {missing} by name, got "
                    f"{sorted(kwargs)}"
                )
            return args, {**kwargs, **own}

        return before

    with ExitStack() as stack:
        for place, own in new.items():
            handle = modules[place].register_forward_pre_hook(
                changed(own), prepend=True, with_kwargs=True
            )
            stack.callback(handle.remove)
        yield


@contextmanager
def record_calls(modules: Sequence[nn.Module]) -> Iterator[list[Call]]:
    """Yield a list that fills with the arguments of each module's call, in the order of calls."""
    calls: list[Call] = []

    def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append(Call(args, kwargs))

    with ExitStack() as stack:
        for module in modules:
            handle = module.register_forward_pre_hook(before, with_kwargs=True)
            stack.callback(handle.remove)
        yield calls


def _register(module: nn.Module, change: Change, *, is_input: bool) -> RemovableHandle:
    def before(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (change(args[0]), *args[1:])

    def after(_module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        return change(output)

    if is_input:
        return module.register_forward_pre_hook(before)
    return module.register_forward_hook(after)


def _checked(x: Tensor, layer: int) -> Tensor:
    if x.ndim != 3:
        raise ValueError(
            f"layer {layer}: expected values [batch, position, neuron], got {tuple(x.shape)}"
        )
    return x
