"""What kernels are given is looked at before: they see addresses, and count by the shapes expected.

All raise LayoutError.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from l2hmc_bridge.errors import LayoutError

REAL = {torch.complex128: torch.float64, torch.float64: torch.float64,
        torch.complex64: torch.float32, torch.float32: torch.float32}  # what a field is made of


def check_real(dtype: torch.dtype, *tensors: Tensor) -> None:
    """All `tensors` are made of numbers of type `dtype`."""
    for tensor in tensors:
        if REAL.get(tensor.dtype) != dtype:
            raise LayoutError(f"field: expected numbers of type {dtype}, found {tensor.dtype}")


def check_complex(field: Tensor) -> None:
    """`field` has complex numbers of a precision that kernels have."""
    if not isinstance(field, Tensor):
        raise LayoutError(f"field: expected a torch tensor, found {type(field).__name__}")
    if not field.is_complex() or field.dtype not in REAL:
        raise LayoutError(f"field: expected complex128 or complex64, found {field.dtype}")


def check_matrices(*fields: Tensor) -> None:
    """All `fields` are complex matrices [..., 3, 3]."""
    for field in fields:
        check_complex(field)
        if field.shape[-2:] != (3, 3):
            raise LayoutError(f"field: expected [..., 3, 3], found {list(field.shape)}")


def check_shape(name: str, tensor: Tensor, shape: Sequence[int]) -> None:
    """`tensor` has this shape."""
    if tuple(tensor.shape) != tuple(shape):
        raise LayoutError(f"{name}: expected {list(shape)}, found {list(tensor.shape)}")


def check_field(field: Tensor, dtype: torch.dtype, shape: Sequence[int], complex_numbers: bool
                ) -> None:
    """`field` has this shape, and complex or real numbers that are made of `dtype`."""
    check_real(dtype, field)
    check_shape("field", field, shape)
    if field.is_complex() != complex_numbers:
        raise LayoutError(f"field: expected {'complex' if complex_numbers else 'real'} numbers, "
                          f"found {field.dtype}")
