"""Memory by address, for kernels that read the buffers of many batches through one table."""

from __future__ import annotations

from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ("address_of", "bytes_at", "floats_at", "prefetch", "words_at")

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@intrinsic
def address_of(typingctx, address):  # type: ignore[no-untyped-def]
    """Turn an int64 address into a pointer to int64 that `carray` can view."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.inttoptr(args[0], cgutils.intp_t.as_pointer())

    return types.CPointer(types.int64)(types.int64), codegen


@intrinsic
def _float_pointer(typingctx, address):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.inttoptr(args[0], ir.DoubleType().as_pointer())

    return types.CPointer(types.float64)(types.int64), codegen


@intrinsic
def _byte_pointer(typingctx, address):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.CPointer(types.uint8)(types.int64), codegen


@njit(inline="always", **_options)
def words_at(address, n):  # type: ignore[no-untyped-def]
    """View (n,) int64 at an address."""
    return carray(address_of(address), (n,))


@njit(inline="always", **_options)
def floats_at(address, n):  # type: ignore[no-untyped-def]
    """View (n,) float64 at an address."""
    return carray(_float_pointer(address), (n,))


@njit(inline="always", **_options)
def bytes_at(address, n):  # type: ignore[no-untyped-def]
    """View (n,) uint8 at an address."""
    return carray(_byte_pointer(address), (n,))


@intrinsic
def prefetch(typingctx, address):  # type: ignore[no-untyped-def]
    """Ask for the cache line at an address, to be there when it is read a few rows later."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        byte = ir.IntType(8).as_pointer()
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        pointer = builder.inttoptr(args[0], byte)
        builder.call(function, [pointer, flag(1), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(types.int64), codegen
