"""One dictionary for each column of a file, grown by the values of every batch."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.errors import SinkError

__all__ = ("DictionaryMerger",)


class DictionaryMerger:
    """Expresses dictionary columns in one growing dictionary for each.

    A value keeps its number: the dictionary of a batch begins with that of the batch before it.
    Dictionaries inside lists and structs are left as they are.

    Args:
        schema: of every batch.
        index_bits_max: leave columns with wider indices as they are.
    """

    def __init__(self, schema: pa.Schema, *, index_bits_max: int = 64) -> None:
        self._schema = schema
        self._known = {
            i: pa.array([], field.type.value_type)
            for i, field in enumerate(schema)
            if pa.types.is_dictionary(field.type)
            and field.type.index_type.bit_width <= index_bits_max
        }

    def merge(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Express a batch in the dictionaries so far and the values new to them.

        Raises:
            SinkError: the indices of a column cannot number all its values; names the column.

        Cost: O(rows + dictionary), O(dictionary) if it is the one before.

        >>> merger = DictionaryMerger(pa.schema([("k", pa.dictionary(pa.int8(), pa.string()))]))
        >>> for values in (["b", "a"], ["c", "a"]):
        ...     column = pa.array(values).dictionary_encode().cast(merger._schema.field("k").type)
        ...     merged = merger.merge(pa.record_batch({"k": column})).column("k")
        ...     print(merged.dictionary.to_pylist(), merged.indices.to_pylist())
        ['b', 'a'] [0, 1]
        ['b', 'a', 'c'] [2, 1]
        """
        if not self._known:
            return batch
        columns = batch.columns
        for i in self._known:
            columns[i] = self._merge(i, columns[i])
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _merge(self, i: int, column: pa.DictionaryArray) -> pa.DictionaryArray:
        known = self._known[i]
        own = column.dictionary
        if own.equals(known):
            return column
        new = own.filter(pc.is_null(pc.index_in(own, value_set=known))).drop_null().unique()
        if len(new):
            known = self._known[i] = pa.concat_arrays([known, new])
        kind = column.type
        # A null in the dictionary is not found, and so becomes a null index.
        indices = pc.index_in(own, value_set=known).take(column.indices)
        try:
            indices = indices.cast(kind.index_type)
        except pa.ArrowInvalid as error:
            name = self._schema.field(i).name
            msg = f"column {name!r} has {len(known)} values, more than its {kind} can number"
            raise SinkError(
                msg,
                place=f"column {name!r}",
                remedy="cast it to plain values or a dictionary with int32 indices",
            ) from error
        return pa.DictionaryArray.from_arrays(indices, known, ordered=kind.ordered)
