"""How a weight is stored: dense, integers in groups, codebook and indices, sparse.

A method leaves one `Encoding` per weight beside the decoded values; a format packs it in its own best way. Every
encoding knows the parts it is made of, so that any format can store it and the size can be foretold by arithmetic.
All arrays are NumPy's, and a weight is always seen as a matrix of shape (out_features, in_features).
"""

from autocompress.encodings.base import Encoding, FloatArray
from autocompress.encodings.bits import ByteArray, pack_bits, packed_length, unpack_bits
from autocompress.encodings.codebook import Codebook
from autocompress.encodings.dense import Dense
from autocompress.encodings.entropy import huffman_coded, huffman_decoded
from autocompress.encodings.forms import CodebookForm, DenseForm, Form, IntegersForm, SparseForm, form_bytes
from autocompress.encodings.grouped_integers import GroupedIntegers
from autocompress.encodings.parts import encoding_from_parts
from autocompress.encodings.sparse import Sparse
from autocompress.encodings.sparse_integers import SparseIntegers, packed_zeros

__all__ = [
    "ByteArray",
    "Codebook",
    "CodebookForm",
    "Dense",
    "DenseForm",
    "Encoding",
    "FloatArray",
    "Form",
    "GroupedIntegers",
    "IntegersForm",
    "Sparse",
    "SparseForm",
    "SparseIntegers",
    "encoding_from_parts",
    "form_bytes",
    "huffman_coded",
    "huffman_decoded",
    "pack_bits",
    "packed_length",
    "packed_zeros",
    "unpack_bits",
]
