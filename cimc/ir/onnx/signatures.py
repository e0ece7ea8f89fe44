"""What the compiler knows of each ONNX operator that any of its rules reads: inputs, outputs, attributes.

A later operator set may give an operator another attribute, or another optional input, and thereby another
meaning.  A rule that was written before would not look at it.  So a node goes by its operator's name
(:attr:`cimc.ir.onnx.dialect.NodeOp.kind`) only while everything it has stands in this table.  Any other
node is
*strange*: no rule takes it for the operator that it names, and onnxruntime executes it.

The table says nothing of types and shapes, and holds no operator that every rule leaves alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

ANY = 1 << 30
"""Number of inputs of a variadic operator."""


@dataclass(frozen=True)
class Signature:
    """What rules know of an operator.

    Attributes:
        inputs: how many inputs.
        outputs: how many outputs.
        attributes: those that the rules read, or that change nothing where the rules apply.
        neutral: attributes that no rule reads, and the value of each that changes nothing.
    """

    inputs: int
    outputs: int
    attributes: frozenset[str]
    neutral: Mapping[str, str]


def _parse(text: str) -> Iterator[tuple[str, Signature]]:
    for line in text.strip().splitlines():
        head, _, tail = line.partition(":")
        *names, inputs, outputs = head.split()
        words = tail.split()
        neutral = dict(w.split("=") for w in words if "=" in w)
        read = frozenset(w for w in words if "=" not in w)
        count = ANY if inputs == "*" else int(inputs)
        found = Signature(count, ANY if outputs == "*" else int(outputs), read, neutral)
        yield from ((name, found) for name in names)


SIGNATURES: Mapping[str, Signature] = dict(
    _parse(
        """
Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Cos Cosh Erf Exp Floor HardSwish Identity IsNaN 1 1:
GlobalAveragePool GlobalMaxPool Log Mish Neg NonZero Not Reciprocal Relu Round Sigmoid Sign Sin Sinh 1 1:
Size Softplus Softsign Sqrt Tan Tanh 1 1:
Add And BitwiseAnd BitwiseOr BitwiseXor Div Equal Expand Greater GreaterOrEqual Less LessOrEqual 2 1:
MatMul Mul Or PRelu Pow Sub Tile Xor 2 1:
Max Mean Min Sum * 1:
Where SequenceInsert 3 1:
ArgMax ArgMin 1 1: axis keepdims select_last_index
AveragePool 1 1: auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides
BatchNormalization 5 5: epsilon momentum spatial training_mode
BitShift 2 1: direction
Cast 1 1: to saturate=1 round_mode=up
CastLike 2 1: saturate=1 round_mode=up
Celu Elu LeakyRelu Swish ThresholdedRelu 1 1: alpha
Clip 3 1: min max
Compress 2 1: axis
Concat * 1: axis
ConcatFromSequence 1 1: axis new_axis
Constant 0 1: value sparse_value value_float value_floats value_int value_ints value_string value_strings
ConstantOfShape 1 1: value
Conv 3 1: auto_pad dilations group kernel_shape pads strides
CumSum 2 1: exclusive reverse
DequantizeLinear 3 1: axis block_size output_dtype
Dropout 3 2: ratio seed
DynamicQuantizeLinear 1 3:
Einsum * 1: equation
Flatten Hardmax LogSoftmax Softmax 1 1: axis
Gather GatherElements 2 1: axis
GatherND 2 1: batch_dims
Gelu 1 1: approximate
Gemm 3 1: alpha beta transA transB
DFT 3 1: axis inverse onesided
GRU 6 2: activation_alpha activation_beta activations clip direction hidden_size layout linear_before_reset
GroupNormalization 3 1: epsilon num_groups stash_type
HardSigmoid 1 1: alpha beta
InstanceNormalization 3 1: epsilon
If 1 *: then_branch else_branch
IsInf 1 1: detect_negative detect_positive
LSTM 8 3: activation_alpha activation_beta activations clip direction hidden_size input_forget layout
LayerNormalization 3 3: axis epsilon stash_type
Loop * *: body
LpNormalization 1 1: axis p
MatMulInteger 4 1:
MaxPool 1 2: auto_pad ceil_mode dilations kernel_shape pads storage_order strides
Mod 2 1: fmod
OneHot 3 1: axis
Optional 1 1: type
Pad 4 1: mode pads value
QLinearMatMul 8 1:
QuantizeLinear 3 1: axis block_size output_dtype precision=0 saturate=1
RNN 6 2: activation_alpha activation_beta activations clip direction hidden_size layout
RMSNormalization 2 1: axis epsilon stash_type
Range 3 1: stash_type
ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean 2 1: axes keepdims noop_with_empty_axes
ReduceMin ReduceProd ReduceSum ReduceSumSquare 2 1: axes keepdims noop_with_empty_axes
Reshape 2 1: allowzero
Scan * *: body num_scan_inputs scan_input_axes scan_input_directions scan_output_axes scan_output_directions
ScatterElements 3 1: axis reduction
ScatterND 3 1: reduction
Selu 1 1: alpha gamma
SequenceEmpty 0 1: dtype
Shape 1 1: start end
Shrink 1 1: bias lambd
Slice 5 1: axes ends starts
Split 2 *: axis num_outputs split
Squeeze Unsqueeze 2 1: axes
TopK 2 2: axis k largest sorted
Transpose 1 1: perm
Trilu 2 1: upper
Unique 1 4: axis sorted
MaxPool 1 2: auto_pad ceil_mode dilations kernel_shape pads storage_order strides
AveragePool 1 1: auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides
LpPool 1 1: auto_pad ceil_mode dilations kernel_shape p pads strides
GRU 6 2: activation_alpha activation_beta activations clip direction hidden_size layout linear_before_reset
LSTM 8 3: activation_alpha activation_beta activations clip direction hidden_size input_forget layout
RNN 6 2: activation_alpha activation_beta activations clip direction hidden_size layout
Attention 7 4: is_causal kv_num_heads q_num_heads qk_matmul_output_mode scale softcap softmax_precision
RotaryEmbedding 4 1: interleaved num_heads rotary_embedding_dim
com.microsoft.Attention 7 2: do_rotary mask_filter_value num_heads qkv_hidden_sizes scale unidirectional
com.microsoft.MultiHeadAttention 10 4: mask_filter_value num_heads scale unidirectional
com.microsoft.SkipLayerNormalization 5 4: epsilon
com.microsoft.SkipSimplifiedLayerNormalization 4 4: epsilon
com.microsoft.Gelu 1 1:
com.microsoft.BiasGelu com.microsoft.FastGelu 2 1:
com.microsoft.QuickGelu 1 1: alpha
com.microsoft.FusedMatMul 2 1: alpha transA transB transBatchA transBatchB
com.microsoft.FusedGemm 3 1: activation activation_alpha alpha beta transA transB
com.microsoft.QGemm 9 1: alpha transA transB
com.microsoft.QLinearAdd com.microsoft.QLinearMul 8 1:
com.microsoft.QLinearSigmoid 5 1:
com.microsoft.QLinearLeakyRelu 5 1: alpha
com.microsoft.QLinearConcat * 1: axis
com.microsoft.DynamicQuantizeMatMul 5 1:
com.microsoft.MatMulIntegerToFloat 7 1:
com.microsoft.GatherBlockQuantized 4 1: bits block_size gather_axis quantize_axis
com.microsoft.FusedConv 4 1: activation activation_params auto_pad dilations group kernel_shape pads strides
com.microsoft.MatMulNBits 6 1: K N accuracy_level bits block_size weight_prepacked=0
ai.onnx.ml.Binarizer 1 1: threshold
ai.onnx.ml.FeatureVectorizer * 1: inputdimensions
ai.onnx.ml.LinearRegressor 1 1: coefficients intercepts post_transform targets
ai.onnx.ml.Imputer 1 1: imputed_value_floats imputed_value_int64s replaced_value_float replaced_value_int64
ai.onnx.ml.Normalizer 1 1: norm
ai.onnx.ml.OneHotEncoder 1 1: cats_int64s cats_strings zeros
ai.onnx.ml.Scaler 1 1: offset scale
"""
    )
)
"""Operators by kind.  A line reads ``names inputs outputs: attributes``; ``name=value`` is neutral."""
